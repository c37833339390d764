"""The result of an evaluation: points, curves, comparisons, and the tables that show them."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.errors import ConfigurationError
from cascade_engine.evaluation.curves import MIXING
from cascade_engine.evaluation.tables import in_columns, plain_fields
from cascade_engine.strategies.frontier import check_budget

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.evaluation.bootstrap import Interval
    from cascade_engine.evaluation.calibration import Reliability
    from cascade_engine.evaluation.curves import ResampledCurves

__all__ = ["Comparison", "Evaluation", "Point"]

#: Model names longer than this are shortened in the head of a table.
_LONGEST = 14
_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Point:
    """One policy on held-out data.

    Attributes:
        name: of the policy: a model's, or a strategy's.
        budget: expected cost per query that was bought; None for a single model, or without one.
        cost: actual mean cost of a query.
        quality: mean quality of the answers returned.
        quality_error: standard error of that mean.
        shares: share of the queries answered by each model, shape (k,).
        cost_error: standard error of the mean cost.
    """

    name: str
    budget: float | None
    cost: float
    quality: float
    quality_error: float
    shares: FloatArray
    cost_error: float = 0.0

    @property
    def overspent(self) -> float | None:
        """What was spent beyond the budget, as a share of it; below 0 where less was spent."""
        if self.budget is None or not 0 < self.budget < np.inf:
            return None
        return self.cost / self.budget - 1.0

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON-able values."""
        finite = self.budget is not None and np.isfinite(self.budget)
        return {
            "name": self.name,
            "budget": self.budget if finite else None,
            "cost": self.cost,
            "cost_error": self.cost_error,
            "quality": self.quality,
            "quality_error": self.quality_error,
            "shares": self.shares.tolist(),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far one router is above another, on the same queries and in the same resamples.

    Attributes:
        first: name of the one router.
        second: name of the other, which is subtracted.
        auc: difference of the areas under their curves.
        quality: difference of quality at `cost`.
        cost: the actual cost per query at which quality is compared.
    """

    first: str
    second: str
    auc: Interval
    quality: Interval
    cost: float

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON-able values."""
        return plain_fields(self)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of `evaluate`.

    A router's *curve* joins its actual mean costs and qualities over the grid of budgets by
    straight lines. Where all its points cost more than the cheapest model alone, it begins at that
    model; past its dearest point it stays at that quality. Intervals are bootstraps over queries.

    Attributes:
        models: names of the k models.
        queries: number of held-out queries.
        singles: each model alone.
        at_budget: each router at its own budget.
        curves: each router's points over a grid of budgets, cheapest first.
        calibration: for each router, how its estimates came true: before and after an answer, for
            each model and for all together; and for the answers that it returned.
        by_group: for each router at its own budget and each label of queries, the share answered
            by each model, shape (k,); empty where queries have no labels.
        level: of the intervals.
    """

    models: tuple[str, ...]
    queries: int
    singles: tuple[Point, ...]
    at_budget: tuple[Point, ...]
    curves: Mapping[str, tuple[Point, ...]]
    calibration: Mapping[str, tuple[Reliability, ...]]
    by_group: Mapping[str, Mapping[str, FloatArray]]
    level: float
    _curves: ResampledCurves = field(repr=False, compare=False)

    @property
    def best(self) -> str:
        """The best single model here; of equals the cheapest."""
        return self.models[self._curves.best]

    def auc(self, name: str) -> Interval:
        """Area under a router's curve: its mean quality over costs.

        Costs run from the mean cost of the cheapest model to that of the dearest, on a linear
        scale, and the area is divided by that width. The curve outside does not count.

        Raises:
            ConfigurationError: no such router.
        """
        return self._interval(self._curves.area(self._checked(name)))

    def over_mixing(self, name: str) -> Interval:
        """A router's area less that of random mixing among the single models.

        The line of random mixing is the upper hull of the single models on these very queries. In
        use its corners would have to be chosen beforehand, so the comparison favours mixing.
        """
        return self._interval(self._curves.area(self._checked(name)) - self._curves.area(MIXING))

    def quality_at(self, name: str, cost: float | None = None) -> Interval:
        """Quality on a router's curve at an actual cost; by default at the best model's own.

        None where even the beginning of the curve costs more.
        """
        return self._interval(self._curves.at(self._checked(name), self._costs(cost)))

    def parity(self, name: str) -> Interval:
        """The lowest cost at which a router is as good as the best single model.

        As a share of what that model costs: 0.4 saves 60%. None where the curve never is as good;
        an upper bound of None says that in some resamples it is not.
        """
        return self._interval(self._curves.parity(self._checked(name)))

    def compare(self, first: str, second: str, cost: float | None = None) -> Comparison:
        """The paired difference between two routers.

        Args:
            first: name of the one router.
            second: name of the other, which is subtracted from it.
            cost: actual cost per query at which their qualities are compared; by default what the
                best single model costs.

        Raises:
            ConfigurationError: no such router, or a cost that is no amount.
        """
        curves, costs = self._curves, self._costs(cost)
        one, other = self._checked(first), self._checked(second)
        return Comparison(
            first,
            second,
            self._interval(curves.area(one) - curves.area(other)),
            self._interval(curves.at(one, costs) - curves.at(other, costs)),
            float(costs[0]),
        )

    def comparisons(self) -> tuple[Comparison, ...]:
        """`compare` for every two routers, each with all that were given before it."""
        return tuple(self.compare(b, a) for a, b in combinations(self.curves, 2))

    def table(self) -> str:
        """Quality, cost and who answered, for each model and router; then the routers' curves."""
        return f"{self._policy_table()}\n\n{self._curve_table()}"

    def _policy_table(self) -> str:
        points = (*self.singles, *self.at_budget)
        width = max(len("policy"), *(len(p.name) for p in points))
        head = (
            f"{'policy':{width}}  {'quality':>7} {'+/-':>6} {'mean cost':>12} {'of budget':>9}   "
        )
        head += " ".join(f"{_short(name):>14}" for name in self.models)
        lines = [head, "-" * len(head)]
        for point in points:
            spent = "" if point.overspent is None else f"{1 + point.overspent:.0%}"
            shares = " ".join(f"{share:>14.0%}" for share in point.shares)
            lines.append(
                f"{point.name:{width}}  {point.quality:7.3f} {point.quality_error:6.3f} "
                f"{point.cost:12.3g} {spent:>9}   {shares}"
            )
        return "\n".join(lines)

    def _curve_table(self) -> str:
        rows = [
            (
                name,
                f"{self.auc(name):.3f}",
                f"{self.over_mixing(name):+.3f}",
                f"{self.parity(name):.0%}",
                f"{self.quality_at(name):.3f}",
            )
            for name in self.curves
        ]
        head = ("curve", "area", "more than mixing", "parity", "at the same cost")
        words = (
            f"[{self.level:.0%} intervals] area: mean quality over costs from the cheapest to "
            "the dearest model's; mixing: of single models, at random; parity: the cost of "
            f"{self.best}'s quality, as a share of its own; at the same cost: the quality for "
            f"what {self.best} costs."
        )
        return f"{in_columns([head, *rows])}\n{textwrap.fill(words, _WIDTH)}"

    def calibration_table(self) -> str:
        """How the estimates came true, by stage and model; what routers share is there once."""
        head = ("estimates", "stage", "model", "number", "ECE", "by chance", "Brier", "ROC AUC")
        rows: dict[int, tuple[str, ...]] = {}
        for name, reliabilities in self.calibration.items():
            for reliability in reliabilities:
                rows.setdefault(id(reliability), (name, *reliability.cells()))
        return in_columns([head, *rows.values()], words=3)

    def __str__(self) -> str:
        return self.table()

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON-able values."""
        return {
            "models": list(self.models),
            "queries": self.queries,
            "level": self.level,
            "best": self.best,
            "singles": [p.to_dict() for p in self.singles],
            "at_budget": [p.to_dict() for p in self.at_budget],
            "curves": {name: [p.to_dict() for p in c] for name, c in self.curves.items()},
            "measures": {
                name: {
                    "auc": self.auc(name).to_dict(),
                    "over_mixing": self.over_mixing(name).to_dict(),
                    "parity": self.parity(name).to_dict(),
                    "quality_at_best_cost": self.quality_at(name).to_dict(),
                }
                for name in self.curves
            },
            "comparisons": [c.to_dict() for c in self.comparisons()],
            "calibration": {
                name: [r.to_dict() for r in parts] for name, parts in self.calibration.items()
            },
            "by_group": {
                name: {group: shares.tolist() for group, shares in groups.items()}
                for name, groups in self.by_group.items()
            },
        }

    def plot(self, path: str | Path | None = None, *, unit: str = "USD per query") -> Any:
        """Draws the cost-quality curves, the models alone, and what mixing them at random gives.

        Args:
            path: where to save the picture; its ending says the format.
            unit: of the costs, for the axis.

        Returns:
            The matplotlib figure.

        Raises:
            ImportError: matplotlib is not installed (the extra `plots`).
        """
        from cascade_engine.evaluation.plots import draw_curves  # noqa: PLC0415  matplotlib is an extra

        return draw_curves(
            {name: [(p.name, p.cost, p.quality) for p in c] for name, c in self.curves.items()},
            [(point.name, point.cost, point.quality) for point in self.singles],
            title=f"{self.queries} held-out queries, {len(self.models)} models",
            unit=unit,
            path=path,
        )

    def plot_calibration(self, path: str | Path | None = None) -> Any:
        """Draws the reliability diagram: quality against the estimates, of all models together.

        Arguments, result and errors as for `plot`.
        """
        from cascade_engine.evaluation.plots import draw_reliability  # noqa: PLC0415  matplotlib is an extra

        return draw_reliability(self.calibration, path)

    def _checked(self, name: str) -> str:
        if name not in self.curves:
            raise ConfigurationError(f"no router {name!r} was evaluated, only {list(self.curves)}")
        return name

    def _costs(self, cost: float | None) -> FloatArray:
        """The cost in every resample; by default what the best model costs there."""
        if cost is None:
            return self._curves.cost[:, self._curves.best]
        check_budget(cost)
        return np.full(len(self._curves.low), float(cost))

    def _interval(self, values: FloatArray) -> Interval:
        return self._curves.interval(values)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else name[:6] + ".." + name[-6:]
