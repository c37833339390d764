"""Costs learned from the words of a query."""

from __future__ import annotations

import numpy as np
import pytest

from cascade_engine import Answer, CascadeDataset, ConfigurationError, NotFittedError, Query
from cascade_engine.datasets import load_everyday
from cascade_engine.estimators.cost import LinearCostEstimator, PoissonCostEstimator


def recorded(queries, cost):
    cost = np.asarray(cost, dtype=float)
    answers = [[Answer("")] * cost.shape[1] for _ in queries]
    models = [f"m{i}" for i in range(cost.shape[1])]
    return CascadeDataset(models, queries, answers, np.ones(cost.shape), cost)


def talk(n, seed=0, context=0):
    """Questions whose answers are long or short by their first word, whatever their length."""
    rng = np.random.default_rng(seed)
    long = rng.random(n) < 0.5
    tails = [" ".join(["about"] * int(t)) for t in rng.integers(3, 30, n)]
    texts = [
        f"{'explain' if is_long else 'name'} {t}" for is_long, t in zip(long, tails, strict=True)
    ]
    sent = rng.integers(0, context + 1, n)
    queries = [Query(text, int(s)) for text, s in zip(texts, sent, strict=True)]
    length = np.array([query.length for query in queries])
    mean = np.column_stack([0.01 * length + np.where(long, 40, 4), 1 + np.where(long, 9, 3)])
    return queries, mean, mean * rng.gamma(9, 1 / 9, mean.shape)


def test_the_words_tell_how_long_the_answer_will_be():
    queries, _, cost = talk(300)
    asked, mean, _ = talk(200, seed=1)
    estimator = PoissonCostEstimator().fit(recorded(queries, cost))
    error = np.abs(estimator.predict(asked) / mean - 1)
    assert error.mean() < 0.2
    line = LinearCostEstimator().fit(recorded(queries, cost)).predict(asked)
    assert np.abs(line / mean - 1).mean() > 0.5


@pytest.mark.parametrize("unit", ["usd", "seconds"])
def test_recorded_costs_are_estimated_better_than_by_length_and_without_bias(unit):
    fitted, held = load_everyday("train", cost=unit), load_everyday("test", cost=unit)
    expected = PoissonCostEstimator().fit(fitted).predict(held.queries)
    line = LinearCostEstimator().fit(fitted).predict(held.queries)
    scale = held.cost.mean(axis=0)
    error, by_length = (np.abs(e - held.cost).mean(axis=0) / scale for e in (expected, line))
    assert (error < 0.75 * by_length).all()
    sampling = 3 * held.cost.std(axis=0) / np.sqrt(len(held)) / scale
    assert (np.abs(expected.mean(axis=0) / scale - 1) < sampling).all()


def test_the_mean_on_the_fitting_data_is_the_mean_cost():
    queries, _, cost = talk(200)
    data = recorded(queries, cost)
    estimator = PoissonCostEstimator().fit(data)
    assert estimator.predict(queries).mean(axis=0) == pytest.approx(cost.mean(axis=0), rel=0.003)
    assert estimator.cross_predict(data).mean(axis=0) == pytest.approx(cost.mean(axis=0), rel=0.02)


def test_estimates_crossed_have_not_seen_their_row():
    queries = [Query(f"question {i} {'x' * i}") for i in range(40)]
    cost = np.ones((40, 1))
    cost[7] = 1000.0
    data = recorded(queries, cost)
    estimator = PoissonCostEstimator(penalty=1e-3).fit(data)
    assert estimator.predict(queries[7:8])[0, 0] > 100
    assert estimator.cross_predict(data)[7, 0] == pytest.approx(1, rel=1e-3)


def test_what_is_sent_along_costs_too():
    queries, _, _ = talk(200, context=20_000)
    length = np.array([query.length for query in queries], dtype=float)
    estimator = PoissonCostEstimator().fit(recorded(queries, length[:, None] * 1e-6))
    for context in (1000, 5000, 15_000, 60_000):
        query = Query("name about about about about", context)
        assert estimator.predict([query])[0, 0] == pytest.approx(query.length * 1e-6, rel=0.1)


def test_longer_than_any_costs_as_the_line_rises_and_never_more():
    queries, _, cost = talk(200)
    longest = max(query.length for query in queries)
    estimator = PoissonCostEstimator().fit(recorded(queries, cost))
    line = LinearCostEstimator().fit(recorded(queries, cost))
    text = "explain about"
    at, far = (Query(text, n - len(text)) for n in (longest, 100 * longest))
    ratio = estimator.predict([far]) / estimator.predict([at])
    assert ratio == pytest.approx(line.predict([far]) / line.predict([at]))
    assert ratio.max() < 100


@pytest.mark.parametrize(
    "text", ["", "?", "é" * 300, "```" * 50, "1" * 200, "\n" * 200, "EXPLAIN " * 20, "zyx " * 40]
)
def test_estimates_stay_within_the_costs_recorded(text):
    queries, _, cost = talk(60)
    estimator = PoissonCostEstimator(penalty=1e-6).fit(recorded(queries, cost))
    query = Query(text[: max(q.length for q in queries)])
    expected = estimator.predict([query])[0]
    assert (expected >= cost.min(axis=0) * (1 - 1e-12)).all()
    assert (expected <= cost.max(axis=0) * (1 + 1e-12)).all()


@pytest.mark.parametrize(
    ("texts", "cost"),
    [
        (["q"], [[3.0]]),
        (["q", "q"], [[1.0], [3.0]]),
        (["q", "w"], [[1.0], [3.0]]),
        (["a", "b", "c", "d"], [[0.0], [0.0], [0.0], [8.0]]),
        ([f"w{i}" for i in range(30)], [[float(i % 2)] for i in range(30)]),
        ([f"w{i}" for i in range(30)], [[10.0**-i] for i in range(30)]),
        ([f"w{i}" for i in range(30)], [[1e300 * (i + 1) / 30] for i in range(30)]),
        ([f"w{i}" for i in range(30)], [[1e-300 * (i + 1)] for i in range(30)]),
        ([f"w{i} {'x' * i}" for i in range(30)], [[30.0 - i] for i in range(30)]),
    ],
)
def test_odd_data_still_give_numbers_within_them(texts, cost):
    data = recorded([Query(text) for text in texts], cost)
    estimator = PoissonCostEstimator().fit(data)
    for expected in (estimator.predict(data.queries), estimator.cross_predict(data)):
        assert np.isfinite(expected).all()
        assert (expected >= data.cost.min() * (1 - 1e-9)).all()
        assert (expected <= data.cost.max() * (1 + 1e-9)).all()


def test_one_query_costs_what_it_cost():
    estimator = PoissonCostEstimator().fit(recorded([Query("q")], [[3.0, 0.0]]))
    assert estimator.predict([Query("another one")]) == pytest.approx(np.array([[3.0, 0.0]]))


def test_a_free_model_costs_nothing_beside_one_that_is_not():
    queries, _, cost = talk(50)
    estimator = PoissonCostEstimator().fit(
        recorded(queries, np.column_stack([cost[:, 0] * 0, cost]))
    )
    expected = estimator.predict([*queries, Query("x" * 9999)])
    assert (expected[:, 0] == 0).all()
    assert (expected[:, 1:] > 0).all()


@pytest.mark.parametrize("unit", [1e-7, 1e7])
def test_the_unit_does_not_matter(unit):
    queries, _, cost = talk(80)
    one = PoissonCostEstimator().fit(recorded(queries, cost)).predict(queries)
    other = PoissonCostEstimator().fit(recorded(queries, cost * unit)).predict(queries)
    assert other / unit == pytest.approx(one, rel=1e-6)


def test_rows_do_not_depend_on_each_other():
    queries, _, cost = talk(80)
    estimator = PoissonCostEstimator().fit(recorded(queries, cost))
    together = estimator.predict(queries)
    alone = np.vstack([estimator.predict([query]) for query in queries])
    assert alone == pytest.approx(together, rel=1e-12)


def test_an_unfitted_curve_is_no_estimate():
    data = recorded([Query("q")], [[1.0]])
    for ask in (lambda e: e.predict(data.queries), lambda e: e.cross_predict(data)):
        with pytest.raises(NotFittedError, match="PoissonCostEstimator has not been fitted"):
            ask(PoissonCostEstimator())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"penalty": 0}, "penalty must be .* > 0, not 0"),
        ({"penalty": np.nan}, "not nan"),
        ({"folds": 1}, "folds must be at least 2, not 1"),
    ],
)
def test_options_that_cannot_work_are_refused(options, said):
    with pytest.raises(ConfigurationError, match=said):
        PoissonCostEstimator(**options)
