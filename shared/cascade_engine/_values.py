"""Fitted value iteration: what going on is worth in every state, learned from complete data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from operator import mul
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from cascade_engine._arrays import highest
from cascade_engine._expectation import excess_one, expected_excess
from cascade_engine._registry import persistent
from cascade_engine.estimators._logistic import logit, logit_one, standards

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cascade_engine._arrays import BoolArray, FloatArray, IntArray
    from cascade_engine._simulation import Believe
    from cascade_engine.estimators import Estimates

Number = TypeVar("Number", float, "FloatArray")

__all__ = ["Setting", "State", "Values", "features", "learn_values", "ridge"]

#: Lambdas at which values are learned; between them they are interpolated.
_LAMBDAS = 32
_DECADES = 1e-3
#: Penalties tried, in units of queries: the features have variance 1.
_PENALTIES = (1.0, 10.0, 100.0)
#: Weight of the learned gain beside that of a look ahead by the estimates alone, and how much of
#: their spread the look ahead believes: an answer tells partly what those held have told already.
_LEARNED, _NEWS = 0.5, 0.5
#: So many pairs of a state and a lambda are kept as they were interpolated.
_KEPT = 256
#: Keeps the logarithm of what is free finite, and one row from being all of a fit.
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
        x = (features(quality, cost / self.typical, run, self.pool) - state.mean) / state.scale
        above = np.clip(np.searchsorted(self.lambdas, lam), 1, len(self.lambdas) - 1)
        low, high = self.lambdas[above - 1], self.lambdas[above]
        share = np.clip((lam - low) / (high - low), 0.0, 1.0)
        gains = np.empty((len(lam), len(state.waiting)))
        for node in np.unique(above):
            here = above == node
            pair = state.coef[0, :, node - 1 : node + 1] + np.tensordot(
                x[here], state.coef[1:, :, node - 1 : node + 1], axes=1
            )
            part = share[here, None]
            gains[here] = (1 - part) * pair[..., 0] + part * pair[..., 1]
        gains = blended(gains, one_step(run, estimates, state.waiting))
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
        x = _features_one([quality[i] for i in self.pool], held, relative)
        gains = {}
        for i, constant, slopes in self._at(run, lam):
            learned = constant + sum(map(mul, slopes, x))
            ahead = quality[i] if held is None else excess_one(quality[i] - held, _NEWS * sd[i])
            gains[i] = blended(learned, ahead) - lam * cost[i]
        return gains

    @cached_property
    def _typical(self) -> list[float]:
        typical: list[float] = self.typical.tolist()
        return typical

    @cached_property
    def _met(self) -> dict[tuple[tuple[int, ...], float], list[Gain]]:
        return {}

    def _at(self, run: tuple[int, ...], lam: float) -> list[Gain]:
        """The gains at one lambda; kept, as a router decides at one or two of them."""
        found = self._met.get((run, lam))
        if found is None:
            if len(self._met) >= _KEPT:
                self._met.clear()
            found = self._met[run, lam] = self._interpolated(self.states[run], lam)
        return found

    def _interpolated(self, state: State, lam: float) -> list[Gain]:
        above = min(max(int(np.searchsorted(self.lambdas, lam)), 1), len(self.lambdas) - 1)
        low, high = self.lambdas[above - 1 : above + 1].tolist()
        share = min(max((lam - low) / (high - low), 0.0), 1.0)
        coef = (1 - share) * state.coef[..., above - 1] + share * state.coef[..., above]
        slopes = coef[1:] / state.scale[:, None]
        constants = coef[0] - state.mean @ slopes
        columns = (state.waiting.tolist(), constants.tolist(), slopes.T.tolist())
        return [Gain(*each) for each in zip(*columns, strict=True)]


def one_step(run: Sequence[int], estimates: Estimates, waiting: IntArray) -> FloatArray:
    """What one model more would gain, by the estimates alone and if it were the last; (m, r)."""
    quality = estimates.quality[:, waiting]
    if not run:
        return quality
    held = highest(estimates.quality[:, list(run)])[:, None]
    return expected_excess(quality, _NEWS * estimates.sd[:, waiting], held)


def blended(learned: Number, expected: Number) -> Number:
    """One estimate of a gain out of two whose errors have little in common."""
    return _LEARNED * learned + (1 - _LEARNED) * expected


def features(
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


def _features_one(p: Sequence[float], held: float | None, relative: Sequence[float]) -> list[float]:
    """`features` of one query: of the pool what is believed, and how dear the query is."""
    dear = math.log(max(sum(relative) / len(relative), _LEAST))
    if held is None:
        return [*p, *map(logit_one, p), dear]
    return [*p, *[x * held for x in p], held, held**2, held**3, logit_one(held), dear]


class Rehearsal(NamedTuple):
    """How the queries of the fit end at each lambda, by decisions learned without them; (n, g)."""

    cost: FloatArray
    quality: FloatArray
    believed: FloatArray


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

    believe: Believe
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
        return Rehearsal(spent, quality, believed)


def _lambdas(cost: FloatArray) -> FloatArray:
    """0, then evenly on a logarithmic scale to where no second answer is worth its cost."""
    means = cost.mean(axis=0)
    cheapest = float(means[means > 0].min()) if (means > 0).any() else 1.0
    low = _DECADES / (float(means.max()) or 1.0)
    return np.append(0.0, np.geomspace(low, 1.0 / cheapest, _LAMBDAS - 1))


def ridge(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Ridge regression of many targets, the penalty chosen by leave-one-out errors.

    Args:
        x: features with mean 0, shape (n, d).
        y: targets, shape (n, t).

    Returns:
        Coefficients, the intercepts first, shape (1 + d, t), and predictions of each row by a fit
        without it, shape (n, t).
    """
    mean = y.mean(axis=0)
    y = y - mean
    eigenvalues, vectors = np.linalg.eigh(x.T @ x)
    turned = x @ vectors
    moment = turned.T @ y

    def tried(penalty: float) -> tuple[float, FloatArray, FloatArray]:
        inverse = 1 / (np.maximum(eigenvalues, 0.0) + penalty)
        own = (1 / len(x) + (turned**2) @ inverse)[:, None]
        error = (y - turned @ (inverse[:, None] * moment)) / (1 - np.minimum(own, 1 - _LEAST))
        return float((error**2).sum()), inverse, error

    _, inverse, error = min(map(tried, _PENALTIES), key=lambda one: one[0])
    coef = vectors @ (inverse[:, None] * moment)
    return np.vstack([mean, coef]), mean + y - error
