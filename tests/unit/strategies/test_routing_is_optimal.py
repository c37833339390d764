"""Routing at a budget is the optimum of a linear program (Theorem 1)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from cascade_engine import Beliefs, tune


def best_mixture(quality, cost, budget):
    """Highest mean quality of any randomised routing whose mean cost is within the budget."""
    n, k = quality.shape
    one_model_each = np.kron(np.eye(n), np.ones((1, k)))
    found = linprog(
        -quality.ravel(),
        A_ub=cost.reshape(1, -1),
        b_ub=[budget * n],
        A_eq=one_model_each,
        b_eq=np.ones(n),
        method="highs",
    )
    assert found.success
    return -found.fun / n


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_the_frontier_of_routing_equals_a_linear_program(seed, k):
    rng = np.random.default_rng(seed)
    quality, cost = rng.random((40, k)), rng.lognormal(size=(40, k))
    if seed == 0:  # ties in everything
        quality, cost = quality.round(1), cost.round()
    beliefs = Beliefs(quality, quality, cost=cost, sd=np.zeros(k))
    frontier = tune("routing", beliefs, quality=quality, cost=cost).frontier
    low, high = cost.min(axis=1).mean(), cost.max(axis=1).mean()
    for budget in np.linspace(low, high, 9):
        policy = frontier.at(budget)
        assert policy.quality == pytest.approx(best_mixture(quality, cost, budget), abs=1e-9)
        assert policy.cost == pytest.approx(min(budget, frontier.cost[-1]), abs=1e-9)
