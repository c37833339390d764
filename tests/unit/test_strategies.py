"""Every strategy against an oracle that tries all choices, one query at a time."""

from __future__ import annotations

from itertools import combinations, pairwise, product

import numpy as np
import pytest

from cascade_engine import STRATEGIES, CascadeRouter, ConfigurationError, NotFittedError
from cascade_engine.estimators import Estimates
from cascade_engine.strategies import (
    STOP,
    CascadeRouting,
    Cascading,
    RandomMixing,
    Routing,
    Strategy,
    ThresholdCascade,
    TuningData,
    find_strategy,
)

LAMBDAS = (0.0, 0.02, 0.1, 0.4, 2.0)


def decide(strategy, belief, state, setting):
    """One decision, on what is believed (quality, sd, cost) in a state (run, available)."""
    arrays = [np.array([row], dtype=float) for row in belief]
    masks = [np.array([row], dtype=bool) for row in state]
    options = strategy.options(Estimates(*arrays), *masks)
    return int(strategy.pick(options, np.array([float(setting)]))[0])


def fresh(k):
    """Nobody has run, everybody may."""
    return [False] * k, [True] * k


def states(k):
    """Every pair of models run and models still available."""
    for marks in product("-ra", repeat=k):
        yield [m == "r" for m in marks], [m == "a" for m in marks]


def beliefs(seed, k):
    rng = np.random.default_rng([seed, k])
    quality, sd = rng.uniform(0, 1, k), rng.uniform(0, 0.4, k)
    return quality, sd, rng.uniform(0.05, 1, k)


def held(quality, run):
    return max((q for q, done in zip(quality, run, strict=True) if done), default=-np.inf)


def best_plan(plans):
    """The plan (worth, price, models) worth most, or None where two are too close to call."""
    plans = sorted(plans, reverse=True)
    close = len(plans) > 1 and plans[0][0] - plans[1][0] < 1e-6
    return None if close else plans[0][2]


def plans_of(sets, belief, base, setting, emax):
    quality, sd, cost = belief
    for models in sets:
        if not models and base == -np.inf:
            continue
        chosen = list(models)
        worth = base if not chosen else emax(quality[chosen], sd[chosen], base)
        price = sum(cost[chosen])
        yield worth - setting * price, price, chosen


@pytest.mark.parametrize(("seed", "k"), [(0, 2), (1, 2), (2, 3), (3, 3), (4, 3), (5, 4)])
def test_cascade_routing_weighs_every_set(seed, k, emax):
    quality, sd, cost = beliefs(seed, k)
    seen = set()
    for run, available in list(states(k))[:: 1 if k < 4 else 9]:
        if not any(available):
            continue
        free = [i for i in range(k) if available[i]]
        sets = [s for size in range(len(free) + 1) for s in combinations(free, size)]
        for setting in LAMBDAS[1::2]:
            plan = best_plan(plans_of(sets, (quality, sd, cost), held(quality, run), setting, emax))
            if plan is None:
                continue
            expected = min(plan, key=lambda i: cost[i]) if plan else STOP
            seen.add(min(len(plan), 2))
            spread = np.where(run, 0, sd)
            action = decide(CascadeRouting(), (quality, spread, cost), (run, available), setting)
            assert action == expected
    assert len(seen) > 1


@pytest.mark.parametrize(("seed", "k"), [(0, 2), (1, 3), (2, 3), (3, 4), (4, 4)])
def test_cascading_weighs_every_longer_cascade(seed, k, emax):
    quality, sd, cost = beliefs(seed, k)
    for run, available in list(states(k))[:: 1 if k < 4 else 4]:
        last = max((i for i in range(k) if run[i]), default=-1)
        waiting = [i for i in range(last + 1, k) if available[i]]
        if not waiting and not any(run):
            continue
        sets = [waiting[:size] for size in range(len(waiting) + 1)]
        for setting in LAMBDAS[1::2]:
            plan = best_plan(plans_of(sets, (quality, sd, cost), held(quality, run), setting, emax))
            if plan is None:
                continue
            spread = np.where(run, 0, sd)
            action = decide(Cascading(), (quality, spread, cost), (run, available), setting)
            assert action == (waiting[0] if plan else STOP)


@pytest.mark.parametrize("seed", range(5))
def test_routing_maximises_quality_less_cost(seed):
    quality, sd, cost = beliefs(seed, 4)
    for run, available in states(4):
        free = [i for i in range(4) if available[i]]
        for setting in LAMBDAS:
            expected = STOP
            if free and not any(run):
                expected = max(free, key=lambda i: quality[i] - setting * cost[i])
            assert decide(Routing(), (quality, sd, cost), (run, available), setting) == expected


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_cascade_stops_at_the_threshold(seed):
    quality, sd, cost = beliefs(seed, 4)
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
    for strategy in (Routing(), Cascading(), CascadeRouting(), RandomMixing()):
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


def tuned(strategy, seed, k):
    """The strategy, tuned where it needs to be, on two rows with the means of the beliefs."""
    quality, _, cost = beliefs(seed, k)
    apart = np.outer([1, -1], cost[::-1])
    return strategy.tuned(TuningData(quality + apart, cost + apart))


@pytest.mark.parametrize("seed", range(12))
def test_random_mixing_keeps_the_upper_hull(seed):
    quality, sd, cost = beliefs(seed, 6)
    mixing = tuned(RandomMixing(), seed, 6)
    elsewhere = (quality[::-1], sd, cost[::-1])
    lambdas = [*np.logspace(-4, 3, 200), 1e9]
    seen = [decide(mixing, elsewhere, fresh(6), lam) for lam in lambdas]
    assert list(dict.fromkeys(seen)) == hull_by_brute_force(cost, quality)


def test_random_mixing_runs_one_model_and_stops():
    belief, mixing = beliefs(0, 3), tuned(RandomMixing(), 0, 3)
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
            action = decide(strategy, beliefs(seed, 3), (run, available), lam)
            assert action == STOP or available[action]
            if any(available) and not any(run):
                assert action != STOP


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize("run", [[False, False, False], [True, False, False]])
def test_pieces_say_what_is_picked_at_every_lambda(name, run):
    rng = np.random.default_rng(7)
    strategy = tuned(STRATEGIES[name](), 7, 3)
    shape = (40, 3)
    spread = np.where(run, 0, rng.uniform(0, 0.4, shape))
    estimates = Estimates(rng.random(shape), spread, rng.uniform(0.05, 1, shape))
    mask = np.broadcast_to(np.array(run), shape)
    options = strategy.options(estimates, mask, ~mask)
    low, high = rng.uniform(0, 0.2, 40), np.where(rng.random(40) < 0.5, np.inf, 2.0)
    pieces = list(strategy.pieces(options, low, high))
    covered = [[] for _ in range(40)]
    for piece in pieces:
        inside = np.minimum((piece.low + piece.high) / 2, piece.low + 1)
        assert (strategy.pick(options.at(piece.rows), inside) == piece.action).all()
        for row, bottom, top in zip(piece.rows, piece.low, piece.high, strict=True):
            covered[row].append((bottom, top))
    for row, spans in enumerate(covered):
        ends = sorted(spans)
        assert [ends[0][0], ends[-1][1]] == [low[row], high[row]]
        assert all(a[1] == b[0] for a, b in pairwise(ends))


@pytest.mark.parametrize("name", ["routing", "cascade_routing"])
@pytest.mark.parametrize("cheap", [0, 1, 2])
def test_ties_go_to_the_cheapest(name, cheap):
    cost = [3.0, 3.0, 3.0]
    cost[cheap] = 2.0
    assert decide(STRATEGIES[name](), ([0.5] * 3, [0] * 3, cost), fresh(3), 0.0) == cheap


@pytest.mark.parametrize("strategy", [Cascading(), CascadeRouting()])
def test_a_longer_cascade_that_adds_nothing_is_not_run(strategy):
    state = ([True, False], [False, True])
    assert decide(strategy, ([0.8, 0.8], [0, 0], [1, 1]), state, 0.0) == STOP
    assert decide(strategy, ([0.8, 0.8], [0, 0.1], [1, 1]), state, 0.0) == 1


def test_the_cheapest_member_of_the_best_set_runs_first():
    quality, sd = [0.5, 0.5], [0.4, 0.4]
    assert decide(CascadeRouting(), (quality, sd, [2, 1]), fresh(2), 0.01) == 1
    assert decide(CascadeRouting(), (quality, sd, [1, 2]), fresh(2), 0.01) == 0
    assert decide(Cascading(), (quality, sd, [2, 1]), fresh(2), 0.01) == 0


def test_free_models_are_worth_running_at_any_lambda():
    assert decide(CascadeRouting(), ([0.5, 0.9], [0.2, 0.2], [0, 1]), fresh(2), 1e9) == 0
    assert decide(Routing(), ([0.5, 0.9], [0.2, 0.2], [0, 0]), fresh(2), 1e9) == 1


def test_cascade_routing_refuses_more_than_eight_models():
    belief = [[1.0] * 9] * 3
    with pytest.raises(ConfigurationError, match="at most 8 models, not 9: use another"):
        find_strategy("cascade_routing", 9)
    for strategy in (Routing(), Cascading(), ThresholdCascade()):
        assert decide(strategy, belief, fresh(9), 0) >= 0


def test_cascade_routing_weighs_all_sets_of_eight():
    quality, sd, cost = beliefs(3, 8)
    assert decide(CascadeRouting(), (quality, sd, cost), fresh(8), 0.0) == np.argmin(cost)
    free_of_spread = decide(CascadeRouting(), (quality, sd * 0, cost), fresh(8), 0.0)
    assert free_of_spread == np.argmax(quality)
    assert decide(CascadeRouting(), (quality, sd, cost), fresh(8), 1e6) == np.argmin(cost)


def test_a_setting_is_lambda_as_users_know_it():
    named = {name: STRATEGIES[name]().setting(0.25) for name in STRATEGIES}
    assert named.pop("threshold_cascade") == {"threshold": 0.75}
    assert set(named) == {"cascade_routing", "cascading", "routing", "random_mixing"}
    assert all(setting == {"lambda": 0.25} for setting in named.values())


def test_what_may_still_run_after_a_model():
    nobody, free = np.zeros(3, bool), np.array([True, True, True])
    reachable = {s: STRATEGIES[s]().reachable(nobody, free, 1).tolist() for s in STRATEGIES}
    assert reachable == {
        "cascade_routing": [True, False, True],
        "cascading": [False, False, True],
        "routing": [False, False, False],
        "threshold_cascade": [False, False, True],
        "random_mixing": [False, False, False],
    }


def test_strategies_are_found_by_name_or_given():
    assert {name: find_strategy(name).name for name in STRATEGIES} == {n: n for n in STRATEGIES}
    mine = Cascading()
    assert find_strategy(mine) is mine
    assert isinstance(mine, Strategy)
    with pytest.raises(ConfigurationError, match="unknown strategy 'best': choose one of"):
        CascadeRouter(["a"], strategy="best")
