"""The record of one query in plain words."""

from __future__ import annotations

import pytest

from cascade_engine import Answer, CascadeRouter, DataError, Price, Trace
from cascade_engine import Query as Asked
from cascade_engine.core.explain import explain
from cascade_engine.data.traffic import TraceLog, read_traces
from cascade_engine.errors import StreamClosedError
from tests import by_word


@pytest.fixture
def told(session):
    """Drives a session of small, medium and large: a cost answers, an error fails."""

    def run(*events, **options):
        made = session(**options)
        for event in events:
            if isinstance(event, Exception):
                made.fail(event)
            else:
                made.answer(Answer("secret", cost=event))
        return explain(made.trace)

    return run


def test_every_step_is_told(told):
    first, small, medium, large, end, bill = told(1.0, 2.0, 4.5, budget=2.5).splitlines()
    assert first == (
        "Before any answer the expected quality was small 0.50, medium 0.60 and large 0.80. A call "
        "was expected to cost small 1, medium 2 and large 4. The budget was 2.5 per query on "
        "average; cascading decided (lambda 0)."
    )
    assert small == (
        "small is first choice by cascading, expected quality 0.50. It answered for 1. The answer "
        "raised its estimate from 0.50 to 0.55."
    )
    assert medium.startswith("medium is worth escalating to by cascading")
    assert large.endswith("The answer lowered its estimate from 0.80 to 0.65.")
    assert end == (
        "The answer of medium is returned: medium is estimated at 0.70 and no other model is left "
        "to run."
    )
    assert bill == "In all it cost 7.5, 67% more than large, the dearest, cost alone (4.5)."


def test_a_query_that_stopped_early_has_saved(told):
    *_, end, bill = told(1.0, lam=10.0).splitlines()
    assert end.startswith("The answer of small is returned: small is estimated at 0.55 and no")
    assert (
        bill == "In all it cost 1, 75% less than large, the dearest, is expected to cost alone (4)."
    )


def test_the_dearest_alone_costs_as_much(told):
    text = told(4.0, strategy="routing")
    assert "Whatever it says, its answer is returned." in text
    assert "There was no budget; routing decided" in text
    assert text.endswith("In all it cost 4, as much as large, the dearest, cost alone (4).")


def test_failures_are_told_in_one_line(told):
    text = told(TimeoutError("no\n\nanswer " * 60), 2.0, 4.0)
    line = text.splitlines()[1]
    assert line.startswith("small is first choice by cascading, expected quality 0.50. It failed (")
    assert "TimeoutError: no answer" in line
    assert line.endswith("...) and was not called again.")
    assert len(line) < 300
    assert "medium" in text.splitlines()[2]


def test_a_query_that_nobody_answered(told):
    text = told(OSError("a"), OSError("b"), OSError("c"))
    assert text.count("It failed (OSError: ") == 3
    assert text.endswith("No answer is returned: no model is left that could answer.")


def test_an_answer_that_broke_off(session):
    made = session()
    made.interrupt(StreamClosedError("closed"), Answer("half of", cost=3.0), seconds=2.0)
    text = explain(made.trace)
    assert "It failed after 2 s (StreamClosedError: closed) and was not called again." in text
    assert "No answer is returned: the answer of small broke off after part of it was" in text
    assert "In all it cost 3" in text


def test_a_query_under_way(told):
    last = told(1.0, max_cost=10.0).splitlines()[-2]
    assert last.startswith("medium is worth escalating to")
    assert last.endswith("It has not answered yet.")
    assert "has not answered yet" in told()


def test_others_that_an_answer_moved_are_named():
    data = by_word.make(60, 1)
    router = CascadeRouter(data.models, strategy="cascading").fit(data)
    session = router.session("easy peasy")
    session.answer(Answer("x", (-2.0,), cost=1.0))
    assert "It moved those of others: large from" in explain(session.trace)


def test_unknown_costs_are_said_to_be_unknown(told):
    text = told(None, lam=10.0)
    assert "It answered. The answer raised" in text
    assert text.endswith("What it cost is not known: a price is missing.")


def test_before_a_fit():
    session = CascadeRouter(["a", "b"]).session("q")
    session.answer(Answer("x", (-0.01,), cost=2.0))
    text = explain(session.trace)
    assert "The router has not been fitted: it went by priors" in text
    assert "(threshold 0.9)" in text
    assert "was expected to cost" not in text
    assert text.endswith("In all it cost 2.")


def test_expected_costs_of_some_models_only():
    router = CascadeRouter(["a", "b"], prices={"a": Price(1, 1)})
    session = router.session("q")
    session.answer(Answer("x", (-0.01,), cost=2.0))
    text = explain(session.trace)
    assert "A call was expected to cost a 0.000256." in text
    assert text.endswith("In all it cost 2.")


def test_neither_question_nor_answers_are_quoted(told):
    assert "secret" not in told(1.0, 2.0, 4.0)


def test_a_logged_record(session, tmp_path):
    made = session()
    made.answer(Answer("secret", cost=1.0))
    TraceLog(tmp_path / "log").write(made.trace)
    (logged,) = read_traces(tmp_path / "log")
    assert explain(logged) == explain(made.trace)


def test_an_empty_record():
    empty = Trace(
        query=Asked("q"),
        strategy="routing",
        fitted=True,
        setting={},
        budget=None,
        decisions=(),
        answers={},
        failures=(),
        costs={},
        chosen=None,
    )
    assert explain(empty) == "Nothing was decided yet."


def test_a_message_or_a_record_is_no_trace():
    with pytest.raises(
        DataError, match=r"not \{'chosen': 'small'\}: log queries with TraceLogHandler"
    ):
        explain({"chosen": "small"})
