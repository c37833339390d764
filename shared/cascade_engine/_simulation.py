"""Running a strategy over complete data, all queries at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.strategies import STOP, Options

if TYPE_CHECKING:
    from collections.abc import Callable

    from cascade_engine._arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.estimators import Estimates
    from cascade_engine.strategies import Strategy

__all__ = ["Outcome", "Simulation"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy did on n queries.

    Attributes:
        run: which models ran, shape (n, k).
        chosen: whose answer was returned, shape (n,).
        cost: what each query cost, shape (n,).
        quality: how good the answer returned was, shape (n,).
    """

    run: BoolArray
    chosen: IntArray
    cost: FloatArray
    quality: FloatArray

    @property
    def mean_cost(self) -> float:
        """Mean cost of a query."""
        return float(self.cost.mean())

    @property
    def mean_quality(self) -> float:
        """Mean quality of the answers returned."""
        return float(self.quality.mean())

    @property
    def shares(self) -> FloatArray:
        """Share of the queries answered by each model, shape (k,)."""
        return np.bincount(self.chosen, minlength=self.run.shape[1]) / len(self.chosen)


class Simulation:
    """One strategy on complete data, played at as many settings as wanted.

    What is believed and what the options are depends on the query and on the models run, not on
    the setting: both are worked out once for each such state that some setting reaches.

    Args:
        strategy: what decides.
        believe: estimates for all n queries when the models in its argument, (n, k), have answered.
        quality: true quality, shape (n, k).
        cost: true cost, shape (n, k).
    """

    def __init__(
        self,
        strategy: Strategy,
        believe: Callable[[BoolArray], Estimates],
        *,
        quality: FloatArray,
        cost: FloatArray,
    ) -> None:
        self._strategy = strategy
        self._believe = believe
        self._quality = quality
        self._cost = cost
        self._states: dict[bytes, _State] = {}

    def play(self, setting: FloatArray) -> Outcome:
        """Drives every query to its end.

        Args:
            setting: the strategy's parameter for each query, shape (n,).
        """
        n, k = self._quality.shape
        run = np.zeros((n, k), dtype=bool)
        chosen = np.zeros(n, dtype=np.intp)
        going = np.arange(n)
        while len(going):
            action = np.empty(len(going), dtype=np.intp)
            for pattern in np.unique(run[going], axis=0):
                here = (run[going] == pattern).all(axis=1)
                rows = going[here]
                state = self._state(pattern)
                action[here] = self._strategy.pick(state.at(rows), setting[rows])
                chosen[rows] = state.chosen[rows]
            going = going[action != STOP]
            run[going, action[action != STOP]] = True
        cost = np.where(run, self._cost, 0.0).sum(axis=1)
        return Outcome(run, chosen, cost, self._quality[np.arange(n), chosen])

    def _state(self, pattern: BoolArray) -> _State:
        key = pattern.tobytes()
        if key not in self._states:
            run = np.broadcast_to(pattern, self._quality.shape)
            self._states[key] = _State(self._strategy, self._believe(run), run)
        return self._states[key]


class _State:
    """All queries with the same models run: their options, where some setting asked for them."""

    def __init__(self, strategy: Strategy, estimates: Estimates, run: BoolArray) -> None:
        self._strategy = strategy
        self._estimates = estimates
        self._run = run
        self._row = np.full(len(run), -1)
        self._known = strategy.options(estimates.at(slice(0)), run[:0], ~run[:0])
        self.chosen = strategy.choose(estimates, run)

    def at(self, rows: IntArray) -> Options:
        new = rows[self._row[rows] < 0]
        if len(new):
            self._add(new)
        return self._known.at(self._row[rows])

    def _add(self, rows: IntArray) -> None:
        run = self._run[rows]
        found = self._strategy.options(self._estimates.at(rows), run, ~run)
        self._row[rows] = len(self._known) + np.arange(len(rows))
        self._known = self._known.joined(found)
