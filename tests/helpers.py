"""What several test modules need and no fixture has to make."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import reduce
from itertools import product
from operator import add

import numpy as np
import pytest

from cascade_engine import (
    Answer,
    Beliefs,
    CascadeDataset,
    CascadeRouter,
    CostEstimator,
    QualityEstimator,
    Usage,
)
from cascade_engine.estimators import Estimates
from cascade_engine.strategies import TuningData


def answer(call):
    """A driver's function: every model answers."""
    return Answer(f"by {call.model}", cost=0.5, usage=Usage(10, 5), seconds=0.1)


def failing(*names):
    """A driver's function; it gives up on a session that does not end."""
    calls = []

    def run(call):
        calls.append(call.model)
        if len(calls) > 9:
            pytest.fail(f"still going after {calls}")
        if call.model in names:
            raise TimeoutError(f"{call.model} is away")
        return answer(call)

    return run


def untimed(trace):
    """The record without what no two runs share: how long calls took."""
    record = trace.to_dict()
    calls = [*record["calls"], *record.get("failures", ()), *record.get("advice", ())]
    for call in calls:
        call.pop("seconds", None)
    return record


def finished(coroutine):
    """Runs a coroutine on a loop of its own, which leaves nothing behind."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


async def until(so):
    """Lets the event loop run on until something is so."""
    for _ in range(100_000):
        if so():
            return
        await asyncio.sleep(0)
    pytest.fail("it never came to be so")


def check_left_early(traces):
    """Of streams that their readers left: no answer, and what was written of one."""
    for logged in traces:
        (failure,) = logged.trace.failures
        assert (logged.trace.chosen, logged.trace.models_run) == (None, ())
        assert "StreamClosedError" in repr(failure.error)
        assert failure.answer.text
        assert f"{failure.model} broke off" in logged.trace.stopped_because


def whole(chunks):
    """What a stream's chunks add up to: a message, or after a parser a string."""
    return reduce(add, chunks)


def decide(strategy, belief, state, lam):
    """One decision on what is believed (quality, sd, cost) in a state (run, available).

    By arrays and by plain numbers, which must agree.
    """
    rows = [[float(x) for x in row] for row in belief]
    masks = [[bool(x) for x in row] for row in state]
    estimates = Estimates(*(np.array([row]) for row in rows))
    lams = np.array([float(lam)])
    by_arrays = int(strategy.decide(estimates, *(np.array([row]) for row in masks), lams)[0])
    run, available = masks
    assert by_arrays == strategy.decide_one(*rows, run=run, available=available, lam=float(lam))
    return by_arrays


def fresh(k):
    """Nobody has run, everybody may."""
    return [False] * k, [True] * k


def states(k):
    """Every pair of models run and models still available."""
    for marks in product("-ra", repeat=k):
        yield [m == "r" for m in marks], [m == "a" for m in marks]


def believed(seed, k):
    """Quality, sd and cost of one query, at random."""
    rng = np.random.default_rng([seed, k])
    quality, sd = rng.uniform(0, 1, k), rng.uniform(0, 0.4, k)
    return quality, sd, rng.uniform(0.05, 1, k)


def tuned(strategy, seed, k):
    """The strategy, tuned where it needs to be, on two rows with the means of the beliefs."""
    quality, sd, cost = believed(seed, k)
    apart = np.outer([1, -1], cost[::-1])
    both = np.tile(quality, (2, 1))
    beliefs = Beliefs(both, both, sd=sd, cost=cost)
    return strategy.tuned(TuningData(quality + apart, cost + apart, no_frontier, beliefs))


def no_frontier(strategy):
    """For strategies that are tuned without one."""
    pytest.fail(f"{strategy.name} asked for a frontier")


@dataclass(frozen=True)
class World:
    """Beliefs about n queries, and the truth."""

    beliefs: Beliefs
    quality: np.ndarray
    cost: np.ndarray

    @property
    def truth(self):
        """What `tune` and `simulate` are told."""
        return {"quality": self.quality, "cost": self.cost}

    def data(self):
        """The same as a data set; queries are asked by their number."""
        n, k = self.quality.shape
        answers = [
            [Answer(str(j), cost=float(self.cost[i, j])) for j in range(k)] for i in range(n)
        ]
        names = [f"m{j}" for j in range(k)]
        return CascadeDataset(names, [str(i) for i in range(n)], answers, self.quality, self.cost)

    def router(self, strategy, **options):
        """A router fitted to it, with estimators that look everything up."""
        data = self.data()
        quality, cost = ArrayQuality(self.beliefs), ArrayCosts(self.beliefs)
        router = CascadeRouter(
            data.models, strategy=strategy, quality=quality, cost=cost, **options
        )
        return router.fit(data)


def world(n=60, k=3, seed=0):
    """Martingale beliefs: what is believed after an answer is as expected before, on average."""
    rng = np.random.default_rng([seed, n, k])
    before = rng.uniform(0.2, 0.7, (n, k)) + np.linspace(0, 0.2, k)
    sd = rng.uniform(0.02, 0.3, (n, k))
    after = before + sd * rng.standard_normal((n, k))
    expected = np.geomspace(1, 8, k) * rng.uniform(0.6, 1.4, (n, k))
    cost = expected * rng.uniform(0.7, 1.3, (n, k))
    quality = np.clip(after + 0.1 * rng.standard_normal((n, k)), 0, 1)
    return World(Beliefs(before, after, cost=expected, sd=sd), quality, cost)


class ArrayQuality(QualityEstimator):
    """What `Beliefs` say of the queries, which are asked by their number."""

    def __init__(self, beliefs):
        self.beliefs = beliefs

    def fit(self, data):
        return self

    def cross_evidence(self):
        return np.arange(len(self.beliefs)), None

    def begin(self, queries):
        return np.array([int(query.text) for query in queries]), set()

    def observe(self, evidence, model, answers):
        rows, seen = evidence
        assert len(answers) == len(rows)
        seen.add(model)

    def estimate(self, evidence, run):
        rows, seen = evidence
        assert seen is None or seen >= set(np.flatnonzero(run.any(axis=0)).tolist())
        estimates = self.beliefs(rows, np.asarray(run))
        return estimates.quality, estimates.sd


class ArrayCosts(CostEstimator):
    """The costs that `Beliefs` expect."""

    def __init__(self, beliefs):
        self.beliefs = beliefs

    def fit(self, data):
        return self

    def predict(self, queries):
        return self.beliefs.cost[[int(query.text) for query in queries]]


class GivenCosts(CostEstimator):
    """The same costs for the one query of a session."""

    def __init__(self, cost):
        self.cost = cost

    def fit(self, data):
        return self

    def predict(self, queries):
        return np.array([self.cost])
