"""Before any fit: priors and the conservative log-probability rule."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cascade_engine import STRATEGIES, Answer, CascadeRouter, ConfigurationError, Price, drive
from cascade_engine.errors import UnknownPriceError

NAMES = ("small", "medium", "large")
SURE, UNSURE = (-0.01, -0.02), (-0.01, -3.0)


def run(*logprobs):
    replies = dict(zip(NAMES, logprobs, strict=False))
    opened = CascadeRouter(NAMES).session("q")
    return drive(opened, lambda call: Answer("a", replies[call.model]))


def test_a_confident_first_answer_is_accepted():
    trace = run(SURE)
    assert trace.chosen == "small"
    assert trace.decisions[-1].quality["small"] == pytest.approx(np.exp(-0.015))


def test_the_bar_is_a_geometric_mean_of_nine_tenths():
    above, below = np.log(0.901), np.log(0.899)
    assert run((above, above)).models_run == ("small",)
    assert run((0.0, 2 * below), SURE).models_run == ("small", "medium")


@pytest.mark.parametrize(
    "unknown", [None, (), (np.nan,), (-0.01, np.nan), (None, -0.01), np.array([])]
)
def test_unknown_logprobs_escalate(unknown):
    trace = run(unknown, SURE)
    assert trace.models_run == ("small", "medium")
    assert trace.decisions[1].quality["small"] == 0.5


@pytest.mark.parametrize("extreme", [(-np.inf,), (-0.01, -np.inf), (-1e300, 0.0)])
def test_impossible_tokens_are_no_confidence(extreme):
    trace = run(extreme, SURE)
    assert trace.chosen == "medium"
    assert 0 < trace.decisions[1].quality["small"] < 0.9


def test_rounding_above_zero_is_certainty_and_no_more():
    trace = run((1e-9, 0.5))
    assert trace.decisions[-1].quality["small"] == 1.0


def test_arrays_of_logprobs_are_read_like_tuples():
    trace = run(np.array([-0.01, -3.0]), np.array([0.0]))
    assert trace.chosen == "medium"


def test_the_last_answer_is_taken_as_it_is():
    trace = run(None, UNSURE, UNSURE)
    assert trace.chosen == "large"


def test_the_record_says_that_nothing_is_fitted():
    trace = run(SURE)
    assert not trace.fitted
    assert trace.setting == {"threshold": pytest.approx(0.9)}
    assert all("not fitted" in d.reason for d in trace.decisions[:-1])
    assert trace.decisions[0].cost == dict.fromkeys(NAMES)


def test_the_budget_caps_every_query():
    prices = {"small": Price(0, 1), "medium": Price(0, 10), "large": Price(0, 100)}
    router = CascadeRouter(NAMES, prices=prices, budget=300e-6)
    trace = drive(router.session("q"), lambda call: Answer("a"))
    assert trace.models_run == ("small",)
    lifted = drive(router.session("q", budget=3000e-6), lambda call: Answer("a"))
    assert lifted.models_run == ("small", "medium")
    both = router.session("q", budget=1.0, max_cost=300e-6)
    assert both.pending.max_cost == 300e-6
    with pytest.raises(UnknownPriceError, match="small"):
        CascadeRouter(NAMES).session("q", budget=1.0)


@pytest.mark.parametrize("limit", ["budget", "max_cost"])
@pytest.mark.parametrize("bad", [np.nan, -1.0])
def test_a_limit_that_is_no_amount_is_refused(limit, bad):
    with pytest.raises(ConfigurationError, match=f"must be a number >= 0, not {bad}"):
        CascadeRouter(NAMES).session("q", **{limit: bad})


def test_the_last_model_is_final_even_after_drafts():
    session = CascadeRouter(["a", "b", "c"]).session("q")
    finals = []
    while (call := session.pending) is not None:
        finals.append(call.final)
        session.answer(Answer("", None))
    assert finals == [False, False, True]
    assert session.trace.chosen == "c"


def test_latencies_are_not_held_against_prices():
    prices = {"a": Price(1, 1), "b": Price(2, 2)}
    router = CascadeRouter(["a", "b"], prices=prices, charge="seconds", budget=2.0)
    with pytest.raises(UnknownPriceError):
        router.session("q")


def test_an_infinite_budget_is_recorded_as_plain_json():
    trace = CascadeRouter(["a"], prices={"a": Price(1, 1)}).session("q", budget=np.inf).trace
    assert json.loads(json.dumps(trace.to_dict(), allow_nan=False))["budget"] is None


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_the_rule_is_the_same_whatever_the_strategy(strategy):
    router = CascadeRouter([f"m{i}" for i in range(8)], strategy=strategy)
    confidence = {"m1": SURE}
    trace = drive(router.session(""), lambda call: Answer("a", confidence.get(call.model)))
    assert trace.models_run == ("m0", "m1")
    assert trace.strategy == "threshold_cascade"
