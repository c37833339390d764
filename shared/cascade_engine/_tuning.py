"""The cost-quality frontier of a strategy, and the policy on it that a budget buys."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine._arrays import is_number
from cascade_engine._registry import persistent
from cascade_engine.errors import BudgetWarning, ConfigurationError, InfeasibleBudgetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cascade_engine._arrays import BoolArray, FloatArray, IntArray
    from cascade_engine._simulation import Ends, Simulation

__all__ = ["Frontier", "Policy", "coin", "costs_at", "frontier_of_runs", "trace_frontier"]

_ROUNDING = 1e-12
_SLACK = 1e-9
#: Standard errors by which a dearer policy must have done worse to be left out.
_ERRORS = 2.0
#: Lambdas at which choices change are one where they are no further apart, relatively.
_APART = 1e-6
#: Budgets at which the area under a frontier is taken.
_AREA = 513
#: The most that labels seen are held to move costs, as a share of their range. On recorded answers
#: it was .00 to .03 with 1,000 queries, and up to .09 with 100.
_SURER = 0.03
#: Lambdas and queries of the first pass over a grid, and lambdas of the second.
_COARSE, _SOME, _FINE = 25, 256, 48


@persistent("Policy")
@dataclass(frozen=True, slots=True)
class Policy:
    """A mixture of two lambdas of a strategy.

    Attributes:
        cheap: the lambda that costs less, the higher.
        dear: the lambda that costs more.
        gamma: probability of `cheap`, as in Theorem 1: B = gamma B- + (1 - gamma) B+.
        cost: expected cost per query on the fitting data.
        quality: expected quality on the fitting data.
    """

    cheap: float
    dear: float
    gamma: float
    cost: float
    quality: float

    def lam(self, toss: float) -> float:
        """Lambda for a query whose coin shows `toss` in [0, 1)."""
        return self.cheap if toss < self.gamma else self.dear


@persistent("Frontier")
@dataclass(frozen=True, slots=True)
class Frontier:
    """Mean cost and quality of a strategy on the fitting data, at every lambda that matters.

    It ends where spending more no longer helps: what costs more and gave less, by more than chance
    on data that the estimates had not seen, is not worth having at any budget.

    Attributes:
        lambdas: from the cheapest policy to the best, falling, shape (s,).
        cost: mean cost, increasing, shape (s,).
        quality: mean quality, shape (s,).
    """

    lambdas: FloatArray
    cost: FloatArray
    quality: FloatArray

    def spending(self, cost: FloatArray) -> Frontier:
        """The same policies at what they cost by the estimates that sessions go by.

        A frontier is traced by estimates of several fits, none of which has seen the query. Where
        many queries look alike (a verdict of yes or no, say) one fit decides all of them at one
        lambda, and several spread them over neighbouring ones: the costs between are in no
        policy's reach but by a mixture of what lies on both sides.

        Estimates that have seen the labels are surer of these queries than of others, which makes
        all policies but the first and the last look a little cheaper. What looks like it, a
        parabola through both ends, is taken out as far as it is small.

        Args:
            cost: mean cost at each lambda on the fitting data, shape (s,).
        """
        low, high = self.cost[0], self.cost[-1]
        if high <= low or np.allclose(cost, self.cost, rtol=_SLACK, atol=0.0):
            return self
        between = np.linspace(low, high, _AREA)
        missing = np.interp(between, self.cost, self.cost - cost)
        weight = _parabola(low, between, high)
        peak = min(max(float(missing @ weight / (weight @ weight)), 0.0), _SURER * (high - low))
        spent = cost + peak * np.maximum(_parabola(low, cost, high), 0.0)
        at = _worth_having(spent)
        return Frontier(self.lambdas[at], spent[at], self.quality[at])

    def area(self, low: float, high: float) -> float:
        """Mean quality over the budgets from `low` to `high`; at both ends the curve is flat."""
        budgets = np.linspace(low, high, _AREA)
        return float(np.interp(budgets, self.cost, self.quality).mean())

    def at(self, budget: float, *, clamp: bool = False) -> Policy:
        """The policy whose expected cost is the budget, or the best where that costs less.

        Args:
            budget: expected cost per query; infinity for the best policy.
            clamp: for a budget below the cheapest policy's cost, to take that policy and warn
                (`BudgetWarning`), not to raise.

        Raises:
            ConfigurationError: the budget is NaN or negative.
            InfeasibleBudgetError: even the cheapest policy costs more.
        """
        check_budget(budget)
        cheapest = float(self.cost[0])
        if budget < cheapest * (1 - _SLACK):
            words = (
                f"a budget of {budget:g} per query is below the cheapest policy, which costs "
                f"{cheapest:g}"
            )
            if not clamp:
                raise InfeasibleBudgetError(f"{words}: raise the budget or add a cheaper model")
            warnings.warn(f"{words}: that policy is used", BudgetWarning, stacklevel=2)
        above = int(np.searchsorted(self.cost, budget, side="right"))
        if above == len(self.cost) or above == 0:
            i = min(above, len(self.cost) - 1)
            lam = float(self.lambdas[i])
            return Policy(lam, lam, 0.0, float(self.cost[i]), float(self.quality[i]))
        low, high = above - 1, above
        gamma = float((self.cost[high] - budget) / (self.cost[high] - self.cost[low]))
        return Policy(
            cheap=float(self.lambdas[low]),
            dear=float(self.lambdas[high]),
            gamma=gamma,
            cost=gamma * float(self.cost[low]) + (1 - gamma) * float(self.cost[high]),
            quality=gamma * float(self.quality[low]) + (1 - gamma) * float(self.quality[high]),
        )


def check_budget(budget: float) -> None:
    """Refuses a budget that is no amount; infinity is one."""
    if not is_number(budget) or math.isnan(budget) or budget < 0:
        raise ConfigurationError(f"a budget must be a number >= 0, not {budget!r}")


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
        ends, rising = simulation.sweep(), lam[::-1]
        first, last = (len(lam) - np.searchsorted(rising, edge) for edge in (ends.high, ends.low))
        ends = ends._replace(low=first, high=last)
    else:
        ends = simulation.sweep(lam)
    return _points(ends, lam, simulation.queries).cost


def frontier_of_runs(
    lambdas: FloatArray, cost: FloatArray, quality: FloatArray, believed: FloatArray
) -> Frontier:
    """The frontier of policies already played on n queries.

    Args:
        lambdas: rising, shape (g,).
        cost: what each query cost at each lambda, shape (n, g).
        quality: how good the answer returned was, shape (n, g).
        believed: what was believed of it, shape (n, g).
    """
    lam, quality = lambdas[::-1], quality[:, ::-1]

    def change(of: int) -> FloatArray:
        return np.asarray(((quality - quality[:, of : of + 1]) ** 2).mean(axis=0))

    spent, hoped = cost[:, ::-1].mean(axis=0), believed[:, ::-1].mean(axis=0)
    return _frontier(_Points(lam, spent, quality.mean(axis=0), hoped, len(quality), change))


def _progress(values: FloatArray) -> FloatArray:
    """How far values have risen so far, as a share of their whole rise."""
    so_far = np.maximum.accumulate(values) - values[0]
    return np.asarray(so_far / so_far[-1]) if so_far[-1] > 0 else so_far


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

        def change(of: int) -> FloatArray:
            return self.change(int(numbers[of]))[numbers]

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
    hope = points.believed > points.believed[best] + _ROUNDING
    other = (np.arange(len(lam)) <= best) | (change > 0) | hope
    end = int(np.flatnonzero((loss <= _ERRORS * error + _ROUNDING) & other)[-1]) + 1
    lam, cost, quality = lam[start:end], cost[start:end], quality[start:end]
    kept = _rising(cost)
    return Frontier(lam[kept], cost[kept], quality[kept])


def _worth_having(cost: FloatArray) -> IntArray:
    """Numbers of policies, the last of which is the best.

    What costs more than the best is left out, and what costs less than one of a higher lambda. Of
    those that cost the same it is one far from where that changes: other queries differ a little.
    """
    within = np.flatnonzero(cost <= cost[-1] * (1 + _ROUNDING))
    most = np.maximum.accumulate(cost[within])
    kept = within[cost[within] >= most * (1 - _ROUNDING)]
    first = np.flatnonzero(_rising(cost[kept]))
    last = np.append(first[1:], len(kept)) - 1
    middle = (first + last) // 2
    middle[0], middle[-1] = first[0], last[-1]
    return np.asarray(kept[middle])


def _parabola(low: float, x: FloatArray, high: float) -> FloatArray:
    """0 at both ends, 1 in the middle."""
    share = (x - low) / (high - low)
    return np.asarray(4 * share * (1 - share))


def _rising(cost: FloatArray) -> BoolArray:
    """Where a lower lambda costs no more than a higher one, nothing is bought: it is left out."""
    before = np.concatenate([[-np.inf], np.maximum.accumulate(cost)[:-1]])
    return np.asarray(cost > before + _ROUNDING * np.abs(cost))


def _on_a_grid(simulation: Simulation) -> _Points:
    """Lambdas between which cost and quality change evenly, as a first pass has it.

    The first pass takes few lambdas over many decades, and some of the queries.
    """
    means = simulation.mean_costs
    cheapest = float(means[means > 0].min()) if (means > 0).any() else 1.0
    high, low = 100 / cheapest, 1e-5 / (means.max() or 1.0)
    lam = np.append(simulation.quality_range * np.geomspace(high, low, _COARSE), 0.0)
    n = simulation.queries
    some = np.unique(np.linspace(0, n - 1, min(n, _SOME)).astype(np.intp))
    coarse = _points(simulation.sweep(lam, some), lam, len(some))
    progress = _progress(coarse.cost[:-1]) + _progress(coarse.quality[:-1])
    wanted = np.linspace(0, progress[-1], _FINE)
    exponent = np.interp(wanted, progress, np.log(lam[:-1]))
    lam = np.unique(np.concatenate([lam[[0, -1]], np.exp(exponent)]))[::-1]
    return _points(simulation.sweep(lam), lam, n)


def _exact(simulation: Simulation) -> _Points:
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
        change = np.bincount(ends.low, amount, len(lam) + 1)
        change -= np.bincount(ends.high, amount, len(lam) + 1)
        return np.cumsum(change)[:-1] / n

    def change(of: int) -> FloatArray:
        there = (ends.low <= of) & (ends.high > of)
        then = np.zeros(int(ends.row.max()) + 1)
        then[ends.row[there]] = ends.quality[there]
        return mean(np.square(ends.quality - then[ends.row]))

    return _Points(lam, mean(ends.cost), mean(ends.quality), mean(ends.believed), n, change)


def _between(low: FloatArray, high: FloatArray) -> FloatArray:
    """A lambda inside each interval; the ends may be 0 and infinity."""
    from_zero, to_infinity = low <= 0, np.isinf(high)
    inside = np.sqrt(np.where(from_zero, 1.0, low)) * np.sqrt(np.where(to_infinity, 1.0, high))
    inside = np.where(to_infinity, 2 * np.where(from_zero, 1.0, low), inside)
    return np.where(from_zero, np.where(to_infinity, 0.0, high / 2), inside)


def coin(text: str, seed: int) -> float:
    """A number in [0, 1) that depends on the text alone: the same in every process."""
    digest = blake2b(
        text.encode("utf-8", "surrogatepass"), digest_size=8, salt=_salt(seed)
    ).digest()
    return int.from_bytes(digest, "big") / 2**64


def _salt(seed: int) -> bytes:
    return (seed % 2**64).to_bytes(8, "big")
