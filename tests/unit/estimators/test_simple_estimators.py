"""Priors, costs from recorded costs, and costs from tokens and prices."""

from __future__ import annotations

import numpy as np
import pytest

from cascade_engine import (
    Answer,
    CascadeDataset,
    ConfigurationError,
    NotFittedError,
    Price,
    Query,
    Usage,
)
from cascade_engine.estimators import LinearCostEstimator, PriorEstimator, TokenCostEstimator

PROMPTS = [Query("x" * n) for n in (10, 20, 30, 40)]


def priced(cost, tokens=(5, 7)):
    answers = [[Answer("", usage=Usage(1, t)) for t in tokens] for _ in PROMPTS]
    return CascadeDataset(["a", "b"], PROMPTS, answers, np.ones((4, 2)), cost)


def test_priors_rise_with_the_order_by_default():
    quality, sd = estimate(PriorEstimator(4), [])
    assert quality == pytest.approx([0.5, 0.6, 0.7, 0.8])
    assert sd.tolist() == [0, 0, 0, 0]
    assert estimate(PriorEstimator(1), [])[0].tolist() == [0.5]


def estimate(estimator, answers, run=None):
    """One query's estimates once the first models have given these answers."""
    evidence = estimator.begin([Query("q")])
    for column, answer in enumerate(answers):
        estimator.observe(evidence, column, [answer])
    k = len(estimator.priors)
    run = [i < len(answers) for i in range(k)] if run is None else run
    quality, sd = estimator.estimate(evidence, np.array([run]))
    return quality[0], sd[0]


def test_an_answer_is_as_good_as_its_tokens_are_probable():
    estimator = PriorEstimator(3, [0.1, 0.2, 0.3])
    answers = [Answer("a", (np.log(0.9), np.log(0.4))), Answer("no log-probs")]
    assert estimate(estimator, answers)[0] == pytest.approx([0.6, 0.2, 0.3])


def test_only_answers_of_models_run_count():
    answers = [Answer("", (0.0,)), Answer("", (-9.0,))]
    quality, _ = estimate(PriorEstimator(2, [0.1, 0.2]), answers, run=[False, False])
    assert quality.tolist() == [0.1, 0.2]


@pytest.mark.parametrize("priors", [[0.5], [0.5, 1.2], [0.5, np.nan], [[0.5, 0.6]]])
def test_priors_must_be_a_probability_for_each_model(priors):
    with pytest.raises(ConfigurationError, match=r"priors must be 2 numbers in \[0, 1\]"):
        PriorEstimator(2, priors)


def test_priors_learn_nothing():
    with pytest.raises(ConfigurationError, match="use LogprobEstimator"):
        PriorEstimator(2).fit(priced(np.ones((4, 2)))).cross_evidence()


def test_costs_are_a_line_in_the_length_of_the_query():
    length = np.array([10.0, 20, 30, 40])
    cost = np.column_stack([1 + 0.5 * length, 100 + 2 * length])
    estimator = LinearCostEstimator().fit(priced(cost))
    assert estimator.predict(PROMPTS) == pytest.approx(cost)
    assert estimator.predict([Query("x" * 25), Query("x" * 1000)]) == pytest.approx(
        np.array([[13.5, 150], [501, 2100]])
    )


def test_what_is_sent_along_costs_too():
    cost = np.outer([10.0, 20, 30, 40], [1, 3])
    estimator = LinearCostEstimator().fit(priced(cost))
    assert estimator.predict([Query("x", context_length=34)])[0] == pytest.approx([35, 105])


def test_costs_neither_fall_with_length_nor_below_the_lowest_recorded():
    falling, steep = [40.0, 30, 20, 10], [10.0, 110, 210, 310]
    estimator = LinearCostEstimator().fit(priced(np.column_stack([falling, steep])))
    assert estimator.predict(PROMPTS)[:, 0].tolist() == [25.0] * 4
    assert estimator.predict([Query("")])[0] == pytest.approx([25, 10])


def test_queries_of_one_length_cost_the_mean():
    data = CascadeDataset(["a"], ["xx", "yy"], [[Answer("")]] * 2, [[1], [1]], [[1.0], [4.0]])
    assert LinearCostEstimator().fit(data).predict([Query("x" * 99)]).tolist() == [[2.5]]


def test_an_unfitted_line_is_no_estimate():
    with pytest.raises(NotFittedError, match="LinearCostEstimator has not been fitted"):
        LinearCostEstimator().predict(PROMPTS)


def test_tokens_are_priced():
    prices = {"a": Price(4.0, 10.0), "b": Price(0.0, 0.0)}
    estimator = TokenCostEstimator(["a", "b"], prices, output_tokens=100)
    expected = [[(100 * 4 + 100 * 10) / 1e6, 0.0]]
    assert estimator.predict([Query("x" * 400)]) == pytest.approx(np.array(expected))
    wide = TokenCostEstimator(["a"], prices, output_tokens=100, characters_per_token=1)
    assert wide.predict([Query("x" * 400)])[0, 0] == pytest.approx(2600 / 1e6)


def test_a_model_without_a_price_has_an_unknown_cost():
    cost = TokenCostEstimator(["a", "b"], {"b": Price(1, 1)}).predict(PROMPTS)
    assert np.isnan(cost[:, 0]).all()
    assert np.isfinite(cost[:, 1]).all()


def test_the_length_of_answers_is_learned_where_it_was_recorded():
    prices = {"a": Price(0, 1e6), "b": Price(0, 1e6)}
    estimator = TokenCostEstimator(["a", "b"], prices, output_tokens=50)
    assert estimator.fit(priced(np.ones((4, 2)))).predict([Query("")]).tolist() == [[5, 7]]
    silent = CascadeDataset(["a", "b"], ["q"], [[Answer(""), Answer("")]], [[1, 1]], [[1, 1]])
    estimator = TokenCostEstimator(["a", "b"], prices, output_tokens=50)
    assert estimator.fit(silent).predict([Query("")]).tolist() == [[50, 50]]
