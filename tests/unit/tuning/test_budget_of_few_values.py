"""Budgets where many queries look alike: one lambda then decides all of them at once."""

from __future__ import annotations

import numpy as np
import pytest

from cascade_engine import Answer, CascadeDataset, CascadeRouter, CombinedEstimator, TextEstimator
from cascade_engine.estimators import RecordedSignal
from cascade_engine.strategies.frontier import Frontier
from cascade_engine.tuning.beliefs import EstimatedBeliefs

#: Between a budget and what is spent: what labels seen are held to move, 3% of the range of costs,
#: and on other queries three standard errors.
ROOM = 0.3


def spent(router, data):
    """What the router's policy spends on average, whichever way its coins fall."""
    evidence = router.quality.read(data)
    believed = EstimatedBeliefs(router.quality, evidence, router.cost.predict(data.queries))
    game, policy = router.simulation(data, believed), router.policy_
    cheap, dear = (
        game.play(np.full(len(data), lam)).mean_cost for lam in (policy.cheap, policy.dear)
    )
    return policy.gamma * cheap + (1 - policy.gamma) * dear


def verdicts(n, seed):
    """Two models, and a check of the small one's answer that says yes or no."""
    rng = np.random.default_rng(seed)
    small = rng.random(n) < 0.45
    verdict = np.where(small, rng.random(n) < 0.9, rng.random(n) < 0.4).astype(float)
    queries = [f"sum number {rng.integers(100, 1000)} {rng.integers(100, 1000)}" for _ in range(n)]
    answers = [
        [
            Answer(f"one {i:04}", signals={"v": verdict[i]}),
            Answer(f"two {i:04}", signals={"v": 0.5}),
        ]
        for i in range(n)
    ]
    quality = np.column_stack([small, rng.random(n) < 0.8]).astype(float)
    return CascadeDataset(["small", "large"], queries, answers, quality, [[1.0, 10.0]] * n)


@pytest.mark.parametrize("parts", [(), (TextEstimator(),)], ids=["verdict", "and text"])
@pytest.mark.parametrize(
    "strategy", ["fitted_value_iteration", "reservation_index", "cascade_routing"]
)
def test_a_budget_is_met_by_a_verdict_of_yes_or_no(strategy, parts):
    train, test = verdicts(500, 1), verdicts(3000, 2)
    quality = CombinedEstimator(*parts, RecordedSignal("v"))
    router = CascadeRouter(train.models, strategy=strategy, quality=quality).fit(train)
    for budget in (3.0, 5.0, 7.0, 9.0):
        at = router.with_budget(budget)
        assert at.policy_.cost == pytest.approx(budget)
        assert spent(at, train) == pytest.approx(budget, abs=ROOM)
        assert spent(at, test) == pytest.approx(budget, abs=ROOM + 0.3)


def test_policies_are_paid_for_as_they_are_used():
    traced = Frontier(
        np.array([4.0, 3.0, 2.0, 1.0]), np.arange(4.0), np.array([0.1, 0.2, 0.3, 0.4])
    )
    used = traced.spending(np.array([0.0, 0.0, 3.0, 3.0]))
    assert used.lambdas.tolist() == [4.0, 1.0]  # far from where the change is
    assert used.cost == pytest.approx([0.0, 3.0])
    assert used.quality.tolist() == [0.1, 0.4]
    policy = used.at(1.5)
    assert (policy.cheap, policy.dear, policy.gamma) == (4.0, 1.0, pytest.approx(0.5))


def test_a_policy_that_costs_less_than_one_of_a_higher_lambda_is_left_out():
    traced = Frontier(np.arange(5.0, 0.0, -1), np.arange(5.0), np.arange(5.0) / 10)
    used = traced.spending(np.array([0.0, 3.0, 2.0, 2.5, 4.0]))
    assert used.lambdas.tolist() == [5.0, 4.0, 1.0]
    assert used.quality.tolist() == [0.0, 0.1, 0.4]


def test_nothing_costs_more_than_the_best_policy():
    traced = Frontier(np.arange(4.0, 0.0, -1), np.arange(4.0), np.arange(4.0) / 10)
    used = traced.spending(np.array([0.0, 2.9, 1.0, 2.5]))
    assert used.lambdas.tolist() == [4.0, 2.0, 1.0]
    assert used.cost[-1] == pytest.approx(2.5, abs=0.1)


def test_what_moves_all_costs_evenly_is_no_news():
    cost = np.linspace(1.0, 5.0, 41)
    traced = Frontier(np.linspace(9.0, 1.0, 41), cost, np.linspace(0.2, 0.8, 41))
    share = (cost - 1) / 4
    used = traced.spending(cost - 0.4 * share * (1 - share))
    assert used.cost == pytest.approx(cost, rel=5e-3)
    assert used.lambdas.tolist() == traced.lambdas.tolist()


def test_a_frontier_of_one_policy_stays_as_it_is():
    one = Frontier(np.array([2.0]), np.array([3.0]), np.array([0.5]))
    assert one.spending(np.array([9.0])) is one
