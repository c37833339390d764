"""Frontiers and the policies that budgets buy, on arrays."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from cascade_engine import (
    STRATEGIES,
    Beliefs,
    BudgetWarning,
    CascadeRouter,
    ConfigurationError,
    Frontier,
    InfeasibleBudgetError,
    simulate,
    tune,
)
from tests.helpers import world

NAMES = sorted(STRATEGIES)
EVERY = pytest.mark.parametrize("name", NAMES)
#: Its frontier is traced by leave-one-out decisions, which are not those of the finished strategy.
LEARNED = "fitted_value_iteration"
PLAYED = pytest.mark.parametrize("name", [name for name in NAMES if name != LEARNED])
SOME = world(80, 4, 0)
LINE = Frontier(np.array([3.0, 1.0, 0.5]), np.array([1.0, 2.0, 4.0]), np.array([0.5, 0.7, 0.8]))


def means(strategy, lam, some=SOME):
    outcome = simulate(strategy, some.beliefs, lam, **some.truth)
    return np.array([outcome.mean_cost, outcome.mean_quality])


@PLAYED
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_cost_on_the_fitting_set_is_the_budget_to_the_last_digits(name, seed):
    some = world(70, 4, seed)
    strategy, frontier = tune(name, some.beliefs, **some.truth)
    for share in (0.0, 0.01, 0.3, 0.5, 0.83, 1.0):
        budget = float(frontier.cost[0] + share * (frontier.cost[-1] - frontier.cost[0]))
        policy = frontier.at(budget)
        cheap, dear = means(strategy, policy.cheap, some), means(strategy, policy.dear, some)
        cost, quality = policy.gamma * cheap + (1 - policy.gamma) * dear
        assert cost == pytest.approx(budget, rel=1e-9)
        assert quality == pytest.approx(policy.quality, abs=1e-9)
        assert policy.cost == pytest.approx(budget, rel=1e-12)
        assert 0 <= policy.gamma <= 1
        assert policy.cheap >= policy.dear


@PLAYED
def test_every_point_is_what_its_lambda_does(name):
    strategy, frontier = tune(name, SOME.beliefs, **SOME.truth)
    for i in range(0, len(frontier.cost), 1 + len(frontier.cost) // 40):
        found = means(strategy, float(frontier.lambdas[i]))
        assert found == pytest.approx([frontier.cost[i], frontier.quality[i]], rel=1e-10)


@pytest.mark.parametrize("name", ["cascading", "cascade_routing", "threshold_cascade", "routing"])
def test_no_lambda_buys_anything_off_an_exact_frontier(name):
    strategy, frontier = tune(name, SOME.beliefs, **SOME.truth)
    for lam in np.geomspace(frontier.lambdas[-1] or 1e-4, frontier.lambdas[0], 60):
        cost, quality = means(strategy, lam)
        near = np.abs(frontier.cost - cost).argmin()
        if np.isclose(frontier.cost[near], cost, rtol=1e-10):
            assert frontier.quality[near] == pytest.approx(quality, abs=1e-10)
        else:  # where a lower lambda costs no more, the higher is left out
            assert cost < frontier.cost[frontier.lambdas > lam].max()


def test_the_index_on_a_grid_is_close_to_every_lambda_between():
    some = world(400, 4, 1)
    strategy, frontier = tune("reservation_index", some.beliefs, **some.truth)
    for lam in np.geomspace(max(frontier.lambdas[-1], 1e-4), frontier.lambdas[0], 40):
        cost, quality = means(strategy, lam, some)
        mixed = frontier.at(min(max(cost, frontier.cost[0]), frontier.cost[-1]))
        assert abs(mixed.quality - quality) < 0.015
    assert len(frontier.cost) > 30


@EVERY
def test_it_ends_where_more_helps_no_more(name):
    """At the last point that is not worse than the best by more than two standard errors."""
    for seed in range(3):
        some = world(150, 3, seed)
        strategy, frontier = tune(name, some.beliefs, **some.truth)
        best = float(frontier.lambdas[frontier.quality.argmax()])
        games = [
            simulate(strategy, some.beliefs, lam, **some.truth).quality
            for lam in (best, float(frontier.lambdas[-1]))
        ]
        lost = games[0] - games[1]
        assert lost.mean() >= -1e-12
        assert lost.mean() <= 2 * lost.std() / np.sqrt(150) + 1e-12


def test_what_costs_more_and_gives_clearly_less_is_left_out():
    n = 100
    before = np.tile([0.5, 0.9], (n, 1))
    quality = np.tile([0.8, 0.1], (n, 1)) + 0.01 * np.random.default_rng(0).normal(size=(n, 2))
    beliefs = Beliefs(before, before, cost=[1, 2], sd=[0, 0])
    truth = {"quality": quality, "cost": np.tile([1.0, 2.0], (n, 1))}
    frontier = tune("routing", beliefs, **truth).frontier
    assert frontier.cost.tolist() == [1]
    assert frontier.at(np.inf).quality == pytest.approx(quality[:, 0].mean())


@EVERY
@pytest.mark.parametrize("bad", [np.nan, -1.0, -np.inf])
def test_a_budget_that_is_no_amount_is_refused(name, bad):
    frontier = tune(name, SOME.beliefs, **SOME.truth).frontier
    for clamp in (False, True):
        with pytest.raises(ConfigurationError, match=f"must be a number >= 0, not {bad}"):
            frontier.at(bad, clamp=clamp)


@EVERY
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_below_the_cheapest_it_raises_or_takes_that_and_warns(name, share):
    frontier = tune(name, SOME.beliefs, **SOME.truth).frontier
    budget = share * float(frontier.cost[0])
    words = f"a budget of {budget:g} per query is below .*, which costs {frontier.cost[0]:g}"
    with pytest.raises(InfeasibleBudgetError, match=f"{words}: raise the budget or add a cheap"):
        frontier.at(budget)
    with pytest.warns(BudgetWarning, match=f"{words}: that policy is used"):
        policy = frontier.at(budget, clamp=True)
    assert policy.cost == frontier.cost[0]
    assert policy.cheap == policy.dear == frontier.lambdas[0]


@EVERY
def test_above_the_dearest_the_best_is_bought_without_a_word(name):
    frontier = tune(name, SOME.beliefs, **SOME.truth).frontier
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for budget in (float(frontier.cost[-1]), 1e9, np.inf):
            for clamp in (False, True):
                policy = frontier.at(budget, clamp=clamp)
                assert policy.cost == frontier.cost[-1]
                assert policy.cheap == policy.dear == frontier.lambdas[-1]


def test_the_cheapest_itself_is_feasible_and_not_clamped():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert LINE.at(1.0, clamp=True).cost == 1
        assert LINE.at(1.0 - 1e-12).cost == 1
    assert (LINE.at(1.5).gamma, LINE.at(1.5).quality) == (0.5, pytest.approx(0.6))
    assert (LINE.at(3.0).cheap, LINE.at(3.0).dear) == (1.0, 0.5)


def test_a_router_clamps_if_it_is_told_to():
    data = SOME.data()
    cheapest = SOME.router("routing").frontier_.cost[0]
    with pytest.raises(InfeasibleBudgetError, match="raise the budget"):
        SOME.router("routing", budget=1e-9)
    with pytest.warns(BudgetWarning, match="that policy is used"):
        router = SOME.router("routing", budget=1e-9, clamp_budget=True)
    assert router.policy_.cost == cheapest
    with pytest.warns(BudgetWarning):
        assert router.with_budget(1e-6).policy_.cost == cheapest
    with pytest.warns(BudgetWarning):
        session = router.session("3", budget=1e-6)
    assert session.pending is not None
    with pytest.warns(BudgetWarning):
        assert router.replay(data, budget=1e-6).mean_cost == pytest.approx(cheapest)
    with pytest.warns(BudgetWarning):
        assert router.with_strategy("cascading").policy_.gamma == 0
    with pytest.raises(ConfigurationError, match="not nan"):
        CascadeRouter(["a"], budget=float("nan"), clamp_budget=True)


def test_the_area_is_the_mean_quality_over_budgets():
    assert LINE.area(1, 2) == pytest.approx(0.6, abs=1e-6)
    assert LINE.area(2, 4) == pytest.approx(0.75, abs=1e-6)
    assert LINE.area(1, 4) == pytest.approx((0.6 + 2 * 0.75) / 3, abs=1e-4)
    assert LINE.area(4, 9) == pytest.approx(0.8)
    assert LINE.area(0, 1) == pytest.approx(0.5)


def test_a_policy_is_cheap_as_often_as_gamma_says():
    policy = LINE.at(1.25)
    assert policy.gamma == 0.75
    assert [policy.lam(toss) for toss in (0.0, 0.74, 0.75, 0.999)] == [3.0, 3.0, 1.0, 1.0]


@pytest.mark.parametrize("factor", [1e-3, 1e4])
def test_a_grid_of_lambdas_fits_qualities_of_any_size(factor):
    small = world(300, 4, 2)
    believed = small.beliefs
    beliefs = Beliefs(
        believed.before * factor,
        believed.after * factor,
        cost=believed.cost,
        sd=believed.sd * factor,
    )
    same = tune("reservation_index", believed, **small.truth).frontier
    large = tune(
        "reservation_index", beliefs, quality=small.quality * factor, cost=small.cost
    ).frontier
    for budget in np.linspace(same.cost[0], same.cost[-1], 9):
        expected = same.at(budget).quality * factor
        assert large.at(budget, clamp=True).quality == pytest.approx(expected, abs=2e-3 * factor)


@pytest.mark.parametrize("name", ["cascade_routing", "cascading"])
def test_choices_that_change_at_one_lambda_change_together(name):
    """Before and after an answer, the same sd and cost: one edge, but for rounding."""
    before = np.array([[0.0, 0.0], [0.0, 0.0], [0.5, 0.5]])
    after = np.array([[0.0, 0.0], [0.0, 0.5], [0.0, 0.5]])
    sd = np.array([[0.0, 0.0], [0.0, 0.01], [0.01, 0.0]])
    cost = np.array([[0.0, 0.0], [0.0, 0.25], [0.25, 0.0]])
    truth = {"quality": np.zeros((3, 2)), "cost": cost}
    beliefs = Beliefs(before, after, sd=sd, cost=cost)
    strategy, frontier = tune(name, beliefs, **truth)
    for lam, paid in zip(frontier.lambdas, frontier.cost, strict=True):
        outcome = simulate(strategy, beliefs, float(lam), **truth)
        assert outcome.mean_cost == pytest.approx(paid, abs=1e-12)
    edges = np.sort(frontier.lambdas)
    assert (np.diff(edges) > 1e-7 * edges[1:]).all()
