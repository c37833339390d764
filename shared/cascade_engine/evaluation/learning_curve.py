"""How many labelled queries are enough: how good a router is when it is fitted on fewer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.core.checks import is_whole
from cascade_engine.errors import ConfigurationError, DataError
from cascade_engine.evaluation.bootstrap import Bootstrap, Interval, units_of
from cascade_engine.evaluation.cross_validation import join_folds, refit_and_play, splits
from cascade_engine.evaluation.curves import PolicyResults, ResampledCurves, budget_grid
from cascade_engine.evaluation.tables import in_columns, plain_fields
from cascade_engine.routing.fit_data import check_data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.evaluation.cross_validation import Split
    from cascade_engine.routing.router import CascadeRouter

__all__ = ["LearningCurve", "LearningPoint", "learning_curve"]

_BUDGETS = 17
#: By default sizes are halved down to this, four times at most.
_LEAST, _HALVINGS = 25, 4


@dataclass(frozen=True, slots=True)
class LearningPoint:
    """How good a router is that was fitted on a number of queries.

    Attributes:
        size: number of fitting queries.
        auc: mean quality over costs from the cheapest to the dearest model's.
        quality: mean quality at the router's budget; without one, of its best policy.
        cost: actual mean cost there.
        behind: by how much `auc` is below that of the router fitted on the most queries.
    """

    size: int
    auc: Interval
    quality: Interval
    cost: Interval
    behind: Interval

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON-able values."""
        return plain_fields(self)


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """The result of `learning_curve`.

    Attributes:
        points: by rising size.
        queries: number of queries behind it; none was played by a router that was fitted on it.
        tolerance: the loss of `auc` that counts as none.
        enough: the least size that is behind the greatest by no more than the tolerance, at the
            level of the intervals; None where there is none but the greatest.
        still_pays: whether the last step between sizes raised `auc` by more than chance, and by
            more than the tolerance.
        verdict: the result in words.
    """

    points: tuple[LearningPoint, ...]
    queries: int
    tolerance: float
    enough: int | None
    still_pays: bool
    verdict: str

    def table(self) -> str:
        """A line for each size."""
        rows = [
            (str(p.size), f"{p.auc:.3f}", f"{p.quality:.3f}", f"{p.cost:.3g}", f"{p.behind:+.3f}")
            for p in self.points
        ]
        return in_columns([("fitted on", "area", "quality", "cost", "behind"), *rows], words=0)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON-able values."""
        return plain_fields(self)

    def __str__(self) -> str:
        return f"{self.table()}\n{self.verdict}"


def learning_curve(
    router: CascadeRouter,
    data: CascadeDataset,
    *,
    sizes: Sequence[int] | None = None,
    test: CascadeDataset | None = None,
    folds: int = 5,
    tolerance: float = 0.005,
    replications: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> LearningCurve:
    """Fits a router on fewer and more queries, and plays it on others.

    Without a `test` every fold is played by routers fitted on parts of the others; with one, it is
    played by routers fitted on parts of the data, drawn anew `folds` times. A smaller part is
    contained in the larger ones, and all sizes are compared on the same queries.

    Args:
        router: the estimators, strategy and budget; it need not be fitted, and is left as it is.
        data: to fit on.
        sizes: numbers of fitting queries; by default all that there are, halved up to four times,
            but not below 25.
        test: held-out data.
        folds: number of folds, or with a `test` of draws.
        tolerance: the gain of area that is not worth more labels.
        replications: number of resamples of the queries behind each interval.
        seed: of folds, draws and resamples.
        level: of the intervals.

    Raises:
        DataError: the data is on other models, or too small to learn from at the least size.
        ConfigurationError: a size that cannot be, or a negative tolerance.
    """
    judged = data if test is None else test
    for rows in (data, judged):
        check_data(rows, router.models)
    if not tolerance >= 0:
        raise ConfigurationError(f"tolerance must be a number >= 0, not {tolerance!r}")
    parts = splits(data, folds, seed)
    if test is not None:
        parts = [(np.arange(len(data)), np.arange(len(test)))] * folds
    chosen = _sizes(sizes, min(len(train) for train, _ in parts))
    budget = np.inf if router.budget is None else router.budget
    budgets = [*budget_grid(data.cost.mean(axis=0), _BUDGETS), budget]
    plan = _Plan(router, data, test, parts, budgets, seed)
    results = {str(size): plan.play(size) for size in chosen}
    bootstrap = Bootstrap(
        units_of(judged),
        replications=replications,
        seed=seed,
        level=level,
        folds=folds if test is None else None,
    )
    curves = ResampledCurves(results, judged, bootstrap)
    points = tuple(_point(curves, results[str(size)], size, chosen[-1]) for size in chosen)
    return _concluded(points, len(judged), tolerance)


def _sizes(sizes: Sequence[int] | None, most: int) -> list[int]:
    """The sizes, rising; at least two."""
    if sizes is None:
        halves = [most >> i for i in range(_HALVINGS + 1)]
        rising = sorted({size for size in halves if size >= _LEAST} | {most})
    else:
        wrong = [s for s in sizes if not is_whole(s) or not 0 < s <= most]
        if wrong:
            raise ConfigurationError(
                f"sizes must be whole numbers from 1 to {most}, all that there are to fit on, "
                f"not {wrong}"
            )
        rising = sorted({int(size) for size in sizes})
    if len(rising) < 2:  # noqa: PLR2004
        raise DataError(
            f"there is only one size to look at, {rising}, of {most} queries to fit on: give more "
            "data, or sizes=[...] with at least two"
        )
    return rising


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which rows are fitted on, and which are played, at every size."""

    router: CascadeRouter
    data: CascadeDataset
    test: CascadeDataset | None
    splits: Sequence[Split]
    budgets: Sequence[float]
    seed: int

    def play(self, size: int) -> PolicyResults:
        """The router fitted on `size` rows of each split: fold by fold, or the mean over draws."""
        if self.test is None:
            folds = enumerate(self.splits)
            return join_folds([(rows, self._play_split(i, size)) for i, (_, rows) in folds])
        # All rows can be drawn in one way only.
        draws = len(self.splits) if size < len(self.data) else 1
        results = [self._play_split(i, size) for i in range(draws)]
        return PolicyResults(
            np.mean([result.cost for result in results], axis=0),
            np.mean([result.quality for result in results], axis=0),
        )

    def _play_split(self, number: int, size: int) -> PolicyResults:
        train, rows = self.splits[number]
        # One order for all sizes, so that a smaller part is contained in the larger ones.
        drawn = np.random.default_rng([self.seed, number]).permutation(train)[:size]
        held_out = (self.data if self.test is None else self.test).take(rows)
        own = {"": self.router.strategy}
        fit = self.data.take(np.sort(drawn))
        return refit_and_play(self.router, own, fit, held_out, self.budgets)[""]


def _point(curves: ResampledCurves, results: PolicyResults, size: int, most: int) -> LearningPoint:
    """The point of one size; of its policies the last is the budget's."""
    area = curves.area(str(size))
    cost, quality = (curves.means(t[:, -1:])[:, 0] for t in (results.cost, results.quality))
    return LearningPoint(
        size,
        curves.interval(area),
        curves.interval(quality),
        curves.interval(cost),
        curves.interval(curves.area(str(most)) - area),
    )


def _concluded(points: tuple[LearningPoint, ...], queries: int, tolerance: float) -> LearningCurve:
    *fewer, last = points
    step = fewer[-1].behind
    near = [p for p in fewer if p.behind.high is not None and p.behind.high <= tolerance]
    enough = near[0].size if near else None
    pays = step.is_above_zero and (step.value or 0.0) > tolerance
    if near:
        verdict = (
            f"{enough} labelled queries are enough: {last.size} raise the area by no more than "
            f"{tolerance:g} ({near[0].behind:+.4f})"
        )
    elif pays:
        verdict = (
            f"More data still pays: from {fewer[-1].size} to {last.size} labelled queries the area "
            f"rose by {step:+.4f}"
        )
    else:
        verdict = (
            f"From {fewer[-1].size} to {last.size} labelled queries the area changed by "
            f"{step:+.4f}: on {queries} queries it cannot be told whether more would help"
        )
    return LearningCurve(points, queries, tolerance, enough, pays, verdict)
