"""Fitted value iteration: what it learns, and that it does not fool itself."""

from __future__ import annotations

import numpy as np
import pytest

from cascade_engine import Beliefs, ConfigurationError, NotFittedError, simulate, tune
from cascade_engine.strategies import STOP, FittedValueIteration
from tests.helpers import decide, world

NAME = "fitted_value_iteration"


def split(some, at):
    """The first queries of a world, and the rest: each its beliefs and the truth."""
    for part in (slice(None, at), slice(at, None)):
        b = some.beliefs
        yield (
            Beliefs(b.before[part], b.after[part], sd=np.full(4, 0.1), cost=b.cost[part]),
            {"quality": some.quality[part], "cost": some.cost[part]},
        )


def test_it_learns_that_agreeing_answers_are_one_answer():
    # The second model repeats the first, and its estimate is as wrong: to ask it gains nothing,
    # though its spread promises much. The third is better and dear.
    rng = np.random.default_rng(1)
    n = 600
    right = (rng.random(n) < 0.5).astype(float)
    seen = 0.5 + 0.25 * (2 * right - 1) + 0.1 * rng.standard_normal(n)
    quality = np.column_stack([right, right, (rng.random(n) < 0.9).astype(float)])
    after = np.column_stack([seen, seen, np.full(n, 0.9)])
    before = np.tile([0.5, 0.5, 0.9], (n, 1))
    cost = np.tile([1.0, 1.0, 6.0], (n, 1))
    beliefs = Beliefs(before, after, sd=[0.3, 0.3, 0.1], cost=cost[0])
    truth = {"quality": quality, "cost": cost}
    strategy, frontier = tune(NAME, beliefs, **truth)
    policy = frontier.at(4.0)
    outcome = simulate(strategy, beliefs, policy, **truth)
    assert outcome.run[:, :2].all(axis=1).mean() < 0.1
    naive, its = tune("reservation_index", beliefs, **truth)
    theirs = simulate(naive, beliefs, its.at(4.0), **truth)
    assert outcome.mean_quality > theirs.mean_quality


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_its_frontier_promises_what_unseen_queries_give(seed):
    some = world(6000, 4, seed)
    (seen, truth), (unseen, there) = split(some, 3000)
    strategy, frontier = tune(NAME, seen, **truth)
    for share in (0.2, 0.5, 0.8):
        low, high = frontier.cost[[0, -1]]
        policy = frontier.at(float(low + share * (high - low)))
        outcome = simulate(strategy, unseen, policy, **there)
        assert outcome.mean_cost == pytest.approx(policy.cost, rel=0.05)
        assert outcome.mean_quality == pytest.approx(policy.quality, abs=0.01)


def test_it_decides_as_well_as_the_index_where_that_is_optimal():
    some = world(2000, 4, 7)
    (seen, truth), (unseen, there) = split(some, 1000)
    found = {}
    for name in (NAME, "reservation_index"):
        strategy, frontier = tune(name, seen, **truth)
        found[name] = simulate(strategy, unseen, frontier.at(4.0), **there).mean_quality
    assert found[NAME] > found["reservation_index"] - 0.01


@pytest.mark.slow
def test_depth_and_pool_bound_what_runs():
    some = world(120, 30, 3)
    strategy, frontier = tune(FittedValueIteration(max_depth=2), some.beliefs, **some.truth)
    assert len(strategy.values_.pool) == 30  # 466 sets of at most two
    deep, _ = tune(FittedValueIteration(max_depth=3), some.beliefs, **some.truth)
    assert len(deep.values_.pool) == 14  # 470 sets of at most three
    outcome = simulate(strategy, some.beliefs, float(frontier.lambdas[-1]), **some.truth)
    assert outcome.run.sum(axis=1).max() <= 2


def test_models_outside_the_pool_answer_where_no_other_can():
    some = world(120, 30, 3)
    strategy, _ = tune(FittedValueIteration(max_depth=3), some.beliefs, **some.truth)
    outside = next(i for i in range(30) if i not in strategy.values_.pool)
    belief = (some.beliefs.before[0], np.full(30, 0.1), some.cost[0])
    nobody = [False] * 30
    only = [i == outside for i in range(30)]
    assert decide(strategy, belief, (nobody, only), 0.1) == outside
    rest = [i in strategy.values_.pool for i in range(30)]
    assert decide(strategy, belief, (only, rest), 1e9) == STOP


@pytest.mark.parametrize("options", [{"max_depth": 0}, {"max_depth": 1.5}, {"trust": 1.1}])
def test_bad_options_are_refused(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        FittedValueIteration(**options)


def test_it_must_learn_first():
    some = world(20, 2, 0)
    with pytest.raises(NotFittedError, match="tune"):
        simulate(NAME, some.beliefs, 0.1, **some.truth)


def test_of_very_many_queries_a_sample_is_learned_from(monkeypatch):
    some = world(410, 4, 5)
    (seen, truth), _ = split(some, 400)
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(400, 100, replace=False))
    few = {name: table[rows] for name, table in truth.items()}
    fewer = Beliefs(
        seen.before[rows], seen.after[rows], sd=np.full(4, 0.1), cost=some.beliefs.cost[rows]
    )
    by_few, _ = tune(NAME, fewer, **few)
    monkeypatch.setattr("cascade_engine.strategies.fitted_value_iteration._PAIRS", 15 * 100)
    by_all, _ = tune(NAME, seen, **truth)
    assert by_all.values_.lambdas == pytest.approx(by_few.values_.lambdas)
    for run, state in by_few.values_.states.items():
        assert by_all.values_.states[run].coef == pytest.approx(state.coef)
