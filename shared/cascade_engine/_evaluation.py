"""Comparing policies on held-out data: a table at one budget, and cost-quality curves."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine._router import CascadeRouter
from cascade_engine.errors import ConfigurationError, DataError, InfeasibleBudgetError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from cascade_engine._arrays import FloatArray
    from cascade_engine._dataset import CascadeDataset
    from cascade_engine._simulation import Outcome

__all__ = ["Evaluation", "Point", "evaluate"]

_BUDGETS = 33


@dataclass(frozen=True, slots=True)
class Point:
    """One policy on held-out data.

    Attributes:
        name: of the policy: a model's, or a strategy's.
        budget: expected cost aimed at; None for a single model.
        cost: mean cost of a query.
        quality: mean quality of the answers returned.
        quality_error: standard error of that mean.
        shares: share of the queries answered by each model, shape (k,).
    """

    name: str
    budget: float | None
    cost: float
    quality: float
    quality_error: float
    shares: FloatArray


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        models: names of the k models.
        queries: number of held-out queries.
        singles: each model alone.
        at_budget: each router at its own budget.
        curves: each router's points over a grid of budgets, cheapest first.
    """

    models: tuple[str, ...]
    queries: int
    singles: tuple[Point, ...]
    at_budget: tuple[Point, ...]
    curves: Mapping[str, tuple[Point, ...]]

    def table(self) -> str:
        """Quality, cost and who answered, a line for each model alone and each router."""
        width = max(len("policy"), *(len(p.name) for p in (*self.singles, *self.at_budget)))
        short = [name if len(name) <= 14 else name[:6] + ".." + name[-6:] for name in self.models]  # noqa: PLR2004
        head = f"{'policy':{width}}  {'quality':>7} {'+/-':>6} {'mean cost':>12}   "
        head += " ".join(f"{name:>14}" for name in short)
        lines = [head, "-" * len(head)]
        for point in (*self.singles, *self.at_budget):
            shares = " ".join(f"{share:>14.0%}" for share in point.shares)
            lines.append(
                f"{point.name:{width}}  {point.quality:7.3f} {point.quality_error:6.3f} "
                f"{point.cost:12.3g}   {shares}"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON-able values, curves included."""
        return {
            "models": list(self.models),
            "queries": self.queries,
            "singles": [_plain(p) for p in self.singles],
            "at_budget": [_plain(p) for p in self.at_budget],
            "curves": {name: [_plain(p) for p in curve] for name, curve in self.curves.items()},
        }

    def plot(self, path: str | Path | None = None, *, unit: str = "USD per query") -> Any:
        """Draws the cost-quality curves.

        Args:
            path: where to save the picture; its ending says the format.
            unit: of the costs, for the axis.

        Returns:
            The matplotlib figure.

        Raises:
            ImportError: matplotlib is not installed (the extra `plots`).
        """
        from cascade_engine._plot import draw  # noqa: PLC0415  matplotlib is an extra

        return draw(self, path, unit)


def _plain(point: Point) -> dict[str, Any]:
    return {
        "name": point.name,
        "budget": point.budget,
        "cost": point.cost,
        "quality": point.quality,
        "quality_error": point.quality_error,
        "shares": point.shares.tolist(),
    }


def evaluate(
    routers: CascadeRouter | Mapping[str, CascadeRouter],
    data: CascadeDataset,
    *,
    budgets: Sequence[float] | None = None,
) -> Evaluation:
    """Replays fitted routers on held-out data.

    Args:
        routers: one fitted router, or several by name, on the models of the data.
        data: complete data that no router was fitted on.
        budgets: of the curves; by default 33 from what the cheapest to what the dearest model
            costs on average, evenly spaced on a logarithmic scale. A router leaves out those that
            it cannot meet.

    Raises:
        ConfigurationError: no router.
        DataError: a router's models are not the data's.
        NotFittedError: a router has not been fitted.
    """
    if isinstance(routers, CascadeRouter):
        routers = {routers.strategy.name: routers}
    named = dict(routers)
    if not named:
        raise ConfigurationError("no routers given: pass at least one")
    for name, router in named.items():
        if router.models != data.models:
            raise DataError(f"router {name!r} is on {router.models}, the data on {data.models}")
    means = data.cost.mean(axis=0)
    grid = budgets
    if grid is None:
        dearest = float(means.max())
        floor = max(float(means.min()), dearest * 1e-6)
        grid = np.geomspace(floor, dearest, _BUDGETS).tolist() if dearest > 0 else [0.0]
    at_budget, curves = [], {}
    for name, router in named.items():
        play = router.replayer(data)
        at_budget.append(_point(name, play(None), router.budget))
        curves[name] = _curve(name, play, grid)
    return Evaluation(data.models, len(data), _singles(data), tuple(at_budget), curves)


def _singles(data: CascadeDataset) -> tuple[Point, ...]:
    k, root = len(data.models), np.sqrt(len(data))
    return tuple(
        Point(
            name,
            None,
            float(data.cost[:, i].mean()),
            float(data.quality[:, i].mean()),
            float(data.quality[:, i].std() / root),
            np.eye(k)[i],
        )
        for i, name in enumerate(data.models)
    )


def _curve(
    name: str, play: Callable[[float | None], Outcome], budgets: Sequence[float]
) -> tuple[Point, ...]:
    points = []
    for budget in sorted(budgets):
        with suppress(InfeasibleBudgetError):
            points.append(_point(name, play(budget), budget))
    return tuple(points)


def _point(name: str, outcome: Outcome, budget: float | None) -> Point:
    error = float(outcome.quality.std() / np.sqrt(len(outcome.quality)))
    return Point(name, budget, outcome.mean_cost, outcome.mean_quality, error, outcome.shares)
