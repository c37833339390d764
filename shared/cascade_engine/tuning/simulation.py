"""Running a strategy over complete data, all queries at once.

`Simulation.play` drives every query to its end at one lambda, `Simulation.sweep` at all of them: a
state that many lambdas lead to is visited once, with the interval of lambdas that does. What a
query does there splits the interval, as `Strategy.pieces_on` or `ListedStrategy.pieces` say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cascade_engine.core.arrays import patterns
from cascade_engine.storage.registry import persistent
from cascade_engine.strategies import STOP, ListedStrategy, Piece
from cascade_engine.strategies.frontier import coin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray, NumberArray
    from cascade_engine.estimators import Estimates
    from cascade_engine.strategies import Strategy
    from cascade_engine.strategies.base import BeliefFunction
    from cascade_engine.strategies.frontier import Policy

__all__ = ["AdviceCosts", "Ends", "Outcome", "Simulation"]

#: The most numbers in an array of queries x models, so that it stays in the processor's cache.
_CHUNK = 16_000


@persistent("Advised")
class AdviceCosts(NamedTuple):
    """What advice on complete data costs: the calls of advisers, and samples of the models.

    Attributes:
        query: of advice on each query, shape (n,).
        answer: of advice on each answer, shape (n, k).
    """

    query: FloatArray
    answer: FloatArray

    def at_first(self, strategy: Strategy, rows: IntArray) -> FloatArray:
        """What is paid on queries before any model runs, shape (m,)."""
        return np.zeros(len(rows)) if strategy.is_blind else self.query[rows]

    def after(
        self, strategy: Strategy, rows: IntArray, run: BoolArray, action: IntArray
    ) -> FloatArray:
        """What is paid once a model has answered, by the rules of a session; shape (m,).

        Nothing is paid on an answer after which no model can run, or that is returned whatever it
        says: a session asks nobody about it.

        Args:
            strategy: what decides.
            rows: numbers of the queries, shape (m,).
            run: which models had answered before, shape (m, k).
            action: the model that has answered now, shape (m,).
        """
        paid = np.zeros(len(rows))
        for pattern, members in patterns(run):
            for model in np.unique(action[members]).tolist():
                state = (pattern.tolist(), (~pattern).tolist(), model)
                if any(strategy.reachable(*state)) and not strategy.is_final(*state):
                    asked_on = members[action[members] == model]
                    paid[asked_on] = self.answer[rows[asked_on], model]
        return paid


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
    """How queries end, each over an interval of lambda; every array is (m,).

    Attributes:
        row: the query's number.
        low: where the interval begins; on a grid the number of its first lambda.
        high: where it ends; on a grid the number behind its last lambda.
        cost: what the query cost.
        quality: how good the answer returned was.
        believed: what was believed of that answer.
    """

    row: IntArray
    low: NumberArray
    high: NumberArray
    cost: FloatArray
    quality: FloatArray
    believed: FloatArray


class _Paths(NamedTuple):
    """Queries on their way, each over an interval of lambda; every array is (m,), `run` (m, k)."""

    rows: IntArray
    run: BoolArray
    spent: FloatArray
    low: NumberArray
    high: NumberArray


class Simulation:
    """One strategy on complete data, played at as many lambdas as wanted, or at all of them.

    Args:
        strategy: what decides.
        believe: what is believed about the queries in any state.
        quality: true quality, shape (n, k).
        cost: true cost, shape (n, k).
        advice: what advice costs, where advisers are asked.
    """

    def __init__(
        self,
        strategy: Strategy,
        believe: BeliefFunction,
        *,
        quality: FloatArray,
        cost: FloatArray,
        advice: AdviceCosts | None = None,
    ) -> None:
        self.strategy = strategy
        self._believe = believe
        self._quality = quality
        self._cost = cost
        self._advice = advice

    @property
    def queries(self) -> int:
        """Number of queries, n."""
        return len(self._quality)

    @property
    def mean_costs(self) -> FloatArray:
        """Mean cost of each model, shape (k,)."""
        return np.asarray(self._cost.mean(axis=0))

    @property
    def quality_range(self) -> float:
        """From the least true quality to the greatest; 1 where all are alike."""
        return float(np.ptp(self._quality)) or 1.0

    @property
    def is_exact(self) -> bool:
        """Whether `sweep` can follow all lambdas at once."""
        return self.strategy.lists_options(self._quality.shape[1])

    def play(self, lam: FloatArray) -> Outcome:
        """Drives every query to its end at its lambda, shape (n,)."""
        rows = np.arange(self.queries)
        step = max(1, _CHUNK // self._quality.shape[1])
        parts = [
            self._play(lam[i : i + step], rows[i : i + step]) for i in range(0, len(rows), step)
        ]
        columns = zip(*((p.run, p.chosen, p.cost, p.quality) for p in parts), strict=True)
        return Outcome(*(np.concatenate(column) for column in columns))

    def play_policy(self, policy: Policy, ids: Sequence[str], seed: int) -> Outcome:
        """Plays a policy; each query tosses a coin between its two lambdas, by its id and the seed.

        Args:
            policy: the policy.
            ids: an id for each of the n queries; sessions take the query's text.
            seed: of the coins.
        """
        return self.play(np.array([policy.lam(coin(name, seed)) for name in ids]))

    def _play(self, lam: FloatArray, rows: IntArray) -> Outcome:
        m, k = len(rows), self._quality.shape[1]
        run = np.zeros((m, k), dtype=bool)
        chosen = np.zeros(m, dtype=np.intp)
        going = np.arange(m)
        advice = self._at_first(rows)
        for step in range(k + 1):
            state = run[going]
            estimates = self._believe(rows[going], state)
            action = self.strategy.decide(
                estimates, state, ~state, lam[going] * self.strategy.factor(step)
            )
            stop = action == STOP
            ended = np.flatnonzero(stop)
            chosen[going[ended]] = self.strategy.choose(estimates.at(ended), state[ended])
            going, action = going[~stop], action[~stop]
            if not len(going):
                break
            if self._advice is not None:
                advice[going] += self._advice.after(self.strategy, rows[going], run[going], action)
            run[going, action] = True
        cost = np.where(run, self._cost[rows], 0.0).sum(axis=1) + advice
        return Outcome(run, chosen, cost, self._quality[rows, chosen])

    def sweep(self, grid: FloatArray | None = None, rows: IntArray | None = None) -> Ends:
        """Drives every query to its end at every lambda, each state once.

        Args:
            grid: lambdas, falling; by default all from 0 to infinity, for strategies that list
                their options: their hulls split the interval of lambdas that lead to a state.
            rows: which queries, all by default.

        Returns:
            Ends with lambdas for `low` and `high`, or with numbers of the grid.
        """
        rows = np.arange(self.queries) if rows is None else rows
        n, k = len(rows), self._quality.shape[1]
        top = np.full(n, np.inf if grid is None else len(grid))
        paths = _Paths(
            rows, np.zeros((n, k), dtype=bool), self._at_first(rows), np.zeros_like(top), top
        )
        ends: list[Ends] = []
        for step in range(k + 1):
            if step == self.strategy.max_depth:
                ends.append(self._ends_of(paths, self._believe(paths.rows, paths.run)))
                break
            ended, paths = self._split(paths, grid, self.strategy.factor(step))
            ends += ended
            if not len(paths.rows):
                break
        return Ends(*(np.concatenate(column) for column in zip(*ends, strict=True)))

    def _at_first(self, rows: IntArray) -> FloatArray:
        """What is paid on queries before any model runs."""
        if self._advice is None:
            return np.zeros(len(rows))
        return self._advice.at_first(self.strategy, rows)

    def _ends_of(self, paths: _Paths, estimates: Estimates) -> Ends:
        """How the paths would end where they are."""
        chosen = self.strategy.choose(estimates, paths.run)
        quality = self._quality[paths.rows, chosen]
        believed = estimates.quality[np.arange(len(chosen)), chosen]
        return Ends(paths.rows, paths.low, paths.high, paths.spent, quality, believed)

    def _split(
        self, paths: _Paths, grid: FloatArray | None, factor: float
    ) -> tuple[list[Ends], _Paths]:
        """One step of all paths: those that end, and those that go on with one model more."""
        estimates = self._believe(paths.rows, paths.run)
        stopped = self._ends_of(paths, estimates)
        ends, onward = [], []
        for piece in self._pieces(estimates, paths, grid, factor):
            stop = piece.action == STOP
            ended = Ends._make(column[piece.rows[stop]] for column in stopped)
            ends.append(ended._replace(low=piece.low[stop], high=piece.high[stop]))
            going, action = piece.rows[~stop], piece.action[~stop]
            rows, run = paths.rows[going], paths.run[going]
            spent = paths.spent[going] + self._cost[rows, action]
            if self._advice is not None:
                spent = spent + self._advice.after(self.strategy, rows, run, action)
            run[np.arange(len(going)), action] = True
            onward.append(_Paths(rows, run, spent, piece.low[~stop], piece.high[~stop]))
        return ends, _Paths(*(np.concatenate(column) for column in zip(*onward, strict=True)))

    def _pieces(
        self, estimates: Estimates, paths: _Paths, grid: FloatArray | None, factor: float
    ) -> Iterator[Piece]:
        strategy, run = self.strategy, paths.run
        if grid is not None:
            spans = (paths.low, paths.high)
            yield from strategy.pieces_on(grid * factor, estimates, run, ~run, spans)
        elif isinstance(strategy, ListedStrategy):
            options = strategy.options(estimates, run, ~run)
            options = replace(options, price=options.price * factor)
            yield from strategy.pieces(options, paths.low, paths.high)
        else:
            raise TypeError(f"{strategy.name} does not list its options: pass a grid of lambdas")
