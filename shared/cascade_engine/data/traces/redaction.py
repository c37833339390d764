"""Logged queries with their texts rewritten, or left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cascade_engine.data.traces.trace_line import BLANK, LoggedTrace
from cascade_engine.errors import LoggedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cascade_engine.core.records import Answer
    from cascade_engine.core.trace import Advice, Failure

__all__ = ["rewritten", "without_texts"]


def rewritten(logged: LoggedTrace, rewrite: Callable[[str], str]) -> LoggedTrace:
    """With each text as `rewrite` has it, and no key, which is made of the texts."""

    def answers(given: Mapping[str, Answer]) -> dict[str, Answer]:
        return {model: _answer(answer, rewrite) for model, answer in given.items()}

    def failure(each: Failure) -> Failure:
        answer = None if each.answer is None else _answer(each.answer, rewrite)
        return replace(each, error=LoggedError(rewrite(repr(each.error))), answer=answer)

    def advice(each: Advice) -> Advice:
        error = None if each.error is None else LoggedError(rewrite(repr(each.error)))
        return replace(each, error=error)

    trace = logged.trace
    return replace(
        logged,
        key=None,
        input=_leaves(logged.input, rewrite),
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
            replace(call, arguments=_leaves(call.arguments, rewrite)) for call in answer.tool_calls
        ),
    )


def _leaves(value: Any, rewrite: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return rewrite(value)
    if isinstance(value, Mapping):
        return {key: _leaves(item, rewrite) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_leaves(item, rewrite) for item in value)
    return value


def without_texts(logged: LoggedTrace) -> LoggedTrace:
    """Numbers alone: each text a run of blocks, of its length."""

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
    return rewritten(numbers, lambda text: BLANK * len(text))
