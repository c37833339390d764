"""Fitted value iteration: learns from complete data what going on is worth in every state."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.core.arrays import highest
from cascade_engine.estimators.regression.logistic import standards
from cascade_engine.estimators.regression.ridge import ridge
from cascade_engine.strategies.contract import Rehearsal
from cascade_engine.strategies.values import State, Values, blended, features, one_step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.estimators import Estimates
    from cascade_engine.strategies.contract import BeliefFunction

__all__ = ["Setting", "learn_values"]

#: Lambdas at which values are learned; between them they are interpolated.
_LAMBDAS = 32
_DECADES = 1e-3


@dataclass(frozen=True, slots=True)
class Setting:
    """What values are learned from and for.

    Attributes:
        believe: out-of-fold beliefs.
        rows: numbers of the m queries that are learned from, as `believe` knows them, shape (m,).
        quality: their true quality, shape (m, k).
        cost: their true cost, shape (m, k).
        pool: the models planned for, ascending.
        depth: the most models that may answer a query, at most those in the pool.
        trust: in what is believed of an answer held, against its true quality, as its value.
    """

    believe: BeliefFunction
    rows: IntArray
    quality: FloatArray
    cost: FloatArray
    pool: tuple[int, ...]
    depth: int
    trust: float

    def estimates(self, run: tuple[int, ...]) -> Estimates:
        """What is believed of every query once `run` have answered."""
        mask: BoolArray = np.zeros(self.quality.shape, dtype=bool)
        mask[:, list(run)] = True
        return self.believe(self.rows, mask)


def learn_values(setting: Setting) -> tuple[Values, Rehearsal]:
    """Works backwards from the sets of `depth` models to none."""
    return _Learning(setting).learn()


class _Learning:
    """One run of the iteration."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.lambdas = _lambdas(setting.cost[:, list(setting.pool)])
        expected = setting.estimates(()).cost.mean(axis=0)
        self.typical = np.maximum(expected, np.finfo(float).tiny)
        self.states: dict[tuple[int, ...], State] = {}
        #: By models run: the action at each lambda, or -1; then the answer held, and its estimate.
        self.actions: dict[tuple[int, ...], NDArray[np.int8]] = {}
        self.held: dict[tuple[int, ...], tuple[IntArray, FloatArray]] = {}

    def learn(self) -> tuple[Values, Rehearsal]:
        pool = self.setting.pool
        later: dict[tuple[int, ...], FloatArray] = {}
        for size in range(self.setting.depth, -1, -1):
            later = {run: self._value(run, later) for run in combinations(pool, size)}
        return Values(pool, self.lambdas, self.typical, self.states), self._rehearse()

    def _value(self, run: tuple[int, ...], later: dict[tuple[int, ...], FloatArray]) -> FloatArray:
        """The value of a state under what is done there, shape (m, g)."""
        estimates = self.setting.estimates(run)
        stop = self._stopping(run, estimates)
        here = np.repeat(stop[:, None], len(self.lambdas), axis=1)
        waiting = [i for i in self.setting.pool if i not in run]
        if len(run) == self.setting.depth or not waiting:
            self.actions[run] = np.full(here.shape, -1, dtype=np.int8)
            return here
        after = np.stack([later[tuple(sorted((*run, i)))] for i in waiting], axis=1)
        gain = after - here[:, None, :]
        learned = self._learn_gains(run, estimates, np.asarray(waiting), gain)
        ahead = one_step(run, estimates, np.asarray(waiting))[:, :, None]
        net = blended(learned, ahead) - self.lambdas * estimates.cost[:, waiting, None]
        action = net.argmax(axis=1)[:, None]
        goes = (np.take_along_axis(net, action, axis=1)[:, 0] > 0) | (not run)
        self.actions[run] = np.where(goes, np.asarray(waiting)[action[:, 0]], -1).astype(np.int8)
        paid = after - self.lambdas * self.setting.cost[:, waiting, None]
        return np.where(goes, np.take_along_axis(paid, action, axis=1)[:, 0], here)

    def _stopping(self, run: tuple[int, ...], estimates: Estimates) -> FloatArray:
        """What the best answer held is worth, shape (m,); it is noted which that is."""
        setting = self.setting
        if not run:
            return np.zeros(len(setting.rows))
        among = estimates.quality[:, list(run)]
        best, held = np.asarray(run)[among.argmax(axis=1)], highest(among)
        self.held[run] = best, held
        true = setting.quality[np.arange(len(best)), best]
        return np.asarray(setting.trust * held + (1 - setting.trust) * true)

    def _learn_gains(
        self, run: tuple[int, ...], estimates: Estimates, waiting: IntArray, gain: FloatArray
    ) -> FloatArray:
        """Ridge regression of the gains; returns leave-one-out predictions, shape (n, r, g)."""
        x = features(estimates.quality, estimates.cost / self.typical, run, self.setting.pool)
        mean, scale = standards(x)
        coef, out = ridge((x - mean) / scale, gain.reshape(len(x), -1))
        shape = gain.shape[1:]
        self.states[run] = State(waiting, mean, scale, coef.reshape(-1, *shape))
        return out.reshape(gain.shape)

    def _rehearse(self) -> Rehearsal:
        """Plays all queries at all lambdas by the leave-one-out decisions."""
        setting = self.setting
        shape = (len(setting.rows), len(self.lambdas))
        spent, quality, believed = (np.zeros(shape) for _ in range(3))
        state: dict[tuple[int, ...], BoolArray] = {(): np.ones(shape, dtype=bool)}
        for size in range(setting.depth + 1):
            for run in combinations(setting.pool, size):
                here = state.pop(run, None)
                if here is None:
                    continue
                action = np.where(here, self.actions[run], -2)
                if run:
                    best, held = self.held[run]
                    row, lam = np.nonzero(action == -1)
                    quality[row, lam] = setting.quality[row, best[row]]
                    believed[row, lam] = held[row]
                for i in np.unique(action[action >= 0]).tolist():
                    goes = action == i
                    spent += goes * setting.cost[:, i : i + 1]
                    onward = tuple(sorted((*run, i)))
                    state[onward] = state.get(onward, False) | goes
        return Rehearsal(self.lambdas, spent, quality, believed)


def _lambdas(cost: FloatArray) -> FloatArray:
    """0, then evenly on a logarithmic scale to where no second answer is worth its cost."""
    means = cost.mean(axis=0)
    cheapest = float(means[means > 0].min()) if (means > 0).any() else 1.0
    low = _DECADES / (float(means.max()) or 1.0)
    return np.append(0.0, np.geomspace(low, 1.0 / cheapest, _LAMBDAS - 1))
