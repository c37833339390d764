"""Collections from OpenAI's batch files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cascade_engine.answers.provider_reports import (
    finish_reason,
    token_logprobs,
    token_usage,
    tool_calls,
)
from cascade_engine.core.prices import Charge
from cascade_engine.core.records import Answer
from cascade_engine.data.calls.journal import CallFailure
from cascade_engine.data.importers.chat_logs import LoggedCalls, dig, query_of, text_of
from cascade_engine.errors import DataError
from cascade_engine.storage.files import read_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cascade_engine.core.prices import Price
    from cascade_engine.data.collection import Collection

__all__ = ["read_openai_batches"]


def read_openai_batches(
    batches: Iterable[tuple[Any, Any]],
    *,
    models: Sequence[str] | None = None,
    samples: int = 1,
    prices: Mapping[str, Price] | None = None,
    charge: Literal["price", "seconds"] | Callable[[str, Answer], float] = "price",
) -> Collection:
    """Collects the answers of OpenAI's batches of chat completions, or of servers like OpenAI's.

    Requests with the same messages, to whichever model, are one query, whose id is the first
    `custom_id`. Requests that failed, expired or are not in the output are missing.

    Args:
        batches: pairs of input and output: paths of JSONL files, or their lines as mappings. A
            file of errors is an output too.
        models: the models to keep, in order; by default all, in the order they appear.
        samples: how many answers of each model to each query make the collection complete.
        prices: price of each model.
        charge: what a call costs: "price", or a callable of model and answer.

    Raises:
        DataError: a line has no `custom_id`, or that of another line, or is no chat completion.
    """
    calls = LoggedCalls()
    for input_lines, output_lines in batches:
        outputs = _by_id(output_lines)
        for name, line in _by_id(input_lines).items():
            body = dig(line, "body")
            messages = dig(body, "messages")
            if not messages or not dig(body, "model"):
                raise DataError(
                    f"request {name!r} has no body with a model and messages: only batches of chat "
                    "completions can be read"
                )
            schema = dig(body, "response_format", "json_schema", "schema")
            query, key = query_of(messages, dig(body, "tools"), schema)
            calls.ids.setdefault(key, name)
            for result in _batch_results(outputs.get(name)):
                calls.add(key, query, str(dig(body, "model")), result)
    return calls.collection(models, samples, Charge(prices or {}, charge))


def _by_id(lines: Any) -> dict[str, Any]:
    by_id: dict[str, Any] = {}
    for line in read_lines(Path(lines)) if isinstance(lines, (str, Path)) else lines:
        name = dig(line, "custom_id")
        if not isinstance(name, str):
            raise DataError(f"a line of a batch has no custom_id: {line!r:.80}")
        if name in by_id:
            raise DataError(f"the custom_id {name!r} is in one batch file twice")
        by_id[name] = line
    return by_id


def _batch_results(line: Any) -> list[Answer | CallFailure]:
    body, error = dig(line, "response", "body"), dig(line, "error")
    status = dig(line, "response", "status_code")
    choices = dig(body, "choices")
    if line is None or error or not choices or int(status or 200) >= 400:  # noqa: PLR2004  HTTP
        why = error or dig(body, "error") or ("no choices" if line else "no line in the output")
        return [CallFailure(f"batch: {dig(why, 'message') or why}")]
    # Tokens are reported for all choices together: the first stands for what they cost.
    return [
        Answer(
            text_of(dig(choice, "message", "content")),
            token_logprobs(choice),
            token_usage(dig(body, "usage")) if number == 0 else None,
            finish_reason=finish_reason(choice),
            tool_calls=tool_calls(dig(choice, "message", "tool_calls")),
        )
        for number, choice in enumerate(choices)
    ]
