"""Live traffic: the answers in a log of live queries, by query and model, many of them missing."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING

from cascade_engine.core.queries import query_key
from cascade_engine.core.records import Answer, Query
from cascade_engine.data.calls.journal import (
    CallFailure,
    CallLog,
    CallResult,
    Cell,
    latest_results,
)
from cascade_engine.data.traffic.trace_log import read_traces
from cascade_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cascade_engine.data.traffic.trace_line import LoggedTrace

__all__ = ["query_without_advice", "read_traffic"]


def read_traffic(traces: str | PathLike[str] | Iterable[LoggedTrace]) -> CallLog:
    """Puts logged queries together; those of the same key become one, as it was asked last.

    Args:
        traces: the path of a log, or what `read_traces` read from some.

    Raises:
        DataError: there are no traces, or one was logged without its texts.
    """
    log = read_traces(traces) if isinstance(traces, (str, PathLike)) else traces
    queries: dict[str, Query] = {}
    models: dict[str, None] = {}
    calls: list[tuple[Cell, CallResult]] = []
    for logged in sorted(log, key=lambda logged: logged.time):
        query = query_without_advice(logged)
        key = logged.key or query_key(query)
        queries[key] = logged.query
        models.update(dict.fromkeys(_models(logged)))
        calls.extend(_calls(key, logged))
    if not queries:
        raise DataError("there are no traces: a log of at least one query is needed")
    return CallLog(tuple(models), queries, latest_results(calls))


def query_without_advice(logged: LoggedTrace) -> Query:
    """The query as it was before advisers added their signals and costs.

    Raises:
        DataError: the query was logged without its text.
    """
    if not logged.has_texts:
        raise DataError(
            "the traces were logged without texts, and nobody can be asked again or graded: such a "
            "log serves drift alone; TraceLog(path, texts=True) keeps texts"
        )
    advice = [advice for advice in logged.trace.advice if advice.about is None]
    signals = {name for one in advice for name in one.signals}
    advisers = {one.name for one in advice}
    query = logged.query
    return replace(
        query,
        signals={name: value for name, value in query.signals.items() if name not in signals},
        advice_cost={name: c for name, c in query.advice_cost.items() if name not in advisers},
    )


def _models(logged: LoggedTrace) -> Iterable[str]:
    """The cascade's models in its order, where a decision was logged; then those that answered."""
    decisions = logged.trace.decisions
    return [*(decisions[0].quality if decisions else ()), *logged.answers]


def _calls(key: str, logged: LoggedTrace) -> Iterator[tuple[Cell, CallResult]]:
    for failure in logged.trace.failures:
        if failure.answer is None:
            yield Cell(key, failure.model), CallFailure(repr(failure.error))
    for model, answer in logged.answers.items():
        for number, one in enumerate(_answer_and_samples(model, answer)):
            yield Cell(key, model, number), one


def _answer_and_samples(model: str, answer: Answer) -> list[Answer]:
    """An answer, and its samples as answers of their own, each with its share of the cost."""
    paid = answer.advice_cost.get(model)
    share = None if paid is None or not answer.samples else paid / len(answer.samples)
    rest = {name: cost for name, cost in answer.advice_cost.items() if name != model}
    alone = replace(answer, samples=(), advice_cost=rest, payload=None)
    return [alone, *(Answer(text, cost=share) for text in answer.samples)]
