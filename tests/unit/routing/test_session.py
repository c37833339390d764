"""The state machine of one query: turns, failures, what is final, and the record of it."""

from __future__ import annotations

import asyncio
import json
import pickle

import pytest

from cascade_engine import AllModelsFailedError, Answer, DataError, adrive, drive
from cascade_engine.errors import SessionStateError, StreamClosedError
from tests.helpers import answer, failing, untimed

NAMES = ("small", "medium", "large")
BEFORE, AFTER = (0.5, 0.6, 0.8), (0.55, 0.7, 0.65)


def test_a_session_runs_until_nothing_is_worth_its_cost(session):
    trace = drive(session(), answer)
    assert trace.models_run == NAMES
    assert trace.chosen == "medium"
    assert trace.stopped_because.startswith("medium is estimated at 0.70 and no other model")
    assert [d.action for d in trace.decisions] == [*NAMES, None]
    assert [d.after for d in trace.decisions] == [(), NAMES[:1], NAMES[:2], NAMES]
    early = drive(session(after=(0.99, 0.7, 0.65), lam=0.1), answer)
    assert early.models_run == ("small",)
    assert early.stopped_because.startswith("small is estimated at 0.99 and no further model is")


def test_only_a_pending_call_can_be_answered_or_failed(session):
    ended = session("routing")
    ended.answer(answer(ended.pending))
    assert ended.pending is None
    with pytest.raises(SessionStateError, match="the session has ended"):
        ended.answer(Answer("late"))
    with pytest.raises(SessionStateError, match="the session has ended"):
        ended.fail(TimeoutError())
    assert ended.result.text == "by large"
    assert ended.trace.failures == ()


def test_there_is_no_result_while_a_call_is_pending(session):
    waiting = session()
    with pytest.raises(SessionStateError, match="'small' is still pending"):
        _ = waiting.result
    assert waiting.trace.chosen is None
    assert waiting.trace.total_cost == 0


@pytest.mark.parametrize("strategy", ["routing", "cascading", "cascade_routing"])
@pytest.mark.parametrize("down", NAMES)
def test_a_failing_model_leaves_the_action_set(strategy, down, session):
    driven = session(strategy)
    trace = drive(driven, failing(down))
    assert down not in trace.models_run
    tried = [d.action for d in trace.decisions if d.action]
    assert len(set(tried)) == len(tried)
    assert [f.model for f in trace.failures] == [m for m in tried if m == down]
    best = max(trace.models_run, key=lambda name: AFTER[NAMES.index(name)])
    assert driven.result.text == f"by {best}"
    assert trace.chosen == best


def test_the_best_answer_held_is_returned_when_the_rest_fail(session):
    trace = drive(session("cascade_routing"), failing("medium", "large"))
    assert trace.chosen == "small"
    assert [f.model for f in trace.failures] == ["medium", "large"]
    assert trace.stopped_because.startswith("small is estimated at 0.55 and no other model")


def test_when_all_fail_the_error_carries_every_error_in_order(session):
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


def test_interrupts_are_not_failures(session):
    def interrupted(call):
        raise KeyboardInterrupt

    driven = session()
    with pytest.raises(KeyboardInterrupt):
        drive(driven, interrupted)
    assert driven.pending.model == "small"


@pytest.mark.parametrize("said", ["text", None])
def test_what_is_no_answer_is_refused_by_name(session, said):
    driven = session()
    with pytest.raises(DataError, match=f"'small' is said to have answered {said!r}: give an"):
        drive(driven, lambda _: said)
    assert driven.pending.model == "small"


def test_an_answer_that_broke_off_ends_the_session(session):
    driven = session("cascade_routing")
    driven.answer(Answer("draft", cost=1.0))
    model = driven.pending.model
    driven.interrupt(StreamClosedError("closed"), Answer("half of", cost=0.5), seconds=2.0)
    assert driven.pending is None
    trace = driven.trace
    assert (trace.chosen, trace.models_run, trace.total_cost) == (None, ("small",), 1.5)
    (failure,) = trace.failures
    assert (failure.model, failure.seconds, failure.answer.text) == (model, 2.0, "half of")
    assert trace.decisions[-1].action is None
    assert trace.stopped_because == f"the answer of {model} broke off after part of it was shown"
    json.dumps(trace.to_dict())
    with pytest.raises(AllModelsFailedError, match="StreamClosedError: closed"):
        _ = driven.result
    with pytest.raises(SessionStateError, match="the session has ended"):
        driven.interrupt(StreamClosedError("again"))


@pytest.mark.parametrize("left", [GeneratorExit(), asyncio.CancelledError()])
def test_a_reader_who_leaves_is_on_record_as_one(session, left):
    driven = session("cascade_routing")
    driven.interrupt(left, Answer("half of"))
    (failure,) = driven.trace.failures
    assert isinstance(failure.error, StreamClosedError)
    with pytest.raises(AllModelsFailedError, match="closed before the answer was complete"):
        _ = driven.result


def test_what_broke_off_without_a_price_leaves_the_cost_unknown(session):
    driven = session("cascade_routing")
    driven.interrupt(OSError("cut off"), Answer("half of"))
    assert driven.trace.total_cost is None
    assert driven.trace.failures[0].cost is None


async def test_cancelling_is_no_failure_either(session):
    async def cancelled(call):
        raise asyncio.CancelledError

    driven = session()
    with pytest.raises(asyncio.CancelledError):
        await adrive(driven, cancelled)
    assert driven.trace.failures == ()


def test_a_routed_call_is_final_and_so_is_its_replacement(session):
    driven = session("routing")
    assert driven.pending.final
    driven.fail(TimeoutError())
    assert driven.pending.final


def test_a_draft_is_not_final_and_the_only_model_left_is(session):
    driven = session("cascading")
    assert not driven.pending.final
    driven.fail(TimeoutError())
    assert (driven.pending.model, driven.pending.final) == ("medium", False)
    driven.fail(TimeoutError())
    assert (driven.pending.model, driven.pending.final) == ("large", True)
    assert driven.trace.decisions[-1].final


def test_the_last_model_is_not_final_while_another_answer_is_held(session):
    driven = session("cascading")
    driven.answer(answer(driven.pending))
    driven.fail(TimeoutError())
    assert (driven.pending.model, driven.pending.final) == ("large", False)


def test_the_record_is_plain_json(session):
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
        "seconds_to_first_token": None,
        "tokens_per_second": 50.0,
        "finish_reason": None,
    }
    (failure,) = record["failures"]
    assert (failure["model"], failure["error"]) == ("medium", repr(TimeoutError("medium is away")))
    assert 0 <= failure["seconds"] < 60
    assert record["decisions"][0]["quality"] == dict(zip(NAMES, BEFORE, strict=True))


async def test_sync_and_async_drivers_leave_the_same_record(session):
    async def run(call):
        return failing("medium")(call)

    sync = drive(session("cascade_routing"), failing("medium"))
    other = await adrive(session("cascade_routing"), run)
    assert untimed(sync) == untimed(other)
    assert sync.answers == other.answers
