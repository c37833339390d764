"""The contract of a strategy: what to run next, given what is believed of the models' answers.

How a new strategy is written: one new file beside this one, and a line in the table `STRATEGIES` of
`cascade_engine.strategies`, by which routers find it by name. In the file is a subclass

- of `Strategy`, with `name` and `decide`: one function from estimates and lambda to actions; or
- of `ListedStrategy`, with `name` and `options`, where the options and what they are worth do not
  depend on lambda. Its frontier is then exact at every lambda.

What runs several models takes `Escalating` as a base too, for `max_depth` and a lambda per step.
All else has a default: `tuned` (learning from the fitting data), `choose` (whose answer to
return), `reachable` and `is_final` (what sessions may know beforehand), `decide_one` (speed). To be
saved with a router the class is marked `persistent`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from cascade_engine.core.arrays import highest
from cascade_engine.estimators import Estimates
from cascade_engine.strategies.options import STOP, TIE, Options, Piece, hull_pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.strategies.frontier import Frontier

__all__ = [
    "STOP",
    "BeliefFunction",
    "ListedStrategy",
    "Options",
    "Piece",
    "Rehearsal",
    "Strategy",
    "TuningData",
]

#: The most numbers in an array of lanes x models, so that it stays in the processor's cache.
_CHUNK = 16_000


class BeliefFunction(Protocol):
    """What is believed of the queries of a data set, whatever models have answered."""

    def __call__(self, rows: IntArray, run: BoolArray) -> Estimates:
        """Estimates for the m queries numbered `rows`, (m,), once the models in `run` answered.

        `run` is a mask of shape (m, k): each query has a state of its own.
        """
        ...


@dataclass(frozen=True, slots=True)
class TuningData:
    """The fitting data, for strategies that learn from it.

    Attributes:
        quality: how good each answer was, shape (n, k).
        cost: what it cost, shape (n, k).
        frontier: the cost-quality frontier of any strategy on this data.
        believe: what is believed of the queries in any state, by estimators that have not seen
            their labels.
    """

    quality: FloatArray
    cost: FloatArray
    frontier: Callable[[Strategy], Frontier]
    believe: BeliefFunction


class Rehearsal(NamedTuple):
    """How the queries of a fit ended at each lambda, by decisions learned without their labels.

    Attributes:
        lambdas: rising, shape (g,).
        cost: what each query cost, shape (n, g).
        quality: how good the answer returned was, shape (n, g).
        believed: what was believed of that answer, shape (n, g).
    """

    lambdas: FloatArray
    cost: FloatArray
    quality: FloatArray
    believed: FloatArray


class Strategy(ABC):
    """Decides, step by step, which model to run next and whose answer to return.

    It decides at *lambda*, the price of cost in units of quality, which is fitted to a budget: the
    higher lambda, the less is spent. Everything is vectorised over n queries, each in its own
    state; `decide_one` is the same for one query, without the overhead of arrays. A strategy keeps
    nothing between calls.
    """

    #: Name under which a router finds the strategy.
    name: str
    #: The most models that may answer one query; None for no limit.
    max_depth: int | None = None
    #: Whether it decides alike whatever is believed of the query: advice is then not paid for.
    is_blind: bool = False

    def tuned(self, data: TuningData) -> Strategy:
        """The strategy as it is to be used after a fit on that data: by default itself."""
        del data
        return self

    def learned(self, data: TuningData) -> tuple[Strategy, Rehearsal | None]:
        """The strategy as `tuned` has it, and the rehearsal that its frontier is traced from.

        One that learns much from the labels itself must trace the frontier by decisions that have
        not seen them, or it would promise too much. By default there is no rehearsal: the frontier
        is that of the strategy played on the data.
        """
        return self.tuned(data), None

    def setting(self, lam: float) -> dict[str, float]:
        """Lambda as users of this strategy know it, by name."""
        return {"lambda": lam}

    @abstractmethod
    def decide(
        self, estimates: Estimates, run: BoolArray, available: BoolArray, lam: FloatArray
    ) -> IntArray:
        """The model to run next in each query's state, or `STOP`; shape (n,).

        It never is `STOP` where no model has answered and one is available.

        Args:
            estimates: what is believed in the present state; arrays of shape (n, k).
            run: which models have answered, shape (n, k).
            available: which models may still be run, shape (n, k); none that has been.
            lam: shape (n,).
        """

    def decide_one(
        self,
        quality: Sequence[float],
        sd: Sequence[float],
        cost: Sequence[float],
        *,
        run: Sequence[bool],
        available: Sequence[bool],
        lam: float,
    ) -> int:
        """`decide` for one query, on plain numbers: sequences of length k.

        A strategy may write this anew where plain Python is quicker, to say the same. A subclass of
        it may then change `decide` alone: so such a method begins with the question whether the
        object's `decide` is the one that it is a short cut of, and asks this one if it is not.
        """
        estimates = Estimates(*(np.array([row], dtype=float) for row in (quality, sd, cost)))
        state = np.array([run], dtype=bool), np.array([available], dtype=bool)
        return int(self.decide(estimates, *state, np.array([lam]))[0])

    def lists_options(self, models: int) -> bool:
        """Whether, among so many models, its options can be listed whatever lambda is.

        The frontier is then exact at every lambda; otherwise it is played at a grid of them.
        """
        del models
        return False

    def pieces_on(
        self,
        grid: FloatArray,
        estimates: Estimates,
        run: BoolArray,
        available: BoolArray,
        spans: tuple[IntArray, IntArray],
    ) -> Iterator[Piece]:
        """What `decide` says at the lambdas of a grid, from number `spans[0]` up to `spans[1]`.

        Args:
            grid: lambdas, falling.
            estimates: as for `decide`, as are the two masks.
            run: shape (n, k).
            available: shape (n, k).
            spans: each query's first lambda, and the one behind its last; both of shape (n,).

        Yields:
            Pieces with numbers of the grid for `low` and `high`, that together cover the spans.
        """
        first, last = spans
        ends = np.cumsum(last - first)
        start = 0
        while start < len(ends):
            done = ends[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, done + _CHUNK // run.shape[1])))
            count = (last - first)[start:stop]
            row = np.repeat(np.arange(start, stop), count)
            at = np.arange(len(row)) + np.repeat(
                first[start:stop] - (ends[start:stop] - count - done), count
            )
            action = self.decide(estimates.at(row), run[row], available[row], grid[at])
            yield from _intervals(row, at, action)
            start = stop

    def factor(self, step: int) -> float:
        """What lambda is multiplied by once `step` models have answered."""
        del step
        return 1.0

    def reachable(
        self, run: Sequence[bool], available: Sequence[bool], model: int
    ) -> Sequence[bool]:
        """Which of the k models might still run after `model`, whatever it answers.

        Args:
            run: which have answered.
            available: which may still be run, `model` among them.
            model: column number.
        """
        if self.max_depth is not None and sum(run) + 1 >= self.max_depth:
            return [False] * len(available)
        return [free and i != model for i, free in enumerate(available)]

    def is_final(self, run: Sequence[bool], available: Sequence[bool], model: int) -> bool:
        """Whether the answer of `model` is returned whatever it says; arguments as for `reachable`.

        Only then may it be shown while it is written. Where another model has answered already,
        that answer may still be chosen, so the last call is not final.
        """
        return not (any(run) or any(self.reachable(run, available, model)))

    def choose(self, estimates: Estimates, run: BoolArray) -> IntArray:
        """Whose answer to return: the highest estimate among the models run, the first of ties."""
        return np.asarray(np.where(run, estimates.quality, -np.inf).argmax(axis=1))

    def choose_one(
        self,
        quality: Sequence[float],
        sd: Sequence[float],
        cost: Sequence[float],
        *,
        run: Sequence[bool],
    ) -> int:
        """`choose` for one query, on plain numbers; in plain Python while `choose` is this one."""
        if type(self).choose is Strategy.choose:
            return max(compress(range(len(run)), run), key=quality.__getitem__)
        estimates = Estimates(*(np.array([row], dtype=float) for row in (quality, sd, cost)))
        return int(self.choose(estimates, np.array([run], dtype=bool))[0])


def _intervals(row: IntArray, at: IntArray, action: IntArray) -> Iterator[Piece]:
    """Neighbouring numbers of the grid with one row and one action, put together."""
    new = np.ones(len(row), dtype=bool)
    new[1:] = (row[1:] != row[:-1]) | (action[1:] != action[:-1])
    begin = np.flatnonzero(new)
    end = np.append(begin[1:], len(row)) - 1
    if len(begin):
        yield Piece(row[begin], action[begin], at[begin], at[end] + 1)


class ListedStrategy(Strategy):
    """A strategy whose options can be listed without knowing lambda.

    `options` does the work that depends on what is believed, `pick` chooses among them at lambda.
    Since options do not depend on lambda, one look at them (`pieces`) says what would be done at
    every lambda.
    """

    @abstractmethod
    def options(self, estimates: Estimates, run: BoolArray, available: BoolArray) -> Options:
        """The options in each query's state; arguments as for `decide`."""

    def lists_options(self, models: int) -> bool:
        """Always."""
        del models
        return True

    def decide(
        self, estimates: Estimates, run: BoolArray, available: BoolArray, lam: FloatArray
    ) -> IntArray:
        """The action of the best option."""
        return self.pick(self.options(estimates, run, available), lam)

    def pick(self, options: Options, lam: FloatArray) -> IntArray:
        """The action of the option of highest value - lambda x price, the cheapest of ties."""
        worth = options.value - lam[:, None] * options.price
        best = highest(worth)[:, None]
        slack = TIE * (1 + np.abs(best))
        cheapest = np.where(worth >= best - slack, options.price, np.inf).argmin(axis=1)
        return np.asarray(options.action[np.arange(len(cheapest)), cheapest])

    def pieces(self, options: Options, low: FloatArray, high: FloatArray) -> Iterator[Piece]:
        """What `pick` says at every lambda between `low` and `high`, both of shape (n,).

        For each query the options that are best at some lambda are the upper hull of the points
        (price, value); its edges' slopes are the lambdas at which the choice changes.

        Yields:
            Pieces that together cover every query's interval once.
        """
        return hull_pieces(options, low, high)
