"""What one call of a cascade may change, whatever the framework."""

from __future__ import annotations

import math

import pytest

from cascade_engine import Answer, ConfigurationError, DataError, drive
from cascade_engine.answers.provider_reports import token_logprobs, tokens_of
from cascade_engine.plugin.call_options import (
    SessionOpener,
    check_options,
    forced_child,
    merged_options,
)
from cascade_engine.plugin.names import own_error, unknown_argument
from cascade_engine.plugin.replay import Recording

MODELS = ("small", "large")


def test_options_are_picked_out():
    given = {"max_cost": None, "lam": None, "strategy": "routing", "thread_id": "one"}
    assert check_options(given, MODELS) == {"max_cost": None, "strategy": "routing"}
    assert check_options({}, MODELS) == {}


def test_errors_say_what_the_user_calls_an_option():
    with pytest.raises(ConfigurationError, match=r"config\['max_cost'\] must be a number >= 0"):
        check_options({"max_cost": "x"}, MODELS, called=lambda key: f"config[{key!r}]")


@pytest.mark.parametrize(
    ("outer", "inner", "held"),
    [
        ({"max_cost": 1.0}, {"max_cost": None}, {"max_cost": None}),
        ({"lam": 1.0}, {"max_expected_cost": 2.0}, {"max_expected_cost": 2.0}),
        ({"model": "small"}, {"strategy": "routing"}, {"strategy": "routing"}),
        ({"strategy": "routing", "max_cost": 1.0}, {"model": "small"}, None),
        ({"lam": 1.0}, {"max_expected_cost": None}, {"lam": 1.0, "max_expected_cost": None}),
    ],
)
def test_the_inner_options_hold(outer, inner, held):
    found = merged_options(outer, inner)
    assert found == (held or {"max_cost": 1.0, "model": "small"})
    check_options(found, MODELS)


def test_a_model_that_is_forced():
    assert forced_child({}, None, MODELS) is None
    assert forced_child({"model": "small"}, None, MODELS) == "small"
    assert forced_child({"model": "small"}, "small", MODELS) == "small"
    with pytest.raises(ConfigurationError, match="'large' of the call and 'small' of the block"):
        forced_child({"model": "small"}, "large", MODELS, called="the block")
    with pytest.raises(ConfigurationError, match="contradict"):
        forced_child({"lam": 1.0}, "large", MODELS)
    with pytest.raises(ConfigurationError, match="none of the children"):
        forced_child({}, "medium", MODELS)


def test_sessions_have_the_options_of_their_call(router, held_out):
    sessions, query = SessionOpener(), held_out.queries[0]
    first, *_ = router.models
    session = sessions.open(router, query, {"model": first})
    assert session.pending.model == first
    assert session.trace.budget is None
    budgeted = router.with_budget(float(router.frontier_.cost[-1]))
    session = sessions.open(budgeted, query, {"model": first})
    assert session.trace.budget == math.inf
    assert sessions.open(router, query, {"lam": 0.5}).trace.setting == {"lambda": 0.5}
    assert sessions.open(router, query, {}, able=[first]).pending.model == first
    with pytest.raises(ConfigurationError, match="cannot answer this call"):
        sessions.open(router, query, {"model": first}, able=[router.models[1]])


def test_a_strategy_is_tuned_once_for_each_router(router):
    sessions = SessionOpener()
    routed = sessions.with_call_strategy(router, "routing")
    assert routed.strategy.name == "routing"
    assert sessions.with_call_strategy(router, "routing") is routed
    assert sessions.with_call_strategy(router, None) is router
    assert sessions.with_call_strategy(router, router.strategy.name) is router
    other = router.with_budget(None)
    assert sessions.with_call_strategy(other, "routing") is not routed


def test_an_error_that_is_no_models_ends_the_session(session):
    opened = session("cascading")

    def run(call):
        raise KeyError(call.model)

    with pytest.raises(KeyError, match="small"):
        drive(opened, run, fatal=lambda error: isinstance(error, KeyError))
    drive(opened, lambda call: Answer("x"), fatal=lambda error: False)
    assert opened.result.text == "x"


def test_unknown_arguments():
    known = ["max_cost", "seed"]
    assert "did you mean 'max_cost'" in str(unknown_argument("max_costs", known))
    assert "it takes ['max_cost', 'seed']" in str(unknown_argument("zzz", known))
    assert "belongs to the children" in str(unknown_argument("top_p", known))
    assert "did you mean 'llms'" in str(unknown_argument("children", ["llms", "seed"]))
    assert "belongs to the children" in str(unknown_argument("key", known, ["key"]))


def test_the_librarys_own_error_in_pydantics():
    own = ConfigurationError("no")
    assert own_error([{"type": "x"}, {"ctx": {"error": own}}]) is own
    assert own_error([{"ctx": {"error": ValueError()}}]) is None


def test_a_recording(data):
    recording = Recording(data, data.models[1])
    assert recording.answer(data.queries[3].text) is data.answers[3][1]
    with pytest.raises(DataError, match="no recorded answer to 'Hi'"):
        recording.answer("Hi")


@pytest.mark.parametrize(
    ("reported", "found"),
    [
        ({"logprobs": {"content": [{"token": "a", "logprob": -1}]}}, [("a", -1.0)]),
        ({"logprobs": {"content": [{"token": "a"}, {"logprob": -2}]}}, [("", -2.0)]),
        ({"logprobs": {"tokens": ["a", "b"], "token_logprobs": [None, -3]}}, [("b", -3.0)]),
        ({"logprobs": {"tokens": ["a"], "token_logprobs": [-1, -3]}}, [("", -1.0), ("", -3.0)]),
        ({"logprobs": [{"token": "a", "logprob": -1.0}]}, [("a", -1.0)]),
        ({"logprobs_result": {"chosen_candidates": [{"log_probability": -4}]}}, [("", -4.0)]),
        ({"logprobs": None}, []),
        (None, []),
    ],
)
def test_tokens_and_their_logprobs(reported, found):
    assert tokens_of(reported) == found
    assert token_logprobs(reported) == (tuple(value for _, value in found) or None)
