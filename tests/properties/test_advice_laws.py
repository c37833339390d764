"""Laws of sessions that ask advisers and for samples, whatever they say and whoever fails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_engine import (
    STRATEGIES,
    Answer,
    QualityEstimator,
    Query,
    Session,
    adrive,
    drive,
)
from cascade_engine.core.prices import Charge
from cascade_engine.routing import ChatJudge, ChatRouter
from cascade_engine.routing.decider import Decider
from cascade_engine.routing.live_advice import AdvicePlan
from tests.helpers import GivenCosts, finished, untimed

laws = settings(max_examples=40)
NAMES = ["cascade_routing", "cascading", "reservation_index", "routing"]
REPLIES = ["0.9", "0.1", "Yes", "no idea", "", '{"m0": 0.3}', "7"]


class Listening(QualityEstimator):
    """Estimates that depend on the models run, and where it listens on all advice and samples."""

    def __init__(self, k, seed, *, listens):
        rng = np.random.default_rng(seed)
        self.quality = rng.uniform(0, 1, (1 << k, k)).round(2)
        self.sd = rng.choice([0.0, 0.01, 0.3], (1 << k, k))
        self.listens = listens

    def fit(self, data):
        return self

    def cross_evidence(self):
        raise NotImplementedError

    def begin(self, queries):
        return {"said": sum(queries[0].signals.values()) if self.listens else 0.0}

    def observe(self, evidence, model, answers):
        if self.listens:
            evidence["said"] += sum(answers[0].signals.values())
            evidence["said"] += sum(map(hash_of, answers[0].samples)) / 7

    def estimate(self, evidence, run):
        state = run @ (1 << np.arange(run.shape[1]))
        quality = (self.quality[state] + evidence["said"]) % 1.0
        return quality, np.where(run, 0.0, self.sd[state])


def hash_of(text):
    return sum(text.encode())


@dataclass(frozen=True)
class World:
    k: int
    seed: int
    cost: tuple[float, ...]
    judges: int
    routers: int
    fee: float
    down: frozenset[str]
    replies: tuple[str, ...]
    lam: float
    max_cost: float | None
    samples: tuple[int, ...]

    @property
    def names(self):
        return tuple(f"m{i}" for i in range(self.k))

    @property
    def advisers(self):
        judges = [ChatJudge(f"judge{i}") for i in range(self.judges)]
        return (*judges, *(ChatRouter(f"router{i}", self.names) for i in range(self.routers)))

    @property
    def sampled(self):
        return {name: m for name, m in zip(self.names, self.samples, strict=True) if m}

    def session(self, strategy, *, listens=True, advised=True):
        advisers, sampled = (self.advisers, self.sampled) if advised else ((), {})
        asked = self.judges + np.array([sampled.get(name, 0) for name in self.names])
        judging = asked * self.fee if listens else np.zeros(self.k)
        fees = dict.fromkeys([*(each.name for each in advisers), *sampled], self.fee)
        decider = Decider(
            self.names,
            Listening(self.k, self.seed, listens=listens),
            GivenCosts(self.cost),
            STRATEGIES[strategy](),
            Charge({}),
            fitted=True,
            advising=AdvicePlan(advisers, fees, judging, sampled),
        )
        return Session(decider, Query("q"), lam=self.lam, max_cost=self.max_cost)

    def run(self, call):
        if call.model in self.down or call.purpose in self.down:
            raise TimeoutError(call.model)
        if call.is_advice:
            number = hash_of(call.model + str(call.about))
            return Answer(self.replies[number % len(self.replies)], cost=self.fee)
        return Answer(f"by {call.model}", cost=self.cost[self.names.index(call.model)])


@st.composite
def worlds(draw, *, capped=True):
    k = draw(st.integers(1, 4))
    amounts = st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0])
    cost = tuple(draw(st.lists(amounts, min_size=k, max_size=k)))
    judges, routers = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    names = ["sample", *(f"{what}{i}" for what in ("m", "judge", "router") for i in range(4))]
    caps = [None, *(min(cost) + extra for extra in (0.0, 0.3, 1.5, 9.0))]
    return World(
        k,
        draw(st.integers(0, 9999)),
        cost,
        judges,
        routers,
        draw(st.sampled_from([0.0, 0.05, 0.4])),
        draw(st.frozensets(st.sampled_from(names), max_size=4)),
        tuple(draw(st.lists(st.sampled_from(REPLIES), min_size=1, max_size=4))),
        draw(st.sampled_from([0.0, 0.01, 0.1, 0.7])),
        draw(st.sampled_from(caps)) if capped else None,
        tuple(draw(st.lists(st.sampled_from([0, 0, 1, 3]), min_size=k, max_size=k))),
    )


def driven(world, strategy, **options):
    """The calls of a session, in order, and what came of it; it must end in time."""
    session, calls = world.session(strategy, **options), []
    most = world.k * (1 + world.judges) + world.routers + sum(world.samples)
    while (call := session.pending) is not None:
        assert len(calls) < most
        calls.append(call)
        try:
            answer = world.run(call)
        except TimeoutError as error:
            session.fail(error)
        else:
            session.answer(answer)
    return calls, session


@pytest.mark.parametrize("strategy", NAMES)
@laws
@given(world=worlds())
def test_a_session_ends_and_asks_nobody_twice_about_the_same(strategy, world):
    calls, session = driven(world, strategy)
    asked = [(call.model, call.about) for call in calls if call.purpose != "sample"]
    assert len(set(asked)) == len(asked)
    trace = session.trace
    advice = [(call.model, call.about) for call in calls if call.is_advice]
    assert [(each.name, each.about) for each in trace.advice] == advice
    assert trace.decisions[-1].action is None
    assert not any(call.final and call.is_advice for call in calls)
    for each in trace.advice:
        assert each.purpose == "sample" or bool(each.signals) != bool(each.error)
        assert each.about is None or each.about in trace.answers


@pytest.mark.parametrize("strategy", NAMES)
@laws
@given(world=worlds())
def test_samples_follow_their_draft_and_are_charged_once(strategy, world):
    calls, session = driven(world, strategy)
    trace = session.trace
    for model, answer in trace.answers.items():
        places = [i for i, c in enumerate(calls) if c.purpose == "sample" and c.model == model]
        (own,) = (i for i, c in enumerate(calls) if c.purpose == "answer" and c.model == model)
        assert places == list(range(own + 1, own + 1 + len(places)))  # judges come after
        assert len(places) <= world.sampled.get(model, 0)
        if world.max_cost is None and len(places) < world.sampled.get(model, 0):
            assert not places
            assert calls[own].final or own == len(calls) - 1
        came = [each for each in trace.advice if (each.purpose, each.name) == ("sample", model)]
        told = [each for each in came if each.error is None]
        assert len(answer.samples) == len(told)
        assert answer.advice_cost.get(model, 0.0) == pytest.approx(world.fee * len(told))
        assert trace.costs[model] == world.cost[world.names.index(model)]
    assert all(c.about == c.model for c in calls if c.purpose == "sample")


@pytest.mark.parametrize("strategy", NAMES)
@laws
@given(world=worlds())
def test_costs_add_up_and_stay_under_the_cap(strategy, world):
    calls, session = driven(world, strategy)
    price = dict(zip(world.names, world.cost, strict=True))
    fees = [(c, world.fee if c.is_advice else price[c.model]) for c in calls]
    total = sum(fee for c, fee in fees if not world.down & {c.model, c.purpose})
    assert session.trace.total_cost == pytest.approx(total)
    if world.max_cost is not None:
        # Failures count as expected.
        spent = sum(fee for _, fee in fees)
        assert spent <= world.max_cost + 1e-9


@pytest.mark.parametrize("strategy", NAMES)
@laws
@given(world=worlds())
def test_an_answer_is_returned_if_any_model_gave_one(strategy, world):
    _, session = driven(world, strategy)
    trace = session.trace
    assert (trace.chosen is not None) == bool(trace.answers)
    if trace.answers:
        assert session.result.text == f"by {trace.chosen}"


@pytest.mark.parametrize("strategy", NAMES)
@laws
@given(world=worlds(capped=False))
def test_advice_that_nobody_listens_to_changes_nothing(strategy, world):
    heard, alone = (
        driven(world, strategy, listens=False, advised=advised)[1].trace
        for advised in (True, False)
    )
    assert heard.models_run == alone.models_run
    assert heard.chosen == alone.chosen
    assert heard.costs == alone.costs


@pytest.mark.parametrize("strategy", NAMES)
@laws
@given(world=worlds())
def test_answers_are_judged_and_sampled_only_while_a_model_may_follow(strategy, world):
    calls, session = driven(world, strategy)
    for i, call in enumerate(calls):
        if call.purpose not in {"judge", "sample"}:
            continue
        before = [each.model for each in calls[:i] if each.purpose == "answer"]
        assert before[-1] == call.about
        assert len(before) < world.k
        drafts = [c for c in calls[:i] if c.purpose == "answer" and c.model == call.about]
        assert not drafts[-1].final
    if strategy == "routing":
        assert not any(call.purpose in {"judge", "sample"} for call in calls)
    assert session.pending is None


@pytest.mark.parametrize("strategy", NAMES)
@laws
@given(world=worlds())
def test_sync_and_async_drivers_agree(strategy, world):
    async def run(call):
        return world.run(call)

    async def both():
        return await adrive(world.session(strategy), run)

    assert untimed(finished(both())) == untimed(drive(world.session(strategy), world.run))
