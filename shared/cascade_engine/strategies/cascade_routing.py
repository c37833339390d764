"""Cascade routing: any model may run next, or none (Theorem 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine._expectation import expected_max_subsets
from cascade_engine.strategies._base import STOP, Options, Strategy

if TYPE_CHECKING:
    from cascade_engine._arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.estimators import Estimates

__all__ = ["CascadeRouting"]


class CascadeRouting(Strategy):
    """After any set of answers, weighs all sets of models that contain it.

    A supermodel M is worth E[max over M of the quality] - lambda times the cost of its members
    not yet run. If the best is the set already run it stops, else the cheapest missing member runs
    and everything is estimated anew. Theorem 3 of Dekoninck et al. (ICML 2025), with one lambda for
    all steps.

    All 2^k sets are weighed, so k is at most 8.
    """

    name = "cascade_routing"
    most_models = 8

    def options(self, estimates: Estimates, run: BoolArray, available: BoolArray) -> Options:
        """Every set of models available, the empty set being to stop."""
        k = run.shape[1]
        held = np.where(run, estimates.quality, -np.inf).max(axis=1)
        value = expected_max_subsets(estimates.quality, estimates.sd, held, available)
        members = ((np.arange(1 << k)[:, None] >> np.arange(k)) & 1).astype(bool)
        price = np.where(available, estimates.cost, 0.0) @ members.T
        return Options(value, price, _cheapest_member(members, available, estimates.cost))


def _cheapest_member(members: BoolArray, available: BoolArray, cost: FloatArray) -> IntArray:
    """The cheapest available member of each set, or `STOP`; shape (n, 2^k)."""
    action = np.full((len(cost), len(members)), STOP)
    rows = np.arange(len(cost))
    # From the dearest to the cheapest, so that the cheapest has the last word; of equals the first.
    for column in np.argsort(cost, axis=1, kind="stable").T[::-1]:
        usable = members[:, column].T & available[rows, column][:, None]
        action = np.where(usable, column[:, None], action)
    return action
