"""What estimates have in common: learned, taken up by answers, and heeded in a session."""

from __future__ import annotations

import numpy as np
import pytest

from cascade_engine import CascadeRouter, drive
from cascade_engine.estimators import CombinedEstimator
from cascade_engine.estimators.regression.correlation import fit_correlation, remaining

K = 4


def steps(n, correlation, seed=0):
    rng = np.random.default_rng(seed)
    before = rng.uniform(0.2, 0.8, (n, len(correlation)))
    moves = rng.multivariate_normal(np.zeros(len(correlation)), correlation, n)
    return before, before + 0.1 * np.sqrt(before * (1 - before)) * moves


def some_correlation(seed=1):
    loadings = np.random.default_rng(seed).uniform(0.2, 0.9, K)
    return np.outer(loadings, loadings) + np.diag(1 - loadings**2)


def test_a_correlation_is_found_again():
    true = some_correlation()
    found = fit_correlation(*steps(20_000, true))
    assert np.allclose(np.diagonal(found), 1)
    assert np.abs(found - true).max() < 0.03


def test_few_queries_tell_less_of_it():
    true = some_correlation()
    off = ~np.eye(K, dtype=bool)
    few, many = (np.abs(fit_correlation(*steps(n, true))[off]).mean() for n in (12, 5_000))
    assert few < many


def test_an_estimate_that_never_moves_goes_with_none():
    before, after = steps(100, some_correlation())
    after[:, 2] = before[:, 2]
    found = fit_correlation(before, after)
    assert found[2].tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("run", [[0], [1, 3], [0, 1, 2], []])
def test_answers_take_up_what_is_in_common(run):
    true = some_correlation()
    mask = np.zeros((2, K), dtype=bool)
    mask[:, run] = True
    left = [i for i in range(K) if i not in run]
    # The covariance given the others is the inverse of the precision's own block.
    given = np.linalg.inv(np.linalg.inv(true)[np.ix_(left, left)])
    size = np.sqrt(np.diagonal(given))
    found = remaining(true, mask)
    assert np.allclose(found[0][np.ix_(left, left)], given / np.outer(size, size))
    assert not found[1][run].any()
    assert not found[1][:, run].any()


def test_it_is_off_unless_asked_for(data):
    estimator = CombinedEstimator().fit(data)
    assert estimator.correlation(np.zeros((1, 3), dtype=bool)) is None


@pytest.mark.parametrize("strategy", ["cascade_routing", "cascading", "fitted_value_iteration"])
def test_sessions_heed_it_as_the_replay_does(data, held_out, strategy, tmp_path):
    plain = CascadeRouter(data.models, strategy=strategy).fit(data)
    quality = CombinedEstimator(correlated=True)
    router = CascadeRouter(data.models, strategy=strategy, quality=quality).fit(data)
    router.save(tmp_path / "router")
    again = CascadeRouter.load(tmp_path / "router")
    cost = plain.frontier_.cost
    budget = float(0.6 * cost[0] + 0.4 * cost[-1])
    expected = router.replay(held_out, budget=budget)
    for row, query in enumerate(held_out.queries[:60]):
        answers = dict(zip(data.models, held_out.answers[row], strict=True))
        for one in (router, again):
            trace = drive(one.session(query, budget=budget), lambda call, a=answers: a[call.model])
            assert trace.chosen == data.models[expected.chosen[row]]
            assert trace.total_cost == pytest.approx(expected.cost[row])
    changed = not np.array_equal(plain.frontier_.cost, router.frontier_.cost)
    assert changed == (strategy != "fitted_value_iteration")
