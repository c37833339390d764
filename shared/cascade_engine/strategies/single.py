"""The simplest baseline: one model for every query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.core.checks import is_whole
from cascade_engine.errors import ConfigurationError
from cascade_engine.storage.registry import persistent
from cascade_engine.strategies.base import STOP, ListedStrategy, Options

if TYPE_CHECKING:
    from cascade_engine.core.arrays import BoolArray
    from cascade_engine.estimators import Estimates

__all__ = ["SingleModel"]


@persistent("SingleModel")
class SingleModel(ListedStrategy):
    """Runs one model and returns its answer; another only where that one cannot run.

    Args:
        model: its column number; by default the last, the dearest in the usual order.
    """

    name = "single_model"
    max_depth = 1
    is_blind = True

    def __init__(self, model: int = -1) -> None:
        if not is_whole(model):
            raise ConfigurationError(f"model must be a column number, not {model!r}")
        self.model = int(model)

    def options(self, estimates: Estimates, run: BoolArray, available: BoolArray) -> Options:
        """That model, else the next one available before or after it; then to stop."""
        del estimates
        n, k = run.shape
        if not -k <= self.model < k:
            raise ConfigurationError(
                f"single_model runs model {self.model}, but there are only {k}: pass a column "
                f"number from 0 to {k - 1}"
            )
        distance = np.abs(np.arange(k) - self.model % k)
        open_ = available & ~run.any(axis=1, keepdims=True)
        nearest = np.where(open_, distance, k + 1).argmin(axis=1)
        action = np.where(open_.any(axis=1), nearest, STOP)
        return Options(np.zeros((n, 1)), np.zeros((n, 1)), action[:, None])
