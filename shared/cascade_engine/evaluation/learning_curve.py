"""How many labelled queries are enough: what a router is worth when fitted on fewer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.core.checks import is_whole
from cascade_engine.errors import ConfigurationError, DataError
from cascade_engine.evaluation.bootstrap import Bootstrap, Interval, folded, units_of
from cascade_engine.evaluation.curves import Played, Sample, budget_grid
from cascade_engine.evaluation.refitting import assembled, check_data, parts, refitted
from cascade_engine.evaluation.tables import in_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.evaluation.refitting import Part
    from cascade_engine.routing.router import CascadeRouter

__all__ = ["LearningCurve", "LearningPoint", "learning_curve"]

_BUDGETS = 17
#: By default sizes are halved down to this, four times at most.
_LEAST, _HALVINGS = 25, 4


@dataclass(frozen=True, slots=True)
class LearningPoint:
    """What a router fitted on so many queries does on others.

    Attributes:
        size: number of fitting queries.
        auc: mean quality over costs from the cheapest to the dearest model's.
        quality: mean quality at the router's budget; without one, of its best policy.
        cost: mean cost there, as it came out.
        behind: what `auc` lacks to that of the router fitted on the most queries.
    """

    size: int
    auc: Interval
    quality: Interval
    cost: Interval
    behind: Interval

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON-able values."""
        return {
            "size": self.size,
            "auc": self.auc.to_dict(),
            "quality": self.quality.to_dict(),
            "cost": self.cost.to_dict(),
            "behind": self.behind.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """What `learning_curve` found.

    Attributes:
        points: by rising size.
        queries: on which they rest, none played by a router that was fitted on it.
        tolerance: what counts as no worse.
        enough: the least size that is behind the greatest by no more than the tolerance, sure to
            the level of the intervals; None where only the greatest is.
        still_pays: whether the last step between sizes raised `auc` by more than chance, and more
            than the tolerance.
        verdict: the finding in words.
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
        return {
            "points": [p.to_dict() for p in self.points],
            "queries": self.queries,
            "tolerance": self.tolerance,
            "enough": self.enough,
            "still_pays": self.still_pays,
            "verdict": self.verdict,
        }

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
        router: its estimators, strategy and budget; it need not be fitted, and is left as it is.
        data: to fit on.
        sizes: numbers of fitting queries; by default all that there are, halved up to four times,
            but not below 25.
        test: held-out data.
        folds: how many there are, or how many draws.
        tolerance: the area that is not worth more labels.
        replications: resamples of the queries behind each interval.
        seed: of folds, draws and resamples.
        level: of the intervals.

    Raises:
        DataError: the data is on other models, or too small to learn from at the least size.
        ConfigurationError: a size that cannot be, or a negative tolerance.
    """
    check_data(router, data, test)
    if not tolerance >= 0:
        raise ConfigurationError(f"tolerance must be a number >= 0, not {tolerance!r}")
    split = parts(data, folds, seed)
    if test is not None:
        split = [(np.arange(len(data)), np.arange(len(test)))] * folds
    most = min(len(train) for train, _ in split)
    wanted = _sizes(sizes, most)
    budget = np.inf if router.budget is None else router.budget
    budgets = [*budget_grid(data.cost.mean(axis=0), _BUDGETS), budget]
    judged = data if test is None else test
    plan = _Plan(router, data, test, split, budgets, seed)
    plays = {str(size): plan.played(size) for size in wanted}
    bootstrap = Bootstrap(
        units_of(judged),
        replications=replications,
        seed=seed,
        level=level,
        widened=folded(folds) if test is None else 1.0,
    )
    sample = Sample(plays, judged, bootstrap)
    points = tuple(_point(sample, plays[str(size)], size, wanted[-1]) for size in wanted)
    return _concluded(points, len(judged), tolerance)


def _sizes(sizes: Sequence[int] | None, most: int) -> list[int]:
    """The sizes, rising; at least two."""
    if sizes is None:
        halved = [most >> i for i in range(_HALVINGS + 1)]
        found = sorted({size for size in halved if size >= _LEAST} | {most})
    else:
        wrong = [s for s in sizes if not is_whole(s) or not 0 < s <= most]
        if wrong:
            raise ConfigurationError(
                f"sizes must be whole numbers from 1 to {most}, all that there are to fit on, "
                f"not {wrong}"
            )
        found = sorted({int(size) for size in sizes})
    if len(found) < 2:  # noqa: PLR2004
        raise DataError(
            f"there is only one size to look at, {found}, of {most} queries to fit on: give more "
            "data, or sizes=[...] with at least two"
        )
    return found


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is fitted and played at every size."""

    router: CascadeRouter
    data: CascadeDataset
    test: CascadeDataset | None
    split: Sequence[Part]
    budgets: Sequence[float]
    seed: int

    def played(self, size: int) -> Played:
        """The router fitted on so many rows of each part: fold by fold, or the mean of draws."""
        if self.test is None:
            return assembled([(self.split[i][1], self._part(i, size)) for i in self._numbers])
        draws = self._numbers if size < len(self.data) else [0]  # all rows are drawn in one way
        every = [self._part(i, size) for i in draws]
        return Played(
            np.mean([played.cost for played in every], axis=0),
            np.mean([played.quality for played in every], axis=0),
        )

    @property
    def _numbers(self) -> list[int]:
        return list(range(len(self.split)))

    def _part(self, number: int, size: int) -> Played:
        train, rows = self.split[number]
        # One order for all sizes: what is drawn first is in all of them.
        some = np.random.default_rng([self.seed, number]).permutation(train)[:size]
        held = (self.data if self.test is None else self.test).take(rows)
        own = {"": self.router.strategy}
        return refitted(self.router, own, self.data.take(np.sort(some)), held, self.budgets)[""]


def _point(sample: Sample, played: Played, size: int, most: int) -> LearningPoint:
    """One size; the budget's own policy is the last that was played."""
    area = sample.area(str(size))
    cost, quality = (sample.means(t[:, -1:])[:, 0] for t in (played.cost, played.quality))
    return LearningPoint(
        size,
        sample.interval(area),
        sample.interval(quality),
        sample.interval(cost),
        sample.interval(sample.area(str(most)) - area),
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
