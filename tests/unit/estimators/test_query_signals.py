"""Recorded signals and functions as routers."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from cascade_engine import Answer, ConfigurationError, DataError, NotFittedError, Query
from cascade_engine.estimators import RecordedSignal
from cascade_engine.estimators.query_signals import CallableEstimator, QuerySignalEstimator
from tests.ex_ante import Measured, asked, graded

MODELS = ["small", "large"]
DATA = graded(["q", "r"], [[0, 1], [1, 0]], MODELS)
NAN = float("nan")


def same(found, expected):
    np.testing.assert_array_equal(found, np.array(expected, dtype=float))


def read(estimator, *signals):
    return estimator.fit(DATA).predict([Measured("q", signals=s) for s in signals])


def test_signals_are_read_by_the_models_names():
    found = read(QuerySignalEstimator(), {"small": 0.2, "large": 1}, {"large": 0.5, "x": 9}, {})
    same(found, [[0.2, 1], [NAN, 0.5], [NAN, NAN]])
    same(read(QuerySignalEstimator("llm:{model}"), {"llm:small": 0.25, "large": 1}), [[0.25, NAN]])
    names = {"large": "hard"}
    same(read(QuerySignalEstimator(names), {"hard": 0.75, "small": 1}), [[NAN, 0.75]])


def test_signals_of_answers_are_numbers_or_unknown():
    given = [{"a": 0.5, "b": True}, {"a": None}, {"a": NAN, "b": np.float32(2)}]
    signal = RecordedSignal("a", "b")
    answers = [Answer("x", signals=each) for each in given]
    same(signal.read([Query("q")] * 3, answers), [[0.5, 1], [NAN, NAN], [NAN, 2]])
    for bad in ("high", float("inf"), [1]):
        with pytest.raises(DataError, match=r"the signal 'a' of the answer 'x' is .* a finite"):
            signal.read_one(Query("q"), Answer("x", signals={"a": bad}))


def test_signals_of_another_scale_are_brought_to_it():
    found = read(QuerySignalEstimator(scale=(1, 5)), {"small": 1, "large": 5}, {"small": NAN})
    same(found, [[0, 1], [NAN, NAN]])
    assert read(QuerySignalEstimator(scale=(-1, 1)), {"small": np.float32(0.5)})[0, 0] == 0.75


def test_queries_without_signals_are_unknown():
    same(QuerySignalEstimator(models=MODELS).predict(asked("q", "")), [[NAN] * 2] * 2)
    assert QuerySignalEstimator(models=MODELS).predict([]).shape == (0, 2)
    with pytest.raises(NotFittedError, match="QuerySignalEstimator does not know the models"):
        QuerySignalEstimator().predict(asked("q"))


@pytest.mark.parametrize("value", [1.5, -0.1, float("inf"), "0.5", [0.5]])
def test_a_signal_off_the_scale_is_refused(value):
    with pytest.raises(DataError, match=r"signal 'small' of the query 'q' is .* from 0 to 1: pass"):
        read(QuerySignalEstimator(), {"small": value})


def test_names_that_cannot_be_meant_are_refused():
    with pytest.raises(ConfigurationError, match="is the same for all models"):
        QuerySignalEstimator("router")
    for bad in ({}, None, ["small"], 3):
        with pytest.raises(ConfigurationError, match="names must map models to signals"):
            QuerySignalEstimator(bad)
    for bad in ((1, 0), (0, 0), (0, float("inf")), (float("nan"), 1)):
        with pytest.raises(ConfigurationError, match="scale must be the lowest and the highest"):
            QuerySignalEstimator(scale=bad)
    with pytest.raises(ConfigurationError, match=r"names \['huge'\]"):
        QuerySignalEstimator({"huge": "x"}).fit(DATA)


def test_a_function_may_say_it_in_any_form():
    verdicts = {
        "mapping": {"large": 0.5},
        "sequence": [0.1, 0.2],
        "array": np.array([0.3, NAN]),
        "name": "large",
        "nothing": None,
        "holes": (None, 1),
    }
    found = CallableEstimator(lambda q: verdicts[q.text]).fit(DATA).predict(asked(*verdicts))
    same(found, [[NAN, 0.5], [0.1, 0.2], [0.3, NAN], [0, 1], [NAN, NAN], [NAN, 1]])
    assert CallableEstimator(len, models=MODELS).predict([]).shape == (0, 2)


def test_a_function_that_raises_is_named_with_the_query():
    def my_router(query):
        raise KeyError("no such key")

    with pytest.raises(DataError, match=r"my_router failed on the query 'q': KeyError") as caught:
        CallableEstimator(my_router).fit(DATA).predict(asked("q"))
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    ("verdict", "error", "message"),
    [
        ([0.5], DataError, "a number for each of"),
        ([[0.5, 0.5]], DataError, "a number for each of"),
        (0.5, DataError, "a number for each of"),
        ({0.5}, DataError, "a number for each of"),
        ({"large": 2.0}, DataError, r"says 2.0: a quality must be a number in \[0, 1\]"),
        (["a", "b"], DataError, "says 'a': a quality must be a number"),
        ({"huge": 0.5}, ConfigurationError, r"names \['huge'\]"),
        ("huge", ConfigurationError, r"of the query 'q', names \['huge'\]"),
    ],
)
def test_what_is_no_verdict_is_refused(verdict, error, message):
    with pytest.raises(error, match=message):
        CallableEstimator(lambda query: verdict).fit(DATA).predict(asked("q"))


def test_what_cannot_be_called_is_refused():
    async def later(query):
        return "small"

    for bad in (None, "small", later):
        with pytest.raises(ConfigurationError, match="must be a function of a query"):
            CallableEstimator(bad)


def test_a_function_is_asked_once_for_each_query_and_is_not_copied():
    class Client:
        asked = 0

        def __deepcopy__(self, memo):
            raise TypeError("holds a connection")

        def __call__(self, query):
            self.asked += 1
            return [0.5, 0.5]

    client = Client()
    estimator = CallableEstimator(client)
    same(estimator.cross_predict(DATA, np.array([0, 1])), [[0.5, 0.5]] * 2)
    assert client.asked == 2
    copy.deepcopy(estimator).fit(DATA)
