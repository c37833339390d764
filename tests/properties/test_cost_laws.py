"""Laws of costs learned from the words of a query."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_engine import Answer, CascadeDataset, Query
from cascade_engine.estimators.cost import PoissonCostEstimator

words = st.lists(st.sampled_from(["name", "explain", "7", "?", "x" * 40, "\n"]), max_size=8)
queries = st.builds(Query, words.map(" ".join), st.integers(0, 10**6))
costs = st.just(0.0) | st.floats(1e-9, 1e4)


@st.composite
def recorded(draw):
    asked = draw(st.lists(queries, min_size=1, max_size=15))
    cost = np.array([[draw(costs), draw(costs)] for _ in asked])
    answers = [[Answer("")] * 2 for _ in asked]
    return CascadeDataset(["a", "b"], asked, answers, np.ones(cost.shape), cost)


@settings(max_examples=25)
@given(recorded(), st.lists(queries, min_size=1, max_size=5), st.sampled_from([1e-3, 20.0]))
def test_estimates_are_costs_and_within_those_recorded(data, asked, penalty):
    estimator = PoissonCostEstimator(penalty=penalty).fit(data)
    low, high = data.cost.min(axis=0) * (1 - 1e-9), data.cost.max(axis=0) * (1 + 1e-9)
    longest = max(query.length for query in data.queries)
    for rows in (estimator.predict(data.queries), estimator.cross_predict(data)):
        assert ((low <= rows) & (np.isfinite(rows))).all()
    expected = estimator.predict(asked)
    assert (np.isfinite(expected) & (expected >= low)).all()
    inside = np.array([query.length <= longest for query in asked])
    assert (expected[inside] <= high).all()


@settings(max_examples=12)
@given(recorded(), st.floats(1e-3, 1e3))
def test_the_unit_of_cost_does_not_matter(data, unit):
    scaled = CascadeDataset(data.models, data.queries, data.answers, data.quality, data.cost * unit)
    one, other = (PoissonCostEstimator().fit(d).predict(d.queries) for d in (data, scaled))
    assert other == pytest.approx(one * unit, rel=1e-4)
