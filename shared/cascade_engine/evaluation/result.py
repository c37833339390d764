"""What an evaluation found: points, curves, and how policies compare."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.errors import ConfigurationError
from cascade_engine.evaluation import tables as _report
from cascade_engine.strategies.frontier import check_budget

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.evaluation.bootstrap import Interval
    from cascade_engine.evaluation.calibration import Reliability
    from cascade_engine.evaluation.curves import Sample

__all__ = ["MIXING", "Comparison", "Evaluation", "Point"]

#: The line of random mixing among the curves of a sample; no router can have that name.
MIXING = ""


@dataclass(frozen=True, slots=True)
class Point:
    """One policy on held-out data.

    Attributes:
        name: of the policy: a model's, or a strategy's.
        budget: expected cost aimed at; None for a single model, or without one.
        cost: mean cost of a query, as it came out.
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
    """One router less another, on the same queries and in the same resamples.

    Attributes:
        first: name of the one.
        second: name of the other.
        auc: difference of the areas under their curves.
        quality: difference of quality at `cost`.
        cost: the realised cost per query at which quality is compared.
    """

    first: str
    second: str
    auc: Interval
    quality: Interval
    cost: float

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON-able values."""
        return {
            "first": self.first,
            "second": self.second,
            "auc": self.auc.to_dict(),
            "quality": self.quality.to_dict(),
            "cost": self.cost,
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `evaluate` found.

    A router's *curve* joins its realised mean costs and qualities over the grid of budgets by
    straight lines. It begins, where all its points cost more, at the cheapest model alone, and
    holds its last quality past its dearest point. Intervals are bootstraps over the queries.

    Attributes:
        models: names of the k models.
        queries: number of held-out queries.
        singles: each model alone.
        at_budget: each router at its own budget.
        curves: each router's points over a grid of budgets, cheapest first.
        calibration: for each router, how its estimates came true: before and after an answer for
            each model and for all together, and for the answers that it returned.
        by_group: for each router at its own budget and each label of queries, the share answered
            by each model, shape (k,); empty where queries have none.
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
    _sample: Sample = field(repr=False, compare=False)

    @property
    def best(self) -> str:
        """The best single model here; of equals the cheapest."""
        return self.models[self._sample.best]

    def auc(self, name: str) -> Interval:
        """Area under a router's curve: its mean quality over costs.

        Costs run from what the cheapest to what the dearest model alone costs on average, on a
        linear scale, and the area is divided by that width. What a curve does outside of them does
        not count.

        Raises:
            ConfigurationError: no such router.
        """
        return self._interval(self._sample.area(self._known(name)))

    def over_mixing(self, name: str) -> Interval:
        """A router's area less that of random mixing among the single models.

        The line of random mixing is the upper hull of the single models on these very queries. Who
        mixes would have to choose its corners beforehand: the comparison leans to mixing's side.
        """
        return self._interval(self._sample.area(self._known(name)) - self._sample.area(MIXING))

    def quality_at(self, name: str, cost: float | None = None) -> Interval:
        """Quality on a router's curve at a realised cost; by default at the best model's own.

        None where even the beginning of the curve costs more.
        """
        return self._interval(self._sample.at(self._known(name), self._costs(cost)))

    def parity(self, name: str) -> Interval:
        """The lowest cost at which a router is as good as the best single model.

        As a share of what that model costs: 0.4 saves 60%. None where the curve never is as good;
        an upper bound of None says that in some resamples it is not.
        """
        return self._interval(self._sample.parity(self._known(name)))

    def compare(self, first: str, second: str, cost: float | None = None) -> Comparison:
        """The paired difference between two routers.

        Args:
            first: name of the one.
            second: name of the one that is taken away from it.
            cost: realised cost per query at which their qualities are compared; by default what
                the best single model costs.

        Raises:
            ConfigurationError: no such router, or a cost that is no amount.
        """
        sample, at = self._sample, self._costs(cost)
        one, other = self._known(first), self._known(second)
        return Comparison(
            first,
            second,
            self._interval(sample.area(one) - sample.area(other)),
            self._interval(sample.at(one, at) - sample.at(other, at)),
            float(at[0]),
        )

    def comparisons(self) -> tuple[Comparison, ...]:
        """`compare` for every two routers, each with all that were given before it."""
        return tuple(self.compare(b, a) for a, b in combinations(self.curves, 2))

    def table(self) -> str:
        """Quality, cost and who answered, for each model and router; then the routers' curves."""
        return f"{_report.policies(self)}\n\n{_report.curves(self)}"

    def calibration_table(self) -> str:
        """How the estimates came true, a line for each stage and model."""
        return _report.calibration(self)

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
                name: [r.to_dict() for r in found] for name, found in self.calibration.items()
            },
            "by_group": {
                name: {group: shares.tolist() for group, shares in found.items()}
                for name, found in self.by_group.items()
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
        from cascade_engine.evaluation.plots import draw  # noqa: PLC0415  matplotlib is an extra

        return draw(self, path, unit)

    def plot_calibration(self, path: str | Path | None = None) -> Any:
        """Draws the reliability diagram: quality against the estimates, of all models together.

        Arguments, result and errors as for `plot`.
        """
        from cascade_engine.evaluation.plots import draw_calibration  # noqa: PLC0415  matplotlib is an extra

        return draw_calibration(self, path)

    def _known(self, name: str) -> str:
        if name not in self.curves:
            raise ConfigurationError(f"no router {name!r} was evaluated, only {list(self.curves)}")
        return name

    def _costs(self, cost: float | None) -> FloatArray:
        """That cost in every sample; by default what the best model costs there."""
        if cost is None:
            return self._sample.cost[:, self._sample.best]
        check_budget(cost)
        return np.full(len(self._sample.low), float(cost))

    def _interval(self, values: FloatArray) -> Interval:
        return self._sample.interval(values)
