"""Cascade routing: any model may run next, or none (Theorem 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.core.arrays import highest, subset_sums
from cascade_engine.errors import ConfigurationError
from cascade_engine.storage.registry import persistent
from cascade_engine.strategies.base import STOP, ListedStrategy, Options
from cascade_engine.strategies.escalation import Escalating
from cascade_engine.strategies.gaussian.expected_max import expected_max_subsets
from cascade_engine.strategies.supermodels import Problem, best_first_model, best_first_models

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.estimators import Estimates

__all__ = ["CascadeRouting"]

#: Up to here all sets are listed, and the frontier is exact at every lambda.
_LISTED = 6
#: The most models where all sets must be listed: with correlated qualities.
_MOST_LISTED = 12


def _without_pruning(state: dict[str, Any], version: int) -> dict[str, Any]:
    """The state of version 1, in which Lemma 1 could be turned off: decisions were the same."""
    del version
    return {name: value for name, value in state.items() if name != "prune"}


@persistent(
    "CascadeRouting",
    fields=("max_depth", "per_step", "factors_"),
    version=2,
    upgrade=_without_pruning,
)
class CascadeRouting(Escalating, ListedStrategy):
    """After any set of answers, weighs all sets of models that contain it.

    A supermodel M is worth E[max over M of the quality] - lambda times the cost of its members
    not yet run. If the best is the set already run it stops, else the cheapest missing member runs
    and everything is estimated anew. Theorem 3 of Dekoninck et al. (ICML 2025).

    Sets are not listed but searched, with Lemma 1, closed forms and a concave relaxation
    (`cascade_engine.strategies.supermodels`): the answer is exact and takes about a millisecond
    among a hundred models. `max_depth` bounds the sets too.

    Args:
        max_depth: the most models that may answer one query; None for no limit.
        per_step: whether each step has a lambda of its own.
    """

    name = "cascade_routing"

    def lists_options(self, models: int) -> bool:
        """Whether the models are so few that all their sets are."""
        return models <= _LISTED

    def options(self, estimates: Estimates, run: BoolArray, available: BoolArray) -> Options:
        """Every set of models available, the empty set being to stop.

        Raises:
            ConfigurationError: there are too many sets to list.
        """
        k = run.shape[1]
        available = self.within_depth(run, available)
        held = highest(np.where(run, estimates.quality, -np.inf))
        if k > _MOST_LISTED:
            raise ConfigurationError(
                f"cascade routing lists all sets of at most {_MOST_LISTED} models, not {k}: leave "
                "out the covariance, or use 'reservation_index'"
            )
        value = expected_max_subsets(
            estimates.quality, estimates.sd, held, available, cov=estimates.cov
        )
        members = ((np.arange(1 << k)[:, None] >> np.arange(k)) & 1).astype(bool)
        if self.max_depth is not None:
            room = self.max_depth - run.sum(axis=1, keepdims=True)
            count = (members & available[:, None, :]).sum(axis=2)
            value = np.where(count <= np.maximum(room, 0), value, -np.inf)
        price = subset_sums(np.where(available, estimates.cost, 0.0))
        return Options(value, price, _cheapest_member(members, available, estimates.cost))

    def decide(
        self, estimates: Estimates, run: BoolArray, available: BoolArray, lam: FloatArray
    ) -> IntArray:
        """The cheapest member of the best set, or `STOP`."""
        if estimates.cov is not None:
            return super().decide(estimates, run, available, lam)
        most = run.shape[1] if self.max_depth is None else self.max_depth
        problem = Problem(
            estimates.quality,
            estimates.sd,
            estimates.cost,
            lam[:, None] * estimates.cost,
            highest(np.where(run, estimates.quality, -np.inf)),
            most - run.sum(axis=1),
        )
        return best_first_models(problem, available)

    def decide_one(
        self,
        quality: Sequence[float],
        sd: Sequence[float],
        cost: Sequence[float],
        *,
        run: Sequence[bool],
        available: Sequence[bool],
        lam: float,
    ) -> int:
        """The same in plain Python, as far as bounds and closed forms reach."""
        if type(self).decide is not CascadeRouting.decide:
            return super().decide_one(quality, sd, cost, run=run, available=available, lam=lam)
        held = max((q for q, yes in zip(quality, run, strict=True) if yes), default=-np.inf)
        members = [i for i, yes in enumerate(available) if yes]
        room = (len(run) if self.max_depth is None else self.max_depth) - sum(run)
        return best_first_model(quality, sd, cost, members, lam=lam, held=held, room=room)


def _cheapest_member(members: BoolArray, available: BoolArray, cost: FloatArray) -> IntArray:
    """The cheapest available member of each set, or `STOP`; shape (n, 2^k)."""
    action = np.full((len(cost), len(members)), STOP)
    rows = np.arange(len(cost))
    # From the dearest to the cheapest, so that the cheapest has the last word; of equals the first.
    for column in np.argsort(cost, axis=1, kind="stable").T[::-1]:
        usable = members[:, column].T & available[rows, column][:, None]
        action = np.where(usable, column[:, None], action)
    return action
