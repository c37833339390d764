"""What each strategy does in each state, one query at a time."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from cascade_engine import STRATEGIES, CascadeRouter, ConfigurationError, NotFittedError
from cascade_engine.estimators import Estimates
from cascade_engine.storage.registry import registration
from cascade_engine.strategies import (
    STOP,
    CascadeRouting,
    Cascading,
    RandomMixing,
    ReservationIndex,
    Routing,
    SingleModel,
    Strategy,
    ThresholdCascade,
    find_strategy,
)
from tests.helpers import believed, decide, fresh, states, tuned

LAMBDAS = (0.0, 0.02, 0.1, 0.4, 2.0)
ESCALATING = [Cascading, CascadeRouting, ReservationIndex]


@pytest.mark.parametrize("seed", range(5))
def test_routing_maximises_quality_less_cost(seed):
    quality, sd, cost = believed(seed, 4)
    for run, available in states(4):
        free = [i for i in range(4) if available[i]]
        for setting in LAMBDAS:
            expected = STOP
            if free and not any(run):
                expected = max(free, key=lambda i: quality[i] - setting * cost[i])
            assert decide(Routing(), (quality, sd, cost), (run, available), setting) == expected


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_cascade_stops_at_the_threshold(seed):
    quality, sd, cost = believed(seed, 4)
    for run, available in states(4):
        last = max((i for i in range(4) if run[i]), default=-1)
        waiting = [i for i in range(last + 1, 4) if available[i]]
        for setting in (0.0, 0.3, 0.6, 0.99):
            accepted = last >= 0 and quality[last] >= setting
            expected = STOP if accepted or not waiting else waiting[0]
            belief = (quality, sd, cost)
            action = decide(ThresholdCascade(), belief, (run, available), 1 - setting)
            assert action == expected


def test_the_threshold_is_met_by_equality():
    belief, state = ([0.7, 0.9], [0, 0], [1, 2]), ([True, False], [False, True])
    assert decide(ThresholdCascade(), belief, state, 1 - 0.7) == STOP
    assert decide(ThresholdCascade(), belief, state, 1 - 0.71) == 1


def test_the_threshold_cascade_returns_the_last_models_answer_and_else_the_best():
    estimates = Estimates(np.array([[0.9, 0.4, 0.5]]), np.zeros((1, 3)), np.ones((1, 3)))
    run = np.array([[True, True, False]])
    assert ThresholdCascade().choose(estimates, run).tolist() == [0]  # the third failed
    assert ThresholdCascade().choose(estimates, np.ones((1, 3), dtype=bool)).tolist() == [2]
    for strategy in (Routing(), Cascading(), CascadeRouting(), ReservationIndex(), RandomMixing()):
        assert strategy.choose(estimates, run).tolist() == [0]


def hull_by_brute_force(cost, quality):
    """Models that no other model and no mixture of two matches at their cost."""
    kept = []
    for i in range(len(cost)):
        rivals = [(c, q) for j, (c, q) in enumerate(zip(cost, quality, strict=True)) if j != i]
        beaten = any(c <= cost[i] and q >= quality[i] for c, q in rivals)
        for (c1, q1), (c2, q2) in product(rivals, rivals):
            if c1 < cost[i] < c2:
                share = (cost[i] - c1) / (c2 - c1)
                beaten |= q1 + share * (q2 - q1) >= quality[i]
        if not beaten:
            kept.append(i)
    return sorted(kept, key=lambda i: -cost[i])


@pytest.mark.parametrize("seed", range(12))
def test_random_mixing_keeps_the_upper_hull(seed):
    quality, sd, cost = believed(seed, 6)
    mixing = tuned(RandomMixing(), seed, 6)
    elsewhere = (quality[::-1], sd, cost[::-1])
    lambdas = [*np.logspace(-4, 3, 200), 1e9]
    seen = [decide(mixing, elsewhere, fresh(6), lam) for lam in lambdas]
    assert list(dict.fromkeys(seen)) == hull_by_brute_force(cost, quality)


def test_random_mixing_runs_one_model_and_stops():
    belief, mixing = believed(0, 3), tuned(RandomMixing(), 0, 3)
    cheapest = int(np.argmin(belief[2]))
    assert decide(mixing, belief, fresh(3), 1e9) == cheapest
    left = [model != cheapest for model in range(3)]
    assert decide(mixing, belief, ([False] * 3, left), 1e9) not in {cheapest, STOP}
    assert decide(mixing, belief, ([not mine for mine in left], left), 0) == STOP
    with pytest.raises(NotFittedError, match="fit the router first"):
        decide(RandomMixing(), belief, fresh(3), 0)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_runs_what_is_available_and_starts_where_it_can(name):
    for seed, (run, available) in enumerate(states(3)):
        strategy = tuned(STRATEGIES[name](), seed, 3)
        for lam in (0, 0.1, 1, 50):
            action = decide(strategy, believed(seed, 3), (run, available), lam)
            assert action == STOP or available[action]
            if any(available) and not any(run):
                assert action != STOP


@pytest.mark.parametrize("name", ["routing", "cascade_routing", "reservation_index"])
@pytest.mark.parametrize("cheap", [0, 1, 2])
def test_ties_go_to_the_cheapest(name, cheap):
    cost = [3.0, 3.0, 3.0]
    cost[cheap] = 2.0
    assert decide(STRATEGIES[name](), ([0.5] * 3, [0] * 3, cost), fresh(3), 0.0) == cheap


@pytest.mark.parametrize("strategy", [Cascading(), CascadeRouting(), ReservationIndex()])
def test_a_longer_cascade_that_adds_nothing_is_not_run(strategy):
    state = ([True, False], [False, True])
    assert decide(strategy, ([0.8, 0.8], [0, 0], [1, 1]), state, 0.0) == STOP
    assert decide(strategy, ([0.8, 0.8], [0, 0.1], [1, 1]), state, 0.0) == 1


def test_the_cheapest_member_of_the_best_set_runs_first():
    quality, sd = [0.5, 0.5], [0.4, 0.4]
    assert decide(CascadeRouting(), (quality, sd, [2, 1]), fresh(2), 0.01) == 1
    assert decide(CascadeRouting(), (quality, sd, [1, 2]), fresh(2), 0.01) == 0
    assert decide(Cascading(), (quality, sd, [2, 1]), fresh(2), 0.01) == 0
    assert decide(CascadeRouting(), (quality, sd, [1, 1]), fresh(2), 0.01) == 0


def test_free_models_are_worth_running_at_any_lambda():
    assert decide(CascadeRouting(), ([0.5, 0.9], [0.2, 0.2], [0, 1]), fresh(2), 1e9) == 0
    assert decide(Routing(), ([0.5, 0.9], [0.2, 0.2], [0, 0]), fresh(2), 1e9) == 1


def test_cascade_routing_weighs_all_sets_of_eight():
    quality, sd, cost = believed(3, 8)
    assert decide(CascadeRouting(), (quality, sd, cost), fresh(8), 0.0) == np.argmin(cost)
    free_of_spread = decide(CascadeRouting(), (quality, sd * 0, cost), fresh(8), 0.0)
    assert free_of_spread == np.argmax(quality)
    assert decide(CascadeRouting(), (quality, sd, cost), fresh(8), 1e6) == np.argmin(cost)


def test_a_setting_is_lambda_as_users_know_it():
    named = {name: STRATEGIES[name]().setting(0.25) for name in STRATEGIES}
    assert named.pop("threshold_cascade") == {"threshold": 0.75}
    assert set(named) == {
        "cascade_routing",
        "cascading",
        "fitted_value_iteration",
        "random_mixing",
        "reservation_index",
        "routing",
        "single_model",
    }
    assert all(setting == {"lambda": 0.25} for setting in named.values())


def test_what_may_still_run_after_a_model():
    nobody, free = [False] * 3, [True] * 3
    reachable = {s: STRATEGIES[s]().reachable(nobody, free, 1) for s in STRATEGIES}
    assert reachable == {
        "cascade_routing": [True, False, True],
        "cascading": [False, False, True],
        "fitted_value_iteration": [True, False, True],
        "random_mixing": [False, False, False],
        "reservation_index": [True, False, True],
        "routing": [False, False, False],
        "single_model": [False, False, False],
        "threshold_cascade": [False, False, True],
    }


@pytest.mark.parametrize("kind", ESCALATING)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_no_more_models_run_than_the_depth_allows(kind, depth):
    strategy, stopped = kind(max_depth=depth), set()
    for run, available in states(4):
        for seed in range(3):
            action = decide(strategy, believed(seed, 4), (run, available), 0.0)
            if sum(run) >= depth:
                assert action == STOP
                stopped.add(decide(kind(), believed(seed, 4), (run, available), 0.0))
    assert stopped > {STOP}


@pytest.mark.parametrize("kind", ESCALATING)
def test_the_last_call_that_the_depth_allows_can_reach_no_other(kind):
    nobody, free = [False] * 3, [True] * 3
    one, rest = [True, False, False], [False, True, True]
    assert kind(max_depth=1).is_final(nobody, free, 0)
    assert not kind(max_depth=2).is_final(nobody, free, 0)
    assert not kind().is_final(nobody, free, 0)
    # The second call is the last, but the first answer may still be the better one.
    assert not any(kind(max_depth=2).reachable(one, rest, 1))
    assert not kind(max_depth=2).is_final(one, rest, 1)
    assert kind(max_depth=3).reachable(one, rest, 1) == [False, False, True]


@pytest.mark.parametrize("kind", ESCALATING)
def test_a_depth_beyond_all_models_bounds_nothing(kind):
    for state in list(states(3))[::2]:
        for lam in LAMBDAS:
            known = believed(1, 3)
            assert decide(kind(max_depth=9), known, state, lam) == decide(kind(), known, state, lam)


@pytest.mark.parametrize("kind", ESCALATING)
@pytest.mark.parametrize("depth", [0, -1, 1.5, float("nan"), float("inf")])
def test_a_depth_that_is_no_number_of_models_is_refused(kind, depth):
    with pytest.raises(ConfigurationError, match=f"whole number >= 1, not {depth}"):
        kind(max_depth=depth)


@pytest.mark.parametrize("model", [0, 1, 2, -1, -3])
def test_a_single_model_runs_and_no_other_while_it_can(model):
    strategy, wanted = SingleModel(model), model % 3
    for run, available in states(3):
        action = decide(strategy, believed(0, 3), (run, available), 0.3)
        if any(run) or not any(available):
            assert action == STOP
        elif available[wanted]:
            assert action == wanted
        else:
            assert available[action]
    with pytest.raises(ConfigurationError, match="runs model 3, but there are only 3: pass a col"):
        decide(SingleModel(3), believed(0, 3), fresh(3), 0.0)


def test_strategies_are_found_by_name_or_given():
    assert {name: find_strategy(name).name for name in STRATEGIES} == {n: n for n in STRATEGIES}
    mine = Cascading()
    assert find_strategy(mine) is mine
    assert isinstance(mine, Strategy)
    with pytest.raises(ConfigurationError, match="unknown strategy 'best': choose one of"):
        CascadeRouter(["a"], strategy="best")


@pytest.mark.parametrize("prune", [True, False])
def test_cascade_routing_saved_with_or_without_pruning_still_loads(prune):
    stored = registration("CascadeRouting")
    state = {"max_depth": 2, "per_step": True, "factors_": (1.0, 0.5), "prune": prune}
    assert stored.upgrade(state, 1) == {name: state[name] for name in stored.fields}
    assert (stored.version, set(stored.fields)) == (2, set(vars(CascadeRouting())))
