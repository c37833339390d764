"""The classical threshold cascade, the baseline that most rivals implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.strategies._base import STOP, Options, Strategy, TuningData
from cascade_engine.strategies.cascading import first_waiting, later

if TYPE_CHECKING:
    from cascade_engine._arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.estimators import Estimates

__all__ = ["ThresholdCascade"]


class ThresholdCascade(Strategy):
    """Runs the models in order and returns the first answer estimated at the threshold or above.

    One threshold serves every step. It is optimal only under constant costs and estimates that do
    not depend on the query for the models not run (Corollary 1 of Dekoninck et al., ICML 2025).
    """

    name = "threshold_cascade"
    setting_name = "threshold"

    def settings(self, data: TuningData) -> FloatArray:
        """Quantiles of the post-hoc estimates, from accepting nothing to accepting all."""
        inner = np.quantile(data.answered, np.linspace(1, 0, 33))
        return np.concatenate([[np.nextafter(1.0, 2.0)], np.unique(inner)[::-1], [0.0]])

    def between(self, dear: float, cheap: float) -> float:
        """The threshold halfway."""
        return (dear + cheap) / 2

    def options(self, estimates: Estimates, run: BoolArray, available: BoolArray) -> Options:
        """To stop, worth the estimate of the last answer, or to run the next model in order."""
        last = self.choose(estimates, run)
        estimate = estimates.quality[np.arange(len(last)), last]
        value = np.where(run.any(axis=1), estimate, -np.inf)[:, None]
        action = np.full((len(last), 2), STOP)
        action[:, 1] = first_waiting(available & later(run))
        return Options(np.repeat(value, 2, axis=1), np.zeros(action.shape), action)

    def pick(self, options: Options, setting: FloatArray) -> IntArray:
        """Stops at the threshold."""
        return np.where(options.value[:, 0] >= setting, options.action[:, 0], options.action[:, 1])

    def reachable(self, run: BoolArray, available: BoolArray, model: int) -> BoolArray:
        """The later models."""
        del run
        return available & (np.arange(len(available)) > model)

    def choose(self, estimates: Estimates, run: BoolArray) -> IntArray:
        """The last model run."""
        del estimates
        return np.asarray(run.shape[1] - 1 - run[:, ::-1].argmax(axis=1))
