"""Supermodels by brute force: every set, one query at a time, with a quadrature of their own."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.special import ndtr

from cascade_engine.strategies import STOP, CascadeRouting, ListedStrategy

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_KNOTS = np.linspace(-8.5, 8.5, 12)


class Maxima:
    """E[max(held, members)] of independent Gaussians, for any set: the integral of 1 - prod F.

    Panels end at every mean +- a number of sds, so that steps of any width are resolved. `held` is
    -inf for nothing.
    """

    def __init__(self, mean, sd, held=-np.inf):
        mean, sd = np.asarray(mean, float), np.asarray(sd, float)
        edges = np.unique((mean[:, None] + sd[:, None] * _KNOTS).ravel())
        self.lower = max(held, edges[0]) if held > -np.inf else edges[0]
        edges = np.unique([self.lower, *edges[edges > self.lower]])
        half = np.diff(edges)[:, None] / 2
        points = (edges[:-1, None] + half * (1 + _NODES)).ravel()
        self.weights = (half * _WEIGHTS).ravel()
        wide = np.where(sd > 0, sd, 1.0)[:, None]
        certain = (points >= mean[:, None]).astype(float)
        below = ndtr((points - mean[:, None]) / wide)
        self.below = np.where(sd[:, None] > 0, below, certain)
        self.held = held

    def of(self, members):
        """The expectation for one set; `held` for none."""
        if not len(members):
            return self.held
        missing = 1 - self.below[list(members)].prod(axis=0)
        return float(self.lower + missing @ self.weights)


class ListedCascadeRouting(CascadeRouting):
    """Cascade routing by listing all 2^k sets at their exact values: no lemma, bound or search."""

    decide = ListedStrategy.decide


def discrete_reservation_value(values, probabilities, price):
    """The reservation value of a quality that takes finitely many values, at a price > 0."""
    order = np.argsort(values)[::-1]
    v, p = np.asarray(values, float)[order], np.asarray(probabilities, float)[order]
    # Between two values E[(q - sigma)^+] is a line in sigma: the line that meets the price.
    mass, mean = np.cumsum(p), np.cumsum(p * v)
    candidates = (mean - price) / np.where(mass > 0, mass, 1.0)
    return float(candidates[mass > 0].max())


def sets_of(models, most=None):
    """Every set of some models, of at most so many, the empty one first."""
    most = len(models) if most is None else min(most, len(models))
    return [s for size in range(max(0, most) + 1) for s in combinations(models, size)]


def prefixes_of(models, most=None):
    """The first 0, 1, 2, ... of some models."""
    most = len(models) if most is None else min(most, len(models))
    return [tuple(models[:size]) for size in range(max(0, most) + 1)]


def worths(belief, held, lam, sets):
    """What each set is worth, E[max] - lambda x cost: pairs of (worth, set)."""
    quality, sd, cost = (np.asarray(row, float) for row in belief)
    maxima = Maxima(quality, sd, held)
    return [
        (maxima.of(s) - lam * cost[list(s)].sum(), s) for s in sets if s or maxima.held > -np.inf
    ]


def held_of(quality, run):
    """The best estimate among the models run, -inf where none has."""
    return max((q for q, done in zip(quality, run, strict=True) if done), default=-np.inf)


def right_actions(weighed, first, slack=1e-10):
    """What may be done: the actions of all sets within a slack of the best.

    Args:
        weighed: pairs of (worth, set).
        first: the model of a set that runs first.
        slack: how close is too close to call.
    """
    if not weighed:
        return {STOP}
    best = max(worth for worth, _ in weighed)
    return {first(s) if s else STOP for worth, s in weighed if worth >= best - slack}


def cascade_routing_actions(belief, state, lam, most=None, slack=1e-10):
    """What Theorem 3 does: the cheapest member of the best set of models available."""
    (quality, _, cost), (run, available) = belief, state
    room = None if most is None else most - sum(run)
    sets = sets_of([i for i, yes in enumerate(available) if yes], room)
    weighed = worths(belief, held_of(quality, run), lam, sets)
    return right_actions(weighed, lambda s: min(s, key=lambda i: cost[i]), slack)


def cascading_actions(belief, state, lam, most=None, slack=1e-10):
    """What Theorem 2 does: the first of the best of the longer cascades."""
    (quality, _, _), (run, available) = belief, state
    last = max((i for i, done in enumerate(run) if done), default=-1)
    waiting = [i for i in range(last + 1, len(run)) if available[i]]
    room = None if most is None else most - sum(run)
    weighed = worths(belief, held_of(quality, run), lam, prefixes_of(waiting, room))
    return right_actions(weighed, lambda s: s[0], slack)
