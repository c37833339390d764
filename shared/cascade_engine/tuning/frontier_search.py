"""The cost-quality frontier of a strategy on complete data.

By Theorem 1 of Dekoninck et al. (ICML 2025) the best policy at a budget is a mixture of two that
decide at neighbouring lambdas. So all budgets are known once it is known what the strategy costs
and gives at every lambda. Both are step functions of lambda: where options can be listed, each
query is followed for all lambdas at once (`Simulation.sweep`) and the steps are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.strategies.frontier import ROUNDING, Frontier, rising

if TYPE_CHECKING:
    from collections.abc import Callable

    from cascade_engine.core.arrays import FloatArray, IntArray
    from cascade_engine.strategies.base import Rehearsal
    from cascade_engine.tuning.simulation import Ends, Simulation

__all__ = ["costs_at", "rehearsed_frontier", "trace_frontier"]

#: Standard errors by which a dearer policy must have done worse to be left out.
_ERRORS = 2.0
#: Lambdas at which choices change are one where they are no further apart, relatively.
_APART = 1e-6
#: Lambdas and queries of the first pass over a grid, and lambdas of the second.
_COARSE, _SAMPLE, _FINE = 25, 256, 48


def trace_frontier(simulation: Simulation) -> Frontier:
    """The whole frontier of a strategy.

    Where its options can be listed each query is followed once for all lambdas: cost and quality
    come out as step functions of lambda, exact everywhere. Otherwise it is played at a grid of
    lambdas: exact there, with the policies between mixed from their neighbours.
    """
    return _frontier(_exact(simulation) if simulation.is_exact else _on_a_grid(simulation))


def costs_at(simulation: Simulation, lam: FloatArray) -> FloatArray:
    """Mean cost of a strategy at each of the lambdas, which fall; shape (s,)."""
    if simulation.is_exact:
        ends = simulation.sweep()
        first, last = (
            len(lam) - np.searchsorted(lam[::-1], edge) for edge in (ends.high, ends.low)
        )
        ends = ends._replace(low=first, high=last)
    else:
        ends = simulation.sweep(lam)
    return _points(ends, lam, simulation.queries).cost


def rehearsed_frontier(rehearsal: Rehearsal) -> Frontier:
    """The frontier of policies that a strategy has already played on the queries of a fit."""
    lambdas, cost, quality, believed = (array[..., ::-1] for array in rehearsal)

    def change(number: int) -> FloatArray:
        return np.asarray(((quality - quality[:, number : number + 1]) ** 2).mean(axis=0))

    cost, believed = cost.mean(axis=0), believed.mean(axis=0)
    return _frontier(_Points(lambdas, cost, quality.mean(axis=0), believed, len(quality), change))


def _progress(values: FloatArray) -> FloatArray:
    """How far values have risen so far, as a share of their whole rise."""
    rise = np.maximum.accumulate(values) - values[0]
    return np.asarray(rise / rise[-1]) if rise[-1] > 0 else rise


@dataclass(frozen=True, slots=True)
class _Points:
    """Policies in the order of falling lambda; arrays are (s,).

    Attributes:
        lam: lambda.
        cost: mean cost.
        quality: mean quality of the answers returned.
        believed: mean of what was believed of them.
        queries: their number.
        change: for a point's number, the mean over the queries of the squared difference in quality
            between every policy and that one.
    """

    lam: FloatArray
    cost: FloatArray
    quality: FloatArray
    believed: FloatArray
    queries: int
    change: Callable[[int], FloatArray]

    def at(self, numbers: IntArray) -> _Points:
        """Some of the points."""

        def change(number: int) -> FloatArray:
            return self.change(int(numbers[number]))[numbers]

        return _Points(
            self.lam[numbers],
            self.cost[numbers],
            self.quality[numbers],
            self.believed[numbers],
            self.queries,
            change,
        )


def _frontier(points: _Points) -> Frontier:
    """The part of the points worth having.

    It ends where spending more gave less, by more than two standard errors of the difference.
    """
    lam, cost, quality = points.lam, points.cost, points.quality
    start = int(cost.argmin())
    best = start + int(quality[start:].argmax())
    loss, change = quality[best] - quality, points.change(best)
    error = np.sqrt(np.maximum(change - loss**2, 0.0) / points.queries)
    # A dearer policy with the very same answers must at least promise more on other queries.
    promises_more = points.believed > points.believed[best] + ROUNDING
    differs = (np.arange(len(lam)) <= best) | (change > 0) | promises_more
    end = int(np.flatnonzero((loss <= _ERRORS * error + ROUNDING) & differs)[-1]) + 1
    lam, cost, quality = lam[start:end], cost[start:end], quality[start:end]
    dearer = rising(cost)
    return Frontier(lam[dearer], cost[dearer], quality[dearer])


def _on_a_grid(simulation: Simulation) -> _Points:
    """The policies at lambdas between which cost and quality change evenly.

    Where they lie is read off a first pass over few lambdas, many decades apart, and some queries.
    """
    means = simulation.mean_costs
    cheapest = float(means[means > 0].min()) if (means > 0).any() else 1.0
    high, low = 100 / cheapest, 1e-5 / (means.max() or 1.0)
    lam = np.append(simulation.quality_range * np.geomspace(high, low, _COARSE), 0.0)
    n = simulation.queries
    sample = np.unique(np.linspace(0, n - 1, min(n, _SAMPLE)).astype(np.intp))
    coarse = _points(simulation.sweep(lam, sample), lam, len(sample))
    progress = _progress(coarse.cost[:-1]) + _progress(coarse.quality[:-1])
    even = np.linspace(0, progress[-1], _FINE)
    exponent = np.interp(even, progress, np.log(lam[:-1]))
    lam = np.unique(np.concatenate([lam[[0, -1]], np.exp(exponent)]))[::-1]
    return _points(simulation.sweep(lam), lam, n)


def _exact(simulation: Simulation) -> _Points:
    """The policies at all lambdas, one between each two at which some query's end changes."""
    ends = simulation.sweep()
    edges = np.unique(np.concatenate([ends.low, ends.high]))
    # Numbered from the highest lambda down.
    first = len(edges) - 1 - np.searchsorted(edges, ends.high)
    last = len(edges) - 1 - np.searchsorted(edges, ends.low)
    points = _points(
        ends._replace(low=first, high=last),
        _between(edges[:-1], edges[1:])[::-1],
        simulation.queries,
    )
    # Between edges that differ by rounding alone a decision would be one of rounding too.
    low, high = edges[:-1][::-1], edges[1:][::-1]
    return points.at(np.flatnonzero((high == np.inf) | (high - low > _APART * high)))


def _points(ends: Ends, lam: FloatArray, n: int) -> _Points:
    """Means over n queries from how they end; `low` and `high` are numbers of `lam`."""

    def mean(amount: FloatArray) -> FloatArray:
        # Each end adds its amount where its interval begins, and takes it off where it ends.
        change = np.bincount(ends.low, amount, len(lam) + 1)
        change -= np.bincount(ends.high, amount, len(lam) + 1)
        return np.cumsum(change)[:-1] / n

    def change(number: int) -> FloatArray:
        holds = (ends.low <= number) & (ends.high > number)
        quality = np.zeros(int(ends.row.max()) + 1)
        quality[ends.row[holds]] = ends.quality[holds]
        return mean(np.square(ends.quality - quality[ends.row]))

    return _Points(lam, mean(ends.cost), mean(ends.quality), mean(ends.believed), n, change)


def _between(low: FloatArray, high: FloatArray) -> FloatArray:
    """A lambda inside each interval; the ends may be 0 and infinity."""
    from_zero, to_infinity = low <= 0, np.isinf(high)
    inside = np.sqrt(np.where(from_zero, 1.0, low)) * np.sqrt(np.where(to_infinity, 1.0, high))
    inside = np.where(to_infinity, 2 * np.where(from_zero, 1.0, low), inside)
    return np.where(from_zero, np.where(to_infinity, 0.0, high / 2), inside)
