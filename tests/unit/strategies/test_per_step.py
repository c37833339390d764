"""A lambda for each step: found, kept, and used alike wherever decisions are made."""

from __future__ import annotations

import numpy as np
import pytest

from cascade_engine import Answer, drive, simulate, tune
from cascade_engine.strategies import CascadeRouting, Cascading, ReservationIndex
from tests.helpers import world

KINDS = [Cascading, CascadeRouting, ReservationIndex]
every = pytest.mark.parametrize("kind", KINDS)
SOME = world(60, 3, 8)


def with_factors(kind, *factors):
    strategy = kind(per_step=True)
    strategy.factors_ = factors
    return strategy


@every
def test_factors_are_found_that_lose_nothing_on_the_fitting_set(kind):
    constant = tune(kind(), SOME.beliefs, **SOME.truth)
    strategy, frontier = tune(kind(per_step=True), SOME.beliefs, **SOME.truth)
    assert strategy.per_step
    assert len(strategy.factors_) == 3
    assert strategy.factors_[0] == 1
    assert [strategy.factor(step) for step in range(5)] == [
        *strategy.factors_,
        *[strategy.factors_[-1]] * 2,
    ]
    ends = float(constant.frontier.cost[0]), float(constant.frontier.cost[-1])
    assert frontier.area(*ends) >= constant.frontier.area(*ends)
    assert constant.strategy.factors_ == ()
    assert constant.strategy.factor(2) == 1


def test_other_factors_are_taken_where_they_are_better():
    for kind, seed in ((Cascading, 8), (CascadeRouting, 9), (ReservationIndex, 9)):
        some = world(60, 3, seed)
        strategy, frontier = tune(kind(per_step=True), some.beliefs, **some.truth)
        plain = tune(kind(), some.beliefs, **some.truth).frontier
        ends = float(plain.cost[0]), float(plain.cost[-1])
        assert strategy.factors_ != (1, 1, 1)
        assert frontier.area(*ends) > plain.area(*ends)


@every
def test_a_strategy_that_is_tuned_again_starts_afresh(kind):
    once = tune(kind(per_step=True), SOME.beliefs, **SOME.truth).strategy
    again = tune(once, SOME.beliefs, **SOME.truth).strategy
    assert again.factors_ == once.factors_
    assert again is not once
    mine = kind(per_step=True)
    tune(mine, SOME.beliefs, **SOME.truth)
    assert mine.factors_ == ()


@every
def test_what_was_set_survives_the_fit(kind):
    strategy = tune(kind(per_step=True, max_depth=2), SOME.beliefs, **SOME.truth).strategy
    assert (strategy.per_step, strategy.max_depth) == (True, 2)
    assert len(strategy.factors_) == 2
    assert strategy.setting(0.25) == {"lambda": 0.25}
    one = tune(kind(per_step=True, max_depth=1), SOME.beliefs, **SOME.truth).strategy
    assert one.factors_ == ()


@every
@pytest.mark.parametrize("factors", [(1.0, 0.7, 2.0), (1.0, 4.0, 0.25), (1.0, 0.49, 0.7)])
def test_the_sweep_and_single_lambdas_use_the_same_factors(kind, factors):
    tuned = with_factors(kind, *factors)
    tuned.tuned = lambda data: tuned  # the factors are given, not to be found
    frontier = tune(tuned, SOME.beliefs, **SOME.truth).frontier
    assert len(frontier.cost) > 10
    for i in range(0, len(frontier.cost), 1 + len(frontier.cost) // 25):
        outcome = simulate(tuned, SOME.beliefs, float(frontier.lambdas[i]), **SOME.truth)
        assert outcome.mean_cost == pytest.approx(frontier.cost[i], rel=1e-10)
        assert outcome.mean_quality == pytest.approx(frontier.quality[i], rel=1e-10)


@every
def test_each_step_decides_at_its_own_lambda(kind):
    """A second step that costs a thousand times as much never runs; a free one always does."""
    dear, free, plain = with_factors(kind, 1, 1e3), with_factors(kind, 1, 1e-9), kind()
    lam = 0.005
    runs = {
        name: simulate(s, SOME.beliefs, lam, **SOME.truth).run.sum(axis=1)
        for name, s in (("dear", dear), ("free", free), ("plain", plain))
    }
    assert (runs["dear"] == 1).all()
    assert (runs["free"] > 1).all()
    assert 0 < (runs["plain"] > 1).sum() < 60


@every
def test_sessions_decide_with_the_factors_too(kind):
    strategy = with_factors(kind, 1.0, 4.0, 0.3)
    strategy.tuned = lambda data: strategy
    router, data = SOME.router(strategy), SOME.data()
    budget = float(np.mean(router.frontier_.cost[[0, -1]]))
    outcome = simulate(strategy, SOME.beliefs, router.with_budget(budget).policy_, **SOME.truth)
    constant = simulate(kind(), SOME.beliefs, router.with_budget(budget).policy_, **SOME.truth)
    assert (outcome.run != constant.run).any()
    for row, query in enumerate(data.queries):
        trace = drive(router.session(query, budget=budget), lambda call: Answer(""))
        assert [m in trace.answers for m in data.models] == outcome.run[row].tolist()
