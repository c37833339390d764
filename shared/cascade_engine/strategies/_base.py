"""The contract of a strategy: what to run next, given what is believed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cascade_engine._arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.estimators import Estimates

__all__ = ["STOP", "Strategy", "TuningData", "cheapest_of_best", "trade_off_grid"]

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


class Strategy(ABC):
    """Decides, step by step, which model to run next and whose answer to return.

    Everything is vectorised over n queries, each in its own state; a session has n = 1. A strategy
    keeps nothing between calls. Its one parameter, the *setting*, trades quality against cost and
    is fitted to a budget by simulating it on complete data.
    """

    #: Name under which a router finds the strategy.
    name: str
    #: What the setting is called in messages.
    setting_name: str = "lambda"

    @abstractmethod
    def settings(self, data: TuningData) -> FloatArray:
        """Settings worth trying, from the dearest policy to the cheapest."""

    def between(self, dear: float, cheap: float) -> float | None:
        """A setting between two others, or None where there is nothing between."""
        return None if dear <= 0 else float(np.sqrt(dear * cheap))

    @abstractmethod
    def decide(
        self, estimates: Estimates, run: BoolArray, available: BoolArray, setting: FloatArray
    ) -> IntArray:
        """The next model for each query, or `STOP`.

        Args:
            estimates: what is believed in the present state; arrays of shape (n, k).
            run: which models have answered, shape (n, k).
            available: which models may still be run, shape (n, k); none that has been.
            setting: shape (n,).

        Returns:
            Column numbers, shape (n,). `STOP` where no model is available; never where none has
            answered and one is.
        """

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
        return np.where(run, estimates.quality, -np.inf).argmax(axis=1)


def cheapest_of_best(value: FloatArray, cost: FloatArray) -> IntArray:
    """Column of the highest value in each row, the cheapest where values tie."""
    best = value.max(axis=1, keepdims=True)
    slack = _TIE * (1 + np.abs(best))
    return np.where(value >= best - slack, cost, np.inf).argmin(axis=1)


def trade_off_grid(cost: FloatArray) -> FloatArray:
    """Values of lambda (quality per unit of cost) from 0 to where only cost counts."""
    positive = cost[cost > 0]
    scale = float(np.median(positive)) if positive.size else 1.0
    return np.concatenate([[0.0], np.logspace(-5, 5, 31), [1e9]]) / scale
