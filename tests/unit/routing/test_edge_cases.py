"""Odd but possible data: fitted, replayed and lived through without a warning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cascade_engine import STRATEGIES, Answer, CascadeDataset, CascadeRouter, Query, drive
from cascade_engine.estimators import LogprobEstimator
from cascade_engine.strategies.frontier import coin

N = 48


def changed(data, *, queries=None, answer=None, quality=None, cost=None):
    """The data with something of it replaced."""
    answers = data.answers
    if answer is not None:
        answers = [[answer(i, a) for a in row] for i, row in enumerate(answers)]
    return CascadeDataset(
        data.models,
        data.queries if queries is None else queries,
        answers,
        data.quality if quality is None else quality,
        data.cost if cost is None else cost,
    )


def odd_logprobs(row, answer):
    odd = [None, (), (np.nan,), (-np.inf, -0.1), (0.4, 0.1), (-0.0,), (-1e308, -1e308)]
    return replace(answer, logprobs=odd[row % len(odd)])


ODD = {
    "free": lambda d: changed(d, cost=d.cost * 0),
    "first model free": lambda d: changed(d, cost=d.cost * [0, 1, 1]),
    "all cost alike": lambda d: changed(d, cost=np.ones_like(d.cost)),
    "dearest first": lambda d: changed(d, cost=d.cost[:, ::-1]),
    "costs of a billionth": lambda d: changed(d, cost=d.cost * 1e-9),
    "costs of a billion": lambda d: changed(d, cost=d.cost * 1e9),
    "all good": lambda d: changed(d, quality=np.ones_like(d.quality)),
    "all bad": lambda d: changed(d, quality=np.zeros_like(d.quality)),
    "one model always good": lambda d: changed(d, quality=np.maximum(d.quality, [0, 1, 0])),
    "one good answer": lambda d: changed(d, quality=np.eye(N, 3)),
    "fractions": lambda d: changed(d, quality=0.2 + 0.5 * d.quality),
    "same words": lambda d: changed(d, queries=["two words" + " " * i for i in range(N)]),
    "no words": lambda d: changed(d, queries=["_" * i for i in range(N)]),
    "lone surrogates": lambda d: changed(d, queries=[f"\ud800 {q.text}" for q in d.queries]),
    "each query twice": lambda d: d.take([*range(N // 2), *range(N // 2)]),
    "no log-probs": lambda d: changed(d, answer=lambda _, a: replace(a, logprobs=None)),
    "odd log-probs": lambda d: changed(d, answer=odd_logprobs),
    "no answers' text": lambda d: changed(d, answer=lambda _, a: Answer("", cost=a.cost)),
    "all cut off": lambda d: changed(d, answer=lambda _, a: replace(a, finish_reason="length")),
    "twins": lambda d: CascadeDataset(
        ["a", "b"],
        d.queries,
        [[row[0], row[0]] for row in d.answers],
        d.quality[:, [0, 0]],
        d.cost[:, [0, 0]],
    ),
}


@pytest.fixture(scope="module")
def plain(make_data):
    return make_data(N, 3, 4)


@pytest.mark.parametrize("name", ODD)
def test_odd_data_is_learned_from_and_lived_through(name, plain):
    data = ODD[name](plain)
    router = CascadeRouter(data.models, quality=LogprobEstimator(folds=3)).fit(data)
    for strategy in STRATEGIES:
        tuned = router.with_strategy(strategy)
        frontier = tuned.frontier_
        assert np.isfinite(np.stack([frontier.lambdas, frontier.cost, frontier.quality])).all()
        assert (frontier.lambdas >= 0).all()
        tuned = tuned.with_budget(float(frontier.cost[[0, -1]].mean()))
        outcome = tuned.replay(data)
        assert outcome.run.any(axis=1).all()
        assert np.isfinite(outcome.cost).all()
        for row in (0, 1, 2):
            recorded = dict(zip(data.models, data.answers[row], strict=True))
            trace = drive(tuned.session(data.queries[row]), lambda c, r=recorded: r[c.model])
            assert [m in trace.answers for m in data.models] == outcome.run[row].tolist()
            assert trace.chosen == data.models[outcome.chosen[row]]


def test_free_models_are_bought_with_no_budget(plain):
    data = ODD["first model free"](plain)
    router = CascadeRouter(data.models, budget=0.0).fit(data)
    assert router.policy_.cost == 0
    outcome = router.replay(data)
    assert outcome.run.tolist() == [[True, False, False]] * N


def test_where_all_is_free_the_best_is_bought(plain):
    data = ODD["free"](plain)
    for strategy in ("routing", "cascade_routing"):
        router = CascadeRouter(data.models, strategy=strategy, budget=0.0).fit(data)
        assert router.replay(data).mean_quality > data.quality.mean(axis=0).max() - 0.1


def test_a_dear_model_that_adds_nothing_is_left_alone(plain):
    alike = changed(plain, quality=np.ones_like(plain.quality))
    router = CascadeRouter(alike.models, strategy="routing").fit(alike)
    middle = router.with_budget(float(alike.cost[:, 1].mean()))
    assert middle.replay(alike).mean_cost < alike.cost[:, 1].mean()


def test_scaling_all_costs_changes_no_decision(plain):
    budget = float(plain.cost.mean(axis=0)[1])
    once = CascadeRouter(plain.models, budget=budget).fit(plain)
    data = changed(plain, cost=plain.cost * 1024)
    scaled = CascadeRouter(data.models, budget=budget * 1024).fit(data)
    assert (once.replay(plain).run == scaled.replay(data).run).all()
    assert once.frontier_.lambdas == pytest.approx(scaled.frontier_.lambdas * 1024)


@pytest.mark.parametrize("text", ["", "\udfff", "word, " * 100_000, "7" * 5000, "\0\n\t\v"])
def test_odd_queries_get_a_session(text, router):
    trace = drive(router.session(text, max_cost=1e9), lambda call: Answer(text, (-0.1,)))
    assert trace.chosen in router.models
    quality = np.array([list(d.quality.values()) for d in trace.decisions])
    assert ((quality > 0) & (quality < 1)).all()


def test_coins_are_fair_and_the_same_for_the_same_text():
    tosses = np.array([coin(f"query {i}", 0) for i in range(4000)])
    assert ((tosses >= 0) & (tosses < 1)).all()
    assert tosses.mean() == pytest.approx(0.5, abs=0.02)
    assert np.quantile(tosses, [0.1, 0.9]) == pytest.approx([0.1, 0.9], abs=0.02)
    assert coin("\ud800", 3) == coin("\ud800", 3)
    assert coin("", 0) != coin("", 1)
    assert coin("q", -1) != coin("q", 1)


def test_a_context_counts_towards_the_cost_and_not_the_coin(router):
    bare, chat = Query("tricky ban 7?"), Query("tricky ban 7?", context_length=4000)
    first, second = (router.session(q).trace.decisions[0] for q in (bare, chat))
    assert first.quality == second.quality
    assert all(second.cost[name] > first.cost[name] for name in router.models)
