"""The best set of models, for many queries at once: bounds first, then a look at what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.core.arrays import highest
from cascade_engine.strategies.gaussian.expected_max import expected_excess
from cascade_engine.strategies.gaussian.reservation import reservation_values
from cascade_engine.strategies.supermodels.branching import NONE, TIE
from cascade_engine.strategies.supermodels.listing import Problem, best_of_many, by_count

if TYPE_CHECKING:
    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray

__all__ = ["NONE", "Problem", "best_first_models"]

#: Levels at which sets are bounded from above.
_LEVELS = 5
#: Numbers per model in the arrays of a search: its CDF at the nodes.
_NODES = 80


def best_first_models(problem: Problem, members: BoolArray) -> IntArray:
    """The cheapest model of the best set, query by query.

    Args:
        problem: n queries on k models.
        members: which models may be in the set, shape (n, k).

    Returns:
        Column numbers, shape (n,); `NONE` where the empty set is best, which needs something held,
        or where there are no members.
    """
    action, value, able = _alone(problem, members & (problem.room > 0)[:, None])
    several = np.flatnonzero((able.sum(axis=1) > 1) & (problem.room > 1))
    hopeful = _hopeful(problem, several, able, value)
    for rows, columns in by_count(hopeful, several[hopeful[several].sum(axis=1) > 1], _NODES):
        found = best_of_many(problem.at(rows, columns), value[rows])
        some = np.flatnonzero(found != NONE)
        action[rows[some]] = columns[some, found[some]]
    return action


def _alone(problem: Problem, members: BoolArray) -> tuple[IntArray, FloatArray, BoolArray]:
    """The best single model or none, what that is worth, and which models gain anything."""
    mean, sd, price, held = problem.mean, problem.sd, problem.price, problem.held
    rows = np.arange(len(mean))
    nothing = np.isneginf(held)[:, None]
    base = np.where(nothing, 0.0, held[:, None])
    gain = np.where(nothing, mean, expected_excess(mean, sd, base)) - price
    able = members & (nothing | (gain > TIE))
    worth = np.where(able, gain, -np.inf)
    best = highest(worth)
    tied = able & (worth >= best[:, None] - TIE)
    first = np.where(tied, problem.cost, np.inf).argmin(axis=1)
    some = able[rows, first]
    return np.where(some, first, NONE), np.where(some, base[:, 0] + best, held), able


def _hopeful(problem: Problem, rows: IntArray, able: BoolArray, value: FloatArray) -> BoolArray:
    """Which models a set may have that is worth more than `value`; looked into for some rows.

    For any level h a set is worth at most h + the sum of its models' gains over h. So with model i
    no set is worth more than h + all positive gains over h, less what that of i lacks to 0. At the
    highest reservation value there are no positive gains; lower levels may bound closer.
    """
    out = able.copy()
    mean, sd, price = problem.mean[rows], problem.sd[rows], problem.price[rows]
    here = able[rows]
    top = highest(np.where(here, reservation_values(mean, sd, price), -np.inf))
    bounded = np.isfinite(top)
    low, top = value[rows], np.where(bounded, top, value[rows])
    for share in np.linspace(1, 0, _LEVELS):
        level = low + share * (top - low)
        gain = np.where(here, expected_excess(mean, sd, level[:, None]) - price, 0.0)
        most = level + np.maximum(gain, 0).sum(axis=1)
        enough = most[:, None] + np.minimum(gain, 0) >= low[:, None] - TIE
        here &= enough | ~bounded[:, None]
    out[rows] = here
    return out
