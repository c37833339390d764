"""The contract of a strategy: what to run next, given what is believed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.strategies._options import STOP, Options, Piece, hull_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cascade_engine._arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.estimators import Estimates

__all__ = ["STOP", "Options", "Piece", "Strategy", "TuningData"]

_TIE = 1e-12


@dataclass(frozen=True, slots=True)
class TuningData:
    """True quality and cost on the fitting data, shape (n, k), for strategies that learn from them.

    Attributes:
        quality: how good each answer was.
        cost: what it cost.
    """

    quality: FloatArray
    cost: FloatArray


class Strategy(ABC):
    """Decides, step by step, which model to run next and whose answer to return.

    A decision has two halves. `options` does the work that depends on what is believed; `pick`
    chooses among them at *lambda*, the price of cost in units of quality, which is fitted to a
    budget. The higher lambda, the less is spent. Since options do not depend on lambda, one look
    at them (`pieces`) says what would be done at every lambda.

    Everything is vectorised over n queries, each in its own state; a session has n = 1. A strategy
    keeps nothing between calls.
    """

    #: Name under which a router finds the strategy.
    name: str
    #: The most models it can decide among, where there is a limit.
    most_models: int | None = None

    def tuned(self, data: TuningData) -> Strategy:
        """The strategy as it is to be used after a fit on that data: by default itself."""
        del data
        return self

    def setting(self, lam: float) -> dict[str, float]:
        """Lambda as users of this strategy know it, by name."""
        return {"lambda": lam}

    @abstractmethod
    def options(self, estimates: Estimates, run: BoolArray, available: BoolArray) -> Options:
        """The options in each query's state.

        Args:
            estimates: what is believed in the present state; arrays of shape (n, k).
            run: which models have answered, shape (n, k).
            available: which models may still be run, shape (n, k); none that has been.
        """

    def pick(self, options: Options, lam: FloatArray) -> IntArray:
        """The action of the best option at lambda: `STOP` or a column number, shape (n,).

        The best is that of the highest value - lambda x price, the cheapest of ties. It never is
        `STOP` where no model has answered and one is available.

        Args:
            options: from `options`.
            lam: shape (n,).
        """
        worth = options.value - lam[:, None] * options.price
        best = worth.max(axis=1, keepdims=True)
        slack = _TIE * (1 + np.abs(best))
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

    def reachable(self, run: BoolArray, available: BoolArray, model: int) -> BoolArray:
        """Models that might still run after `model`, whatever it answers; shape (k,)."""
        del run
        after = available.copy()
        after[model] = False
        return after

    def is_final(self, run: BoolArray, available: BoolArray, model: int) -> bool:
        """Whether the answer of `model`, run now, is returned whatever it says.

        Args:
            run: which models have answered, shape (k,).
            available: which may still be run, `model` among them, shape (k,).
            model: column number.
        """
        return not run.any() and not self.reachable(run, available, model).any()

    def choose(self, estimates: Estimates, run: BoolArray) -> IntArray:
        """Whose answer to return: the highest estimate among the models run, the first of ties."""
        return np.asarray(np.where(run, estimates.quality, -np.inf).argmax(axis=1))
