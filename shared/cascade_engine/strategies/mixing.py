"""Baselines that look at no query: one model always, or a random mixture of two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.strategies._base import STOP, Options, Strategy, TuningData

if TYPE_CHECKING:
    from cascade_engine._arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.estimators import Estimates

__all__ = ["RandomMixing"]


class RandomMixing(Strategy):
    """Sends every query to one model; a budget between two models' costs mixes them at random.

    Its curve is the linear interpolation between the models on the upper hull of mean cost and
    quality, which any strategy worth its name must beat. The setting is the model's number.
    """

    name = "random_mixing"
    setting_name = "model"

    def settings(self, data: TuningData) -> FloatArray:
        """Models on the upper hull, the dearest first."""
        cost, quality = data.cost.mean(axis=0), data.quality.mean(axis=0)
        hull: list[int] = []
        for i in sorted(range(len(cost)), key=lambda i: (cost[i], -quality[i])):
            if hull and quality[i] <= quality[hull[-1]]:
                continue
            while len(hull) > 1 and _below(hull[-2], hull[-1], i, cost, quality):
                hull.pop()
            hull.append(i)
        return np.array(hull[::-1], dtype=float)

    def between(self, dear: float, cheap: float) -> None:
        """There is no model between two models."""
        del dear, cheap

    def options(self, estimates: Estimates, run: BoolArray, available: BoolArray) -> Options:
        """Each model, the first available standing in for one that is not; then none."""
        idle = ~run.any(axis=1, keepdims=True) & available.any(axis=1, keepdims=True)
        substitute = available.argmax(axis=1)[:, None]
        action = np.where(available, np.arange(run.shape[1]), substitute)
        return Options(estimates.quality, estimates.cost, np.where(idle, action, STOP))

    def pick(self, options: Options, setting: FloatArray) -> IntArray:
        """The model of the setting."""
        return options.action[np.arange(len(setting)), setting.astype(np.intp)]

    def reachable(self, run: BoolArray, available: BoolArray, model: int) -> BoolArray:
        """Nothing: the call is final."""
        del run, model
        return np.zeros_like(available)


def _below(a: int, b: int, c: int, cost: FloatArray, quality: FloatArray) -> bool:
    """Whether point b lies on or below the line from a to c."""
    return bool(
        (quality[b] - quality[a]) * (cost[c] - cost[a])
        <= (quality[c] - quality[a]) * (cost[b] - cost[a])
    )
