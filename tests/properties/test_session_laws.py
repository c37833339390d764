"""Laws of every session and every replay, whatever is believed and whatever fails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_engine import (
    STRATEGIES,
    AllModelsFailedError,
    Answer,
    Beliefs,
    InfeasibleBudgetError,
    QualityEstimator,
    Query,
    Session,
    adrive,
    drive,
)
from cascade_engine.core.prices import Charge
from cascade_engine.routing.decider import Decider
from cascade_engine.strategies import TuningData
from tests.helpers import GivenCosts, finished, no_frontier, untimed

laws = settings(max_examples=35)
NAMES = sorted(STRATEGIES)


class Whims(QualityEstimator):
    """Estimates that depend in any way whatever on the models run, and on nothing else."""

    def __init__(self, k, seed):
        rng = np.random.default_rng(seed)
        self.quality = rng.uniform(0, 1, (1 << k, k)).round(2)
        self.sd = rng.choice([0.0, 0.01, 0.3], (1 << k, k))

    def fit(self, data):
        return self

    def cross_evidence(self):
        raise NotImplementedError

    def begin(self, queries):
        return None

    def observe(self, evidence, model, answers):
        """Nothing is looked at."""

    def estimate(self, evidence, run):
        state = run @ (1 << np.arange(run.shape[1]))
        return self.quality[state], np.where(run, 0.0, self.sd[state])


@dataclass(frozen=True)
class World:
    """A query's beliefs and costs, who fails, and what is allowed."""

    k: int
    seed: int
    cost: tuple[float, ...]
    down: frozenset[str]
    lam: float
    max_cost: float | None

    @property
    def names(self):
        return tuple(f"m{i}" for i in range(self.k))

    def session(self, name):
        table = np.random.default_rng(self.seed).uniform(0, 1, (2, self.k))
        beliefs = Beliefs(table, table, sd=np.full(self.k, 0.1), cost=table)
        data = TuningData(table, table + 0.1, no_frontier, beliefs)
        strategy = STRATEGIES[name]().tuned(data)
        quality, charge = Whims(self.k, self.seed), Charge({})
        decider = Decider(self.names, quality, GivenCosts(self.cost), strategy, charge, fitted=True)
        return Session(decider, Query("q"), lam=self.lam, max_cost=self.max_cost)

    def run(self, call):
        if call.model in self.down:
            raise TimeoutError(call.model)
        return Answer(f"by {call.model}", (-0.1,))

    def drive(self, name):
        """The session driven to its end, which must come within k calls, and its record."""
        session = self.session(name)
        for _ in range(self.k):
            if session.pending is None:
                break
            step(session, self.run)
        assert session.pending is None
        return session, session.trace


def step(session, run):
    """Makes the pending call."""
    try:
        answer = run(session.pending)
    except TimeoutError as error:
        session.fail(error)
    else:
        session.answer(answer)


@st.composite
def worlds(draw, *, capped=True):
    k = draw(st.integers(1, 4))
    amounts = st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0])
    cost = tuple(draw(st.lists(amounts, min_size=k, max_size=k)))
    down = draw(st.frozensets(st.sampled_from([f"m{i}" for i in range(k)])))
    lam = draw(st.sampled_from([0.0, 0.01, 0.1, 0.3, 0.7, 2.0, 1e9]))
    caps = [None, *(min(cost) + extra for extra in (0.0, 0.3, 1.5, 9.0))]
    max_cost = draw(st.sampled_from(caps)) if capped else None
    return World(k, draw(st.integers(0, 9999)), cost, down, lam, max_cost)


def tried(trace):
    return [d.action for d in trace.decisions if d.action is not None]


@pytest.mark.parametrize("name", NAMES)
@laws
@given(world=worlds())
def test_a_session_ends_and_runs_no_model_twice(name, world):
    _, trace = world.drive(name)
    assert 1 <= len(tried(trace)) <= world.k
    assert len(set(tried(trace))) == len(tried(trace))
    assert list(trace.answers) == [m for m in tried(trace) if m not in world.down]
    assert [f.model for f in trace.failures] == [m for m in tried(trace) if m in world.down]
    assert trace.decisions[-1].action is None


@pytest.mark.parametrize("name", NAMES)
@laws
@given(world=worlds())
def test_an_answer_is_returned_if_any_model_gave_one(name, world):
    session, trace = world.drive(name)
    if trace.answers:
        assert trace.chosen in trace.answers
        assert session.result.text == f"by {trace.chosen}"
        return
    assert trace.chosen is None
    if world.max_cost is None:
        assert sorted(tried(trace)) == list(world.names)
    with pytest.raises(AllModelsFailedError) as caught:
        _ = session.result
    assert list(caught.value.errors) == tried(trace)


@pytest.mark.parametrize("name", ["cascading", "threshold_cascade"])
@laws
@given(world=worlds())
def test_cascades_keep_their_order(name, world):
    _, trace = world.drive(name)
    assert tried(trace) == sorted(tried(trace))


@pytest.mark.parametrize("name", NAMES)
@laws
@given(world=worlds())
def test_expected_costs_stay_under_the_cap(name, world):
    _, trace = world.drive(name)
    expected = dict(zip(world.names, world.cost, strict=True))
    spent = sum(expected[model] for model in tried(trace))
    assert world.max_cost is None or spent <= world.max_cost + 1e-12


@pytest.mark.parametrize("name", NAMES)
@laws
@given(world=worlds())
def test_a_final_answer_is_the_one_returned(name, world):
    session = world.session(name)
    while (call := session.pending) is not None:
        step(session, world.run)
        if call.final and call.model in session.trace.answers:
            assert session.pending is None
            assert session.trace.chosen == call.model


@pytest.mark.parametrize("name", NAMES)
@laws
@given(world=worlds())
def test_sync_and_async_drivers_agree(name, world):
    async def run(call):
        return world.run(call)

    async def both():
        return await adrive(world.session(name), run)

    assert untimed(finished(both())) == untimed(drive(world.session(name), world.run))


@pytest.mark.parametrize("name", ["routing", "cascading", "threshold_cascade"])
@laws
@given(world=worlds(capped=False), lower=st.floats(0, 1))
def test_a_lower_lambda_spends_no_less_on_a_query(name, world, lower):
    """Not so for cascade routing, where another first answer may change every later belief."""
    dear = World(world.k, world.seed, world.cost, frozenset(), world.lam * lower, None)
    cheap = World(world.k, world.seed, world.cost, frozenset(), world.lam, None)
    expected = dict(zip(world.names, world.cost, strict=True))
    costs = [sum(expected[m] for m in w.drive(name)[1].models_run) for w in (cheap, dear)]
    assert costs[0] <= costs[1]


@pytest.fixture(scope="module")
def routers(router):
    return {name: router.with_strategy(name) for name in NAMES}


few = settings(laws, max_examples=12)
shares = st.floats(0, 1)


@pytest.mark.parametrize("name", NAMES)
@few
@given(low=shares, high=shares)
def test_mean_cost_never_rises_when_the_budget_falls(name, low, high, routers, held_out):
    low, high = sorted((low, high))
    tuned = routers[name]
    cheapest, dearest = tuned.frontier_.cost[[0, -1]]
    budgets = [float(cheapest + share * (dearest - cheapest)) for share in (low, high)]
    policies = [tuned.with_budget(budget).policy_ for budget in budgets]
    assert policies[0].cost <= policies[1].cost
    assert policies[0].cheap >= policies[1].cheap
    assert policies[0].dear >= policies[1].dear
    if name in {"cascading", "threshold_cascade"}:
        less, more = (tuned.replay(held_out, budget=budget) for budget in budgets)
        assert (less.run <= more.run).all()
        assert less.mean_cost <= more.mean_cost


@pytest.mark.parametrize("name", NAMES)
@few
@given(picked=st.lists(st.integers(0, 149), min_size=1, unique=True), share=shares)
def test_decisions_do_not_depend_on_the_rest_of_the_batch(name, picked, share, routers, held_out):
    tuned = routers[name]
    budget = float(tuned.frontier_.cost[int(share * (len(tuned.frontier_.cost) - 1))])
    whole = tuned.replay(held_out, budget=budget)
    part = tuned.replay(held_out.take(picked), budget=budget)
    assert (part.run == whole.run[picked]).all()
    assert (part.chosen == whole.chosen[picked]).all()
    assert part.cost == pytest.approx(whole.cost[picked], rel=1e-12)


@few
@given(share=st.floats(0, 0.999))
def test_a_budget_below_the_cheapest_is_never_accepted(share, router):
    budget = float(router.frontier_.cost[0] * share)
    for use in (router.with_budget, lambda b: router.session("q", budget=b)):
        with pytest.raises(InfeasibleBudgetError):
            use(budget)
