"""`simulate`, a router's replay and its live sessions decide alike, for every strategy."""

from __future__ import annotations

import numpy as np
import pytest

from cascade_engine import STRATEGIES, Answer, CascadeRouter, drive, simulate, tune
from cascade_engine.strategies import (
    STOP,
    CascadeRouting,
    Cascading,
    ReservationIndex,
    Strategy,
)
from cascade_engine.strategies.frontier import coin
from tests.helpers import world
from tests.oracle import ListedCascadeRouting


class Patient(Strategy):
    """One of a user's own: the cheapest model left, until something good enough is held.

    It says nothing but what to do next.
    """

    name = "patient"

    def decide(self, estimates, run, available, lam):
        held = np.where(run, estimates.quality, -np.inf).max(axis=1)
        cheapest = np.where(available, estimates.cost, np.inf).argmin(axis=1)
        going = available.any(axis=1) & (held < 1 - lam)
        return np.where(going | ~run.any(axis=1), cheapest, STOP)


MORE = [
    Patient(),
    Cascading(max_depth=2),
    CascadeRouting(max_depth=2),
    ListedCascadeRouting(),
    ReservationIndex(max_depth=2),
    ReservationIndex(per_step=True),
]
EVERY = [*sorted(STRATEGIES), *MORE]
SOME = world(70, 4, 6)


def label(strategy):
    if isinstance(strategy, str):
        return strategy
    options = [f"{key}={value}" for key, value in vars(strategy).items() if value not in {None, ()}]
    return "-".join([strategy.name, *options])


every = pytest.mark.parametrize("strategy", EVERY, ids=label)


@every
@pytest.mark.parametrize("seed", [0, 7])
def test_sessions_do_what_was_simulated(strategy, seed):
    router, data = SOME.router(strategy, seed=seed), SOME.data()
    low, high = router.frontier_.cost[[0, -1]]
    budgets = [float(low), float(low + 0.37 * (high - low)), np.inf]
    tuned, frontier = tune(strategy, SOME.beliefs, **SOME.truth)
    if strategy != "fitted_value_iteration":  # a router looks at what its values do in use
        assert frontier.cost.tobytes() == router.frontier_.cost.tobytes()
        assert frontier.lambdas.tobytes() == router.frontier_.lambdas.tobytes()
    for budget in budgets:
        policy = router.frontier_.at(budget)
        outcome = simulate(tuned, SOME.beliefs, policy, seed=seed, **SOME.truth)
        replayed = router.replay(data, budget=budget)
        assert (replayed.run == outcome.run).all()
        assert (replayed.chosen == outcome.chosen).all()
        for row, query in enumerate(data.queries):
            recorded = dict(zip(data.models, data.answers[row], strict=True))
            trace = drive(router.session(query, budget=budget), lambda c, r=recorded: r[c.model])
            assert [m in trace.answers for m in data.models] == outcome.run[row].tolist()
            assert trace.chosen == data.models[outcome.chosen[row]]
            assert trace.total_cost == pytest.approx(outcome.cost[row], rel=1e-12)


@every
def test_sessions_pay_for_samples_as_was_replayed(strategy):
    data, rng = SOME.data(), np.random.default_rng(0)
    counts = {"m0": 2, "m2": 1}
    data.samples = [
        [[Answer("again", cost=c) for c in rng.uniform(0.1, 2, 3)] for _ in data.models]
        for _ in data.queries
    ]
    plain = SOME.router(strategy)
    router = CascadeRouter(
        data.models, strategy=strategy, quality=plain.quality, cost=plain.cost, samples=counts
    ).fit(data)
    low, high = router.frontier_.cost[[0, -1]]
    for budget in (float(low + 0.4 * (high - low)), np.inf):
        outcome = router.replay(data, budget=budget)
        for row, query in enumerate(data.queries[:35]):
            spare = [iter(cell) for cell in data.samples[row]]

            def run(call, row=row, spare=spare):
                column = data.models.index(call.model)
                return next(spare[column]) if call.is_advice else data.answers[row][column]

            trace = drive(router.session(query, budget=budget), run)
            assert [m in trace.answers for m in data.models] == outcome.run[row].tolist()
            assert trace.chosen == data.models[outcome.chosen[row]]
            assert trace.total_cost == pytest.approx(outcome.cost[row], rel=1e-12)


def test_the_coin_mixes_the_two_policies_query_by_query():
    tuned, frontier = tune("random_mixing", SOME.beliefs, **SOME.truth)
    policy = frontier.at(float(frontier.cost[:2].mean()))
    assert 0.4 < policy.gamma < 0.6
    ends = [simulate(tuned, SOME.beliefs, lam, **SOME.truth) for lam in (policy.cheap, policy.dear)]
    mixed = simulate(tuned, SOME.beliefs, policy, **SOME.truth)
    cheap = np.array([coin(str(row), 0) < policy.gamma for row in range(70)])
    assert 10 < cheap.sum() < 60
    assert (mixed.run == np.where(cheap[:, None], ends[0].run, ends[1].run)).all()
    assert (ends[0].run != ends[1].run).any(axis=1).all()


def test_the_coin_depends_on_the_id_and_the_seed_alone():
    tuned, frontier = tune("random_mixing", SOME.beliefs, **SOME.truth)
    policy = frontier.at(float(frontier.cost[:2].mean()))

    def played(ids, seed=0):
        options = {"ids": ids, "seed": seed, **SOME.truth}
        return simulate(tuned, SOME.beliefs, policy, **options).chosen

    ids = [f"query {i}" for i in range(70)]
    once = played(ids)
    assert (played(ids) == once).all()
    assert (played(ids, seed=1) != once).any()
    assert (played(ids[::-1]) == once[::-1]).all()
    assert len(set(played(["same"] * 70).tolist())) == 1


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_a_query_is_played_the_same_alone(strategy):
    tuned, frontier = tune(strategy, SOME.beliefs, **SOME.truth)
    lam = float(frontier.lambdas[len(frontier.lambdas) // 2])
    whole = simulate(tuned, SOME.beliefs, lam, **SOME.truth)
    beliefs = SOME.beliefs
    for row in range(0, 70, 7):
        alone = type(beliefs)(
            beliefs.before[[row]],
            beliefs.after[[row]],
            cost=beliefs.cost[[row]],
            sd=beliefs.sd[[row]],
        )
        truth = {"quality": SOME.quality[[row]], "cost": SOME.cost[[row]]}
        outcome = simulate(tuned, alone, lam, **truth)
        assert outcome.run[0].tolist() == whole.run[row].tolist()
        assert outcome.chosen[0] == whole.chosen[row]


def test_a_strategy_must_say_what_to_do_next():
    with pytest.raises(TypeError, match="abstract"):
        Strategy()
