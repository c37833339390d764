"""The contract of a strategy: what to run next, given what is believed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cascade_engine._arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.estimators import Estimates

__all__ = ["STOP", "Options", "Strategy", "TuningData"]

#: The action of running no further model.
STOP = -1
_TIE = 1e-12


@dataclass(frozen=True, slots=True)
class TuningData:
    """What a strategy may look at when it proposes settings; every array is (n, k).

    Attributes:
        estimates: out-of-fold estimates before any model has answered.
        answered: out-of-fold quality estimates after all models have.
        quality: true quality.
        cost: true cost.
    """

    estimates: Estimates
    answered: FloatArray
    quality: FloatArray
    cost: FloatArray


@dataclass(frozen=True, slots=True)
class Options:
    """What may be done in the present state, whatever the setting; every array is (n, m).

    Attributes:
        value: expected quality of the answer in the end, should the option be taken; -inf where it
            is not open.
        price: expected cost still to be paid for it.
        action: the model to run first, or `STOP`.
    """

    value: FloatArray
    price: FloatArray
    action: IntArray

    def __len__(self) -> int:
        return len(self.action)

    def at(self, rows: IntArray) -> Options:
        """The options of some of the queries."""
        return Options(self.value[rows], self.price[rows], self.action[rows])

    def joined(self, other: Options) -> Options:
        """These queries' options, then the others'."""
        return Options(
            np.concatenate([self.value, other.value]),
            np.concatenate([self.price, other.price]),
            np.concatenate([self.action, other.action]),
        )


class Strategy(ABC):
    """Decides, step by step, which model to run next and whose answer to return.

    A decision has two halves. `options` does the work that depends on what is believed; `pick`
    chooses among them by the strategy's one parameter, its *setting*, which trades quality against
    cost and is fitted to a budget. Whoever tries many settings pays for the first half once.

    Everything is vectorised over n queries, each in its own state; a session has n = 1. A strategy
    keeps nothing between calls.
    """

    #: Name under which a router finds the strategy.
    name: str
    #: What the setting is, in records and messages.
    setting_name: str = "lambda"

    @abstractmethod
    def options(self, estimates: Estimates, run: BoolArray, available: BoolArray) -> Options:
        """The options in each query's state.

        Args:
            estimates: what is believed in the present state; arrays of shape (n, k).
            run: which models have answered, shape (n, k).
            available: which models may still be run, shape (n, k); none that has been.
        """

    def pick(self, options: Options, setting: FloatArray) -> IntArray:
        """The action of the best option: `STOP` or a column number, shape (n,).

        The best is that of the highest value - lambda x price, the cheapest of ties. It never is
        `STOP` where no model has answered and one is available.

        Args:
            options: from `options`.
            setting: lambda, in quality per unit of cost, shape (n,).
        """
        worth = options.value - setting[:, None] * options.price
        best = cheapest_of_best(worth, options.price)
        return np.asarray(options.action[np.arange(len(best)), best])

    def settings(self, data: TuningData) -> FloatArray:
        """Settings worth trying, from the dearest policy to the cheapest."""
        return _trade_off_grid(data.estimates.cost)

    def between(self, dear: float, cheap: float) -> float | None:
        """A setting between two others, or None where there is nothing between."""
        return cheap / 2 if dear <= 0 else float(np.sqrt(dear * cheap))

    def reachable(self, run: BoolArray, available: BoolArray, model: int) -> BoolArray:
        """Models that might still run after `model`, whatever it answers; shape (k,).

        None means that running `model` now is final.
        """
        del run
        after = available.copy()
        after[model] = False
        return after

    def choose(self, estimates: Estimates, run: BoolArray) -> IntArray:
        """Whose answer to return: the highest estimate among the models run, the first of ties."""
        return np.asarray(np.where(run, estimates.quality, -np.inf).argmax(axis=1))


def cheapest_of_best(value: FloatArray, cost: FloatArray) -> IntArray:
    """Column of the highest value in each row, the cheapest where values tie."""
    best = value.max(axis=1, keepdims=True)
    slack = _TIE * (1 + np.abs(best))
    return np.asarray(np.where(value >= best - slack, cost, np.inf).argmin(axis=1))


def _trade_off_grid(cost: FloatArray) -> FloatArray:
    """Values of lambda (quality per unit of cost) from 0 to where only cost counts."""
    positive = cost[cost > 0]
    scale = float(np.median(positive)) if positive.size else 1.0
    return np.concatenate([[0.0], np.logspace(-5, 5, 31), [1e9]]) / scale
