"""Drift: whether fresh queries still look like those that a router was fitted on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cascade_engine.core.checks import is_number
from cascade_engine.core.records import Query
from cascade_engine.core.trace import Trace
from cascade_engine.data.dataset import CascadeDataset
from cascade_engine.data.traffic.trace_line import LoggedTrace
from cascade_engine.errors import ConfigurationError, DataError, NotFittedError
from cascade_engine.evaluation.tables import in_columns, plain_fields
from cascade_engine.evaluation.two_samples import holm, ks, psi, two_means, two_proportions
from cascade_engine.routing.fit_summary import (
    ESTIMATE,
    RETURNED,
    SHARE,
    FittingSummary,
    call_readings,
    query_readings,
    run_readings,
    trigrams,
    usualness,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.routing.fit_summary import Readings
    from cascade_engine.routing.router import CascadeRouter

__all__ = ["Drift", "FeatureDrift", "drift"]

#: With fewer readings than this, on either side, a feature is not compared.
_LEAST = 20

#: What can be compared with fitting data.
Item: TypeAlias = Trace | LoggedTrace | Query | str


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """One feature of fresh queries against that of the fitting data.

    Attributes:
        name: of the feature.
        reference: number of readings in the fitting data.
        fresh: number of readings in fresh queries.
        rise: fresh mean less the reference's, in standard deviations of the reference; 0 where
            these are 0.
        psi: population stability index over ten bins with equally many reference readings: by
            custom, below 0.1 little has changed, and above 0.25 much. For estimates the square of
            `rise`, which is the index of two normal distributions that far apart.
        p_value: of the two-sample Kolmogorov-Smirnov test; for shares of the test of two
            proportions, for estimates of the test of two means. Not adjusted.
        adjusted: the p-value adjusted for the number of features (Holm).
        moved: whether the change is both significant and large.
    """

    name: str
    reference: int
    fresh: int
    rise: float
    psi: float
    p_value: float
    adjusted: float
    moved: bool

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON-able values."""
        return plain_fields(self)


@dataclass(frozen=True, slots=True)
class Drift:
    """The result of `drift`.

    Attributes:
        features: all that were compared, those that moved most first.
        queries: number of fresh queries.
        verdict: the result in words.
    """

    features: tuple[FeatureDrift, ...]
    queries: int
    verdict: str

    @property
    def drifted(self) -> bool:
        """Whether any feature moved."""
        return bool(self.moved)

    @property
    def moved(self) -> tuple[str, ...]:
        """Names of the features that moved."""
        return tuple(feature.name for feature in self.features if feature.moved)

    def table(self) -> str:
        """A line for each feature."""
        rows = [
            (
                f.name,
                str(f.reference),
                str(f.fresh),
                f"{f.rise:+.2f}",
                f"{f.psi:.3f}",
                f"{f.adjusted:.2g}",
                "moved" if f.moved else "",
            )
            for f in self.features
        ]
        return in_columns([("feature", "fitted", "fresh", "rise", "PSI", "p", ""), *rows])

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON-able values."""
        return {"drifted": self.drifted, **plain_fields(self)}

    def __str__(self) -> str:
        return self.verdict


def drift(
    router: CascadeRouter,
    fresh: Sequence[Item] | CascadeDataset,
    *,
    reference: FittingSummary | CascadeDataset | None = None,
    alpha: float = 0.01,
    least_psi: float = 0.1,
) -> Drift:
    """Compares fresh queries, and their traces, with the fitting data. No labels are needed.

    Of every query it compares the length, the wording, and the estimates before any answer. Of
    traces it also compares how often each model ran; how long, certain and dear its answers were;
    and the estimates of those returned. It does so only for traces without a failure and by the
    policy of the reference, because another strategy or budget picks other queries for each model.
    (So do a cap on a query's cost and `only=`, which a trace does not show: leave such traces out.)

    A feature has moved if the change is significant once all tests are counted, *and* large: with
    many queries the least difference is significant, and with few a large one is chance.

    Args:
        router: fitted.
        fresh: traces, as sessions return them or as `read_traces` reads them, or queries; each
            once, for repeated ones count as many. None may be among those that the router was
            fitted on: their wording is more usual than that of any other, which would look like
            drift. For traces logged without texts, wording is not compared, and the estimates
            before any answer are those that the trace recorded.
        reference: the summary of the fitting data by `CascadeRouter.summarize`, or that data
            itself. By default the router's own `summary_`, where it has one.
        alpha: probability of any false alarm where nothing has changed.
        least_psi: population stability index from which a change is large.

    Raises:
        NotFittedError: the router has not been fitted, or has no summary and there is no
            `reference`.
        DataError: there are fewer than 20 fresh queries, or one string in place of a list, or the
            reference or the textless traces are of other models.
        ConfigurationError: `alpha` is outside (0, 1), or `least_psi` is negative.
    """
    if not is_number(alpha) or not 0 < alpha < 1:
        raise ConfigurationError(f"alpha must lie between 0 and 1, as 0.01 does, not {alpha!r}")
    if not is_number(least_psi) or not least_psi >= 0:
        raise ConfigurationError(f"least_psi must be a number >= 0, not {least_psi!r}")
    if isinstance(fresh, str):
        raise DataError("fresh must be a list of queries or traces, not a single string")
    summary = _reference(router, reference)
    items = fresh.queries if isinstance(fresh, CascadeDataset) else list(fresh)
    if len(items) < _LEAST:
        raise DataError(
            f"{len(items)} fresh queries are too few to compare: give at least {_LEAST} "
            "(a hundred or more to notice anything)"
        )
    readings = _read(router, items, summary)
    names = [
        name
        for name, values in readings.items()
        if min(len(values), summary.counts.get(name, 0)) >= _LEAST
    ]
    tested = [_compared(summary, name, np.asarray(readings[name])) for name in names]
    adjusted = holm(np.array([feature.p_value for feature in tested]))
    features = [
        replace(feature, adjusted=float(p), moved=bool(p < alpha and feature.psi >= least_psi))
        for feature, p in zip(tested, adjusted, strict=True)
    ]
    features.sort(key=lambda f: (not f.moved, -f.psi))
    return Drift(tuple(features), len(items), _verdict(features, len(items), summary))


def _reference(
    router: CascadeRouter, reference: FittingSummary | CascadeDataset | None
) -> FittingSummary:
    if not router.is_fitted:
        raise NotFittedError("there is no fit to compare with: call fit first")
    if isinstance(reference, CascadeDataset):
        return router.summarize(reference)
    summary = getattr(router, "summary_", None) if reference is None else reference
    if summary is None:
        raise NotFittedError(
            "this router kept no summary of its fitting data: pass reference=router.summarize("
            "data), or the data itself"
        )
    if not isinstance(summary, FittingSummary):
        raise ConfigurationError(
            f"reference must be a FittingSummary or a CascadeDataset, not {type(summary).__name__}"
        )
    if summary.models != router.models:
        raise DataError(f"the reference is on {summary.models}, the router on {router.models}")
    return summary


def _read(router: CascadeRouter, items: Sequence[Item], summary: FittingSummary) -> Readings:
    """Readings by feature, the same that a summary has."""
    readings: Readings = {}

    def add(more: Readings) -> None:
        for name, values in more.items():
            readings.setdefault(name, []).extend(values)

    textless = [item for item in items if isinstance(item, LoggedTrace) and not item.has_texts]
    texts = [item for item in items if not isinstance(item, LoggedTrace) or item.has_texts]
    add({"wording": [_usualness(_query(item), summary) for item in texts]})
    for group, (before, expected) in (
        (texts, _estimates(router, texts)),
        (textless, _recorded_estimates(router, textless)),
    ):
        add(query_readings(router.models, [_query(item) for item in group], before))
        for item, costs in zip(group, expected, strict=True):
            trace = item.trace if isinstance(item, LoggedTrace) else item
            if isinstance(trace, Trace) and _by_the_policy(trace, summary):
                add(_read_trace(trace, router.models, costs))
    return readings


def _usualness(query: Query, summary: FittingSummary) -> float:
    return usualness(trigrams(query.text), summary.trigrams, summary.queries, counted=False)


def _estimates(router: CascadeRouter, items: Sequence[Item]) -> tuple[FloatArray, FloatArray]:
    """Expected qualities and costs before any answer, each of shape (n, k)."""
    queries = [_query(item) for item in items]
    nothing = np.zeros((len(queries), len(router.models)), dtype=bool)
    if not queries:
        return nothing.astype(float), nothing.astype(float)
    before = router.quality.estimate(router.quality.begin(queries), nothing)[0]
    return before, router.cost.predict(queries)


def _recorded_estimates(
    router: CascadeRouter, items: Sequence[LoggedTrace]
) -> tuple[FloatArray, FloatArray]:
    """The same from the first decision of each trace, for want of texts."""
    models = router.models
    first = [item.trace.decisions[0] for item in items if item.trace.decisions]
    if len(first) < len(items) or any(d.quality.keys() != set(models) for d in first):
        raise DataError(
            f"traces without texts can be compared only if they are of the router's own models, "
            f"{models}, and something was decided in each"
        )
    quality = np.array([[decision.quality[model] for model in models] for decision in first])
    cost = np.array([[decision.cost[model] for model in models] for decision in first], dtype=float)
    plan = router._advising  # noqa: SLF001  what was added for advice is no part of a call
    surcharge = 0.0 if plan is None else plan.surcharge(router.strategy)
    shape = (len(items), len(models))
    return quality.reshape(shape), cost.reshape(shape) - surcharge


def _query(item: Item) -> Query:
    if isinstance(item, (Trace, LoggedTrace)):
        return item.query
    if isinstance(item, str):
        return Query(item)
    if isinstance(item, Query):
        return item
    raise ConfigurationError(f"fresh must be traces or queries, not {type(item).__name__}")


def _by_the_policy(trace: Trace, summary: FittingSummary) -> bool:
    """Whether the trace is of the reference's policy, and nothing came in between."""
    return (
        trace.fitted
        and trace.chosen is not None
        and not trace.failures
        and trace.strategy == summary.strategy
        and _same(trace.budget, summary.budget)
        and set(trace.answers) <= set(summary.models)
    )


def _same(budget: float | None, other: float | None) -> bool:
    return (math.inf if budget is None else budget) == (math.inf if other is None else other)


def _read_trace(trace: Trace, models: Sequence[str], expected: FloatArray) -> Readings:
    readings = run_readings(models, np.array([model in trace.answers for model in models]))
    for model, answer in trace.answers.items():
        column = models.index(model)
        readings.update(call_readings(model, answer, trace.costs[model], float(expected[column])))
    if trace.chosen is not None:
        returned = trace.decisions[-1].quality[trace.chosen]
        readings[RETURNED] = [returned]
    return readings


def _compared(summary: FittingSummary, name: str, fresh: FloatArray) -> FeatureDrift:
    kept, count = summary.values[name], summary.counts[name]
    sizes = count, len(fresh)
    spread = float(kept.std())
    rise = (float(fresh.mean()) - float(kept.mean())) / spread if spread > 0 else 0.0
    if name.startswith(ESTIMATE):
        # Fitted on all but a fold, estimates differ a little from those fitted on all. Tests of
        # whole distributions see that where they have few values; their means hardly move.
        index, p_value = rise**2, two_means(kept, fresh, sizes)
    elif name.startswith(SHARE):
        index, p_value = psi(kept, fresh, sizes), two_proportions(kept, fresh, sizes)
    else:
        index, p_value = psi(kept, fresh, sizes), ks(kept, fresh, sizes)
    return FeatureDrift(name, *sizes, rise, index, p_value, p_value, moved=False)


def _verdict(features: Sequence[FeatureDrift], fresh: int, summary: FittingSummary) -> str:
    moved = [f for f in features if f.moved]
    if not moved:
        return (
            f"No drift: {fresh} fresh queries look like the {summary.queries} that the router was "
            f"fitted on, by {len(features)} features."
        )
    words = [f"{f.name} ({'higher' if f.rise > 0 else 'lower'}, PSI {f.psi:.2f})" for f in moved]
    return (
        f"Drift: {len(moved)} of {len(features)} features moved in {fresh} fresh queries: "
        f"{', '.join(words)}. The estimates, and what the budget buys, may be off: grade some of "
        "the fresh queries and fit again."
    )
