"""Whether fresh queries still look like those a router was fitted on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.core.checks import is_number
from cascade_engine.core.records import Query
from cascade_engine.core.trace import Trace
from cascade_engine.data.dataset import CascadeDataset
from cascade_engine.data.traces.trace_line import LoggedTrace
from cascade_engine.errors import ConfigurationError, DataError, NotFittedError
from cascade_engine.evaluation._drift_report import Drift, FeatureDrift
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

__all__ = ["drift"]

#: Readings of a feature below which nothing is said of it.
_LEAST = 20


def drift(
    router: CascadeRouter,
    fresh: Sequence[Trace | LoggedTrace | Query | str] | CascadeDataset,
    *,
    reference: FittingSummary | CascadeDataset | None = None,
    alpha: float = 0.01,
    least_psi: float = 0.1,
) -> Drift:
    """Compares fresh queries, and what came of them, with the fitting data. No labels are needed.

    Of every query: its length, its wording, and the estimates before any answer. Of traces also
    how often each model ran, how long, sure and dear its answers were, and the estimates of those
    returned; only of traces without a failure and by the policy of the reference, for another
    strategy or budget picks other queries for each model. (A cap on a query's cost, or models
    that were ruled out, do so too, and a trace does not tell: leave such traces out.)

    A feature has moved if the change is significant once all tests are counted, *and* large: with
    many queries the least difference is significant, and with few a large one is chance.

    Args:
        router: fitted.
        fresh: traces, as they are or as `read_traces` read them, or queries; each once, for
            repeated ones count as many. None that the router was fitted on: their wording is more
            usual than that of any other, and would be taken for drift. Of traces logged without
            texts wording is not compared, and estimates before any answer are those that the trace
            recorded.
        reference: what `CascadeRouter.summarize` made of the fitting data, or that data itself. By
            default the router's own `summary_`, where it has one.
        alpha: probability of any false alarm where nothing has changed.
        least_psi: population stability index from which a change is large.

    Raises:
        NotFittedError: the router has not been fitted, or has no summary and none is given.
        DataError: fewer than 20 fresh queries, one string for a list of them, or a reference or
            textless traces of other models.
        ConfigurationError: a level outside (0, 1), or a negative index.
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
    adjusted = holm(np.array([one.p_value for one in tested]))
    features = [
        _judged(one, float(p), moved=bool(p < alpha and one.psi >= least_psi))
        for one, p in zip(tested, adjusted, strict=True)
    ]
    features.sort(key=lambda f: (not f.moved, -f.psi))
    return Drift(tuple(features), len(items), _verdict(features, len(items), summary))


def _reference(
    router: CascadeRouter, given: FittingSummary | CascadeDataset | None
) -> FittingSummary:
    if not router.is_fitted:
        raise NotFittedError("there is no fit to compare with: call fit first")
    if isinstance(given, CascadeDataset):
        return router.summarize(given)
    found = getattr(router, "summary_", None) if given is None else given
    if found is None:
        raise NotFittedError(
            "this router kept no summary of its fitting data: pass reference=router.summarize(data"
            "), or the data itself"
        )
    if not isinstance(found, FittingSummary):
        raise ConfigurationError(
            f"reference must be a FittingSummary or a CascadeDataset, not {type(found).__name__}"
        )
    if found.models != router.models:
        raise DataError(f"the reference is on {found.models}, the router on {router.models}")
    return found


def _read(
    router: CascadeRouter,
    items: Sequence[Trace | LoggedTrace | Query | str],
    summary: FittingSummary,
) -> Readings:
    """Readings by feature, the same that a summary has."""
    readings: Readings = {}

    def add(more: Readings) -> None:
        for name, values in more.items():
            readings.setdefault(name, []).extend(values)

    bare = [item for item in items if isinstance(item, LoggedTrace) and not item.has_texts]
    told = [item for item in items if not (isinstance(item, LoggedTrace) and not item.has_texts)]
    add({"wording": [_usualness(_query(item), summary) for item in told]})
    for some, believed in ((told, _believed(router, told)), (bare, _recorded(router, bare))):
        before, expected = believed
        add(query_readings(router.models, [_query(item) for item in some], before))
        for item, costs in zip(some, expected, strict=True):
            trace = item.trace if isinstance(item, LoggedTrace) else item
            if isinstance(trace, Trace) and _by_the_policy(trace, summary):
                add(_read_trace(trace, router.models, costs))
    return readings


def _usualness(query: Query, summary: FittingSummary) -> float:
    return usualness(trigrams(query.text), summary.trigrams, summary.queries, counted=False)


def _believed(
    router: CascadeRouter, items: Sequence[Trace | LoggedTrace | Query | str]
) -> tuple[FloatArray, FloatArray]:
    """Qualities and costs to be expected before any answer, each of shape (n, k)."""
    queries = [_query(item) for item in items]
    nothing = np.zeros((len(queries), len(router.models)), dtype=bool)
    if not queries:
        return nothing.astype(float), nothing.astype(float)
    before = router.quality.estimate(router.quality.begin(queries), nothing)[0]
    return before, router.cost.predict(queries)


def _recorded(router: CascadeRouter, items: Sequence[LoggedTrace]) -> tuple[FloatArray, FloatArray]:
    """The same as the first decision of each has it, for want of texts."""
    first = [item.trace.decisions[0] for item in items if item.trace.decisions]
    if len(first) < len(items) or any(one.quality.keys() != set(router.models) for one in first):
        raise DataError(
            f"traces without texts can be compared only if they are of the router's own models, "
            f"{router.models}, and something was decided in each"
        )
    quality = np.array([[one.quality[model] for model in router.models] for one in first])
    cost = np.array([[one.cost[model] for model in router.models] for one in first], dtype=float)
    advising = router._advising  # noqa: SLF001  what was added for advice is no part of a call
    surcharge = 0.0 if advising is None else advising.surcharge(router.strategy)
    shape = (len(items), len(router.models))
    return quality.reshape(shape), cost.reshape(shape) - surcharge


def _query(item: Trace | LoggedTrace | Query | str) -> Query:
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


def _judged(one: FeatureDrift, adjusted: float, *, moved: bool) -> FeatureDrift:
    return FeatureDrift(
        one.name, one.reference, one.fresh, one.rise, one.psi, one.p_value, adjusted, moved
    )


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
