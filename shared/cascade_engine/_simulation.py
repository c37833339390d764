"""Running a strategy over complete data, all queries at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cascade_engine.strategies import STOP, Piece

if TYPE_CHECKING:
    from collections.abc import Callable

    from cascade_engine._arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.estimators import Estimates
    from cascade_engine.strategies import Options, Strategy

__all__ = ["Ends", "Outcome", "Simulation"]


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


class Ends(NamedTuple):
    """How queries end, each over an interval of lambda; every array is (m,)."""

    low: FloatArray
    high: FloatArray
    cost: FloatArray
    quality: FloatArray


class Simulation:
    """One strategy on complete data, played at as many lambdas as wanted, or at all of them.

    What is believed and what the options are depends on the query and on the models run, not on
    lambda: both are worked out once for each such state that some lambda reaches.

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

    @property
    def queries(self) -> int:
        """Number of queries, n."""
        return len(self._quality)

    def play(self, lam: FloatArray) -> Outcome:
        """Drives every query to its end at its lambda, shape (n,)."""
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
                action[here] = self._strategy.pick(state.at(rows), lam[rows])
                chosen[rows] = state.chosen[rows]
            going = going[action != STOP]
            run[going, action[action != STOP]] = True
        cost = np.where(run, self._cost, 0.0).sum(axis=1)
        return Outcome(run, chosen, cost, self._quality[np.arange(n), chosen])

    def sweep(self) -> Ends:
        """Drives every query to its end at every lambda from 0 to infinity."""
        n, k = self._quality.shape
        start = Piece(np.arange(n), np.full(n, STOP), np.zeros(n), np.full(n, np.inf))
        waiting = {bytes(k): [start]}
        ends: list[Ends] = []
        while waiting:
            key = next(iter(waiting))
            pattern = np.frombuffer(key, dtype=bool)
            here = _joined(waiting.pop(key))
            state = self._state(pattern)
            for piece in self._strategy.pieces(state.at(here.rows), here.low, here.high):
                rows = here.rows[piece.rows]
                for action in np.unique(piece.action):
                    part = piece.action == action
                    then = Piece(rows[part], piece.action[part], piece.low[part], piece.high[part])
                    if action == STOP:
                        ends.append(self._ended(then, pattern, state))
                    else:
                        after = pattern.copy()
                        after[action] = True
                        waiting.setdefault(after.tobytes(), []).append(then)
        return Ends(*(np.concatenate(column) for column in zip(*ends, strict=True)))

    def _ended(self, piece: Piece, pattern: BoolArray, state: _State) -> Ends:
        quality = self._quality[piece.rows, state.chosen[piece.rows]]
        return Ends(piece.low, piece.high, self._cost[piece.rows][:, pattern].sum(axis=1), quality)

    def _state(self, pattern: BoolArray) -> _State:
        key = pattern.tobytes()
        if key not in self._states:
            run = np.broadcast_to(pattern, self._quality.shape)
            self._states[key] = _State(self._strategy, self._believe(run), run)
        return self._states[key]


def _joined(pieces: list[Piece]) -> Piece:
    columns = zip(*((p.rows, p.action, p.low, p.high) for p in pieces), strict=True)
    return Piece(*(np.concatenate(column) for column in columns))


class _State:
    """All queries with the same models run: their options, where some lambda asked for them."""

    def __init__(self, strategy: Strategy, estimates: Estimates, run: BoolArray) -> None:
        self._strategy = strategy
        self._estimates = estimates
        self._run = run
        self._row = np.full(len(run), -1)
        self._known = strategy.options(estimates.at(slice(0)), run[:0], ~run[:0])
        self.chosen = strategy.choose(estimates, run)

    def at(self, rows: IntArray) -> Options:
        new = np.unique(rows[self._row[rows] < 0])
        if len(new):
            self._add(new)
        return self._known.at(self._row[rows])

    def _add(self, rows: IntArray) -> None:
        run = self._run[rows]
        found = self._strategy.options(self._estimates.at(rows), run, ~run)
        self._row[rows] = len(self._known) + np.arange(len(rows))
        self._known = self._known.joined(found)
