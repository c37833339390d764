"""Fitting, budgets, and the agreement of replays with live sessions."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from cascade_engine import (
    STRATEGIES,
    CascadeRouter,
    ConfigurationError,
    DataError,
    InfeasibleBudgetError,
    NotFittedError,
    Price,
    Query,
    drive,
)
from cascade_engine.errors import UnknownPriceError
from cascade_engine.estimators import LogprobEstimator, TokenCostEstimator
from cascade_engine.strategies import DEFAULT_STRATEGY
from cascade_engine.tuning.frontier_search import trace_frontier
from cascade_engine.tuning.simulation import Simulation

EVERY = pytest.mark.parametrize("name", sorted(STRATEGIES))


def live(router, data, budget=None):
    """Sessions driven with the recorded answers: what ran, and whose answer was returned."""
    run, chosen = np.zeros(data.quality.shape, bool), []
    for row, (query, answers) in enumerate(zip(data.queries, data.answers, strict=True)):
        recorded = dict(zip(data.models, answers, strict=True))
        trace = drive(router.session(query, budget=budget), lambda c, r=recorded: r[c.model])
        run[row] = [name in trace.answers for name in data.models]
        chosen.append(data.models.index(trace.chosen))
    return run, np.array(chosen)


def simulation(router):
    """The fitting data, to be played again."""
    data = router._data
    return Simulation(router.strategy, data.believe, quality=data.quality, cost=data.cost)


@EVERY
def test_replayed_decisions_are_those_of_live_sessions(name, router, data, held_out):
    chosen = router.with_strategy(name)
    some = held_out.take(range(60))
    cheapest = float(chosen.frontier_.cost[0])
    for budget in (None, max(cheapest, float(data.cost[:, :2].sum(axis=1).mean()))):
        outcome = chosen.replay(some, budget=budget)
        run, answered = live(chosen, some, budget)
        assert (outcome.run == run).all()
        assert (outcome.chosen == answered).all()
        assert outcome.cost == pytest.approx((some.cost * run).sum(axis=1))
        assert outcome.quality.tolist() == some.quality[np.arange(60), answered].tolist()


def test_a_budget_in_the_middle_uses_several_models(router, data, held_out):
    outcome = router.replay(held_out, budget=float(data.cost.mean(axis=0)[1]))
    assert (outcome.run.sum(axis=1) > 1).any()
    assert (outcome.shares > 0.2).sum() > 1
    assert outcome.shares.sum() == pytest.approx(1)


@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - {"fitted_value_iteration"}))
def test_the_frontier_is_what_playing_each_lambda_gives(name, router, data):
    game = simulation(router.with_strategy(name))
    frontier = trace_frontier(game)
    assert (np.diff(frontier.lambdas) < 0).all()
    assert (np.diff(frontier.cost) > 0).all()
    for i in {
        0,
        len(frontier.cost) - 1,
        *range(0, len(frontier.cost), 1 + len(frontier.cost) // 9),
    }:
        outcome = game.play(np.full(len(data), frontier.lambdas[i]))
        assert outcome.mean_cost == pytest.approx(frontier.cost[i], rel=1e-9)
        assert outcome.mean_quality == pytest.approx(frontier.quality[i], abs=1e-9)


def test_no_lambda_buys_anything_off_the_frontier(router, data):
    game = simulation(router.with_strategy("cascade_routing"))  # exact at every lambda
    frontier = trace_frontier(game)
    for lam in np.geomspace(frontier.lambdas[-1], frontier.lambdas[0], 25):
        outcome = game.play(np.full(len(data), lam))
        near = np.abs(frontier.cost - outcome.mean_cost).argmin()
        on_it = np.isclose(frontier.cost[near], outcome.mean_cost, rtol=1e-9)
        assert on_it or outcome.mean_cost < frontier.cost[frontier.lambdas > lam].max()


@EVERY
@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.5, 0.77, 0.999, 1.0])
def test_the_budget_is_met_in_expectation_on_the_fitting_data(name, share, router):
    tuned = router.with_strategy(name)
    cheapest, dearest = tuned.frontier_.cost[[0, -1]]
    budget = float(cheapest + share * (dearest - cheapest))
    policy = tuned.with_budget(budget).policy_
    assert policy.cost == pytest.approx(budget, rel=1e-9)
    assert 0 <= policy.gamma <= 1
    assert policy.cheap >= policy.dear


def test_the_policy_is_the_mixture_of_its_two_lambdas(router, data):
    game = simulation(router.with_strategy("reservation_index"))
    frontier = trace_frontier(game)
    for budget in np.linspace(*frontier.cost[[0, -1]], 7)[1:-1]:
        policy = frontier.at(float(budget))
        ends = [game.play(np.full(len(data), lam)) for lam in (policy.cheap, policy.dear)]
        weights = np.array([policy.gamma, 1 - policy.gamma])
        assert weights @ [end.mean_cost for end in ends] == pytest.approx(budget)
        assert weights @ [end.mean_quality for end in ends] == pytest.approx(policy.quality)


def test_coins_fall_as_often_as_gamma_says(router, make_data):
    data = make_data(3000, 2, 5)
    means = data.cost.mean(axis=0)
    budget = float(means @ [0.8, 0.2])
    mixing = CascadeRouter(data.models, strategy="random_mixing", budget=budget)
    outcome = mixing.fit(data.take(range(100))).replay(data)
    gamma = mixing.policy_.gamma
    assert gamma == pytest.approx(0.8, abs=0.05)
    assert outcome.shares[0] == pytest.approx(gamma, abs=4 * np.sqrt(0.16 / 3000))


def test_a_budget_below_the_cheapest_names_both_figures(router, data):
    cheapest = router.frontier_.cost[0]
    message = rf"a budget of 1e-06 .*which costs {cheapest:g}: raise the budget"
    with pytest.raises(InfeasibleBudgetError, match=message):
        router.with_budget(1e-6)
    for use in (router.session, lambda q, budget: router.replay(data, budget=budget)):
        with pytest.raises(InfeasibleBudgetError, match=message):
            use("q", budget=1e-6)


@EVERY
def test_a_budget_above_everything_buys_the_dearest_policy(name, router):
    tuned = router.with_strategy(name)
    for budget in (None, 1e9, float("inf")):
        policy = tuned.with_budget(budget).policy_
        assert policy.cost == tuned.frontier_.cost[-1]
        assert policy.cheap == policy.dear == tuned.frontier_.lambdas[-1]


@pytest.mark.parametrize("bad", [float("nan"), -1.0, -float("inf")])
def test_a_budget_that_is_no_amount_is_refused(bad, router, data):
    for use in (
        lambda: CascadeRouter(["a"], budget=bad),
        lambda: router.with_budget(bad),
        lambda: router.session("q", budget=bad),
        lambda: router.session("q", max_cost=bad),
        lambda: router.replay(data, budget=bad),
    ):
        with pytest.raises(ConfigurationError, match="a budget must be a number >= 0"):
            use()


def test_strategies_are_tuned_on_cross_fitted_estimates(router, data):
    everyone = np.arange(len(data))
    for run in ([False, False, False], [True, False, True]):
        mask = np.broadcast_to(np.array(run), data.quality.shape)
        believed = router._data.believe(everyone, mask)
        quality, sd = router.quality.estimate(router.quality.cross_evidence(), mask)
        in_sample, _ = router.quality.estimate(router.quality.read(data), mask)
        assert (believed.quality == quality).all()
        assert (believed.sd == sd).all()
        assert (believed.cost == router.cost.cross_predict(data)).all()
        assert (quality != in_sample).any()
    assert (router.cost.cross_predict(data) != router.cost.predict(data.queries)).any()


def test_another_budget_is_what_a_new_fit_would_give(router, data):
    budget = float(data.cost.mean(axis=0)[1])
    before = router.policy_
    looked_up = router.with_budget(budget)
    fitted = CascadeRouter(data.models, budget=budget).fit(data)
    assert astuple(looked_up.policy_) == astuple(fitted.policy_)
    assert looked_up.budget == fitted.budget == budget
    assert router.policy_ is before
    assert router.budget is None
    assert looked_up.session("hard q").trace.budget == budget


def test_another_strategy_is_what_a_new_fit_would_give(router, data):
    budget = float(data.cost.mean(axis=0)[1])
    changed = router.with_budget(budget).with_strategy("routing")
    fitted = CascadeRouter(data.models, strategy="routing", budget=budget).fit(data)
    assert astuple(changed.policy_) == astuple(fitted.policy_)
    assert (changed.frontier_.cost == fitted.frontier_.cost).all()
    assert router.strategy.name == DEFAULT_STRATEGY


def test_a_failed_fit_leaves_the_router_as_it_was(data):
    router = CascadeRouter(data.models, budget=1e-9)
    with pytest.raises(InfeasibleBudgetError):
        router.fit(data)
    assert not router.is_fitted
    with pytest.raises(NotFittedError, match="replay needs a fitted router"):
        router.replay(data)
    with pytest.raises(NotFittedError):
        router.quality.begin([Query("q")])


def test_a_new_fit_does_not_reach_routers_made_before(router, data, make_data):
    believed = router.session("deep ban bel?").trace.decisions[0].quality
    frontier = router.frontier_
    other = router.with_budget(None).fit(make_data(60, 3, 9))
    assert other.session("deep ban bel?").trace.decisions[0].quality != believed
    assert router.session("deep ban bel?").trace.decisions[0].quality == believed
    assert router.frontier_ is frontier


def test_two_routers_may_be_given_one_estimator(data, make_data):
    shared = LogprobEstimator()
    first = CascadeRouter(data.models, quality=shared).fit(data.take(range(60)))
    believed = first.session("deep ban bel?").trace.decisions[0].quality
    CascadeRouter(data.models, quality=shared).fit(make_data(60, 3, 9))
    assert first.session("deep ban bel?").trace.decisions[0].quality == believed


def test_the_data_must_be_on_the_models_of_the_router(data):
    for models in (data.models[::-1], data.models[:2]):
        with pytest.raises(DataError, match=r"the data is on models .* and the router on"):
            CascadeRouter(models).fit(data)
    with pytest.raises(DataError, match=r"the data must be a CascadeDataset, not \['q'\]"):
        CascadeRouter(data.models).fit(["q"])


@pytest.mark.parametrize("query", [None, 7, {"text": "q"}])
def test_what_is_no_query_gets_no_session(query, data):
    with pytest.raises(DataError, match="a query must be text or a Query, not"):
        CascadeRouter(data.models).session(query)


def test_ten_distinct_queries_are_needed(data):
    nine = data.take([*range(9), *range(9), *range(9)])
    with pytest.raises(DataError, match="9 distinct queries are too few"):
        CascadeRouter(data.models).fit(nine)
    assert CascadeRouter(data.models).fit(data.take([*range(10), 0, 0])).is_fitted


def test_a_cost_estimator_must_know_every_cost(data):
    prices = {data.models[0]: Price(1, 1)}
    router = CascadeRouter(data.models, cost=TokenCostEstimator(data.models, prices))
    with pytest.raises(UnknownPriceError, match=r"\['model-1', 'model-2'\]"):
        router.fit(data)
    assert not router.is_fitted


@EVERY
def test_one_model_is_enough(name, data):
    single = data.select(["model-1"])
    router = CascadeRouter(["model-1"], strategy=name).fit(single)
    assert router.policy_.cost == pytest.approx(single.cost.mean())
    assert router.session("q").pending.final
    assert router.replay(single).mean_quality == pytest.approx(single.quality.mean())


def test_names_must_be_there_and_distinct():
    with pytest.raises(ConfigurationError, match="no models given"):
        CascadeRouter([])
    with pytest.raises(ConfigurationError, match=r"\['a'\] appear more than once"):
        CascadeRouter(["a", "b", "a"])
    for bad in ([""], [None], ["a", 3]):
        with pytest.raises(ConfigurationError, match="non-empty string"):
            CascadeRouter(bad)
    with pytest.raises(ConfigurationError, match="not the one string 'gpt'"):
        CascadeRouter("gpt")
    with pytest.raises(ConfigurationError, match=r"\['c'\], which are not among"):
        CascadeRouter(["a", "b"], prices={"c": Price(1, 1)})


def test_without_a_budget_the_policy_is_as_good_as_the_best_measured(make_data):
    data = make_data(200, 3, 0)
    router = CascadeRouter(data.models, strategy="threshold_cascade").fit(data)
    dearest = simulation(router).play(np.zeros(len(data)))
    assert router.policy_.cost < dearest.mean_cost
    assert router.policy_.quality >= dearest.mean_quality
    assert router.with_budget(1e9).policy_ == router.policy_
    best = router.frontier_.quality.argmax()
    games = [simulation(router).play(np.full(200, router.frontier_.lambdas[i])) for i in (best, -1)]
    lost = games[0].quality - games[1].quality
    assert 0 <= lost.mean() <= 2 * lost.std() / np.sqrt(200) + 1e-12


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5, None])
def test_a_seed_that_cannot_be_used_is_refused(seed):
    with pytest.raises(ConfigurationError, match=f"seed must be .* not {seed}"):
        CascadeRouter(["a"], seed=seed)
