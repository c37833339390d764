"""Laws of estimators that see the query alone: shapes, ranges, and no look at held-out labels."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_engine.estimators.embedding import EmbeddingEstimator
from cascade_engine.estimators.examples import ExampleEstimator
from cascade_engine.estimators.neighbours import NeighbourEstimator
from cascade_engine.estimators.preferences import Preference, PreferenceEstimator
from cascade_engine.estimators.query_signals import CallableEstimator, QuerySignalEstimator
from cascade_engine.estimators.rules import RuleEstimator
from cascade_engine.estimators.text import TextEstimator
from cascade_engine.storage.json_objects import Decoder, Encoder
from cascade_engine.storage.registry import persistent
from tests.ex_ante import Measured, graded, letters

pytestmark = pytest.mark.usefixtures("solved_anew")
laws = settings(max_examples=12)

texts = st.text(alphabet="abc \n?1{é", max_size=12)
grades = st.sampled_from([0.0, 0.25, 1.0])
PREFERENCES = [
    Preference("a b", "m0", "z"),
    Preference("a b", "m0", "z", tie=True),
    Preference("c", "z", "m0"),
    Preference("b?", "m1", "m0"),
]

#: What each must hold to; every model is there, and a fit costs milliseconds.
MAKERS = {
    "text": lambda: TextEstimator(strengths=(0.01, 1.0)),
    "embedding": lambda: EmbeddingEstimator(letters, strengths=(0.01, 1.0)),
    "neighbours": NeighbourEstimator,
    "neighbours_embedded": lambda: NeighbourEstimator(2, letters),
    "rules": lambda: RuleEstimator({"a": "m0", "b": {"m0": 0.3}}),
    "examples": lambda: ExampleEstimator({"m0": ["a b", "c"]}),
    "examples_embedded": lambda: ExampleEstimator({"m0": ["a b", "c"]}, letters, nearest=2),
    "preferences": lambda: PreferenceEstimator(PREFERENCES),
    "preferences_embedded": lambda: PreferenceEstimator(PREFERENCES, letters, gamma=10),
    "signal": QuerySignalEstimator,
    "callable": lambda: CallableEstimator(by_length),
}


def by_length(query):
    return {"m0": len(query.text) / 100}


persistent("tests.letters")(letters)
persistent("tests.by_length")(by_length)


@st.composite
def tables(draw):
    """Data with folds, and queries that may be in it or not."""
    n, k = draw(st.integers(1, 14)), draw(st.integers(1, 3))
    asked = draw(st.lists(texts, min_size=n, max_size=n))
    asked[0] = asked[0] + "a"  # something to embed
    quality = draw(st.lists(st.lists(grades, min_size=k, max_size=k), min_size=n, max_size=n))
    signals = draw(
        st.lists(st.dictionaries(st.just("m0"), st.floats(0, 1)), min_size=n, max_size=n)
    )
    queries = [Measured(t, signals=s) for t, s in zip(asked, signals, strict=True)]
    folds = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    new = [Measured(t) for t in draw(st.lists(texts, max_size=4))]
    return graded(queries, quality), folds, new


def check(found, shape):
    assert found.shape == shape
    assert found.dtype == float
    assert (np.isnan(found) | ((found >= 0) & (found <= 1))).all()


@pytest.mark.parametrize("name", MAKERS)
@given(case=tables())
@laws
def test_estimates_have_their_shape_and_range(name, case):
    data, folds, new = case
    estimator = MAKERS[name]()
    check(estimator.cross_predict(data, folds), data.quality.shape)
    assert not hasattr(estimator, "models_")
    assert estimator.fit(data) is estimator
    assert estimator.models_ == data.models
    queries = [*data.queries, *new]
    found = estimator.predict(queries)
    check(found, (len(queries), len(data.models)))
    one_by_one = [estimator.predict([query])[0] for query in queries]
    np.testing.assert_allclose(found, one_by_one, atol=1e-9)
    np.testing.assert_array_equal(copy.deepcopy(estimator).predict(queries), found)


@pytest.mark.parametrize("name", MAKERS)
@given(case=tables(), seed=st.integers(0, 99))
@laws
def test_held_labels_are_not_seen(name, case, seed):
    data, folds, _ = case
    rng = np.random.default_rng(seed)
    held = folds == folds[0]
    other = data.quality.copy()
    other[held] = rng.permutation(1 - other[held])
    found = [
        MAKERS[name]().cross_predict(graded(data.queries, quality), folds)[held]
        for quality in (data.quality, other)
    ]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("name", MAKERS)
@given(case=tables())
@laws
def test_a_fit_is_reproducible(name, case):
    data, _, new = case
    queries = [*data.queries, *new]
    found = [MAKERS[name]().fit(data).predict(queries) for _ in range(2)]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("name", MAKERS)
@given(case=tables())
@laws
def test_what_is_stored_predicts_as_before(name, case):
    data, _, new = case
    queries = [*data.queries, *new]
    for estimator in (MAKERS[name](), MAKERS[name]().fit(data)):
        encoder = Encoder()
        encoded = json.loads(json.dumps(encoder.encode(estimator)))
        loaded = Decoder(encoder.arrays).decode(encoded)
        if not hasattr(estimator, "models_"):
            estimator.fit(data)
            loaded.fit(data)
        np.testing.assert_array_equal(loaded.predict(queries), estimator.predict(queries))
