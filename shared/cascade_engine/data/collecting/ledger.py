"""The work of collecting: what is still to be asked, and what came of the rest. It calls nobody."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cascade_engine.core.records import Answer, Query
from cascade_engine.data.collecting._cells import Cell, cells_of
from cascade_engine.data.collecting._progress import Progress
from cascade_engine.data.collecting.journal import CallFailure, Entry, Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cascade_engine.core.prices import Charge

__all__ = ["Ask", "Result", "Work"]


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
        known: Mapping[Cell, Answer | CallFailure] | None = None,
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
        there = cells_of([*(known or {}).items(), *self.results.items()])
        self._todo = deque(a for a in asks if not isinstance(there.get(a.cell), Answer))
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
