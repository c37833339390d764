"""Cost-quality curves on held-out queries: their area, their quality at a cost, their parity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine.core.arrays import FloatArray, IntArray
    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.evaluation.bootstrap import Bootstrap, Interval
    from cascade_engine.routing.router import CascadeRouter
    from cascade_engine.tuning.simulation import Outcome

__all__ = [
    "MIXING",
    "Curve",
    "PolicyResults",
    "ResampledCurves",
    "budget_grid",
    "mixing_corners",
    "play",
    "side_by_side",
]

#: Name of the curve of random mixing among single models; no router or strategy can have it.
MIXING = ""

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class PolicyResults:
    """What p policies, by rising budget, did on n queries.

    Attributes:
        cost: of each query, shape (n, p).
        quality: of the answer returned, shape (n, p).
    """

    cost: FloatArray
    quality: FloatArray


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve in r samples: straight lines between points of rising cost.

    Straight lines are fair, because mixing the two policies at random gives any point between them.
    No upper hull is taken, for that would pick by hindsight the points that were lucky on these
    queries. Past its dearest point a curve keeps its last quality: nobody has to spend the rest.

    Attributes:
        cost: of the s points, shape (r, s).
        quality: of the s points, shape (r, s).
    """

    cost: FloatArray
    quality: FloatArray

    @classmethod
    def through(
        cls, cost: FloatArray, quality: FloatArray, start: tuple[FloatArray, FloatArray]
    ) -> Curve:
        """The curve through points in any order; where all cost more than `start`, from there on.

        Args:
            cost: mean costs, shape (r, p); of points that cost the same the last counts.
            quality: mean qualities, shape (r, p).
            start: cost and quality of the cheapest model alone, each of shape (r,): whoever can use
                the router can use that model too.
        """
        order = np.argsort(cost, axis=1, kind="stable")
        x, y = np.take_along_axis(cost, order, axis=1), np.take_along_axis(quality, order, axis=1)
        dearer = start[0] < x[:, 0]
        first = np.where(dearer, start[0], x[:, 0]), np.where(dearer, start[1], y[:, 0])
        return cls(np.column_stack([first[0], x]), np.column_stack([first[1], y]))

    def at(self, cost: FloatArray) -> FloatArray:
        """Quality at a cost in each sample, shape (r,); flat beyond both ends."""
        last = self.cost.shape[1] - 1
        above = (self.cost <= cost[:, None]).sum(axis=1)
        rows, low, high = np.arange(len(cost)), np.maximum(above - 1, 0), np.minimum(above, last)
        x, y = self.cost[rows, low], self.quality[rows, low]
        width, rise = self.cost[rows, high] - x, self.quality[rows, high] - y
        share = np.where(width > 0, (cost - x) / np.where(width > 0, width, 1.0), 0.0)
        return np.asarray(y + np.clip(share, 0.0, 1.0) * rise)

    def area(self, low: FloatArray, high: FloatArray) -> FloatArray:
        """Mean quality over the costs from `low` to `high`, shape (r,); if equal, quality there."""
        first, last = np.minimum(low, self.cost[:, 0]), np.maximum(high, self.cost[:, -1])
        x = np.column_stack([first, self.cost, last])
        y = np.column_stack([self.quality[:, :1], self.quality, self.quality[:, -1:]])
        left, right = np.clip((x[:, :-1], x[:, 1:]), low[:, None], high[:, None])
        width = np.diff(x, axis=1)
        slope = np.diff(y, axis=1) / np.where(width > 0, width, 1.0)
        middle = y[:, :-1] + slope * ((left + right) / 2 - x[:, :-1])
        range_ = high - low
        whole = ((right - left) * middle).sum(axis=1) / np.where(range_ > 0, range_, 1.0)
        return np.where(range_ > 0, whole, self.at(low))

    def reaches(self, quality: FloatArray) -> FloatArray:
        """The lowest cost of a quality, shape (r,); infinity where the curve never reaches it."""
        there = self.quality >= quality[:, None] - _ROUNDING
        rows, first = np.arange(len(quality)), there.argmax(axis=1)
        before = np.maximum(first - 1, 0)
        x, y = self.cost[rows, before], self.quality[rows, before]
        rise = self.quality[rows, first] - y
        share = np.where(rise > 0, (quality - y) / np.where(rise > 0, rise, 1.0), 1.0)
        cost = x + np.clip(share, 0.0, 1.0) * (self.cost[rows, first] - x)
        return np.where(there.any(axis=1), cost, np.inf)


class ResampledCurves:
    """Curves on held-out queries, and on resamples of them.

    Every measure has shape (1 + replications,), the queries themselves first; `interval` turns it
    into an interval.

    Args:
        results: the policies of each curve, by the curve's name.
        data: the queries, with the answers of k models.
        bootstrap: the resamples.

    Attributes:
        cost: mean cost of each model, shape (1 + replications, k).
        quality: mean quality of each model, shape (1 + replications, k).
        low: mean cost of the cheapest model, shape (1 + replications,).
        high: mean cost of the dearest model, shape (1 + replications,).
        best: column of the best model on the queries themselves, of equals the cheapest.
    """

    def __init__(
        self, results: Mapping[str, PolicyResults], data: CascadeDataset, bootstrap: Bootstrap
    ) -> None:
        self._results = results
        self._bootstrap = bootstrap
        self._curves: dict[str, Curve] = {}
        self.cost, self.quality = bootstrap.means(data.cost), bootstrap.means(data.quality)
        self.low, self.high = self.cost.min(axis=1), self.cost.max(axis=1)
        cheapest = np.lexsort((-self.quality[0], self.cost[0]))[0]
        self._start = self.cost[:, cheapest], self.quality[:, cheapest]
        self.best = int(np.lexsort((self.cost[0], -self.quality[0]))[0])

    def interval(self, values: FloatArray) -> Interval:
        """Value and bounds of a measure; see `Bootstrap.interval`."""
        return self._bootstrap.interval(values)

    def means(self, table: FloatArray) -> FloatArray:
        """Means over the queries; see `Bootstrap.means`."""
        return self._bootstrap.means(table)

    def curve(self, name: str) -> Curve | None:
        """A curve; None where it has no policies."""
        results = self._results[name]
        if not results.cost.shape[1]:
            return None
        if name not in self._curves:
            cost, quality = self.means(results.cost), self.means(results.quality)
            self._curves[name] = Curve.through(cost, quality, self._start)
        return self._curves[name]

    def area(self, name: str) -> FloatArray:
        """Mean quality over costs from the cheapest to the dearest model's; NaN without a curve."""
        curve = self.curve(name)
        return self._nothing() if curve is None else curve.area(self.low, self.high)

    def at(self, name: str, cost: FloatArray) -> FloatArray:
        """Quality at a cost; NaN where even the curve's beginning costs more."""
        curve = self.curve(name)
        if curve is None or cost[0] < curve.cost[0, 0] * (1 - _ROUNDING):
            return self._nothing()
        return curve.at(cost)

    def parity(self, name: str) -> FloatArray:
        """The lowest cost of the best model's quality, as a share of what that model costs."""
        curve = self.curve(name)
        if curve is None:
            return self._nothing()
        cost, own = curve.reaches(self.quality[:, self.best]), self.cost[:, self.best]
        # Where the best model is free, what matches it for free costs the same.
        return np.where(
            own > 0, cost / np.where(own > 0, own, 1.0), np.where(cost > 0, np.inf, 1.0)
        )

    def _nothing(self) -> FloatArray:
        return np.full(len(self.low), np.nan)


def mixing_corners(cost: FloatArray, quality: FloatArray) -> IntArray:
    """The columns of the models on the upper hull of mean cost and quality, cheapest first.

    To mix neighbours on it at random is the best policy that does not look at the queries.

    Args:
        cost: mean cost of each model, shape (k,).
        quality: mean quality of each model, shape (k,).
    """
    hull: list[int] = []
    for i in np.lexsort((-quality, cost)).tolist():
        if hull and quality[i] <= quality[hull[-1]]:
            continue
        while len(hull) > 1 and _below(cost, quality, hull[-2:], i):
            hull.pop()
        hull.append(i)
    return np.array(hull, dtype=np.intp)


def _below(cost: FloatArray, quality: FloatArray, pair: Sequence[int], new: int) -> bool:
    """Whether the second of a pair lies on or below the line from the first to the new one."""
    a, b = pair
    here = (quality[b] - quality[a]) * (cost[new] - cost[a])
    return bool(here <= (quality[new] - quality[a]) * (cost[b] - cost[a]))


def budget_grid(mean_costs: FloatArray, count: int) -> list[float]:
    """Budgets from the cheapest to the dearest model's mean cost, evenly spaced in logarithms.

    The last one is infinite. Without it a curve could end just short of the best policy, because
    on other queries a budget is met only approximately.
    """
    dearest = float(mean_costs.max())
    if dearest <= 0:
        return [0.0]
    floor = max(float(mean_costs.min()), dearest * 1e-6)
    return [*map(float, np.unique(np.geomspace(floor, dearest, count))), math.inf]


def play(router: CascadeRouter, data: CascadeDataset, budgets: Sequence[float]) -> PolicyResults:
    """A fitted router at several budgets; at those below its cheapest policy, that policy."""
    replay, least = router.replayer(data), float(router.frontier_.cost[0])
    return side_by_side([replay(max(budget, least)) for budget in budgets], len(data))


def side_by_side(outcomes: Sequence[Outcome], queries: int) -> PolicyResults:
    """Outcomes on the same queries, side by side; there may be none."""
    if not outcomes:
        return PolicyResults(np.empty((queries, 0)), np.empty((queries, 0)))
    return PolicyResults(
        np.column_stack([outcome.cost for outcome in outcomes]),
        np.column_stack([outcome.quality for outcome in outcomes]),
    )
