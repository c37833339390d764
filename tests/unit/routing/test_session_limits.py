"""Hard caps, models barred from the start, and what calls cost."""

from __future__ import annotations

import numpy as np
import pytest

from cascade_engine import (
    AllModelsFailedError,
    Answer,
    ConfigurationError,
    InfeasibleBudgetError,
    Price,
    Usage,
    drive,
)
from cascade_engine.core.prices import Charge
from cascade_engine.errors import UnknownPriceError
from tests.helpers import answer, failing

NAMES, COST = ("small", "medium", "large"), (1.0, 2.0, 4.0)


def spent_by(trace):
    return sum(COST[NAMES.index(name)] for name in trace.models_run)


def test_the_only_model_under_the_cap_is_final(session):
    assert session("cascading", max_cost=1.5).pending.final
    assert not session("cascading", max_cost=3.0).pending.final


@pytest.mark.parametrize("strategy", ["cascading", "cascade_routing", "threshold_cascade"])
@pytest.mark.parametrize("cap", [1.0, 2.5, 3.0, 5.0, 6.9, 7.0])
def test_expected_costs_never_exceed_the_cap(strategy, cap, session):
    trace = drive(session(strategy, max_cost=cap), lambda call: Answer("costs what was expected"))
    assert 0 < spent_by(trace) <= cap
    if spent_by(trace) < 7:
        assert trace.stopped_because.endswith("no further model fits under the query's limit")


def test_what_is_left_of_the_cap_counts_real_costs_and_failed_calls(session):
    driven = session("cascading", max_cost=7.0)
    assert driven.pending.max_cost == 7.0
    driven.answer(Answer("dearer than expected", cost=2.0))
    assert driven.pending.max_cost == 5.0
    driven.fail(TimeoutError())
    assert driven.pending is None
    assert driven.trace.stopped_because.endswith("no further model fits under the query's limit")


def test_an_answer_dearer_than_the_cap_leaves_nothing(session):
    driven = session("cascading", cost=(1.0, 0.0, 4.0), max_cost=3.0)
    driven.answer(answer(driven.pending))
    driven.answer(Answer("much dearer than expected", cost=9.0))
    assert driven.pending is None


def test_when_the_affordable_fail_the_error_names_the_others(session):
    driven = session("routing", max_cost=1.0)
    drive(driven, failing("small"))
    with pytest.raises(AllModelsFailedError, match=r"\['medium', 'large'\] cost more than is left"):
        _ = driven.result


def test_a_cap_below_every_model_is_refused_with_both_figures(session):
    with pytest.raises(InfeasibleBudgetError, match=r"as little as 0\.25 .*'small'.* costs 1"):
        session(max_cost=0.25)


def test_a_cap_needs_every_price(session):
    with pytest.raises(UnknownPriceError, match=r"that of \['medium'\] is unknown"):
        session(cost=(1.0, np.nan, 4.0), max_cost=9.0)
    assert session("threshold_cascade", cost=(1.0, np.nan, 4.0)).pending.model == "small"


def test_only_the_models_allowed_may_run(session):
    driven = session("cascade_routing", only=["large", "small"])
    assert drive(driven, answer).models_run == ("small", "large")
    assert session("cascading", only={"medium"}).pending.final
    for wrong in ([], ["tiny"]):
        with pytest.raises(ConfigurationError, match="must be some of"):
            session(only=wrong)


def test_a_cap_is_checked_against_the_models_allowed(session):
    with pytest.raises(InfeasibleBudgetError, match=r"as little as 2 .*'large'.* costs 4"):
        session(max_cost=2.0, only=["large"])
    unpriced = session(cost=(1.0, np.nan, 4.0), max_cost=2.0, only=["small", "large"])
    assert unpriced.pending.model == "small"


def test_costs_are_as_reported_else_priced_else_unknown(session):
    prices = {"small": Price(1.0, 2.0), "medium": Price(1.0, 2.0)}
    replies = {
        "small": Answer("a", usage=Usage(1_000_000, 500_000), cost=7.0),
        "medium": Answer("b", usage=Usage(1_000_000, 500_000)),
        "large": Answer("c", usage=Usage(1_000_000, 500_000)),
    }
    driven = session(charge=Charge(prices))
    drive(driven, lambda call: replies[call.model])
    assert driven.trace.costs == {"small": 7.0, "medium": 2.0, "large": None}
    assert driven.trace.total_cost is None
    trace = drive(session(charge=Charge(prices)), failing("large"))
    assert trace.total_cost == 1.0
    free = session(charge=Charge(prices))
    free.answer(Answer("free", usage=Usage(1_000_000, 0), cost=0.0))
    assert free.trace.costs == {"small": 0.0}


def test_calls_may_be_charged_by_their_latency_or_by_a_function(session):
    timed = drive(session(charge=Charge({}, "seconds")), lambda call: Answer("", seconds=1.5))
    assert timed.total_cost == 4.5
    by_length = Charge({}, lambda model, answer: len(answer.text) + (model == "large"))
    trace = drive(session(charge=by_length), lambda call: Answer("four"))
    assert trace.costs == {"small": 4, "medium": 4, "large": 5}
    driven = session(charge=by_length, max_cost=7.0)
    driven.answer(Answer("four"))
    assert driven.pending.max_cost == 3


@pytest.mark.parametrize("bad", [np.nan, -1.0, np.inf])
def test_a_charge_that_is_no_amount_is_refused(bad, session):
    driven = session(charge=Charge({}, lambda model, answer: bad))
    with pytest.raises(ConfigurationError, match=f"call to 'small' is given as {bad}"):
        driven.answer(Answer(""))
    with pytest.raises(ConfigurationError, match=f"call to 'small' is given as {bad}"):
        Charge({})("small", Answer("", cost=bad))
    with pytest.raises(ConfigurationError, match="not 'tokens'"):
        Charge({}, "tokens")
