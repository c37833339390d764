"""Comparing policies on held-out data: at one budget, over all budgets, and by their estimates.

The measures of other benchmarks, and ours:

- RouteLLM (Ong et al., 2024) draws the share of queries sent to the strong model on the cost axis,
  and averages the share of the gap between two models that is recovered (APGR). `Evaluation.auc`
  is the same area over the money spent, for any number of models: for two, APGR is
  (auc - weak) / (strong - weak). Its CPT(100%), the share of strong calls that it takes to be as
  good as the strong model, is `Evaluation.parity` in money.
- RouterBench (Hu et al., 2024) takes the area under the non-decreasing upper hull of the points
  (AIQ), which picks by hindsight the points that were lucky on the test data. `auc` takes all
  points, and is the same otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.errors import (
    ConfigurationError,
    DataError,
    InfeasibleBudgetError,
    NotFittedError,
)
from cascade_engine.evaluation.bootstrap import Bootstrap, units_of
from cascade_engine.evaluation.calibration import Calibration
from cascade_engine.evaluation.curves import (
    MIXING,
    PolicyResults,
    ResampledCurves,
    budget_grid,
    mixing_corners,
    side_by_side,
)
from cascade_engine.evaluation.result import Evaluation, Point
from cascade_engine.routing.fit_data import check_data
from cascade_engine.routing.router import CascadeRouter
from cascade_engine.strategies.frontier import check_budget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.tuning.simulation import Outcome

__all__ = ["beside_mixing", "evaluate"]

_BUDGETS = 33
_SLACK = 1e-9


def evaluate(
    routers: CascadeRouter | Mapping[str, CascadeRouter],
    data: CascadeDataset,
    *,
    budgets: Sequence[float] | None = None,
    by: Sequence[object] | None = None,
    replications: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Evaluation:
    """Replays fitted routers on held-out data.

    Args:
        routers: one fitted router, or several by name, on the models of the data.
        data: complete data that no router was fitted on.
        budgets: of the curves; by default 33 from the mean cost of the cheapest model to that of
            the dearest, evenly spaced on a logarithmic scale, and one without limit. Each router
            leaves out those that it cannot meet.
        by: a label for each query, to see who answered which; by default the data's groups.
        replications: number of resamples of the queries behind each interval.
        seed: of the resamples.
        level: of the intervals.

    Raises:
        ConfigurationError: no router, or a budget, `replications` or `level` that cannot be.
        DataError: a router's models are not the data's, or not every query has a label.
        NotFittedError: a router has not been fitted.
    """
    named = _named(routers, data)
    labels = _labels(by, data)
    grid = budget_grid(data.cost.mean(axis=0), _BUDGETS) if budgets is None else sorted(budgets)
    for budget in grid:
        check_budget(budget)
    bootstrap = Bootstrap(units_of(data), replications=replications, seed=seed, level=level)
    calibrations = {
        _estimates_key(router): Calibration(router.quality, router.take_samples(data))
        for router in named.values()
    }
    results, at_budget, curves, calibration, by_group = {}, [], {}, {}, {}
    for name, router in named.items():
        replay = router.replayer(data)
        own = replay(None)
        at_budget.append(_point(name, own, router.budget))
        estimates = calibrations[_estimates_key(router)]
        calibration[name] = (*estimates.stages, estimates.returned(own))
        if labels:
            by_group[name] = _by_group(own, labels)
        least = float(router.frontier_.cost[0]) * (1 - _SLACK)
        outcomes = [(budget, replay(budget)) for budget in grid if budget >= least]
        curves[name] = tuple(_point(name, outcome, budget) for budget, outcome in outcomes)
        results[name] = side_by_side([outcome for _, outcome in outcomes], len(data))
    corners = mixing_corners(data.cost.mean(axis=0), data.quality.mean(axis=0))
    results[MIXING] = PolicyResults(data.cost[:, corners], data.quality[:, corners])
    return Evaluation(
        models=data.models,
        queries=len(data),
        singles=_singles(data),
        at_budget=tuple(at_budget),
        curves=curves,
        calibration=calibration,
        by_group=by_group,
        level=level,
        _curves=ResampledCurves(results, data, bootstrap),
    )


def _estimates_key(router: CascadeRouter) -> tuple[Any, ...]:
    """What a router's estimates depend on: routers with the same key share one `Calibration`."""
    return id(router.quality), tuple(sorted(router.samples.items()))


def beside_mixing(router: CascadeRouter) -> dict[str, CascadeRouter]:
    """A fitted router, by its strategy's name, and random mixing tuned on the same data.

    The router is alone where it was loaded without that data, or where no mixture costs as little
    as its budget; `Evaluation.over_mixing` compares it with mixing all the same.
    """
    own = {router.strategy.name: router}
    try:
        mixing = router.with_strategy("random_mixing")
    except (NotFittedError, InfeasibleBudgetError):
        return own
    return {mixing.strategy.name: mixing, **own}


def _named(
    routers: CascadeRouter | Mapping[str, CascadeRouter], data: CascadeDataset
) -> dict[str, CascadeRouter]:
    if isinstance(routers, CascadeRouter):
        routers = {routers.strategy.name: routers}
    if not isinstance(routers, Mapping):
        raise ConfigurationError(
            f"routers must be a router, or a mapping of names to routers, not {routers!r:.80}"
        )
    named = dict(routers)
    if not named:
        raise ConfigurationError("no routers given: pass at least one")
    for name, router in named.items():
        if not name or not isinstance(name, str):
            raise ConfigurationError(f"a router's name must be a non-empty string, not {name!r}")
        if not isinstance(router, CascadeRouter):
            raise ConfigurationError(f"router {name!r} must be a CascadeRouter, not {router!r:.80}")
        try:
            check_data(data, router.models)
        except DataError as error:
            raise DataError(f"router {name!r}: {error}") from None
    return named


def _singles(data: CascadeDataset) -> tuple[Point, ...]:
    """Each model alone, as a policy that always runs it."""
    k = len(data.models)
    return tuple(
        _measured(name, None, data.cost[:, i], data.quality[:, i], np.eye(k)[i])
        for i, name in enumerate(data.models)
    )


def _point(name: str, outcome: Outcome, budget: float | None) -> Point:
    return _measured(name, budget, outcome.cost, outcome.quality, outcome.shares)


def _measured(
    name: str, budget: float | None, cost: FloatArray, quality: FloatArray, shares: FloatArray
) -> Point:
    root = np.sqrt(len(cost))
    return Point(
        name,
        budget,
        float(cost.mean()),
        float(quality.mean()),
        float(quality.std() / root),
        shares,
        float(cost.std() / root),
    )


def _labels(by: Sequence[object] | None, data: CascadeDataset) -> list[str]:
    """A label for each query; an empty list where the data has none."""
    labels = data.groups if by is None else by
    if labels is None:
        return []
    if isinstance(labels, str) or len(labels) != len(data):
        raise DataError(f"`by` must be a list of {len(data)} labels, one for each query")
    return ["" if label is None else str(label) for label in labels]


def _by_group(outcome: Outcome, labels: Sequence[str]) -> dict[str, FloatArray]:
    """For each label, the share of its queries that each model answered, shape (k,)."""
    names, group = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(names), outcome.run.shape[1]))
    np.add.at(counts, (group, outcome.chosen), 1)
    return dict(zip(names.tolist(), counts / counts.sum(axis=1, keepdims=True), strict=True))
