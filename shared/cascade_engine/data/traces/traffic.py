"""From a log of live queries to what a fit is made of: answers by query and model, with holes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from os import PathLike
from typing import TYPE_CHECKING

from cascade_engine.core.queries import query_key
from cascade_engine.core.records import Answer, Query
from cascade_engine.data.collecting.journal import (
    CallFailure,
    CallResult,
    Cell,
    latest_results,
)
from cascade_engine.data.traces.trace_log import read_traces
from cascade_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cascade_engine.data.traces.trace_line import LoggedTrace

__all__ = ["Traffic", "asked_of", "read_traffic"]


@dataclass
class Traffic:
    """What models answered to live queries.

    Attributes:
        models: in the order in which they are met.
        queries: by key, each as it was asked last.
        results: what came of each call, the latest.
    """

    models: tuple[str, ...]
    queries: dict[str, Query]
    results: dict[Cell, CallResult] = field(repr=False)


def read_traffic(traces: str | PathLike[str] | Iterable[LoggedTrace]) -> Traffic:
    """Puts logged queries together, those with one key into one.

    Args:
        traces: the path of a log, or what was read from some.

    Raises:
        DataError: there are none, or one was logged without its texts.
    """
    given = read_traces(traces) if isinstance(traces, (str, PathLike)) else list(traces)
    found = sorted(given, key=lambda each: each.time)
    queries: dict[str, Query] = {}
    models: dict[str, None] = {}
    calls: list[tuple[Cell, CallResult]] = []
    for logged in found:
        query = asked_of(logged)
        key = logged.key or query_key(query)
        queries[key] = logged.query
        models.update(dict.fromkeys(_models(logged)))
        calls.extend(_calls(key, logged))
    if not queries:
        raise DataError("there are no traces: a log of at least one query is needed")
    return Traffic(tuple(models), queries, latest_results(calls))


def asked_of(logged: LoggedTrace) -> Query:
    """The query as it was before advisers had their say.

    Raises:
        DataError: it was logged without its text.
    """
    if not logged.has_texts:
        raise DataError(
            "the traces were logged without texts, and nobody can be asked again or graded: such a "
            "log serves drift alone; TraceLog(path, texts=True) keeps texts"
        )
    advice = [each for each in logged.trace.advice if each.about is None]
    said = {name for each in advice for name in each.signals}
    paid = {each.name for each in advice}
    query = logged.query
    return replace(
        query,
        signals={name: value for name, value in query.signals.items() if name not in said},
        advice_cost={name: c for name, c in query.advice_cost.items() if name not in paid},
    )


def _models(logged: LoggedTrace) -> Iterable[str]:
    """All models that were there, in the order of the cascade where a decision tells it."""
    decisions = logged.trace.decisions
    return [*(decisions[0].quality if decisions else ()), *logged.answers]


def _calls(key: str, logged: LoggedTrace) -> Iterator[tuple[Cell, CallResult]]:
    for failure in logged.trace.failures:
        if failure.answer is None:
            yield Cell(key, failure.model), CallFailure(repr(failure.error))
    for model, answer in logged.answers.items():
        for number, one in enumerate(_apart(model, answer)):
            yield Cell(key, model, number), one


def _apart(model: str, answer: Answer) -> list[Answer]:
    """An answer, and its samples as the answers that they were, each with its share of the cost."""
    paid = answer.advice_cost.get(model)
    each = None if paid is None or not answer.samples else paid / len(answer.samples)
    rest = {name: cost for name, cost in answer.advice_cost.items() if name != model}
    alone = replace(answer, samples=(), advice_cost=rest, payload=None)
    return [alone, *(Answer(text, cost=each) for text in answer.samples)]
