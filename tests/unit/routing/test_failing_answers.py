"""Before any fit: answers that certainly fail, however sure the model was of their tokens."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from cascade_engine import Answer, CascadeRouter, Query, ToolCall, Usage, drive
from cascade_engine.estimators import PriorEstimator

SURE, UNSURE = (-0.01, -0.02) * 4, (-0.01, -3.0) * 4
NAMES = ("small", "large")
ADD = {
    "name": "add",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
}
PERSON = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
TOOLS, FORM, WORDS = Query("2 + 40?", tools=(ADD,)), Query("Who?", schema=PERSON), Query("Who?")
FITS = ToolCall("add", {"a": 2, "b": 40})


def believed(query, answer, **options):
    """What is believed of the first model's answer, and who was asked."""
    session = CascadeRouter(NAMES, **options).session(query)
    trace = drive(session, lambda call: answer if call.model == "small" else Answer("Ada", SURE))
    return trace.decisions[1].quality["small"], trace.models_run


def calling(*calls, logprobs=SURE, **fields):
    return Answer("", logprobs, tool_calls=calls, **fields)


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        (TOOLS, calling(ToolCall("add", '{"a": 2, '))),
        (TOOLS, calling(ToolCall("add", "[2, 40]"))),
        (TOOLS, calling(ToolCall("add", {"a": 2}))),
        (TOOLS, calling(ToolCall("add", {"a": 2, "b": "forty"}))),
        (TOOLS, calling(ToolCall("multiply", {"a": 2, "b": 40}))),
        (TOOLS, calling(FITS, ToolCall("add", {}))),
        (TOOLS, calling(FITS, finish_reason="length")),
        (FORM, Answer("Ada", SURE)),
        (FORM, Answer('{"age": "old"}', SURE)),
        (FORM, Answer('{"age": 3', SURE)),
        (FORM, Answer("", SURE)),
        (WORDS, calling(ToolCall("add", '{"a": 2, '))),
        (WORDS, Answer("", SURE)),
        (WORDS, Answer(" \n", SURE)),
        (WORDS, Answer("It is Ada Love", SURE, finish_reason="length")),
        (WORDS, Answer("It is Ada Love", SURE, Usage(9, 64), finish_reason="MAX_TOKENS")),
    ],
)
def test_an_answer_that_certainly_fails_is_not_taken(query, answer):
    assert believed(query, answer) == (0.0, NAMES)


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        (TOOLS, calling(FITS)),
        (TOOLS, calling(ToolCall("add", '{"a": 2, "b": 40}'))),
        (TOOLS, Answer("It is 42.", SURE)),
        (FORM, Answer('{"age": 3}', SURE)),
        (FORM, Answer('```json\n{"age": 3}\n```', SURE)),
        (Query("Who?", tools=(ADD,), schema=PERSON), calling(FITS)),
        # Which tools there are is not known: none, or one that cannot be described.
        (WORDS, calling(FITS)),
        (Query("Who?", tools=(ADD, {})), calling(ToolCall("bash", {"command": "ls"}))),
        (Query("Who?", schema={"$ref": "https://example.org/person"}), Answer('{"age": 3}', SURE)),
        (WORDS, Answer("?", SURE)),
        (WORDS, Answer("Ada", SURE, finish_reason="stop")),
        # A limit of a few tokens is meant: the letter is the whole answer.
        (WORDS, Answer("B", (-0.01,), finish_reason="length")),
        (WORDS, Answer("B", (-0.01,), Usage(9, 1), finish_reason="length")),
    ],
)
def test_one_that_may_be_right_is_judged_by_its_tokens(query, answer):
    quality, run = believed(query, answer)
    assert quality > 0.98
    assert run == ("small",)


def test_a_call_that_does_not_fit_a_tool_on_offer_fails_whatever_else_there_is():
    query = Query("Who?", tools=(ADD, {}))
    assert believed(query, calling(ToolCall("add", {})))[0] == 0.0
    assert believed(query, calling(ToolCall("bash", "ls -")))[0] == 0.0


@pytest.mark.parametrize("text", ["I don't know.", "I'm sorry, but I can't help with that."])
def test_a_refusal_is_unknown_and_not_sure(text):
    assert believed(WORDS, Answer(text, SURE)) == (0.5, NAMES)
    trusted = {"priors": [0.95, 0.99]}
    assert believed(WORDS, Answer(text, SURE), **trusted) == (0.95, ("small",))
    assert believed(WORDS, Answer(text, UNSURE), **trusted)[0] < 0.5


def test_a_refusal_asked_for_is_an_answer():
    query = Query("If you do not know, say: I don't know.")
    assert believed(query, Answer("I don't know.", SURE))[1] == ("small",)


def test_a_call_without_log_probs_has_its_models_prior():
    assert believed(TOOLS, calling(FITS, logprobs=None)) == (0.5, NAMES)
    trusted = {"priors": [0.95, 0.99]}
    assert believed(TOOLS, calling(FITS, logprobs=None), **trusted) == (0.95, ("small",))
    broken = calling(ToolCall("add", {}), logprobs=None)
    assert believed(TOOLS, broken, **trusted) == (0.0, NAMES)


def test_without_jsonschema_a_form_is_judged_as_far_as_it_can_be(monkeypatch):
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    assert believed(FORM, Answer("Ada", SURE)) == (0.0, NAMES)
    assert believed(FORM, Answer('{"age": "old"}', SURE))[1] == ("small",)


def test_the_last_answer_is_taken_all_the_same():
    session = CascadeRouter(NAMES).session("q")
    trace = drive(session, lambda call: Answer("", SURE))
    assert (trace.chosen, trace.models_run) == ("large", NAMES)
    assert trace.decisions[-1].quality == {"small": 0.0, "large": 0.0}


def test_answers_of_many_queries_are_judged_each_by_its_own():
    estimator = PriorEstimator(1)
    evidence = estimator.begin([TOOLS, FORM, WORDS])
    estimator.observe(evidence, 0, [Answer('{"age": 3}', (0.0,))] * 3)
    quality, _ = estimator.estimate(evidence, np.ones((3, 1), dtype=bool))
    assert quality[:, 0].tolist() == [1.0, 1.0, 1.0]
    estimator.observe(evidence, 0, [Answer("Ada", (0.0,))] * 3)
    assert estimator.estimate(evidence, np.ones((3, 1), bool))[0][:, 0].tolist() == [1, 0, 1]
