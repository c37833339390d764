"""Routing: one model is chosen before any has run (Theorem 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.strategies._base import (
    STOP,
    Strategy,
    TuningData,
    cheapest_of_best,
    trade_off_grid,
)

if TYPE_CHECKING:
    from cascade_engine._arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.estimators import Estimates

__all__ = ["Routing"]


class Routing(Strategy):
    """Runs the model with the highest q_i - lambda c_i, and returns its answer.

    Theorem 1 of Dekoninck et al., 'A Unified Approach to Routing and Cascading for LLMs' (ICML
    2025).
    """

    name = "routing"

    def settings(self, data: TuningData) -> FloatArray:
        """A grid of lambdas on the scale of the costs."""
        return trade_off_grid(data.estimates.cost)

    def decide(
        self, estimates: Estimates, run: BoolArray, available: BoolArray, setting: FloatArray
    ) -> IntArray:
        """The best trade-off among the models available, once; then stop."""
        value = np.where(available, estimates.quality - setting[:, None] * estimates.cost, -np.inf)
        pick = cheapest_of_best(value, np.where(available, estimates.cost, np.inf))
        return np.where(run.any(axis=1) | ~available.any(axis=1), STOP, pick)

    def reachable(self, run: BoolArray, available: BoolArray, model: int) -> BoolArray:
        """Nothing: a routed call is final."""
        del run, model
        return np.zeros_like(available)
