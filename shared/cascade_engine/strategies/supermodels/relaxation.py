"""The concave relaxation of the best set: which models are surely in it, and which surely not.

On the nodes of a quadrature E[max(held, S)] = lower + the sum of weights (1 - product over S of the
CDFs F_i). With a_i = -log F_i the worth of a set x in {0, 1}^c is

    f(x) = lower + the sum of weights (1 - exp(-sum of x_i a_i)) - price x,

which is concave on [0, 1]^c. Any tangent is above it: f(y) <= f(x) + f'(x) (y - x) for every y. Its
maximum over the corners bounds all sets, and where it falls below a worth known to be reached once
y_i is forced, y_i is settled (reduced costs, as in integer programming). At the relaxed optimum the
bound is within a few thousandths of the best set, and one model in twenty or so stays open.

`settle` does this for a table of queries at once, `settle_one` for one query on vectors. They are
two because neither can stand in for the other: batches take two to three times as long one by one,
and a table of one row takes longer than the vectors of a live query.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray

#: No model: nothing beats what is held.
NONE = -1
#: A gain this small, in units of quality, is a tie: the cheaper set wins.
NO_GAIN = 1e-12
#: Sweeps of coordinate ascent, at most, and those before the first look at the bounds.
_SWEEPS, _FIRST = 12, 2
_SMALLEST = 1e-300


@dataclass(frozen=True, slots=True)
class CandidateTable:
    """n queries' c candidates on t nodes: E[max of S] = lower + sum of weights (1 - product of S).

    Attributes:
        lower: lower end of the integral, the value held if there is one, shape (n,).
        weights: shape (n, t).
        cdf: each model's CDF at the nodes, shape (n, c, t).
        price: lambda x cost, shape (n, c).
        cost: shape (n, c); breaks ties.
        room: the most models in a set, shape (n,).
        must_run: whether nothing is held, so that the empty set is none, shape (n,).
        inside: models known to be in the best set, shape (n, c); changed in place.
        open: models of which that is not known, shape (n, c); changed in place.
    """

    lower: FloatArray
    weights: FloatArray
    cdf: FloatArray
    price: FloatArray
    cost: FloatArray
    room: IntArray
    must_run: BoolArray
    inside: BoolArray
    open: BoolArray

    def cheapest(self, rows: IntArray) -> IntArray:
        """The cheapest model that is inside or open, for some of the queries."""
        able = self.inside[rows] | self.open[rows]
        return np.asarray(np.where(able, self.cost[rows], np.inf).argmin(axis=1))

    def settled(self, rows: IntArray, few: int) -> BoolArray:
        """Whether the cheapest model of the best set is known, or at most `few` are open."""
        is_inside = self.inside[rows, self.cheapest(rows)]
        return np.asarray(is_inside | (self.open[rows].sum(axis=1) <= few))

    def row(self, row: int) -> Candidates:
        """The candidates of one query, as if none were settled."""
        return Candidates(
            float(self.lower[row]),
            self.weights[row],
            self.cdf[row],
            self.price[row],
            self.cost[row],
            must_run=bool(self.must_run[row]),
        )


class Candidates(NamedTuple):
    """One query's c candidates, as a row of `CandidateTable`.

    Attributes:
        lower: lower end of the integral.
        weights: shape (t,).
        cdf: shape (c, t).
        price: shape (c,).
        cost: shape (c,).
        must_run: whether the empty set is none.
    """

    lower: float
    weights: FloatArray
    cdf: FloatArray
    price: FloatArray
    cost: FloatArray
    must_run: bool

    def worth(self, members: Sequence[int]) -> float:
        """What a set is worth."""
        product = self.cdf[members].prod(axis=0)
        spent = float(self.price[members].sum())
        return self.lower + float((self.weights * (1 - product)).sum()) - spent

    def cheapest(self, members: Iterable[int]) -> int:
        """The cheapest of some models, the first of ties; `NONE` of none."""
        cost = self.cost
        return min(members, key=lambda i: (cost[i], i), default=NONE)


def settle(table: CandidateTable, value: FloatArray, few: int) -> None:
    """Moves models from open to inside, or out, until all is `settled` or no more can be moved.

    Args:
        table: queries with more than a few open models, and room for all of them.
        value: a worth that some set is known to reach, shape (n,).
        few: so many open models need not be settled.
    """
    rows = np.arange(len(value))
    value = value.copy()
    slope = -np.log(np.maximum(table.cdf, _SMALLEST))
    x = np.full(table.cost.shape, 0.5)
    for sweep in range(_SWEEPS):
        _ascend(table, slope, x, rows)
        if sweep + 1 < _FIRST:
            continue
        _fix(table, slope, x, rows, value)
        rows = rows[~table.settled(rows, few)]
        if not len(rows):
            break


def _ascend(table: CandidateTable, slope: FloatArray, x: FloatArray, rows: IntArray) -> None:
    """One sweep of Newton steps, a coordinate at a time; never leaves the unit cube."""
    weights, price, a, at = table.weights[rows], table.price[rows], slope[rows], x[rows]
    open_ = table.open[rows]
    left = weights * np.exp(-np.einsum("nct,nc->nt", a, at))
    for i in np.flatnonzero(open_.any(axis=0)):
        pull = left * a[:, i]
        gradient = pull.sum(axis=1) - price[:, i]
        curvature = (pull * a[:, i]).sum(axis=1)
        step = gradient / np.maximum(curvature, _SMALLEST)
        new = np.where(open_[:, i], np.clip(at[:, i] + step, 0.0, 1.0), at[:, i])
        left *= np.exp((at[:, i] - new)[:, None] * a[:, i])
        at[:, i] = new
    x[rows] = at


def _fix(
    table: CandidateTable, slope: FloatArray, x: FloatArray, rows: IntArray, value: FloatArray
) -> None:
    """Settles by reduced costs at x; raises `value` to the rounded x's worth."""
    weights, price, at, open_ = table.weights[rows], table.price[rows], x[rows], table.open[rows]
    left = np.exp(-np.einsum("nct,nc->nt", slope[rows], at))
    relaxed = table.lower[rows] + (weights * (1 - left)).sum(axis=1) - (price * at).sum(axis=1)
    gradient = np.einsum("nct,nt->nc", slope[rows], weights * left) - price
    rounded = at > 0.5  # noqa: PLR2004
    product = np.where(rounded[:, :, None], table.cdf[rows], 1.0).prod(axis=1)
    worth = table.lower[rows] + (weights * (1 - product)).sum(axis=1)
    worth -= np.where(rounded, price, 0.0).sum(axis=1)
    able = rounded.any(axis=1) | ~table.must_run[rows]
    reached = np.maximum(value[rows], np.where(able, worth, -np.inf))
    value[rows] = reached
    # The tangent's best corner, and what is lost by forcing one coordinate to its other end.
    up, down = gradient * (1 - at), -gradient * at
    larger = np.maximum(up, down)
    others = (relaxed + np.where(open_, larger, 0.0).sum(axis=1))[:, None] - larger
    slack = reached[:, None] - NO_GAIN
    out = open_ & (others + up < slack)
    into = open_ & (others + down < slack) & ~out
    table.inside[rows] |= into
    table.open[rows] &= ~(into | out)
    x[rows] = np.where(into, 1.0, np.where(out, 0.0, at))


@dataclass(slots=True)
class Relaxation:
    """Sets of one query that contain `inside` and, beyond it, only models that are `open`.

    Attributes:
        inside: models in the best set.
        open: models of which that is not known.
        half: the open model whose relaxed value is closest to one half, or None.
        bound: no set is worth more.
        value: a worth that some set reaches.
        reached: that set, if `settle_one` came upon it.
    """

    inside: list[int]
    open: list[int]
    value: float
    half: int | None = None
    bound: float = math.inf
    reached: list[int] | None = None


def settle_one(candidates: Candidates, start: Relaxation, *, few: int, early: bool) -> Relaxation:
    """`settle` for one query, on vectors.

    Args:
        candidates: of the query.
        start: those inside and open from the start, and a value known to be reached.
        few: so many open models need not be settled.
        early: whether it may end as soon as the cheapest model of the best set is known.
    """
    slope = -np.log(np.maximum(candidates.cdf, _SMALLEST))
    bend = slope * slope
    now = Relaxation(start.inside, start.open, start.value)
    x = np.zeros(len(candidates.price))
    x[now.inside], x[now.open] = 1.0, 0.5
    for sweep in range(_SWEEPS):
        left = _ascend_one(candidates, slope, bend, x, now.open)
        if sweep + 1 < _FIRST:
            continue
        _fix_one(candidates, slope, left, x, now)
        if len(now.open) <= few or now.bound <= now.value:
            break
        if early and candidates.cheapest((*now.inside, *now.open)) in now.inside:
            break
    now.half = min(now.open, key=lambda i: abs(x[i] - 0.5), default=None)
    return now


def _ascend_one(
    candidates: Candidates, slope: FloatArray, bend: FloatArray, x: FloatArray, open_: list[int]
) -> FloatArray:
    """One sweep; what is left at the nodes then, times their weights."""
    left = candidates.weights * np.exp(-(slope * x[:, None]).sum(axis=0))
    level, price = x.tolist(), candidates.price.tolist()
    for i in open_:
        gradient, curvature = float(left @ slope[i]) - price[i], float(left @ bend[i])
        new = min(1.0, max(0.0, level[i] + gradient / max(curvature, _SMALLEST)))
        if new != level[i]:
            left *= np.exp((level[i] - new) * slope[i])
            x[i] = new
    return np.asarray(left)


def _fix_one(
    candidates: Candidates, slope: FloatArray, left: FloatArray, x: FloatArray, now: Relaxation
) -> None:
    """Settles by reduced costs at x, and tightens the bound and the worth reached."""
    rounded = np.flatnonzero(x > 0.5).tolist()  # noqa: PLR2004
    if rounded or not candidates.must_run:
        worth = candidates.worth(rounded)
        if worth > now.value:
            now.value, now.reached = worth, rounded
    gradient = slope @ left - candidates.price
    relaxed = candidates.lower + float((candidates.weights - left).sum())
    relaxed -= float(candidates.price @ x)
    up, down = gradient * (1 - x), -gradient * x
    larger = np.maximum(up, down)
    most = relaxed + float(larger[now.open].sum())
    now.bound = min(now.bound, most)
    # Each forced alone, by this very tangent: another's bound says nothing about its corners.
    slack = now.value - NO_GAIN - most + larger
    out, into = (up < slack).tolist(), (down < slack).tolist()
    entered = [i for i in now.open if into[i] and not out[i]]
    now.inside = [*now.inside, *entered]
    x[entered] = 1.0
    x[[i for i in now.open if out[i]]] = 0.0
    now.open = [i for i in now.open if not (into[i] or out[i])]
