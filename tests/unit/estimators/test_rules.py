"""Static rules."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest

from cascade_engine import ConfigurationError, DataError, NotFittedError, Query
from cascade_engine.estimators.rules import RuleEstimator
from tests.ex_ante import asked, graded

MODELS = ["small", "coder", "large"]
DATA = graded(["q", "r"], [[0, 1, 1], [1, 0, 1]], MODELS)
NAN = float("nan")


def said(rules, *texts):
    return RuleEstimator(rules).fit(DATA).predict(asked(*texts))


def same(found, expected):
    np.testing.assert_array_equal(found, np.array(expected, dtype=float))


def test_the_first_rule_that_matches_counts():
    rules = {
        r"```|\bdef ": "coder",
        r"(?i)translate": {"small": 0.9, "large": 0.95},
        r"def": "large",
    }
    same(
        said(rules, "def f(): pass", "Translate 'def'", "a default", "hello", ""),
        [[0, 1, 0], [0.9, NAN, 0.95], [0, 0, 1], [NAN] * 3, [NAN] * 3],
    )


def test_conditions_may_be_patterns_and_functions():
    def vision(query):
        return {"large": 1.0} if "image" in query.text else None

    rules = [
        (re.compile("^sql", re.IGNORECASE), "coder"),
        (lambda query: query.length > 100, "large"),
        vision,
    ]
    estimator = RuleEstimator(rules).fit(DATA)
    queries = [Query("SQL please"), Query("short", context_length=500), *asked("an image", "no")]
    same(estimator.predict(queries), [[0, 1, 0], [0, 0, 1], [NAN, NAN, 1], [NAN] * 3])
    same(said(lambda query: "small", "anything"), [[1, 0, 0]])


def test_with_the_models_named_rules_hold_before_a_fit():
    estimator = RuleEstimator({"x": "b"}, models=["a", "b"])
    same(estimator.predict(asked("x")), [[0, 1]])
    assert estimator.predict([]).shape == (0, 2)
    with pytest.raises(NotFittedError, match=r"call fit first, or pass models="):
        RuleEstimator({"x": "b"}).predict(asked("x"))


def test_cross_fitting_changes_nothing():
    rules = RuleEstimator({"q": "coder"})
    same(rules.cross_predict(DATA, np.array([0, 1])), [[0, 1, 0], [NAN] * 3])
    assert not hasattr(rules, "models_")


def test_what_a_rule_holds_is_not_copied():
    class Client:
        def __deepcopy__(self, memo):
            raise TypeError("holds a connection")

        def route(self, query):
            return "small"

    same(copy.deepcopy(RuleEstimator(Client().route)).fit(DATA).predict(asked("q")), [[1, 0, 0]])


def test_bad_rules_are_refused_at_once():
    with pytest.raises(ConfigurationError, match=r"the rule '\(' is no regular expression"):
        RuleEstimator({"(": "coder"})
    for bad in ({}, [], "coder", None, 3):
        with pytest.raises(ConfigurationError, match="rules must be a mapping"):
            RuleEstimator(bad)
    for bad in ([("x",)], [("x", "y", "z")]):
        with pytest.raises(ConfigurationError, match="a condition and a verdict"):
            RuleEstimator(bad)
    for bad in ("", {}, None, 1.0):
        with pytest.raises(ConfigurationError, match="must name a model or give qualities"):
            RuleEstimator({"x": bad})
    for bad in (["x"], [(3, "coder")]):
        with pytest.raises(ConfigurationError, match="must be a function of a query"):
            RuleEstimator(bad)
    for bad in (1.5, -0.1, "0.5", [0.5]):
        with pytest.raises(DataError, match=r"the rule 'x' says .*a number in \[0, 1\]"):
            RuleEstimator({"x": {"coder": bad}})


def test_an_unknown_model_is_named_as_soon_as_the_models_are_known():
    message = r"the rule 'x' names \['codr'\], which are not among the models \['small'"
    with pytest.raises(ConfigurationError, match=message):
        RuleEstimator({"x": "codr"}).fit(DATA)
    with pytest.raises(ConfigurationError, match=message):
        RuleEstimator({"x": {"small": 1.0, "codr": 1.0}}, models=MODELS)
    with pytest.raises(ConfigurationError, match=r"names \['codr'\]"):
        said(lambda query: "codr", "q")


def test_an_error_in_a_condition_names_the_function_and_the_query():
    def long_enough(query):
        return query.size > 3

    for rules in ([(long_enough, "coder")], long_enough):
        with pytest.raises(DataError, match=r"long_enough failed on the query 'abc': Attribute"):
            said(rules, "abc")
