"""The best set among several candidates, query by query.

All sets of a few candidates are listed. Of many, a relaxation settles all but a few
(`relaxation`). Where it does not, or the sets' size is limited, branch and bound goes on
(`branching`, `limited`).

Only the cheapest model of the best set is asked for, and often it is known long before the set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.core.arrays import subset_sums
from cascade_engine.strategies.gaussian.quadrature import NODES_ERROR, cdfs_on_grids
from cascade_engine.strategies.supermodels.branching import NONE, TIE, cheapest_of_best
from cascade_engine.strategies.supermodels.limited import cheapest_of_limited
from cascade_engine.strategies.supermodels.relaxation import Field, Nodes, settle

if TYPE_CHECKING:
    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray

__all__ = ["NONE", "TIE", "Problem", "best_of_many", "by_count"]

#: The cheapest model of the best set is not known yet.
_UNKNOWN = -2
#: All sets of so many candidates are listed rather than searched.
_LISTED = 8
#: The most numbers in an array of queries x models x nodes, and in a table of all sets.
_CHUNK = 200_000
#: How much larger the tables of all sets are than those of the models.
_HALVES = 6


@dataclass(frozen=True, slots=True)
class Problem:
    """Which set S is worth most, E[max(held, max over S)] - price(S), for n queries.

    Attributes:
        mean: expected quality, shape (n, c).
        sd: its standard deviation, shape (n, c).
        cost: of each model, shape (n, c); breaks ties.
        price: lambda x cost, shape (n, c).
        held: the best quality already held, shape (n,); -inf where there is none.
        room: the most models in a set, shape (n,).
    """

    mean: FloatArray
    sd: FloatArray
    cost: FloatArray
    price: FloatArray
    held: FloatArray
    room: IntArray

    def at(self, rows: IntArray, columns: IntArray) -> Problem:
        """Some queries, (m,), each with some of its models, (m, c)."""
        local = (rows[:, None], columns)
        return Problem(
            self.mean[local],
            self.sd[local],
            self.cost[local],
            self.price[local],
            self.held[rows],
            self.room[rows],
        )


def by_count(members: BoolArray, rows: IntArray, size: int) -> list[tuple[IntArray, IntArray]]:
    """Rows with equally many members, of which at most `_CHUNK` / (members x size) at once.

    Returns:
        Row numbers, (m,), and their members' columns, (m, members), in ascending order.
    """
    counts = members[rows].sum(axis=1)
    groups = []
    for count in np.unique(counts).tolist():
        here = rows[counts == count]
        columns = np.nonzero(members[here])[1].reshape(len(here), count)
        step = max(1, _CHUNK // max(1, count * size))
        groups += [(here[i : i + step], columns[i : i + step]) for i in range(0, len(here), step)]
    return groups


def best_of_many(problem: Problem, value: FloatArray) -> IntArray:
    """The cheapest member of the best set; `NONE` where no set is worth more than `value`, (n,)."""
    shape = problem.mean.shape
    field = Field(
        *cdfs_on_grids(problem.mean, problem.sd, problem.held),
        problem.price,
        problem.cost,
        problem.room,
        must_run=np.isneginf(problem.held),
        inside=np.zeros(shape, dtype=bool),
        open=np.ones(shape, dtype=bool),
    )
    # The value comes from closed forms: on the nodes it may be a little less.
    reached = value - NODES_ERROR * problem.sd.max(axis=1)
    if shape[1] > _LISTED and (problem.room >= shape[1]).all():
        settle(field, reached, _LISTED)
    action = _known(field)
    left = np.flatnonzero(action == _UNKNOWN)
    few = field.open[left].sum(axis=1) <= _LISTED
    size = field.weights.shape[1] * _HALVES
    for rows, columns in by_count(field.open, left[few], size):
        action[rows] = _listed(field, rows, columns, value[rows])
    for row in left[~few].tolist():
        action[row] = _branched(field, row, float(reached[row]))
    return action


def _known(field: Field) -> IntArray:
    """The cheapest model of the best set where that is settled, `_UNKNOWN` elsewhere."""
    cost = np.where(field.inside | field.open, field.cost, np.inf)
    first = cost.argmin(axis=1)
    at = np.arange(len(first))
    sure = field.inside[at, first] | ~field.open.any(axis=1)
    return np.where(sure, np.where(field.inside.any(axis=1), first, NONE), _UNKNOWN)


def _listed(field: Field, rows: IntArray, columns: IntArray, value: FloatArray) -> IntArray:
    """By listing all sets of the open models, which stand in those columns."""
    local, c = (rows[:, None], columns), columns.shape[1]
    inside, weights = field.inside[rows], field.weights[rows]
    base = weights * np.where(inside[:, :, None], field.cdf[rows], 1.0).prod(axis=1)
    cdf, half = field.cdf[local], c // 2
    # Sets by the halves that they are made of: the first half varies along the last axis.
    first, second = _products(cdf[:, :half]) * base[:, None], _products(cdf[:, half:])
    overlap = np.matmul(second, first.transpose(0, 2, 1)).reshape(len(rows), -1)
    worth = (field.lower[rows] + weights.sum(axis=1))[:, None] - overlap
    worth -= subset_sums(field.price[local])
    worth -= np.where(inside, field.price[rows], 0.0).sum(axis=1)[:, None]
    size = subset_sums(np.ones(columns.shape)) + inside.sum(axis=1)[:, None]
    empty = field.must_run[rows][:, None] & (size == 0)
    worth = np.where((size > field.room[rows][:, None]) | empty, -np.inf, worth)
    most = worth.max(axis=1)
    cost = subset_sums(field.cost[local])
    best = np.where(worth >= most[:, None] - TIE, cost, np.inf).argmin(axis=1)
    members = inside.copy()
    members[np.arange(len(rows))[:, None], columns] |= (best[:, None] >> np.arange(c)) & 1 > 0
    cheapest = np.where(members, field.cost[rows], np.inf).argmin(axis=1)
    return np.where((most > value + TIE) & members.any(axis=1), cheapest, NONE)


def _branched(field: Field, row: int, value: float) -> int:
    """By branch and bound; `value` on the nodes."""
    of = Nodes(
        float(field.lower[row]),
        field.weights[row],
        field.cdf[row],
        field.price[row],
        field.cost[row],
        must_run=bool(field.must_run[row]),
    )
    room = int(field.room[row])
    return (
        cheapest_of_limited(of, room, value)
        if room < len(of.price)
        else cheapest_of_best(of, room, value)
    )


def _products(cdf: FloatArray) -> FloatArray:
    """Products over every subset of the c models, (n, c, t) to (n, 2^c, t)."""
    n, c, t = cdf.shape
    out = np.empty((n, 1 << c, t))
    out[:, 0] = 1.0
    for i in range(c):
        np.multiply(out[:, : 1 << i], cdf[:, i : i + 1], out=out[:, 1 << i : 2 << i])
    return out
