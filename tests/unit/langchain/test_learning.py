"""Fitting, evaluating, budgets and costs."""

from __future__ import annotations

import json
import math

import pytest

from cascade_engine import (
    Answer,
    BudgetWarning,
    CascadeDataset,
    DataError,
    InfeasibleBudgetError,
    NotFittedError,
)
from cascade_engine.errors import UnknownPriceError
from cascade_engine.strategies import DEFAULT_STRATEGY
from langchain_cascade import CascadeRoutingLLM

WEAK, STRONG = 7e-6, 7e-5  # cost of a call


@pytest.fixture(scope="module")
def fitted(fakes):
    """Shared and not to be changed."""
    return fakes.learning().fit(fakes.questions, fakes.references)


def record(message):
    return message.response_metadata["cascade"]


def test_fit_asks_every_child_every_question_once(fakes):
    llm = fakes.learning()
    assert llm.fit(fakes.questions, fakes.references) is llm
    for child in llm.models.values():
        assert sorted(child.log) == sorted(f"asked {q}" for q in fakes.questions)
    assert llm.router.is_fitted


async def test_a_fitted_cascade_tells_lambda_and_knows_hard_from_easy(fitted, ask):
    made = record(await ask(fitted, "easy question number 4?"))
    assert made["fitted"] is True
    assert made["strategy"] == DEFAULT_STRATEGY
    assert made["lambda"] >= 0
    assert math.isfinite(made["lambda"])
    hard = record(await ask(fitted, "hard question number 3?"))
    assert hard["chosen"] == "strong"
    assert hard["decisions"][0]["quality"]["weak"] < 0.5 < made["decisions"][0]["quality"]["weak"]
    json.dumps([made, hard], allow_nan=False)


async def test_a_fitted_cascade_streams_without_drafts(fitted):
    chunks = [chunk async for chunk in fitted.astream("hard question number 41?")]
    assert "".join(chunk.text for chunk in chunks) == "yes"
    assert record(chunks[-1])["lambda"] >= 0


def test_the_answers_are_graded_and_priced(fakes, monkeypatch):
    llm, seen = fakes.learning(), []
    monkeypatch.setattr(llm._router, "refit", lambda data: seen.append(data) or llm._router)
    llm.fit(fakes.questions, fakes.references)
    (data,) = seen
    assert data.models == ("weak", "strong")
    hard = [question.startswith("hard") for question in fakes.questions]
    assert data.quality[:, 0].tolist() == [0.0 if h else 1.0 for h in hard]
    assert data.quality[:, 1].tolist() == [1.0] * 30
    assert data.cost.tolist() == [pytest.approx([WEAK, STRONG])] * 30
    assert data.answers[0][1].logprobs == (math.log(0.98),)
    assert [query.text for query in data.queries] == fakes.questions


async def test_afit_learns_the_same(fakes, fitted):
    llm = await fakes.learning().afit(fakes.questions, fakes.references)
    assert llm.router.frontier_.cost == pytest.approx(fitted.router.frontier_.cost)
    assert llm.router.policy_ == fitted.router.policy_


def test_fit_by_a_grader_without_references(fakes, monkeypatch):
    llm, seen, asked = fakes.learning(), [], []
    monkeypatch.setattr(llm._router, "refit", lambda data: seen.append(data) or llm._router)

    def grade(question, answer, reference):
        asked.append((question, reference))
        return 0.25 if answer == "no" else 0.75

    llm.fit(fakes.questions, grade=grade)
    assert set(seen[0].quality[:, 0]) == {0.25, 0.75}
    assert asked[0] == (fakes.questions[0], None)


def test_fit_on_a_recording_asks_nobody(fakes, fitted):
    yes, no = (Answer(text, (math.log(p),), cost=1.0) for text, p in (("yes", 0.9), ("no", 0.4)))
    rows = [[no if i % 3 == 0 else yes, yes] for i in range(30)]
    quality = [[float(a is yes) for a in row] for row in rows]
    data = CascadeDataset(["weak", "strong"], fakes.questions, rows, quality, [[1.0, 9.0]] * 30)
    llm = fakes.learning().fit(data)
    assert llm.router.is_fitted
    assert llm.models["weak"].log == llm.models["strong"].log == []
    with pytest.raises(DataError, match="the router on"):
        fakes.learning().fit(data.select(["strong", "weak"]))


@pytest.mark.parametrize("use_async", [False, True])
async def test_a_fit_that_fails_leaves_the_model_as_it_was(fakes, fitted, use_async):
    llm = fitted.with_budget(None)
    before = llm.router

    async def fit(*args, **kwargs):
        return await llm.afit(*args, **kwargs) if use_async else llm.fit(*args, **kwargs)

    def grade(question, answer, reference):
        raise ArithmeticError("no grade")

    with pytest.raises(ArithmeticError, match="no grade"):
        await fit(fakes.questions, grade=grade)
    with pytest.raises(DataError, match="quality runs from 7 to 7"):
        await fit(fakes.questions, grade=lambda *_: 7)
    with pytest.raises(DataError, match="2 distinct queries are too few"):
        await fit(["a", "b"] * 6, ["yes"] * 12)
    assert llm.router is before
    assert record(llm.invoke("easy question number 3?"))["fitted"] is True


def test_a_budget_that_no_policy_meets_leaves_the_model_unfitted(fakes):
    llm = fakes.learning(max_expected_cost=1e-6)
    with pytest.raises(InfeasibleBudgetError, match="1e-06 per query is below the cheapest"):
        llm.fit(fakes.questions, fakes.references)
    assert not llm.router.is_fitted


def test_a_budget_that_no_policy_meets_is_clamped_if_so_wished(fakes):
    llm = fakes.learning(max_expected_cost=1e-6, clamp_budget=True)
    with pytest.warns(BudgetWarning, match="below the cheapest policy"):
        llm.fit(fakes.questions, fakes.references)
    assert llm.router.policy_.cost == pytest.approx(WEAK)
    assert record(llm.invoke("hard question number 3?"))["chosen"] == "weak"


def test_a_child_that_fails_on_a_question_stops_the_fit(fakes):
    llm = fakes.learning()
    llm.models["strong"].script = fakes.Say("x", error=ConnectionError("no route"))
    with pytest.raises(DataError, match="'strong' failed on the question 'hard question number 0"):
        llm.fit(fakes.questions, fakes.references)
    assert not llm.router.is_fitted


def test_unknown_prices_are_told_before_anyone_is_asked(fakes):
    llm = fakes.learning(prices={"weak": fakes.PRICES["weak"]})
    with pytest.raises(UnknownPriceError, match=r"no price is known for \['strong'\].*prices="):
        llm.fit(fakes.questions, fakes.references)
    assert llm.models["weak"].log == []


def test_answers_without_token_counts_cannot_be_priced(fakes):
    llm = fakes.learning()
    llm.models["weak"].counts_tokens = False
    with pytest.raises(UnknownPriceError, match=r"'weak' is unknown: the answer carries no token"):
        llm.fit(fakes.questions, fakes.references)


def test_with_budget_shares_the_fit_and_changes_nothing(fitted):
    before = fitted.router
    cheap = fitted.with_budget(WEAK)
    assert isinstance(cheap, CascadeRoutingLLM)
    assert cheap.max_expected_cost == WEAK
    for question in ("hard question number 50?", "easy question number 51?"):
        assert record(cheap.invoke(question))["models_run"] == ["weak"]
    assert fitted.router is before
    assert fitted.max_expected_cost is None
    assert cheap.models is fitted.models
    with pytest.raises(InfeasibleBudgetError, match="below the cheapest policy"):
        fitted.with_budget(1e-9)


def test_a_budget_is_met_on_average(fakes, fitted):
    budget = 3e-5
    llm = fitted.with_budget(budget)
    costs = [record(m)["total_cost"] for m in llm.batch(fakes.questions)]
    assert sum(costs) / len(costs) == pytest.approx(budget, rel=0.35)
    assert min(costs) < budget < max(costs)


async def test_a_call_may_have_its_own_budget_once_fitted(fitted, ask):
    config = {"configurable": {"max_expected_cost": WEAK}}
    made = record(await ask(fitted, "hard question number 50?", config))
    assert made["models_run"] == ["weak"]
    assert made["budget"] == WEAK
    with pytest.raises(InfeasibleBudgetError, match="below the cheapest policy, which costs 7e-06"):
        await ask(fitted, "hard?", {"configurable": {"max_expected_cost": 1e-9}})


async def test_a_hard_cap_is_never_exceeded(fitted, ask):
    config = {"configurable": {"max_cost": STRONG}}
    for i in range(6):
        made = record(await ask(fitted, f"hard question number {i}?", config))
        assert made["total_cost"] <= STRONG


def test_evaluate_compares_with_mixing_and_with_each_child(fakes, fitted):
    result = fitted.evaluate(fakes.questions, fakes.references)
    assert {DEFAULT_STRATEGY, "random_mixing"} <= set(result.curves)
    assert [point.quality for point in result.singles] == pytest.approx([2 / 3, 1.0])
    assert [point.cost for point in result.singles] == pytest.approx([WEAK, STRONG])


def test_evaluate_needs_a_fit_and_asks_nobody_without(fakes):
    llm = fakes.learning()
    with pytest.raises(NotFittedError, match="fit first"):
        llm.evaluate(fakes.questions, fakes.references)
    assert llm.models["weak"].log == []


async def test_cost_in_seconds(fakes, ask):
    made = record(await ask(fakes.cascade(cost="seconds", prices={}), "Hi"))
    for call in made["calls"]:
        assert call["cost"] == call["seconds"] > 0
    assert made["total_cost"] == pytest.approx(sum(c["seconds"] for c in made["calls"]))


async def test_cost_by_a_function(fakes, ask):
    fees = {"weak": 1, "strong": 5}
    llm = fakes.cascade(cost=lambda name, answer: fees[name] * len(answer.text.split()))
    made = record(await ask(llm, "Hi"))
    assert [call["cost"] for call in made["calls"]] == [3, 15]


def test_fit_in_another_unit_needs_no_price(fakes, monkeypatch):
    llm, seen = fakes.learning(cost=lambda name, _: 2.0 if name == "weak" else 3.0, prices={}), []
    monkeypatch.setattr(llm._router, "refit", lambda data: seen.append(data) or llm._router)
    llm.fit(fakes.questions, fakes.references)
    assert seen[0].cost.tolist() == [[2.0, 3.0]] * 30
