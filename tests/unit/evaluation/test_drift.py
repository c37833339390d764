"""Fresh queries against the fitting data: no false alarms, and no shift overlooked."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2_contingency, false_discovery_control, ks_2samp, norm

from cascade_engine import (
    CascadeDataset,
    CascadeRouter,
    ConfigurationError,
    DataError,
    NotFittedError,
    Query,
)
from cascade_engine.evaluation.drift import drift
from cascade_engine.evaluation.two_samples import holm, ks, psi, two_means, two_proportions
from cascade_engine.routing.fit_summary import FittingSummary, trigrams, usualness
from tests import by_word

OTHER_WORDS = [a + b for a in ("qux", "zyg", "vex", "wox") for b in ("ith", "ock", "yng", "eph")]


@pytest.fixture(scope="module")
def data():
    return by_word.make(500, 1)


@pytest.fixture(scope="module")
def router(data):
    return by_word.router(budget=float(data.cost.mean()), strategy="cascading").fit(data)


@pytest.fixture(scope="module")
def summary(router, data):
    return router.summarize(data)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), [(60, 200), (400, 60), (300, 300), (1000, 1000)])
def test_there_are_few_false_alarms(n, m):
    """At most one alarm in a hundred is promised; all features together, and not each."""
    alarms, trials = 0, 20 if n + m < 2000 else 6
    for trial in range(trials):
        data = by_word.make(n, 1000 + trial)
        router = by_word.router(budget=float(data.cost.mean()), strategy="cascading").fit(data)
        fresh = by_word.traces(router, by_word.make(m, 2000 + trial))
        alarms += drift(router, fresh, reference=data).drifted
    assert alarms <= 1


@pytest.mark.slow
def test_nor_does_the_default_estimator_raise_any(make_data):
    every = make_data(900, 3, 5)
    order = np.random.default_rng(0).permutation(900)
    data = every.take(order[:300])
    router = CascadeRouter(data.models, budget=float(data.cost.mean(axis=0)[1])).fit(data)
    for start in (300, 500, 700):
        fresh = every.take(order[start : start + 200])
        found = drift(router, by_word.traces(router, fresh), reference=data)
        assert not found.drifted, found.table()


def fresh_of(router, **options):
    return by_word.traces(router, by_word.make(300, 7, **options))


SHIFTS = {
    "harder": ({"kinds": ("plain", "tricky", "hard", "hard")}, "estimate of small"),
    "new words": ({"words": OTHER_WORDS}, "wording"),
    "longer": ({"length": 20}, "length of the question"),
    "dearer": ({"price": 1.6}, "cost of large against what is expected"),
    "less sure": ({"sure": -0.15}, "confidence of small"),
}


@pytest.mark.parametrize(("options", "feature"), SHIFTS.values(), ids=SHIFTS)
def test_a_shift_is_noticed_and_named(router, summary, options, feature):
    found = drift(router, fresh_of(router, **options), reference=summary)
    assert found.drifted
    assert feature in found.moved
    assert found.verdict.startswith(f"Drift: {len(found.moved)} of ")
    assert feature in found.verdict
    assert str(found) == found.verdict
    (one,) = (f for f in found.features if f.name == feature)
    assert one.psi > 0.1
    assert one.adjusted < 0.01


def test_the_direction_of_a_shift_is_told(router, summary):
    longer = drift(router, fresh_of(router, length=20), reference=summary)
    assert "length of the question (higher, PSI " in longer.verdict
    harder = drift(router, fresh_of(router, kinds=("hard",)), reference=summary)
    assert "estimate of small (lower, PSI " in harder.verdict
    assert "share of large" in harder.moved


def test_queries_alone_are_compared_as_far_as_they_go(router, summary):
    data = by_word.make(200, 8)
    names = {
        "length of the question",
        "length of the context",
        "estimate of small",
        "estimate of large",
        "wording",
    }
    for fresh in (data, data.queries, [query.text for query in data.queries]):
        found = drift(router, fresh, reference=summary)
        assert {f.name for f in found.features} == names
        assert found.queries == 200
        assert not found.drifted
        assert found.verdict.startswith("No drift: 200 fresh queries look like the 500")
    long = [Query(query.text, context_length=400) for query in data.queries]
    assert drift(router, long, reference=summary).moved == ("length of the context",)


def test_what_is_significant_but_small_has_not_moved(router, summary):
    """With enough queries the least difference is significant."""
    fresh = by_word.make(3000, 9, kinds=(*by_word.KINDS, "hard"))
    found = drift(router, fresh, reference=summary)
    assert min(f.adjusted for f in found.features) < 0.01
    assert not found.drifted
    strict = drift(router, fresh, reference=summary, least_psi=0.0)
    assert "estimate of small" in strict.moved


def test_traces_of_another_policy_count_as_queries(router, data, summary):
    fresh = by_word.make(200, 8)
    calls = {"share of small", "confidence of large", "estimate of the answer returned"}
    ours = by_word.traces(router, fresh)
    assert calls <= {f.name for f in drift(router, ours, reference=summary).features}
    others = [
        by_word.traces(router.with_budget(None), fresh),
        by_word.traces(router.with_strategy("routing"), fresh),
        [replace(trace, fitted=False) for trace in ours],
        [replace(trace, failures=("x",)) for trace in ours],
        [replace(trace, chosen=None) for trace in ours],
    ]
    for traces in others:
        names = {f.name for f in drift(router, traces, reference=summary).features}
        assert names.isdisjoint(calls)
    endless = router.with_budget(None).summarize(data)
    unlimited = by_word.traces(router.with_budget(math.inf), fresh)
    assert calls <= {f.name for f in drift(router, unlimited, reference=endless).features}


def test_calls_of_unknown_cost_say_nothing_of_it(router, summary):
    traces = [
        replace(trace, costs=dict.fromkeys(trace.costs))
        for trace in by_word.traces(router, by_word.make(100, 8))
    ]
    names = {f.name for f in drift(router, traces, reference=summary).features}
    assert "share of large" in names
    assert not any(name.startswith("cost of") for name in names)


def test_the_summary_is_small_and_survives_json(router, data, summary):
    text = json.dumps(summary.to_dict(), allow_nan=False)
    assert len(text) < 300_000
    back = FittingSummary.from_dict(json.loads(text))
    fresh = fresh_of(router, length=20)
    wanted = drift(router, fresh, reference=summary)
    assert drift(router, fresh, reference=back) == wanted
    assert drift(router, fresh, reference=data) == wanted
    assert json.loads(json.dumps(wanted.to_dict(), allow_nan=False))["drifted"] is True
    with pytest.raises(DataError, match="no record of a FittingSummary: KeyError"):
        FittingSummary.from_dict({})
    with pytest.raises(DataError, match="no record of a FittingSummary"):
        FittingSummary.from_dict({**summary.to_dict(), "trigrams": [1, 2]})
    with pytest.raises(DataError, match="no record of a FittingSummary"):
        FittingSummary.from_dict({**summary.to_dict(), "values": 3})


def test_many_readings_are_kept_as_quantiles():
    data = by_word.make(1500, 3)
    summary = by_word.router().fit(data).summarize(data)
    assert summary.counts["length of the question"] == 1500
    kept = summary.values["length of the question"]
    assert len(kept) == 501
    lengths = [math.log1p(len(query.text)) for query in data.queries]
    assert (kept[0], kept[-1]) == (min(lengths), max(lengths))
    assert np.median(kept) == pytest.approx(np.median(lengths))


def test_a_router_that_keeps_a_summary_needs_no_reference(router):
    assert not drift(router, by_word.make(100, 5)).drifted
    forgetful = copy.copy(router)
    del forgetful.summary_
    with pytest.raises(NotFittedError, match="kept no summary"):
        drift(forgetful, by_word.make(100, 5))


def test_the_table_has_the_most_moved_first(router, summary):
    found = drift(router, fresh_of(router, length=20), reference=summary)
    lines = found.table().splitlines()[2:]
    marks = [line.rstrip().endswith("moved") for line in lines]
    assert marks == sorted(marks, reverse=True)
    assert sum(marks) == len(found.moved)


def test_what_cannot_be_compared_is_refused(router, data, summary):
    fresh = by_word.make(100, 5)
    with pytest.raises(NotFittedError, match="call fit first"):
        drift(by_word.router(), fresh, reference=summary)
    with pytest.raises(NotFittedError, match="call fit first"):
        by_word.router().summarize(data)
    with pytest.raises(DataError, match="19 fresh queries are too few"):
        drift(router, fresh.take(range(19)), reference=summary)
    with pytest.raises(DataError, match=r"fitted on (other data|500 queries)"):
        router.summarize(data.take(range(100)))
    with pytest.raises(DataError, match="the router on"):
        router.summarize(data.select(["large"]))
    with pytest.raises(DataError, match="the reference is on"):
        drift(router, fresh, reference=replace(summary, models=("a", "b")))
    with pytest.raises(ConfigurationError, match="not list"):
        drift(router, fresh, reference=[])
    with pytest.raises(DataError, match="not a single string"):
        drift(router, "one question, and a long one at that", reference=summary)
    with pytest.raises(ConfigurationError, match="traces or queries, not int"):
        drift(router, [1] * 30, reference=summary)
    for alpha in (0, 1, "x", math.nan):
        with pytest.raises(ConfigurationError, match="alpha must lie"):
            drift(router, fresh, reference=summary, alpha=alpha)
    with pytest.raises(ConfigurationError, match="least_psi"):
        drift(router, fresh, reference=summary, least_psi=math.nan)


def test_psi_by_hand():
    kept = np.arange(100.0)
    fresh = np.concatenate([np.full(50, 5.0), np.full(50, 95.0)])
    shares = (50 + 0.5) / 105, (0 + 0.5) / 105, 10.5 / 105
    one = (shares[0] - shares[2]) * math.log(shares[0] / shares[2])
    none = (shares[1] - shares[2]) * math.log(shares[1] / shares[2])
    assert psi(kept, fresh, (100, 100)) == pytest.approx(2 * one + 8 * none)
    assert psi(kept, kept, (100, 100)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("other", [2.0, 4.0])
def test_what_was_one_value_may_move_either_way(other):
    kept, fresh = np.full(100, 3.0), np.full(100, other)
    assert psi(kept, fresh, (100, 100)) > 5
    assert psi(kept, kept, (100, 100)) == 0


def test_the_tests_are_the_usual_ones():
    rng = np.random.default_rng(0)
    kept, fresh = np.sort(rng.normal(size=300)), rng.normal(0.15, 1, 200)
    wanted = ks_2samp(kept, fresh, method="asymp").pvalue
    assert ks(kept, fresh, (300, 200)) == pytest.approx(wanted, rel=0.1)
    ones = [np.repeat([1.0, 0.0], [count, 100 - count]) for count in (30, 45)]
    wanted = chi2_contingency([[30, 70], [45, 55]]).pvalue
    assert two_proportions(*ones, (100, 100)) == pytest.approx(wanted)
    assert two_proportions(np.ones(9), np.ones(5), (9, 5)) == 1.0
    error = np.sqrt(kept.var() / 300 + fresh.var() / 200)
    wanted = 2 * norm.sf(abs(kept.mean() - fresh.mean()) / error)
    assert two_means(kept, fresh, (300, 200)) == pytest.approx(wanted)
    assert two_means(np.ones(9), np.ones(5), (9, 5)) == 1.0
    assert two_means(np.ones(9), np.zeros(5), (9, 5)) == 0.0


def test_holm_by_hand():
    p = np.array([0.01, 0.04, 0.03, 0.005])
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert (holm(p) >= false_discovery_control(p)).all()
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]


def test_wording_by_hand():
    assert len(trigrams("")) == 1
    assert np.array_equal(trigrams("Abc"), trigrams("aBC"))
    assert len(trigrams("abcabcabc")) == len(trigrams("abcabc")) == 6
    own, counted = np.array([0, 1]), np.array([3.0, 1.0])
    fresh = (math.log(3.5 / 5) + math.log(1.5 / 5)) / 2
    assert usualness(own, counted, 4, counted=False) == pytest.approx(fresh)
    seen = (math.log(2.5 / 4) + math.log(0.5 / 4)) / 2
    assert usualness(own, counted, 4, counted=True) == pytest.approx(seen)
    assert len(trigrams("\ud800 \N{GRINNING FACE} text")) > 4


def test_a_model_hardly_ever_run_is_left_out(data):
    router = by_word.router(budget=1.3 * float(data.cost[:, 0].mean()), strategy="cascading")
    router = router.fit(data)
    found = drift(router, by_word.traces(router, by_word.make(60, 4)), reference=data)
    assert "confidence of large" not in {f.name for f in found.features}
    assert "confidence of small" in {f.name for f in found.features}


def test_free_calls_have_no_ratio_of_costs(data):
    free = CascadeDataset(data.models, data.queries, data.answers, data.quality, data.cost * 0)
    router = by_word.router().fit(free)
    found = drift(router, by_word.traces(router, by_word.make(60, 4)), reference=free)
    assert not any(f.name.startswith("cost of") for f in found.features)
