"""Between LlamaIndex's messages and responses and the engine's records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from llama_index.core.base.llms.types import (
    ChatResponse,
    CompletionResponse,
    LogProb,
    MessageRole,
    ToolCallBlock,
)

from cascade_engine import Answer, ConfigurationError, Query
from cascade_engine.answers.provider_reports import (
    finish_reason,
    token_logprobs,
    token_usage,
    tokens_of,
    tool_calls,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.base.llms.types import ChatMessage

    from cascade_engine import ToolCall, Trace, Usage

Response: TypeAlias = ChatResponse | CompletionResponse

#: Where a response keeps the record of how it came about. Never in a message: what is in a message
#: is sent back to the provider with the next turn.
RECORD = "cascade"


def query_of(
    asked: Sequence[ChatMessage] | str,
    tools: tuple[Mapping[str, Any], ...] = (),
    schema: Mapping[str, Any] | None = None,
) -> Query:
    """The user's last message, or the prompt, is the question; all else is context.

    Args:
        asked: the conversation, or the prompt.
        tools: see `Query.tools`.
        schema: see `Query.schema`.

    Raises:
        ConfigurationError: there are no messages.
    """
    if isinstance(asked, str):
        return Query(asked, 0, tools, schema)
    if not asked:
        raise ConfigurationError("no messages given: a chat needs at least one")
    last = next((m for m in reversed(asked) if m.role == MessageRole.USER), asked[-1])
    question = last.content or ""
    context = sum(len(m.content or "") for m in asked) - len(question)
    return Query(question, context, tools, schema)


def answer_of(response: Response, seconds: float) -> Answer:
    """What the engine wants to know of a child's response."""
    return Answer(
        text=text_of(response),
        logprobs=_logprobs(response),
        usage=_usage(response),
        seconds=seconds,
        finish_reason=finish_reason(choice_of(response.raw)),
        tool_calls=_tool_calls(response),
        payload=response,
    )


def text_of(response: Response) -> str:
    """The text, which of a chat is the message's."""
    if isinstance(response, CompletionResponse):
        return response.text
    return response.message.content or ""


def recorded(response: Any, trace: Trace) -> Any:
    """A copy of the chosen response that carries the decision record, and its log-probs."""
    logprobs = response.logprobs or as_logprobs(tokens_of(choice_of(response.raw)))
    record = {**trace.to_dict(), "model_name": _model_name(response.raw)}
    return noting(response, record).model_copy(update={"logprobs": logprobs})


def noting(response: Any, record: dict[str, Any]) -> Any:
    """A copy of a response that carries a record."""
    extra = {**response.additional_kwargs, RECORD: record}
    return response.model_copy(update={"additional_kwargs": extra})


def with_signals(query: Query, signals: Mapping[str, float]) -> Query:
    """The query, and what was measured of it."""
    return replace(query, signals={**query.signals, **signals}) if signals else query


def as_logprobs(tokens: Sequence[tuple[str, float]]) -> list[list[LogProb]] | None:
    """Log-probabilities as LlamaIndex has them: for each token its alternatives."""
    return [[LogProb(token=token, logprob=value)] for token, value in tokens] or None


def choice_of(raw: Any) -> Any:
    """The first choice or candidate of a raw response; the response itself if it has none."""
    for key in ("choices", "candidates"):
        choices = _get(raw, key)
        if choices is not None:
            return choices[0] if choices else None
    return raw


def calls_in(response: Any) -> bool:
    """Whether a response wants tools called."""
    return isinstance(response, ChatResponse) and bool(
        response.message.additional_kwargs.get("tool_calls")
        or any(isinstance(block, ToolCallBlock) for block in response.message.blocks)
    )


def _logprobs(response: Response) -> tuple[float, ...] | None:
    # LlamaIndex's own field holds the alternatives at each token, the likeliest first, and is
    # often left empty: the provider's word comes first.
    reported = token_logprobs(choice_of(response.raw))
    if reported is None and response.logprobs:
        return tuple(top[0].logprob for top in response.logprobs if top) or None
    return reported


def _usage(response: Response) -> Usage | None:
    raw = response.raw
    reports = (_get(raw, "usage"), _get(raw, "usage_metadata"), raw, response.additional_kwargs)
    return next((used for used in map(token_usage, reports) if used is not None), None)


def _tool_calls(response: Response) -> tuple[ToolCall, ...]:
    # Integrations write blocks, further keywords of the message (older ones), or both.
    if not isinstance(response, ChatResponse):
        return ()
    message = response.message
    blocks = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    return tool_calls(blocks or message.additional_kwargs.get("tool_calls"))


def _model_name(raw: Any) -> str | None:
    """The provider's name of the model that answered."""
    found = (_get(raw, key) for key in ("model", "model_name", "model_version"))
    return next((name for name in found if isinstance(name, str)), None)


def _get(holder: Any, key: str) -> Any:
    return holder.get(key) if isinstance(holder, Mapping) else getattr(holder, key, None)
