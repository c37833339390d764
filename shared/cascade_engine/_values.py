"""Fitted value iteration: what going on is worth in every state, learned from complete data."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cascade_engine._arrays import highest
from cascade_engine._registry import persistent
from cascade_engine.estimators._logistic import logit, standards

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cascade_engine._arrays import BoolArray, FloatArray, IntArray
    from cascade_engine._simulation import Believe
    from cascade_engine.estimators import Estimates

__all__ = ["State", "Values", "learn_values"]

#: Lambdas at which values are learned; between them they are interpolated.
_LAMBDAS = 32
_DECADES = 1e-3
#: Penalties tried, in units of queries: the features have variance 1.
_PENALTIES = (1.0, 10.0, 100.0)
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


@persistent("Values")
@dataclass(frozen=True, slots=True)
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

    def gains(
        self, run: tuple[int, ...], quality: FloatArray, cost: FloatArray, lam: FloatArray
    ) -> FloatArray:
        """What running each waiting model gains in quality less lambda times cost; (m, r).

        Args:
            run: the models run, a key of `states`.
            quality: what is believed, shape (m, k).
            cost: expected costs, shape (m, k).
            lam: shape (m,).
        """
        state = self.states[run]
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
        return gains - lam[:, None] * cost[:, state.waiting]


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


class Rehearsal(NamedTuple):
    """How the queries of the fit end at each lambda, by decisions learned without them; (n, g)."""

    cost: FloatArray
    quality: FloatArray
    believed: FloatArray


def learn_values(
    believe: Believe,
    quality: FloatArray,
    cost: FloatArray,
    *,
    depth: int,
    pool: tuple[int, ...],
    trust: float,
) -> tuple[Values, Rehearsal]:
    """Works backwards from the sets of `depth` models to none.

    Args:
        believe: out-of-fold beliefs about the n queries.
        quality: true quality, shape (n, k).
        cost: true cost, shape (n, k).
        depth: the most models that may answer a query.
        pool: the models planned for.
        trust: in what is believed of an answer held, against its true quality, as its value.
    """
    return _Learning(believe, quality, cost, depth=depth, pool=pool, trust=trust).learn()


class _Learning:
    """One run of the iteration."""

    def __init__(
        self,
        believe: Believe,
        quality: FloatArray,
        cost: FloatArray,
        *,
        depth: int,
        pool: tuple[int, ...],
        trust: float,
    ) -> None:
        self.believe, self.quality, self.cost = believe, quality, cost
        self.pool, self.depth, self.trust = pool, min(depth, len(pool)), trust
        self.rows = np.arange(len(quality))
        self.lambdas = _lambdas(cost[:, list(pool)])
        self.typical = np.maximum(self._estimates(()).cost.mean(axis=0), np.finfo(float).tiny)
        self.states: dict[tuple[int, ...], State] = {}
        #: By models run: the action at each lambda, or -1; then the answer held, and its estimate.
        self.actions: dict[tuple[int, ...], NDArray[np.int8]] = {}
        self.held: dict[tuple[int, ...], tuple[IntArray, FloatArray]] = {}

    def learn(self) -> tuple[Values, Rehearsal]:
        later: dict[tuple[int, ...], FloatArray] = {}
        for size in range(self.depth, -1, -1):
            later = {run: self._value(run, later) for run in combinations(self.pool, size)}
        values = Values(self.pool, self.lambdas, self.typical, self.states)
        return values, self._rehearse()

    def _estimates(self, run: tuple[int, ...]) -> Estimates:
        mask: BoolArray = np.zeros(self.quality.shape, dtype=bool)
        mask[:, list(run)] = True
        return self.believe(self.rows, mask)

    def _value(self, run: tuple[int, ...], later: dict[tuple[int, ...], FloatArray]) -> FloatArray:
        """The value of a state under what is done there, shape (n, g)."""
        estimates = self._estimates(run)
        stop = np.zeros(len(self.rows))
        if run:
            among = estimates.quality[:, list(run)]
            best = np.asarray(run)[among.argmax(axis=1)]
            held = highest(among)
            self.held[run] = best, held
            stop = self.trust * held + (1 - self.trust) * self.quality[self.rows, best]
        here = np.repeat(stop[:, None], len(self.lambdas), axis=1)
        waiting = [i for i in self.pool if i not in run]
        if len(run) == self.depth or not waiting:
            self.actions[run] = np.full(here.shape, -1, dtype=np.int8)
            return here
        after = np.stack([later[tuple(sorted((*run, i)))] for i in waiting], axis=1)
        gain = after - here[:, None, :]
        learned = self._learn_gains(run, estimates, np.asarray(waiting), gain)
        price = self.lambdas * estimates.cost[:, waiting, None]
        action = (learned - price).argmax(axis=1)
        goes = np.take_along_axis(learned - price, action[:, None], axis=1)[:, 0] > 0
        goes |= not run
        paid = after - self.lambdas * self.cost[:, waiting, None]
        then = np.take_along_axis(paid, action[:, None], axis=1)[:, 0]
        self.actions[run] = np.where(goes, np.asarray(waiting)[action], -1).astype(np.int8)
        return np.where(goes, then, here)

    def _learn_gains(
        self, run: tuple[int, ...], estimates: Estimates, waiting: IntArray, gain: FloatArray
    ) -> FloatArray:
        """Ridge regression of the gains; returns leave-one-out predictions, shape (n, r, g)."""
        x = features(estimates.quality, estimates.cost / self.typical, run, self.pool)
        mean, scale = standards(x)
        coef, out = _ridge((x - mean) / scale, gain.reshape(len(x), -1))
        shape = gain.shape[1:]
        self.states[run] = State(waiting, mean, scale, coef.reshape(-1, *shape))
        return out.reshape(gain.shape)

    def _rehearse(self) -> Rehearsal:
        """Plays all queries at all lambdas by the leave-one-out decisions."""
        shape = (len(self.rows), len(self.lambdas))
        spent, quality, believed = (np.zeros(shape) for _ in range(3))
        state: dict[tuple[int, ...], BoolArray] = {(): np.ones(shape, dtype=bool)}
        for size in range(self.depth + 1):
            for run in combinations(self.pool, size):
                here = state.pop(run, None)
                if here is None:
                    continue
                action = np.where(here, self.actions[run], -2)
                if run:
                    best, held = self.held[run]
                    row, lam = np.nonzero(action == -1)
                    quality[row, lam] = self.quality[row, best[row]]
                    believed[row, lam] = held[row]
                for i in np.unique(action[action >= 0]).tolist():
                    goes = action == i
                    spent += goes * self.cost[:, i : i + 1]
                    onward = tuple(sorted((*run, i)))
                    state[onward] = state.get(onward, False) | goes
        return Rehearsal(spent, quality, believed)


def _lambdas(cost: FloatArray) -> FloatArray:
    """0, then evenly on a logarithmic scale to where no second answer is worth its cost."""
    means = cost.mean(axis=0)
    cheapest = float(means[means > 0].min()) if (means > 0).any() else 1.0
    low = _DECADES / (float(means.max()) or 1.0)
    return np.append(0.0, np.geomspace(low, 1.0 / cheapest, _LAMBDAS - 1))


def _ridge(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
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
