"""What going on is worth in every state, and how fitted value iteration learns it.

A state is the set of models run, with all that is then believed of a query. Its value V at a given
lambda is what the best decisions from there achieve, in quality less lambda times cost:

    V(state) = max(the best answer held, max over models i of E[V(state after i)] - lambda cost_i)

(Bellman's equation of optimal stopping). The expectation is a regression, over the queries of the
fit, of what was gained by going on, on the features of the state (Tsitsiklis and Van Roy 2001,
IEEE Transactions on Neural Networks 12). It is learned backwards, from the sets of most models to
none, at a grid of lambdas at once; between two of them it is interpolated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from operator import mul
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from cascade_engine.core.arrays import highest
from cascade_engine.estimators.regression.logistic import logit, logit_one, standards
from cascade_engine.estimators.regression.ridge import ridge
from cascade_engine.storage.registry import persistent
from cascade_engine.strategies.base import STOP, Rehearsal
from cascade_engine.strategies.gaussian.expected_max import excess_one, expected_excess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.estimators import Estimates
    from cascade_engine.strategies.base import BeliefFunction

Number = TypeVar("Number", float, "FloatArray")

__all__ = ["Setting", "State", "Values", "learn_values"]

#: Lambdas at which values are learned, and the lowest of them above 0, as a share of what makes the
#: dearest model's mean cost one unit of quality.
_LAMBDAS, _LOWEST = 32, 1e-3

#: Weight of the learned gain beside that of a look ahead by the estimates alone, and how much of
#: their spread the look ahead believes: an answer repeats in part what earlier answers have said.
_LEARNED, _NEWS = 0.5, 0.5
#: So many pairs of a state and a lambda are kept as they were interpolated.
_KEPT = 256
#: Keeps the logarithm of what is free finite.
_LEAST = 1e-3


@persistent("Values.state")
class State(NamedTuple):
    """The models run, and what is learned of going on from there.

    Attributes:
        waiting: the r models that may run next.
        mean: of the features, shape (d,).
        scale: of the features, shape (d,).
        coef: shape (1 + d, r, g): of the gain in value by running each model, at each lambda.
    """

    waiting: IntArray
    mean: FloatArray
    scale: FloatArray
    coef: FloatArray


class Gain(NamedTuple):
    """What running a model gains in quality: linear in the features, at one lambda."""

    model: int
    constant: float
    slopes: list[float]


@persistent("Values")
@dataclass(frozen=True)
class Values:
    """What going on is worth, by the set of models run.

    Attributes:
        pool: the models that are planned for, ascending.
        lambdas: rising from 0, shape (g,).
        typical: typical expected cost of each model, shape (k,), by which a query's are measured.
        states: by models run.
    """

    pool: tuple[int, ...]
    lambdas: FloatArray
    typical: FloatArray
    states: Mapping[tuple[int, ...], State]

    def gains(self, run: tuple[int, ...], estimates: Estimates, lam: FloatArray) -> FloatArray:
        """What running each waiting model gains in quality less lambda times cost; (m, r).

        Args:
            run: the models run, a key of `states`.
            estimates: what is believed of m queries.
            lam: shape (m,).
        """
        state, quality, cost = self.states[run], estimates.quality, estimates.cost
        x = (_features(quality, cost / self.typical, run, self.pool) - state.mean) / state.scale
        above = np.clip(np.searchsorted(self.lambdas, lam), 1, len(self.lambdas) - 1)
        low, high = self.lambdas[above - 1], self.lambdas[above]
        share = np.clip((lam - low) / (high - low), 0.0, 1.0)
        gains = np.empty((len(lam), len(state.waiting)))
        for node in np.unique(above):
            rows = above == node
            coef = state.coef[:, :, node - 1 : node + 1]
            pair = coef[0] + np.tensordot(x[rows], coef[1:], axes=1)
            part = share[rows, None]
            gains[rows] = (1 - part) * pair[..., 0] + part * pair[..., 1]
        gains = _blend(gains, _one_step(run, estimates, state.waiting))
        return gains - lam[:, None] * cost[:, state.waiting]

    def gains_one(
        self,
        run: tuple[int, ...],
        quality: Sequence[float],
        sd: Sequence[float],
        cost: Sequence[float],
        lam: float,
    ) -> dict[int, float]:
        """`gains` of one query in plain numbers, by waiting model."""
        answered = [quality[i] for i in run]
        held = max(answered, default=None)
        relative = [cost[i] / self._typical[i] for i in self.pool]
        x = _features_of_one([quality[i] for i in self.pool], held, relative)
        gains = {}
        for i, constant, slopes in self._at(run, lam):
            learned = constant + sum(map(mul, slopes, x))
            ahead = quality[i] if held is None else excess_one(quality[i] - held, _NEWS * sd[i])
            gains[i] = _blend(learned, ahead) - lam * cost[i]
        return gains

    @cached_property
    def _typical(self) -> list[float]:
        typical: list[float] = self.typical.tolist()
        return typical

    @cached_property
    def _interpolations(self) -> dict[tuple[tuple[int, ...], float], list[Gain]]:
        return {}

    def _at(self, run: tuple[int, ...], lam: float) -> list[Gain]:
        """The gains at one lambda; kept, as a router decides at one or two of them."""
        gains = self._interpolations.get((run, lam))
        if gains is None:
            if len(self._interpolations) >= _KEPT:
                self._interpolations.clear()
            gains = self._interpolations[run, lam] = self._interpolate(self.states[run], lam)
        return gains

    def _interpolate(self, state: State, lam: float) -> list[Gain]:
        above = min(max(int(np.searchsorted(self.lambdas, lam)), 1), len(self.lambdas) - 1)
        low, high = self.lambdas[above - 1 : above + 1].tolist()
        share = min(max((lam - low) / (high - low), 0.0), 1.0)
        coef = (1 - share) * state.coef[..., above - 1] + share * state.coef[..., above]
        slopes = coef[1:] / state.scale[:, None]
        constants = coef[0] - state.mean @ slopes
        columns = (state.waiting.tolist(), constants.tolist(), slopes.T.tolist())
        return [Gain(*gain) for gain in zip(*columns, strict=True)]


def _one_step(run: Sequence[int], estimates: Estimates, waiting: IntArray) -> FloatArray:
    """What one model more would gain, by the estimates alone and if it were the last; (m, r)."""
    quality = estimates.quality[:, waiting]
    if not run:
        return quality
    held = highest(estimates.quality[:, list(run)])[:, None]
    return expected_excess(quality, _NEWS * estimates.sd[:, waiting], held)


def _blend(learned: Number, expected: Number) -> Number:
    """One estimate of a gain out of two whose errors have little in common."""
    return _LEARNED * learned + (1 - _LEARNED) * expected


def _features(
    quality: FloatArray, relative: FloatArray, run: Sequence[int], pool: Sequence[int]
) -> FloatArray:
    """What the value of a state depends on, shape (m, d).

    Every estimate, the best answer held, their products, and how dear the query is.
    """
    p = quality[:, list(pool)]
    dear = np.log(np.maximum(relative[:, list(pool)].mean(axis=1, keepdims=True), _LEAST))
    if not run:
        return np.hstack([p, logit(p), dear])
    held = highest(quality[:, list(run)])[:, None]
    return np.hstack([p, p * held, held, held**2, held**3, logit(held), dear])


def _features_of_one(
    p: Sequence[float], held: float | None, relative: Sequence[float]
) -> list[float]:
    """`_features` of one query in plain numbers; `p` and `relative` are those of the pool."""
    dear = math.log(max(sum(relative) / len(relative), _LEAST))
    if held is None:
        return [*p, *map(logit_one, p), dear]
    return [*p, *[x * held for x in p], held, held**2, held**3, logit_one(held), dear]


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
        trust: weight of what is believed of an answer held, against its true quality, in its value.
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
    """Works backwards from the sets of `depth` models to none; then rehearses what was learned."""
    return _Iteration(setting).run()


class _Iteration:
    """One run of fitted value iteration."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.lambdas = _lambdas(setting.cost[:, list(setting.pool)])
        expected = setting.estimates(()).cost.mean(axis=0)
        self.typical = np.maximum(expected, np.finfo(float).tiny)
        self.states: dict[tuple[int, ...], State] = {}
        #: By models run: the action at each lambda; then the best answer held, and its estimate.
        self.actions: dict[tuple[int, ...], NDArray[np.int8]] = {}
        self.held: dict[tuple[int, ...], tuple[IntArray, FloatArray]] = {}

    def run(self) -> tuple[Values, Rehearsal]:
        pool = self.setting.pool
        later: dict[tuple[int, ...], FloatArray] = {}
        for size in range(self.setting.depth, -1, -1):
            later = {run: self._value(run, later) for run in combinations(pool, size)}
        return Values(pool, self.lambdas, self.typical, self.states), self._rehearse()

    def _value(self, run: tuple[int, ...], later: dict[tuple[int, ...], FloatArray]) -> FloatArray:
        """The value of a state under what is done there, shape (m, g)."""
        estimates = self.setting.estimates(run)
        stop = np.repeat(self._stop_value(run, estimates)[:, None], len(self.lambdas), axis=1)
        waiting = np.array([i for i in self.setting.pool if i not in run], dtype=np.intp)
        if len(run) == self.setting.depth or not len(waiting):
            self.actions[run] = np.full(stop.shape, STOP, dtype=np.int8)
            return stop
        after = np.stack([later[tuple(sorted((*run, i)))] for i in waiting.tolist()], axis=1)
        learned = self._learn_gains(run, estimates, waiting, after - stop[:, None, :])
        ahead = _one_step(run, estimates, waiting)[:, :, None]
        net = _blend(learned, ahead) - self.lambdas * estimates.cost[:, waiting, None]
        action = net.argmax(axis=1)[:, None]
        goes_on = (np.take_along_axis(net, action, axis=1)[:, 0] > 0) | (not run)
        self.actions[run] = np.where(goes_on, waiting[action[:, 0]], STOP).astype(np.int8)
        # Decided by predictions without the row, but paid in what the row truly gave and cost.
        true = after - self.lambdas * self.setting.cost[:, waiting, None]
        return np.where(goes_on, np.take_along_axis(true, action, axis=1)[:, 0], stop)

    def _stop_value(self, run: tuple[int, ...], estimates: Estimates) -> FloatArray:
        """What the best answer held is worth, shape (m,); notes which one that is."""
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
        x = _features(estimates.quality, estimates.cost / self.typical, run, self.setting.pool)
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
        # By models run: the queries and lambdas whose state that is.
        reached: dict[tuple[int, ...], BoolArray] = {(): np.ones(shape, dtype=bool)}
        for size in range(setting.depth + 1):
            for run in combinations(setting.pool, size):
                state = reached.pop(run, None)
                if state is None:
                    continue
                # No action at all for queries that are in another state at that lambda.
                action = np.where(state, self.actions[run], STOP - 1)
                if run:
                    best, held = self.held[run]
                    row, lam = np.nonzero(action == STOP)
                    quality[row, lam] = setting.quality[row, best[row]]
                    believed[row, lam] = held[row]
                for i in np.unique(action[action >= 0]).tolist():
                    runs_next = action == i
                    spent += runs_next * setting.cost[:, i : i + 1]
                    onward = tuple(sorted((*run, i)))
                    reached[onward] = reached.get(onward, False) | runs_next
        return Rehearsal(self.lambdas, spent, quality, believed)


def _lambdas(cost: FloatArray) -> FloatArray:
    """0, then evenly on a logarithmic scale to where no second answer is worth its cost."""
    means = cost.mean(axis=0)
    cheapest = float(means[means > 0].min()) if (means > 0).any() else 1.0
    low = _LOWEST / (float(means.max()) or 1.0)
    return np.append(0.0, np.geomspace(low, 1.0 / cheapest, _LAMBDAS - 1))
