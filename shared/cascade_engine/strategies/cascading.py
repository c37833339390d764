"""Cascading: models run in a fixed order until another is not worth its cost (Theorem 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.core.arrays import highest
from cascade_engine.storage.registry import persistent
from cascade_engine.strategies.base import STOP, ListedStrategy, Options
from cascade_engine.strategies.escalation import Escalating
from cascade_engine.strategies.gaussian.expected_max import expected_max_prefixes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.core.arrays import BoolArray, IntArray
    from cascade_engine.estimators import Estimates

__all__ = ["Cascading", "first_waiting", "later"]


@persistent("Cascading", fields=("max_depth", "per_step", "factors_"))
class Cascading(Escalating, ListedStrategy):
    """Escalates in the order of the models while some longer cascade is worth its cost.

    After the models run so far, the supermodels are the cascades that go on to any later model;
    one is worth E[max of its members' quality] - lambda times the cost of the members not yet run.
    If stopping is best it stops, else the next model in order runs and everything is estimated
    anew. Theorem 2 of Dekoninck et al. (ICML 2025). With `max_depth` no cascade is longer.
    """

    name = "cascading"

    def options(self, estimates: Estimates, run: BoolArray, available: BoolArray) -> Options:
        """Stopping, and the cascade up to each later model."""
        waiting = self.within_depth(run, available) & later(run)
        if self.max_depth is not None:
            room = self.max_depth - run.sum(axis=1, keepdims=True)
            waiting &= np.cumsum(waiting, axis=1) <= room
        held = highest(np.where(run, estimates.quality, -np.inf))
        value = expected_max_prefixes(
            estimates.quality, estimates.sd, held, waiting, cov=estimates.cov
        )
        nothing = np.zeros((len(held), 1))
        price = np.cumsum(np.where(waiting, estimates.cost, 0.0), axis=1)
        longer = np.cumsum(waiting, axis=1) > 0
        action = np.where(longer, first_waiting(waiting)[:, None], STOP)
        stop = np.full((len(held), 1), STOP)
        return Options(
            value,
            np.concatenate([nothing, price], axis=1),
            np.concatenate([stop, action], axis=1),
        )

    def reachable(
        self, run: Sequence[bool], available: Sequence[bool], model: int
    ) -> Sequence[bool]:
        """The later models, while the depth allows one."""
        after = super().reachable(run, available, model)
        return [free and i > model for i, free in enumerate(after)]


def later(run: BoolArray) -> BoolArray:
    """Models after the last that has answered; all where none has. Shape (n, k)."""
    k = run.shape[1]
    last = np.where(run.any(axis=1), k - 1 - run[:, ::-1].argmax(axis=1), -1)
    return np.asarray(np.arange(k) > last[:, None])


def first_waiting(waiting: BoolArray) -> IntArray:
    """The first model waiting, or `STOP`."""
    return np.where(waiting.any(axis=1), waiting.argmax(axis=1), STOP)
