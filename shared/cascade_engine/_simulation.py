"""Running a strategy over complete data, all queries at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.strategies import STOP

if TYPE_CHECKING:
    from collections.abc import Callable

    from cascade_engine._arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.estimators import Estimates
    from cascade_engine.strategies import Strategy

__all__ = ["Outcome", "simulate"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy did on n queries.

    Attributes:
        run: which models ran, shape (n, k).
        chosen: whose answer was returned, shape (n,).
        cost: what each query cost, shape (n,).
        quality: how good the answer returned was, shape (n,).
    """

    run: BoolArray
    chosen: IntArray
    cost: FloatArray
    quality: FloatArray

    @property
    def mean_cost(self) -> float:
        """Mean cost of a query."""
        return float(self.cost.mean())

    @property
    def mean_quality(self) -> float:
        """Mean quality of the answers returned."""
        return float(self.quality.mean())

    @property
    def shares(self) -> FloatArray:
        """Share of the queries answered by each model, shape (k,)."""
        return np.bincount(self.chosen, minlength=self.run.shape[1]) / len(self.chosen)


def simulate(
    strategy: Strategy,
    setting: FloatArray,
    believe: Callable[[BoolArray], Estimates],
    *,
    quality: FloatArray,
    cost: FloatArray,
) -> Outcome:
    """Drives every query to its end.

    Args:
        strategy: what decides.
        setting: its parameter for each query, shape (n,).
        believe: estimates for all n queries when the models in its argument, (n, k), have answered.
        quality: true quality, shape (n, k).
        cost: true cost, shape (n, k).
    """
    rows = np.arange(len(quality))
    run = np.zeros(quality.shape, dtype=bool)
    for _ in range(quality.shape[1]):
        action = strategy.decide(believe(run), run, ~run, setting)
        going = action != STOP
        if not going.any():
            break
        run[rows[going], action[going]] = True
    chosen = strategy.choose(believe(run), run)
    return Outcome(run, chosen, np.where(run, cost, 0.0).sum(axis=1), quality[rows, chosen])
