"""The baseline that looks at no query: a random mixture of two models."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.errors import NotFittedError
from cascade_engine.estimators import Estimates
from cascade_engine.storage.registry import persistent
from cascade_engine.strategies.routing import Routing

if TYPE_CHECKING:
    from cascade_engine.core.arrays import BoolArray, FloatArray
    from cascade_engine.strategies.base import Options, TuningData

__all__ = ["RandomMixing"]


@persistent("RandomMixing", fitted=("quality_", "cost_"))
class RandomMixing(Routing):
    """Routing on mean quality and mean cost: every query alike.

    A budget between two models' costs mixes the two at random. Its curve is the linear
    interpolation between the models on the upper hull of mean cost and quality, which any strategy
    worth its name must beat.

    Attributes:
        quality_: mean quality of each model, shape (k,).
        cost_: mean cost of each model, shape (k,).
    """

    name = "random_mixing"
    is_blind = True

    quality_: FloatArray
    cost_: FloatArray

    def tuned(self, data: TuningData) -> RandomMixing:
        """Takes the means of the data."""
        new = copy.copy(self)
        new.quality_, new.cost_ = data.quality.mean(axis=0), data.cost.mean(axis=0)
        return new

    def options(self, estimates: Estimates, run: BoolArray, available: BoolArray) -> Options:
        """Those of routing, whatever the query."""
        if not hasattr(self, "quality_"):
            raise NotFittedError("random mixing needs mean quality and cost: fit the router first")
        quality = np.broadcast_to(self.quality_, run.shape)
        cost = np.broadcast_to(self.cost_, run.shape)
        return super().options(Estimates(quality, estimates.sd, cost), run, available)
