"""Routing: one model is chosen before any has run (Theorem 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.storage.registry import persistent
from cascade_engine.strategies.base import STOP, ListedStrategy, Options

if TYPE_CHECKING:
    from cascade_engine.core.arrays import BoolArray
    from cascade_engine.estimators import Estimates

__all__ = ["Routing"]


@persistent("Routing")
class Routing(ListedStrategy):
    """Runs the model with the highest q_i - lambda c_i, and returns its answer.

    Theorem 1 of Dekoninck et al., 'A Unified Approach to Routing and Cascading for LLMs' (ICML
    2025).
    """

    name = "routing"
    max_depth = 1

    def options(self, estimates: Estimates, run: BoolArray, available: BoolArray) -> Options:
        """Each model available while none has answered, then to stop."""
        idle = ~run.any(axis=1, keepdims=True)
        open_ = available & idle
        stop = np.where(idle & available.any(axis=1, keepdims=True), -np.inf, 0.0)
        return Options(
            value=np.hstack([stop, np.where(open_, estimates.quality, -np.inf)]),
            price=np.hstack([np.zeros(stop.shape), np.where(open_, estimates.cost, 0.0)]),
            action=np.hstack(
                [np.full(stop.shape, STOP), np.where(open_, np.arange(run.shape[1]), STOP)]
            ),
        )
