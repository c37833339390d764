"""Collections from LangSmith's runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
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
from cascade_engine.data.importers.chat_logs import LoggedCalls, dig, message_of, query_of, text_of
from cascade_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cascade_engine.core.prices import Price
    from cascade_engine.core.records import Query
    from cascade_engine.data.collection import Collection

__all__ = ["read_langsmith"]

_QUESTION = ("input", "question", "query", "prompt", "text")
_ANSWER = ("output", "answer", "content", "text", "result")


def read_langsmith(
    runs: Iterable[Any],
    *,
    question: Callable[[Any], str] | None = None,
    answer: Callable[[Any], str] | None = None,
    model: Callable[[Any], str] | None = None,
    models: Sequence[str] | None = None,
    samples: int = 1,
    prices: Mapping[str, Price] | None = None,
    charge: Literal["price", "seconds"] | Callable[[str, Answer], float] = "price",
) -> Collection:
    """Collects the calls of models among LangSmith's runs.

    The model's name is read from `extra.metadata.ls_model_name`, the cost from `total_cost`, tokens
    and times from the run. Runs with the same messages are one query; several runs of a model on it
    are samples, in the order of the runs. Scores are in the collection's `feedback` by their key,
    for `dataset(feedback=collection.feedback["correctness"])`.

    Args:
        runs: mappings, or objects of LangSmith's client. Those with `run_type` "llm" are read; all
            of them, if `model` is given.
        question: a function that finds the question in a run's inputs; without it, messages and
            common names are looked for.
        answer: a function that finds the answer in a run's outputs; likewise.
        model: a function that finds the name of the model in a run.
        models: the models to keep, in order; by default all, in the order they appear.
        samples: how many answers of each model to each query make the collection complete.
        prices: price of each model, used where a run has no cost.
        charge: what a call costs then: "price", "seconds", or a callable of model and answer.

    Raises:
        DataError: no run is a model's, or a run has no model, question or answer.
    """
    calls, scores = LoggedCalls(), dict[tuple[str, str, str], float]()
    for run in runs:
        if model is None and dig(run, "run_type") not in (None, "llm"):
            continue
        name = model(run) if model else _model_of(run)
        if not name:
            raise DataError(
                f"run {dig(run, 'id')} does not say which model ran (extra.metadata.ls_model_name):"
                " pass model=function of a run, or leave such runs out"
            )
        query, key = _question_of(run, question)
        calls.add(key, query, name, _run_result(run, answer))
        calls.ids.setdefault(key, str(dig(run, "reference_example_id") or key))
        for subject, score in _feedback(run).items():
            # The first run counts, since its answer is the one that is labelled.
            scores.setdefault((subject, key, name), score)

    collection = calls.collection(models, samples, Charge(prices or {}, charge))
    names = dict(zip(collection.keys, collection.ids or collection.keys, strict=True))
    for (subject, key, name), score in scores.items():
        collection.feedback.setdefault(subject, {})[names[key], name] = score
    return collection


def _model_of(run: Any) -> str | None:
    extra = dig(run, "extra")
    name = (
        dig(extra, "metadata", "ls_model_name")
        or dig(extra, "invocation_params", "model")
        or dig(extra, "invocation_params", "model_name")
    )
    return str(name) if name else None


def _question_of(run: Any, question: Callable[[Any], str] | None) -> tuple[Query, str]:
    inputs = dig(run, "inputs")
    messages = dig(inputs, "messages")
    if question is None and isinstance(messages, list) and messages:
        inner = messages[0] if isinstance(messages[0], list) else messages
        return query_of(inner, dig(run, "extra", "invocation_params", "tools"))
    text = question(inputs) if question else _only_text(inputs, _QUESTION, "prompts")
    if not isinstance(text, str):
        raise DataError(
            f"no question is found in the inputs of run {dig(run, 'id')}: pass question=function "
            "of a run's inputs"
        )
    return query_of([{"role": "user", "content": text}])


def _run_result(run: Any, answer: Callable[[Any], str] | None) -> Answer | CallFailure:
    if dig(run, "error"):
        return CallFailure(str(dig(run, "error")))
    outputs = dig(run, "outputs")
    generation = _first(_first(dig(outputs, "generations"))) or _first(dig(outputs, "choices"))
    # The outputs are often the message itself.
    itself = outputs if dig(outputs, "role") else {}
    message = message_of(dig(generation, "message") or dig(outputs, "message") or itself)
    text = answer(outputs) if answer else _answer_text(outputs, generation, message)
    if not isinstance(text, str):
        raise DataError(
            f"no answer is found in the outputs of run {dig(run, 'id')}: pass answer=function of "
            "a run's outputs"
        )
    reports = [dig(message, "response_metadata"), dig(generation, "generation_info"), generation]
    return Answer(
        text,
        next(filter(None, map(token_logprobs, reports)), None),
        _usage_of(run, message),
        _number(dig(run, "total_cost")),
        _seconds(run),
        next(filter(None, map(finish_reason, reports)), None),
        tool_calls(dig(message, "tool_calls")),
    )


def _answer_text(outputs: Any, generation: Any, message: Any) -> str | None:
    for content in (dig(message, "content"), dig(generation, "text")):
        if content is not None:
            return str(text_of(content))
    # A message that only calls tools has no text: the other texts of its run are no answer.
    return "" if dig(message, "tool_calls") else _only_text(outputs, _ANSWER)


def _usage_of(run: Any, message: Any) -> Any:
    counts = {
        "input_tokens": dig(run, "prompt_tokens"),
        "output_tokens": dig(run, "completion_tokens"),
        "total_tokens": dig(run, "total_tokens"),
        "input_token_details": dig(run, "prompt_token_details"),
        "output_token_details": dig(run, "completion_token_details"),
    }
    return token_usage(dig(message, "usage_metadata")) or token_usage(counts)


def _feedback(run: Any) -> dict[str, float]:
    """The mean score by key, from `feedback_stats`, or from records of single scores."""
    stats = dig(run, "feedback_stats") or {}
    means = {key: _number(dig(summary, "avg")) for key, summary in stats.items()}
    single: dict[str, list[float]] = {}
    for record in dig(run, "feedback") or ():
        score = _number(dig(record, "score"))
        if score is not None:
            single.setdefault(str(dig(record, "key")), []).append(score)
    means |= {key: sum(scores) / len(scores) for key, scores in single.items()}
    return {key: mean for key, mean in means.items() if mean is not None}


def _only_text(holder: Any, names: Sequence[str], listed: str = "") -> str | None:
    """The text under one of the names, or the only text there is."""
    if not isinstance(holder, Mapping):
        return None
    named = [holder[name] for name in names if isinstance(holder.get(name), str)]
    first = _first(holder.get(listed))
    texts = (
        [first] if isinstance(first, str) else [v for v in holder.values() if isinstance(v, str)]
    )
    if named:
        return str(named[0])
    return texts[0] if len(texts) == 1 else None


def _first(values: Any) -> Any:
    return values[0] if isinstance(values, list) and values else None


def _number(value: Any) -> float | None:
    """A cost as a number: exports have numbers, decimals or text, by their version."""
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def _seconds(run: Any) -> float | None:
    start, end = _time(dig(run, "start_time")), _time(dig(run, "end_time"))
    try:
        return None if start is None or end is None else (end - start).total_seconds()
    except TypeError:  # one with a time zone and one without
        return None


def _time(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return None
