"""The best set of models, for many queries at once: bounds first, then a look at what is left.

Bounds in closed form leave few candidates, often one. All sets of a few candidates are listed, at
the nodes of a quadrature. Of many candidates a relaxation settles all but a few (`relaxation`).
Where it does not, or the size of sets is limited, each query is searched by itself (`branching`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.core.arrays import highest, subset_sums
from cascade_engine.strategies.gaussian.expected_max import expected_excess
from cascade_engine.strategies.gaussian.quadrature import NODES_ERROR, cdfs_on_grids
from cascade_engine.strategies.gaussian.reservation import reservation_values
from cascade_engine.strategies.supermodels.branch_and_bound import cheapest_of_best
from cascade_engine.strategies.supermodels.relaxation import NO_GAIN, NONE, CandidateTable, settle

if TYPE_CHECKING:
    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray

#: The cheapest model of the best set is not known yet.
_UNKNOWN = -2
#: Levels at which sets are bounded from above.
_LEVELS = 5
#: All sets of so many candidates are listed rather than searched.
_LISTED = 8
#: The most numbers in an array of queries x models x nodes, and in a table of all sets.
_CHUNK = 200_000
#: Numbers per model in the arrays of a search, its CDF at the nodes; and how much larger the tables
#: of all sets are than those of the models.
_NODES, _HALVES = 80, 6


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
        cells = (rows[:, None], columns)
        return Problem(
            self.mean[cells],
            self.sd[cells],
            self.cost[cells],
            self.price[cells],
            self.held[rows],
            self.room[rows],
        )


def best_first_models(problem: Problem, members: BoolArray) -> IntArray:
    """The cheapest model of the best set, query by query.

    Args:
        problem: n queries on k models.
        members: which models may be in the set, shape (n, k).

    Returns:
        Column numbers, shape (n,); `NONE` where the empty set is best, which needs something held,
        or where there are no members.
    """
    action, value, able = _best_alone(problem, members & (problem.room > 0)[:, None])
    several = np.flatnonzero((able.sum(axis=1) > 1) & (problem.room > 1))
    hopeful = _hopeful(problem, several, able, value)
    for rows, columns in _by_count(hopeful, several[hopeful[several].sum(axis=1) > 1], _NODES):
        first = _best_of_several(problem.at(rows, columns), value[rows])
        better = np.flatnonzero(first != NONE)
        action[rows[better]] = columns[better, first[better]]
    return action


def _best_alone(problem: Problem, members: BoolArray) -> tuple[IntArray, FloatArray, BoolArray]:
    """The best single model or none, what that is worth, and which models gain anything.

    By Lemma 1 a model that gains nothing alone is in no best set.
    """
    mean, sd, price, held = problem.mean, problem.sd, problem.price, problem.held
    rows = np.arange(len(mean))
    nothing = np.isneginf(held)[:, None]
    base = np.where(nothing, 0.0, held[:, None])
    gain = np.where(nothing, mean, expected_excess(mean, sd, base)) - price
    able = members & (nothing | (gain > NO_GAIN))
    worth = np.where(able, gain, -np.inf)
    best = highest(worth)
    tied = able & (worth >= best[:, None] - NO_GAIN)
    first = np.where(tied, problem.cost, np.inf).argmin(axis=1)
    gains = able[rows, first]
    return np.where(gains, first, NONE), np.where(gains, base[:, 0] + best, held), able


def _hopeful(problem: Problem, rows: IntArray, able: BoolArray, value: FloatArray) -> BoolArray:
    """Which models a set may have that is worth more than `value`; looked into for some rows.

    For any level h a set is worth at most h + the sum of its models' gains over h. So with model i
    no set is worth more than h + all positive gains over h, less what that of i lacks to 0. At the
    highest reservation value there are no positive gains; lower levels may bound closer.
    """
    hopeful = able.copy()
    mean, sd, price = problem.mean[rows], problem.sd[rows], problem.price[rows]
    open_ = able[rows]
    top = highest(np.where(open_, reservation_values(mean, sd, price), -np.inf))
    bounded = np.isfinite(top)
    low, top = value[rows], np.where(bounded, top, value[rows])
    for share in np.linspace(1, 0, _LEVELS):
        level = low + share * (top - low)
        gain = np.where(open_, expected_excess(mean, sd, level[:, None]) - price, 0.0)
        most = level + np.maximum(gain, 0).sum(axis=1)
        enough = most[:, None] + np.minimum(gain, 0) >= low[:, None] - NO_GAIN
        open_ &= enough | ~bounded[:, None]
    hopeful[rows] = open_
    return hopeful


def _by_count(members: BoolArray, rows: IntArray, size: int) -> list[tuple[IntArray, IntArray]]:
    """Rows with equally many members, of which at most `_CHUNK` / (members x size) at once.

    Returns:
        Row numbers, (m,), and their members' columns, (m, members), in ascending order.
    """
    counts = members[rows].sum(axis=1)
    groups = []
    for count in np.unique(counts).tolist():
        alike = rows[counts == count]
        columns = np.nonzero(members[alike])[1].reshape(len(alike), count)
        step = max(1, _CHUNK // max(1, count * size))
        starts = range(0, len(alike), step)
        groups += [(alike[i : i + step], columns[i : i + step]) for i in starts]
    return groups


def _best_of_several(problem: Problem, value: FloatArray) -> IntArray:
    """The cheapest member of the best set; `NONE` where no set is worth more than `value`, (n,)."""
    shape = problem.mean.shape
    table = CandidateTable(
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
        settle(table, reached, _LISTED)
    everyone = np.arange(len(value))
    cheapest = np.where(table.inside.any(axis=1), table.cheapest(everyone), NONE)
    action = np.where(table.settled(everyone, 0), cheapest, _UNKNOWN)
    unsettled = np.flatnonzero(action == _UNKNOWN)
    few = table.open[unsettled].sum(axis=1) <= _LISTED
    size = table.weights.shape[1] * _HALVES
    for rows, columns in _by_count(table.open, unsettled[few], size):
        action[rows] = _best_listed(table, rows, columns, value[rows])
    for row in unsettled[~few].tolist():
        action[row] = cheapest_of_best(table.row(row), int(table.room[row]), float(reached[row]))
    return action


def _best_listed(
    table: CandidateTable, rows: IntArray, columns: IntArray, value: FloatArray
) -> IntArray:
    """By listing all sets of the open models, which stand in those columns."""
    cells, c = (rows[:, None], columns), columns.shape[1]
    inside, weights = table.inside[rows], table.weights[rows]
    base = weights * np.where(inside[:, :, None], table.cdf[rows], 1.0).prod(axis=1)
    cdf, half = table.cdf[cells], c // 2
    # Sets by the halves that they are made of: the first half varies along the last axis.
    first, second = _products(cdf[:, :half]) * base[:, None], _products(cdf[:, half:])
    overlap = np.matmul(second, first.transpose(0, 2, 1)).reshape(len(rows), -1)
    worth = (table.lower[rows] + weights.sum(axis=1))[:, None] - overlap
    worth -= subset_sums(table.price[cells])
    worth -= np.where(inside, table.price[rows], 0.0).sum(axis=1)[:, None]
    size = subset_sums(np.ones(columns.shape)) + inside.sum(axis=1)[:, None]
    empty = table.must_run[rows][:, None] & (size == 0)
    worth = np.where((size > table.room[rows][:, None]) | empty, -np.inf, worth)
    most = worth.max(axis=1)
    cost = subset_sums(table.cost[cells])
    best = np.where(worth >= most[:, None] - NO_GAIN, cost, np.inf).argmin(axis=1)
    members = inside.copy()
    members[np.arange(len(rows))[:, None], columns] |= (best[:, None] >> np.arange(c)) & 1 > 0
    cheapest = np.where(members, table.cost[rows], np.inf).argmin(axis=1)
    return np.where((most > value + NO_GAIN) & members.any(axis=1), cheapest, NONE)


def _products(cdf: FloatArray) -> FloatArray:
    """Products over every subset of the c models, (n, c, t) to (n, 2^c, t)."""
    n, c, t = cdf.shape
    out = np.empty((n, 1 << c, t))
    out[:, 0] = 1.0
    for i in range(c):
        np.multiply(out[:, : 1 << i], cdf[:, i : i + 1], out=out[:, 1 << i : 2 << i])
    return out
