"""What is worked out for one query, in plain numbers, is what arrays say of many."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cascade_engine import Answer, CombinedEstimator, Query, ToolCall, Usage
from cascade_engine.answers.refusals import _HEDGE, hedges
from cascade_engine.estimators import (
    Agreement,
    EffortSignal,
    Estimates,
    LogprobSignal,
    PoissonCostEstimator,
    QuerySignalEstimator,
    StructureSignal,
    TextEstimator,
)
from cascade_engine.strategies import FittedValueIteration
from cascade_engine.strategies.values import Setting, learn_values
from tests.helpers import world

laws = settings(max_examples=60)
SIGNALS = (LogprobSignal(), EffortSignal(), StructureSignal())

words = st.sampled_from(
    ["the", "answer", "is", "7", "maybe", "Paris", "{", "I think", "café", "no"]
)
texts = st.lists(words, max_size=12).map(" ".join) | st.text(max_size=40)
answers = st.builds(
    Answer,
    texts,
    st.none() | st.lists(st.floats(-30, 0.1) | st.just(-np.inf), max_size=6).map(tuple),
    st.none() | st.builds(Usage, st.integers(0, 99), st.integers(0, 999)),
    finish_reason=st.sampled_from([None, "stop", "length"]),
    tool_calls=st.sampled_from([(), (ToolCall("add", {"a": 1}),)]),
)


@pytest.fixture(scope="module")
def fits(make_data):
    """Estimators of four models' answers: with all parts, and with few of them."""
    data = make_data(90, 4, 3)
    rng = np.random.default_rng(0)
    data.answers = [
        [a if rng.random() < 0.8 else replace(a, logprobs=None, usage=None) for a in row]
        for row in data.answers
    ]
    data.queries = [
        replace(query, signals={m: rng.random() for m in data.models if rng.random() < 0.7})
        for query in data.queries
    ]
    parts = (
        (),
        (TextEstimator(), QuerySignalEstimator(), LogprobSignal(), Agreement()),
        (StructureSignal(),),
    )
    return data, [CombinedEstimator(*some).fit(data) for some in parts]


@laws
@given(
    question=texts,
    row=st.lists(answers, min_size=4, max_size=4),
    order=st.permutations(range(4)),
    which=st.integers(0, 2),
    signal=st.none() | st.floats(0, 1),
)
def test_a_query_that_is_followed_is_estimated_as_in_a_table(
    fits, *, question, row, order, which, signal
):
    data, estimators = fits
    estimator = estimators[which]
    query = Query(question, signals={} if signal is None else {data.models[1]: signal})
    evidence, following = estimator.begin([query]), estimator.follow(query)
    run = [False] * 4
    for model in (None, *order):
        if model is not None:
            estimator.observe(evidence, model, [row[model]])
            following.observe(model, row[model])
            run[model] = True
        quality, sd = estimator.estimate(evidence, np.array([run]))
        ours, spread = following.estimate(run)
        assert ours == pytest.approx(quality[0].tolist(), rel=1e-10)
        assert spread == pytest.approx(sd[0].tolist(), rel=1e-9, abs=1e-12)


@pytest.fixture(scope="module")
def query_parts(data):
    """What looks at the query alone."""
    return [TextEstimator().fit(data), PoissonCostEstimator().fit(data)]


@laws
@given(question=texts, answer=answers, context=st.integers(0, 10_000))
def test_parts_say_of_one_what_they_say_of_many(query_parts, question, answer, context):
    query = Query(question, context_length=context)
    for signal in SIGNALS:
        one, many = signal.read_one(query, answer), signal.read([query], [answer])
        assert one == pytest.approx(many[0].tolist(), rel=1e-12, nan_ok=True)
    for part in query_parts:
        many = part.predict([query])[0].tolist()
        assert part.predict_one(query) == pytest.approx(many, rel=1e-11)


@pytest.fixture(scope="module")
def learned():
    """Values over all of three models, and over three of five."""
    found = {}
    for pool, k in (((0, 1, 2), 3), ((0, 2, 3), 5)):
        of = world(80, k, 1)
        setting = Setting(of.beliefs, np.arange(80), of.quality, of.cost, pool, 2, 0.7)
        found[k] = FittedValueIteration(max_depth=2)
        found[k].values_ = learn_values(setting)[0]
    return found


@laws
@given(
    k=st.sampled_from([3, 5]),
    seed=st.integers(0, 10**6),
    marks=st.lists(st.sampled_from("-ra"), min_size=5, max_size=5),
    lam=st.floats(0, 3) | st.just(0.0) | st.floats(3, 1e6),
)
def test_fitted_value_iteration_decides_one_query_as_it_decides_many(learned, k, seed, marks, lam):
    rng = np.random.default_rng(seed)
    quality, sd = rng.uniform(0, 1, k), rng.choice([0.0, 0.1, 0.4], k)
    cost = rng.choice([0.0, 0.5, 1.0, 3.0], k) * rng.uniform(0.5, 2)
    run, free = ([mark == letter for mark in marks[:k]] for letter in "ra")
    strategy = learned[k]
    believed = Estimates(*(np.array([row]) for row in (quality, sd, cost)))
    many = strategy.decide(believed, np.array([run]), np.array([free]), np.array([lam]))
    rows = [row.tolist() for row in (quality, sd, cost)]
    one = strategy.decide_one(*rows, run=run, available=free, lam=lam)
    if one == many[0]:
        return
    # Gains that are the same but for rounding may be told apart either way.
    values, known = strategy.values_, tuple(i for i in strategy.values_.pool if run[i])
    gains = values.gains_one(known, *rows, lam)
    assume(any(run) and one in gains and many[0] in gains)
    assert gains[one] == pytest.approx(gains[many[0]], abs=1e-12)


@laws
@given(seed=st.integers(0, 10**6), lam=st.floats(0, 1e4))
def test_gains_of_one_query_are_those_of_many(learned, seed, lam):
    rng = np.random.default_rng(seed)
    for k, strategy in learned.items():
        believed = Estimates(*rng.uniform(0, 1, (3, 1, k)))
        rows = [row[0].tolist() for row in (believed.quality, believed.sd, believed.cost)]
        for run, state in strategy.values_.states.items():
            many = strategy.values_.gains(run, believed, np.array([lam]))[0]
            one = strategy.values_.gains_one(run, *rows, lam)
            assert [*one] == state.waiting.tolist()
            assert [*one.values()] == pytest.approx(many.tolist(), rel=1e-9, abs=1e-10)


PHRASES = [
    *("Perhaps", "it depends", "I think", "MAY BE", "could", "be", "seems to", "to my knowledge"),
    *("not quite sure", "as far as I know", "Tal vez", "peut-être", "appears", "apple", "maybes"),
    *("unlikely_", "12", "the. ", "\n", "it"),
]


@laws
@given(st.lists(st.sampled_from(PHRASES), max_size=8))
def test_no_hedge_is_passed_over_for_want_of_its_words(parts):
    text = " ".join(parts)
    assert (hedges(text, re.findall(r"\w+", text)) > 0) == bool(_HEDGE.search(text))
