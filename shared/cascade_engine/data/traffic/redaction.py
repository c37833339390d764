"""Logged queries whose texts are rewritten, or left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cascade_engine.data.traffic.trace_line import BLANK, LoggedTrace
from cascade_engine.errors import LoggedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cascade_engine.core.records import Answer
    from cascade_engine.core.trace import Advice, Failure

__all__ = ["with_texts_rewritten", "without_texts"]


def with_texts_rewritten(logged: LoggedTrace, rewrite: Callable[[str], str]) -> LoggedTrace:
    """The same query with each text replaced by `rewrite(text)`.

    It has no key, which is a hash of the texts.
    """

    def answers(by_model: Mapping[str, Answer]) -> dict[str, Answer]:
        return {model: _answer(answer, rewrite) for model, answer in by_model.items()}

    def failure(original: Failure) -> Failure:
        answer = None if original.answer is None else _answer(original.answer, rewrite)
        return replace(original, error=LoggedError(rewrite(repr(original.error))), answer=answer)

    def advice(original: Advice) -> Advice:
        error = None if original.error is None else LoggedError(rewrite(repr(original.error)))
        return replace(original, error=error)

    trace = logged.trace
    return replace(
        logged,
        key=None,
        input=_rewritten(logged.input, rewrite),
        beside=answers(logged.beside),
        trace=replace(
            trace,
            query=replace(trace.query, text=rewrite(trace.query.text)),
            answers=answers(trace.answers),
            failures=tuple(map(failure, trace.failures)),
            advice=tuple(map(advice, trace.advice)),
        ),
    )


def _answer(answer: Answer, rewrite: Callable[[str], str]) -> Answer:
    return replace(
        answer,
        text=rewrite(answer.text),
        samples=tuple(map(rewrite, answer.samples)),
        tool_calls=tuple(
            replace(call, arguments=_rewritten(call.arguments, rewrite))
            for call in answer.tool_calls
        ),
    )


def _rewritten(value: Any, rewrite: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return rewrite(value)
    if isinstance(value, Mapping):
        return {key: _rewritten(item, rewrite) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_rewritten(item, rewrite) for item in value)
    return value


def without_texts(logged: LoggedTrace) -> LoggedTrace:
    """The same query with numbers alone: each text is a run of blocks of its length."""

    def bare(answers: Mapping[str, Answer]) -> dict[str, Answer]:
        return {m: replace(a, samples=(), tool_calls=()) for m, a in answers.items()}

    trace = logged.trace
    query = replace(trace.query, tools=(), schema=None)
    numbers = replace(
        logged,
        input=None,
        beside=bare(logged.beside),
        trace=replace(trace, query=query, answers=bare(trace.answers)),
        has_texts=False,
    )
    return with_texts_rewritten(numbers, lambda text: BLANK * len(text))
