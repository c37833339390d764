"""Cascade routing: any model may run next, or none (Theorem 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine._expectation import expected_max_subsets
from cascade_engine.errors import ConfigurationError
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

__all__ = ["CascadeRouting"]

_MOST_MODELS = 8


class CascadeRouting(Strategy):
    """After any set of answers, weighs all sets of models that contain it.

    A supermodel M is worth E[max over M of the quality] - lambda times the cost of its members
    not yet run. If the best is the set already run it stops, else the cheapest missing member runs
    and everything is estimated anew. Theorem 3 of Dekoninck et al. (ICML 2025), with one lambda for
    all steps.

    All 2^k sets are weighed, so k is at most 8.
    """

    name = "cascade_routing"

    def settings(self, data: TuningData) -> FloatArray:
        """A grid of lambdas on the scale of the costs."""
        return trade_off_grid(data.estimates.cost)

    def decide(
        self, estimates: Estimates, run: BoolArray, available: BoolArray, setting: FloatArray
    ) -> IntArray:
        """The cheapest missing member of the best supermodel, or stop."""
        k = run.shape[1]
        if k > _MOST_MODELS:
            raise ConfigurationError(
                f"cascade routing weighs all sets of models and takes at most {_MOST_MODELS}, not "
                f"{k}: use strategy='routing' or 'cascading', or fewer models"
            )
        held = np.where(run, estimates.quality, -np.inf).max(axis=1)
        value = expected_max_subsets(estimates.quality, estimates.sd, held, available)
        bits = (np.arange(1 << k)[:, None] >> np.arange(k)) & 1
        price = np.where(available, estimates.cost, 0.0) @ bits.T
        best = cheapest_of_best(value - setting[:, None] * price, price)
        missing = bits[best].astype(bool) & available
        pick = np.where(missing, estimates.cost, np.inf).argmin(axis=1)
        return np.where(missing.any(axis=1), pick, STOP)
