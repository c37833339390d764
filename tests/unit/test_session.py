"""The state machine of one query: turns, failures, caps, what is final, and the record of it."""

from __future__ import annotations

import asyncio
import json
import pickle

import numpy as np
import pytest

from cascade_engine import (
    AllModelsFailedError,
    Answer,
    CostEstimator,
    InfeasibleBudgetError,
    Price,
    QualityEstimator,
    Query,
    Session,
    SessionStateError,
    UnknownPriceError,
    Usage,
    adrive,
    drive,
)
from cascade_engine._session import Decider
from cascade_engine.strategies import find_strategy

NAMES = ("small", "medium", "large")
BEFORE, AFTER, COST = (0.5, 0.6, 0.8), (0.55, 0.7, 0.65), (1.0, 2.0, 4.0)


class Beliefs(QualityEstimator):
    """Fixed estimates: one for each model before it has answered, one after."""

    def __init__(self, before, after, sd):
        self.before, self.after, self.sd = before, after, sd

    def fit(self, data):
        return self

    def cross_evidence(self):
        raise NotImplementedError

    def begin(self, queries):
        return []

    def observe(self, evidence, model, answers):
        evidence.append(model)

    def estimate(self, evidence, run):
        assert sorted(evidence) == np.flatnonzero(run[0]).tolist()
        return np.where(run, self.after, self.before), np.where(run, 0.0, self.sd)


class Costs(CostEstimator):
    def __init__(self, cost):
        self.cost = cost

    def fit(self, data):
        return self

    def predict(self, queries):
        return np.array([self.cost] * len(queries), dtype=float)


def session(strategy="cascading", *, after=AFTER, cost=COST, lam=0.0, max_cost=None, prices=None):
    """All models are worth running at lambda 0."""
    quality = Beliefs(BEFORE, after, 0.3)
    chosen = find_strategy(strategy)
    decider = Decider(NAMES, quality, Costs(cost), chosen, prices or {}, fitted=True)
    return Session(decider, Query("q"), lam=lam, budget=None, max_cost=max_cost)


def answer(call):
    return Answer(f"by {call.model}", cost=0.5, usage=Usage(10, 5), seconds=0.1)


def failing(*names):
    def run(call):
        if call.model in names:
            raise TimeoutError(f"{call.model} is away")
        return answer(call)

    return run


def test_a_session_runs_until_nothing_is_worth_its_cost():
    trace = drive(session(), answer)
    assert trace.models_run == NAMES
    assert trace.chosen == "medium"
    assert trace.stopped_because == "medium is estimated at 0.70 and every model has been run"
    assert [d.action for d in trace.decisions] == [*NAMES, None]
    assert [d.after for d in trace.decisions] == [(), NAMES[:1], NAMES[:2], NAMES]
    early = drive(session(after=(0.99, 0.7, 0.65), lam=0.1), answer)
    assert early.models_run == ("small",)
    assert early.stopped_because.startswith("small is estimated at 0.99 and no further model is")


def test_only_a_pending_call_can_be_answered_or_failed():
    ended = session("routing")
    ended.answer(answer(ended.pending))
    assert ended.pending is None
    with pytest.raises(SessionStateError, match="the session has ended"):
        ended.answer(Answer("late"))
    with pytest.raises(SessionStateError, match="the session has ended"):
        ended.fail(TimeoutError())
    assert ended.result.text == "by large"
    assert ended.trace.failures == ()


def test_there_is_no_result_while_a_call_is_pending():
    waiting = session()
    with pytest.raises(SessionStateError, match="'small' is still pending"):
        _ = waiting.result
    assert waiting.trace.chosen is None
    assert waiting.trace.total_cost == 0


@pytest.mark.parametrize("strategy", ["routing", "cascading", "cascade_routing"])
@pytest.mark.parametrize("down", NAMES)
def test_a_failing_model_leaves_the_action_set(strategy, down):
    driven = session(strategy)
    trace = drive(driven, failing(down))
    assert down not in trace.models_run
    tried = [d.action for d in trace.decisions if d.action]
    assert len(set(tried)) == len(tried)
    assert [f.model for f in trace.failures] == [m for m in tried if m == down]
    best = max(trace.models_run, key=lambda name: AFTER[NAMES.index(name)])
    assert driven.result.text == f"by {best}"
    assert trace.chosen == best


def test_the_best_answer_held_is_returned_when_the_rest_fail():
    trace = drive(session("cascade_routing"), failing("medium", "large"))
    assert trace.chosen == "small"
    assert [f.model for f in trace.failures] == ["medium", "large"]
    assert trace.stopped_because == "small is estimated at 0.55 and every model has been run"


def test_when_all_fail_the_error_carries_every_error_in_order():
    driven = session("cascade_routing")
    trace = drive(driven, failing(*NAMES))
    with pytest.raises(AllModelsFailedError) as caught:
        _ = driven.result
    tried = [f.model for f in trace.failures]
    assert sorted(tried) == sorted(NAMES)
    assert list(caught.value.errors) == tried
    assert [str(e) for e in caught.value.errors.values()] == [f"{m} is away" for m in tried]
    assert f"  {tried[0]}: TimeoutError: {tried[0]} is away" in str(caught.value)
    assert trace.chosen is None
    assert trace.stopped_because == "no model is left that could answer"
    assert json.loads(json.dumps(trace.to_dict()))["failures"][0]["model"] == tried[0]


def test_the_error_survives_pickling():
    error = AllModelsFailedError({"a": TimeoutError("away")}, "['b'] cost more")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  our own bytes
    assert str(again) == str(error)
    assert repr(again.errors) == repr(error.errors)


def test_interrupts_are_not_failures():
    def interrupted(call):
        raise KeyboardInterrupt

    driven = session()
    with pytest.raises(KeyboardInterrupt):
        drive(driven, interrupted)
    assert driven.pending.model == "small"


async def test_cancelling_is_no_failure_either():
    async def cancelled(call):
        raise asyncio.CancelledError

    driven = session()
    with pytest.raises(asyncio.CancelledError):
        await adrive(driven, cancelled)
    assert driven.trace.failures == ()


def test_a_routed_call_is_final_and_so_is_its_replacement():
    driven = session("routing")
    assert driven.pending.final
    driven.fail(TimeoutError())
    assert driven.pending.final


def test_a_draft_is_not_final_and_the_only_model_left_is():
    driven = session("cascading")
    assert not driven.pending.final
    driven.fail(TimeoutError())
    assert (driven.pending.model, driven.pending.final) == ("medium", False)
    driven.fail(TimeoutError())
    assert (driven.pending.model, driven.pending.final) == ("large", True)
    assert driven.trace.decisions[-1].final


def test_the_last_model_is_not_final_while_another_answer_is_held():
    driven = session("cascading")
    driven.answer(answer(driven.pending))
    driven.fail(TimeoutError())
    assert (driven.pending.model, driven.pending.final) == ("large", False)


def test_the_only_model_under_the_cap_is_final():
    assert session("cascading", max_cost=1.5).pending.final
    assert not session("cascading", max_cost=3.0).pending.final


@pytest.mark.parametrize("strategy", ["cascading", "cascade_routing", "threshold_cascade"])
@pytest.mark.parametrize("cap", [1.0, 2.5, 3.0, 5.0, 6.9, 7.0])
def test_expected_costs_never_exceed_the_cap(strategy, cap):
    trace = drive(session(strategy, max_cost=cap), lambda call: Answer("costs what was expected"))
    spent = sum(COST[NAMES.index(name)] for name in trace.models_run)
    assert 0 < spent <= cap
    if spent < 7:
        assert trace.stopped_because.endswith("no further model fits under the hard cap")


def test_what_is_left_of_the_cap_counts_real_costs_and_failed_calls():
    driven = session("cascading", max_cost=7.0)
    assert driven.pending.max_cost == 7.0
    driven.answer(Answer("dearer than expected", cost=2.0))
    assert driven.pending.max_cost == 5.0
    driven.fail(TimeoutError())
    assert driven.pending is None
    assert driven.trace.stopped_because.endswith("no further model fits under the hard cap")


def test_an_answer_dearer_than_the_cap_leaves_nothing():
    driven = session("cascading", cost=(1.0, 0.0, 4.0), max_cost=3.0)
    driven.answer(answer(driven.pending))
    driven.answer(Answer("much dearer than expected", cost=9.0))
    assert driven.pending is None


def test_when_the_affordable_fail_the_error_names_the_others():
    driven = session("routing", max_cost=1.0)
    drive(driven, failing("small"))
    with pytest.raises(AllModelsFailedError, match=r"\['medium', 'large'\] cost more than is left"):
        _ = driven.result


def test_a_cap_below_every_model_is_refused_with_both_figures():
    with pytest.raises(InfeasibleBudgetError, match=r"as little as 0\.25 .*'small'.* costs 1"):
        session(max_cost=0.25)


def test_a_cap_needs_every_price():
    with pytest.raises(UnknownPriceError, match=r"that of \['medium'\] is unknown"):
        session(cost=(1.0, np.nan, 4.0), max_cost=9.0)
    assert session("threshold_cascade", cost=(1.0, np.nan, 4.0)).pending.model == "small"


def test_costs_are_as_reported_else_priced_else_unknown():
    prices = {"small": Price(1.0, 2.0), "medium": Price(1.0, 2.0)}
    replies = {
        "small": Answer("a", usage=Usage(1_000_000, 500_000), cost=7.0),
        "medium": Answer("b", usage=Usage(1_000_000, 500_000)),
        "large": Answer("c", usage=Usage(1_000_000, 500_000)),
    }
    driven = session(prices=prices)
    drive(driven, lambda call: replies[call.model])
    assert driven.trace.costs == {"small": 7.0, "medium": 2.0, "large": None}
    assert driven.trace.total_cost is None
    trace = drive(session(prices=prices), failing("large"))
    assert trace.total_cost == 1.0


def test_the_record_is_plain_json():
    trace = drive(session("cascade_routing", lam=0.01, max_cost=50.0), failing("medium"))
    record = json.loads(json.dumps(trace.to_dict(), allow_nan=False))
    assert record["chosen"] == "large"
    assert record["lambda"] == 0.01
    assert record["total_cost"] == 1.0
    assert record["models_run"] == [call["model"] for call in record["calls"]] == ["small", "large"]
    assert record["calls"][0] == {
        "model": "small",
        "cost": 0.5,
        "input_tokens": 10,
        "output_tokens": 5,
        "seconds": 0.1,
        "finish_reason": None,
    }
    assert record["failures"] == [
        {"model": "medium", "error": repr(TimeoutError("medium is away"))}
    ]
    assert record["decisions"][0]["quality"] == dict(zip(NAMES, BEFORE, strict=True))


async def test_sync_and_async_drivers_leave_the_same_record():
    async def run(call):
        return failing("medium")(call)

    sync = drive(session("cascade_routing"), failing("medium"))
    other = await adrive(session("cascade_routing"), run)
    assert sync.to_dict() == other.to_dict()
    assert sync.answers == other.answers
