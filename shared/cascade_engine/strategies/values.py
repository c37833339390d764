"""What going on is worth in every state, as fitted value iteration has learned it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from operator import mul
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from cascade_engine.core.arrays import highest
from cascade_engine.estimators.regression.logistic import logit, logit_one
from cascade_engine.storage.registry import persistent
from cascade_engine.strategies.gaussian.expected_max import excess_one, expected_excess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine.core.arrays import FloatArray, IntArray
    from cascade_engine.estimators import Estimates

Number = TypeVar("Number", float, "FloatArray")

__all__ = ["State", "Values", "blended", "features", "one_step"]

#: Weight of the learned gain beside that of a look ahead by the estimates alone, and how much of
#: their spread the look ahead believes: an answer tells partly what those held have told already.
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
