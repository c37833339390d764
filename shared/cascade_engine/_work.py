"""The work of collecting: what is still to be asked, and what came of the rest. It calls nobody."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascade_engine._arrays import check_names, is_number, is_whole
from cascade_engine._collection import Cell, Collection, cells_of
from cascade_engine._journal import CallFailure, Entry, Journal
from cascade_engine._progress import Progress
from cascade_engine._records import query_key
from cascade_engine._types import Answer, Query
from cascade_engine.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cascade_engine._costs import Charge

__all__ = ["Ask", "Plan", "Result", "Work", "check_whole", "working"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A call to be made: of a cell, with what the model is called with."""

    cell: Cell
    query: Query
    input: Any


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a call; the error is that of a failure."""

    value: Answer | CallFailure
    error: BaseException | None = None


class Work:
    """What is still to be asked, what is being asked, and what came of the rest."""

    def __init__(
        self,
        asks: Sequence[Ask],
        charge: Charge,
        journal: Journal | None,
        *,
        max_cost: float | None,
        max_failures: int | None,
        progress: bool | Callable[[str], object],
    ) -> None:
        entries = journal.entries if journal else ()
        self.results = cells_of((Cell(e.key, e.model, e.sample), e.result) for e in entries)
        self.errors: dict[Cell, BaseException] = {}
        self.stopped: str | None = None
        self.charge, self._journal = charge, journal
        self._max_cost, self._max_failures = max_cost, max_failures
        self._spent = 0.0
        self._costs: dict[str, tuple[int, float]] = {}  # by model: how many, how much
        self._flight: dict[Cell, float | None] = {}  # and what each is expected to cost
        for cell, result in self.results.items():
            if isinstance(result, Answer):
                self._book(cell.model, charge(cell.model, result))
        self._todo = deque(a for a in asks if not isinstance(self.results.get(a.cell), Answer))
        self._total, self._done = len(asks), len(asks) - len(self._todo)
        self._progress = Progress(self._total, self._done, progress)

    def next(self) -> Ask | None:
        """The next call, which from now on is in flight; None if none may be made now."""
        if self.stopped or not self._todo:
            return None
        ask = self._todo[0]
        expected = self._expected(ask.cell.model)
        if not self._affords(expected):
            if not self._flight:
                self.stopped = (
                    f"the cost limit of {self._max_cost:g} was reached with {self._spent:g} spent "
                    "and the rest not asked: a higher max_cost goes on from here"
                )
            return None
        self._flight[ask.cell] = expected
        return self._todo.popleft()

    def finish(self, ask: Ask, result: Result) -> None:
        """Takes in, and writes down, what came of a call; a second time changes nothing."""
        if self.results.get(ask.cell) is result.value:
            return
        if self._journal:
            self._journal.append(ask.query, Entry(*ask.cell, result.value))
        self._flight.pop(ask.cell, None)
        self.results[ask.cell] = result.value
        self._done += 1
        if isinstance(result.value, Answer):
            self._book(ask.cell.model, self._cost(ask.cell.model, result.value))
        elif result.error:
            self._blame(ask.cell, result.error)
        self._progress.at(self._done, len(self.errors), self._spent)

    def end(self) -> None:
        """Nothing more will come."""
        self._progress.end()

    def _cost(self, model: str, answer: Answer) -> float | None:
        # No limit can be kept on costs that nobody knows.
        known = self.charge if self._max_cost is None else self.charge.required
        return known(model, answer)

    def _book(self, model: str, cost: float | None) -> None:
        if cost is not None:
            count, total = self._costs.get(model, (0, 0.0))
            self._costs[model] = (count + 1, total + cost)
            self._spent += cost

    def _blame(self, cell: Cell, error: BaseException) -> None:
        self.errors[cell] = error
        if self._max_failures is not None and len(self.errors) > self._max_failures:
            self.stopped = f"{len(self.errors)} calls failed, and the rest was not asked"

    def _expected(self, model: str) -> float | None:
        """What a call of the model has cost on average; None before the first."""
        count, total = self._costs.get(model, (0, 0.0))
        return total / count if count else None

    def _affords(self, expected: float | None) -> bool:
        if self._max_cost is None:
            return True
        flying = list(self._flight.values())
        known = [cost for cost in flying if cost is not None]
        if expected is None or len(known) < len(flying):  # unforeseeable: it goes alone
            return not flying and self._spent < self._max_cost
        rounding = 1e-9 * self._max_cost
        return self._spent + sum(known) + expected <= self._max_cost + rounding


class Plan:
    """Who is to be asked what, once that has been checked."""

    def __init__(
        self,
        models: Mapping[str, Any],
        queries: Sequence[Query | str],
        samples: int,
        inputs: Sequence[Any] | None,
        keys: Sequence[str] | None,
    ) -> None:
        self.models = _checked(models)
        if isinstance(queries, str):
            raise DataError("queries must be a list, not a single string")
        self.queries = [q if isinstance(q, Query) else Query(q) for q in queries]
        if not self.queries:
            raise DataError("no queries given: there is nothing to ask")
        self.samples = samples
        self.keys = [query_key(q) for q in self.queries] if keys is None else list(keys)
        self.inputs = self.queries if inputs is None else list(inputs)
        for name, given in (("keys", self.keys), ("inputs", self.inputs)):
            if len(given) != len(self.queries):
                raise DataError(f"{len(given)} {name} for {len(self.queries)} queries")

    def asks(self) -> list[Ask]:
        """Every call once, query by query: what a limit leaves is complete as far as it goes."""
        asks = {
            (cell := Cell(key, model, sample)): Ask(cell, query, given)
            for key, query, given in zip(self.keys, self.queries, self.inputs, strict=True)
            for model in self.models
            for sample in range(self.samples)
        }
        return list(asks.values())

    def collection(self, work: Work) -> Collection:
        """What came of it."""
        return Collection(
            self.models,
            self.queries,
            work.results,
            keys=self.keys,
            samples=self.samples,
            charge=work.charge,
            stopped=work.stopped,
            errors=work.errors,
        )


def _checked(models: Mapping[str, Any]) -> tuple[str, ...]:
    """The models' names, once each has a function."""
    for name, model in models.items():
        if not callable(model):
            raise ConfigurationError(
                f"model {name!r} is a {type(model).__name__}: give a function of a Query to an "
                "Answer"
            )
    return check_names(list(models))


def check_whole(least: int, **options: Any) -> None:
    for name, value in options.items():
        if not is_whole(value) or value < least:
            raise ConfigurationError(f"{name} must be an integer >= {least}, not {value!r}")


@contextmanager
def working(
    plan: Plan, path: str | Path | None, settings: Any, charge: Charge, limits: dict[str, Any]
) -> Iterator[Work]:
    for name in ("max_cost", "max_failures"):
        value = limits[name]
        if value is not None and not (is_number(value) and value >= 0):
            raise ConfigurationError(f"{name} must be a number >= 0, not {value!r}")
    with ExitStack() as stack:
        journal = None
        if path is not None:
            journal = stack.enter_context(Journal(Path(path), plan.models, settings))
        work = Work(plan.asks(), charge, journal, **limits)
        stack.callback(work.end)
        yield work
