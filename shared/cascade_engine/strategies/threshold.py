"""The classical threshold cascade, the baseline that most rivals implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.storage.registry import persistent
from cascade_engine.strategies.base import STOP, ListedStrategy, Options
from cascade_engine.strategies.cascading import first_waiting, later

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.core.arrays import BoolArray, IntArray
    from cascade_engine.estimators import Estimates

__all__ = ["ThresholdCascade"]


@persistent("ThresholdCascade")
class ThresholdCascade(ListedStrategy):
    """Runs the models in order and returns the first answer estimated at the threshold or above.

    One threshold serves every step. In the terms of the other strategies: to escalate is worth
    what the last answer lacks to certainty, at a price of 1, so that lambda is 1 - threshold. It is
    optimal only under constant costs and estimates that do not depend on the query for the models
    not run (Corollary 1 of Dekoninck et al., ICML 2025).
    """

    name = "threshold_cascade"

    def setting(self, lam: float) -> dict[str, float]:
        """The threshold."""
        return {"threshold": 1.0 - lam}

    def options(self, estimates: Estimates, run: BoolArray, available: BoolArray) -> Options:
        """To stop with the last answer, or to run the next model in order."""
        last = run.shape[1] - 1 - run[:, ::-1].argmax(axis=1)
        following = first_waiting(available & later(run))
        lacking = 1.0 - estimates.quality[np.arange(len(last)), last]
        stop = np.where(run.any(axis=1) | (following == STOP), 0.0, -np.inf)
        return Options(
            value=np.column_stack([stop, np.where(following == STOP, -np.inf, lacking)]),
            price=np.tile([0.0, 1.0], (len(last), 1)),
            action=np.column_stack([np.full(len(last), STOP), following]),
        )

    def reachable(
        self, run: Sequence[bool], available: Sequence[bool], model: int
    ) -> Sequence[bool]:
        """The later models."""
        del run
        return [free and i > model for i, free in enumerate(available)]

    def is_final(self, run: Sequence[bool], available: Sequence[bool], model: int) -> bool:
        """So is the last model's answer, even if others are held."""
        return model == len(run) - 1 or super().is_final(run, available, model)

    def choose(self, estimates: Estimates, run: BoolArray) -> IntArray:
        """The answer at the threshold, else the last model's; without that, the best.

        An answer at the threshold has the highest estimate: the others are below it.
        """
        return np.where(run[:, -1], run.shape[1] - 1, super().choose(estimates, run))
