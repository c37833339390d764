"""The ledger of a collection: the calls still to be made, and what came of the others.

It calls no model. `calls` asks it for the next call, and tells it of each call that has ended.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from cascade_engine.core.checks import is_whole
from cascade_engine.core.records import Answer, Query
from cascade_engine.data.calls.journal import CallResult, Cell, Journal, latest_results
from cascade_engine.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from cascade_engine.core.prices import Charge

__all__ = ["Ledger", "Progress", "Request", "samples_by_model"]

_BAR = "{percentage:3.0f}%|{bar}| "
_LINE = "{n_fmt}/{total_fmt} calls{postfix}, {remaining} left"
_REDRAW = 0.2  # seconds


def samples_by_model(models: Sequence[str], samples: int | Mapping[str, int]) -> dict[str, int]:
    """How many answers of each model are wanted, from one number or from one for each model.

    Raises:
        ConfigurationError: a model has no number, a number has no model, or is below 1.
    """
    counts = samples if isinstance(samples, Mapping) else dict.fromkeys(models, samples)
    if set(counts) != set(models):
        raise ConfigurationError(
            f"samples must name each of the models {tuple(models)}, not {tuple(counts)}"
        )
    for model, count in counts.items():
        if not is_whole(count) or count < 1:
            raise ConfigurationError(
                f"samples must be an integer >= 1, not {count!r}, for {model!r}"
            )
    return {model: int(counts[model]) for model in models}


class Progress:
    """A line with the calls that are done, their cost, the failures and the time left.

    Args:
        total: the number of calls.
        done: how many of them were done before.
        show: True draws a bar on standard error if that is a terminal, or a widget in a notebook
            with `ipywidgets`, and nothing elsewhere, such as in a log. A callable is given each
            line instead. False shows nothing.
    """

    def __init__(
        self,
        total: int,
        done: int,
        show: bool | Callable[[str], object],  # noqa: FBT001  passed on
    ) -> None:
        self._bar: Any = None
        calls: dict[str, Any] = {"total": total, "initial": done, "mininterval": _REDRAW}
        if callable(show):
            from tqdm import tqdm  # noqa: PLC0415  an import of the engine does without

            lines: Any = SimpleNamespace(  # as much of a file as tqdm writes to
                write=lambda text: text.strip() and show(text.strip()), flush=lambda: None
            )
            self._bar = tqdm(**calls, smoothing=0, miniters=1, bar_format=_LINE, file=lines)
        elif show and _is_watched():
            from tqdm.auto import tqdm  # noqa: PLC0415

            self._bar = tqdm(**calls, smoothing=0, bar_format=f"{_BAR}{_LINE}")

    def advance(self, failed: int, cost: float) -> None:
        """Counts one more call, and shows where things stand unless that was just shown."""
        if self._bar is not None:
            failures = f", {failed} failed" if failed else ""
            self._bar.set_postfix_str(f"cost {cost:.4g}{failures}", refresh=False)
            self._bar.update()

    def close(self) -> None:
        """Shows the last state, and ends the line."""
        if self._bar is not None:
            self._bar.close()


def _is_watched() -> bool:
    """Whether standard error is a terminal, or there is a notebook that can show widgets."""
    if sys.stderr is not None and sys.stderr.isatty():
        return True
    return "ipykernel" in sys.modules and find_spec("ipywidgets") is not None


@dataclass(frozen=True, slots=True)
class Request:
    """A call to be made.

    Attributes:
        cell: whose answer to which query it brings.
        query: the query.
        input: what the model is called with.
    """

    cell: Cell
    query: Query
    input: Any


class Ledger:
    """The calls to be made, those in flight, and the results of those that have ended.

    Args:
        requests: every call that is wanted, each cell once.
        charge: what an answer costs.
        journal: where results are written; its own count as ended calls.
        max_cost: as in `collect`.
        max_failures: as in `collect`.
        progress: as in `collect`.
        known: results that are there already; their calls are not made.

    Attributes:
        results: what came of each call, those of the journal among them; without `known`.
        errors: the exceptions of calls that failed just now.
        stopped: why a limit ended the work, in words; None where none did.
    """

    def __init__(
        self,
        requests: Sequence[Request],
        charge: Charge,
        journal: Journal | None,
        *,
        max_cost: float | None,
        max_failures: int | None,
        progress: bool | Callable[[str], object],
        known: Mapping[Cell, CallResult],
    ) -> None:
        self.results = dict(journal.results) if journal else {}
        self.errors: dict[Cell, BaseException] = {}
        self.stopped: str | None = None
        self.charge, self._journal = charge, journal
        self._max_cost, self._max_failures = max_cost, max_failures
        self._spent = 0.0
        self._costs: dict[str, tuple[int, float]] = {}  # by model: number of answers, their cost
        self._in_flight: dict[Cell, float | None] = {}  # with the expected cost of each
        for cell, result in self.results.items():
            if isinstance(result, Answer):
                self._book(cell.model, charge(cell.model, result))
        there = latest_results([*known.items(), *self.results.items()])
        self._waiting = deque(r for r in requests if not isinstance(there.get(r.cell), Answer))
        self._progress = Progress(len(requests), len(requests) - len(self._waiting), progress)

    def next(self) -> Request | None:
        """The next call, which from now on is in flight; None if none may be made now."""
        if self.stopped or not self._waiting:
            return None
        request = self._waiting[0]
        expected = self._expected_cost(request.cell.model)
        if not self._affords(expected):
            if not self._in_flight:
                self.stopped = (
                    f"the cost limit of {self._max_cost:g} was reached with {self._spent:g} spent "
                    "and the rest not asked: a higher max_cost goes on from here"
                )
            return None
        self._in_flight[request.cell] = expected
        return self._waiting.popleft()

    def finish(
        self, request: Request, result: CallResult, error: BaseException | None = None
    ) -> None:
        """Keeps and writes down what came of a call; telling it again changes nothing.

        Args:
            request: the call.
            result: its answer or failure.
            error: the exception of a failure.
        """
        cell = request.cell
        if self.results.get(cell) is result:
            return
        if self._journal:
            self._journal.append(request.query, cell, result)
        self._in_flight.pop(cell, None)
        self.results[cell] = result
        if isinstance(result, Answer):
            # No limit can be kept while a cost is unknown.
            cost_of = self.charge if self._max_cost is None else self.charge.required
            self._book(cell.model, cost_of(cell.model, result))
        elif error:
            self.errors[cell] = error
            if self._max_failures is not None and len(self.errors) > self._max_failures:
                self.stopped = f"{len(self.errors)} calls failed, and the rest was not asked"
        self._progress.advance(len(self.errors), self._spent)

    def cost(self, keys: Container[str]) -> float:
        """What the answers to the queries of these keys cost; an unknown cost counts nothing."""
        return sum(
            self.charge(cell.model, result) or 0.0
            for cell, result in self.results.items()
            if cell.key in keys and isinstance(result, Answer)
        )

    def close(self) -> None:
        """Ends the progress line."""
        self._progress.close()

    def _book(self, model: str, cost: float | None) -> None:
        if cost is not None:
            count, total = self._costs.get(model, (0, 0.0))
            self._costs[model] = (count + 1, total + cost)
            self._spent += cost

    def _expected_cost(self, model: str) -> float | None:
        """What a call of the model has cost on average; None before its first answer."""
        count, total = self._costs.get(model, (0, 0.0))
        return total / count if count else None

    def _affords(self, expected: float | None) -> bool:
        if self._max_cost is None:
            return True
        costs = list(self._in_flight.values())
        foreseen = [cost for cost in costs if cost is not None]
        if expected is None or len(foreseen) < len(costs):
            # Nobody can foresee what it takes: such a call is made alone.
            return not costs and self._spent < self._max_cost
        rounding = 1e-9 * self._max_cost
        return self._spent + sum(foreseen) + expected <= self._max_cost + rounding
