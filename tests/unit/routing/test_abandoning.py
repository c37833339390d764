"""Drafts that are broken off while they are written."""

from __future__ import annotations

import json
import math

import pytest

from cascade_engine import (
    AllModelsFailedError,
    Answer,
    CascadeDataset,
    CascadeRouter,
    ConfigurationError,
    Price,
    Query,
    SessionStateError,
    ToolCall,
    Usage,
    drive,
)
from cascade_engine.data.traces.trace_log import TraceLog, read_traces
from cascade_engine.errors import DraftAbandonedError
from cascade_engine.routing.abandonment import DraftWatch

PRICES = {"small": Price(1, 1), "medium": Price(2, 2), "large": Price(10, 10)}
POOR = Answer("po", (math.log(0.5),) * 4, Usage(600_000, 400_000))  # costs 1 of the small model


def router(**options):
    """Not fitted: an answer is as good as its tokens are probable, and 0.9 will do."""
    return CascadeRouter(list(PRICES), prices=PRICES, **{"abandon_below": 0.7, **options})


def session(query="What is it?", *, sessions=None, **options):
    return router(**options).session(query, **(sessions or {}))


def sampled_data(data):
    """The same on these models, with a sample beside each answer."""
    samples = [[[answer] for answer in row] for row in data.answers]
    return CascadeDataset(
        list(PRICES), data.queries, data.answers, data.quality, data.cost, samples=samples
    )


def sure(probability, text="text", **fields):
    return Answer(text, (math.log(probability),), Usage(600_000, 400_000), **fields)


class TestLooking:
    @pytest.mark.parametrize(
        ("probability", "threshold", "expected"),
        [
            (0.5, 0.7, True),
            (0.8, 0.7, False),  # to be rejected, but not that bad
            (0.95, 0.97, False),  # bad enough, and yet it would be accepted
            (0.5, 0.0, False),
            (0.5, None, False),
        ],
    )
    def test_a_draft_goes_if_it_would_be_rejected_and_is_bad(
        self, probability, threshold, expected
    ):
        asked = session(abandon_below=threshold)
        assert asked.abandons(sure(probability)) is expected

    def test_by_default_nothing_does(self):
        asked = CascadeRouter(list(PRICES), prices=PRICES).session("What is it?")
        assert not asked.may_abandon
        assert not asked.abandons(sure(0.01))

    def test_a_look_changes_nothing(self):
        asked, same = session(), session()
        for _ in range(3):
            assert asked.abandons(POOR)
        assert asked.trace == same.trace
        assert asked.pending == same.pending
        assert drive(asked, lambda call: sure(0.8)) == drive(same, lambda call: sure(0.8))

    def test_a_final_answer_stays(self):
        asked = session(sessions={"only": ["small"]})
        assert asked.pending.final
        assert not asked.may_abandon
        assert not asked.abandons(POOR)
        with pytest.raises(SessionStateError, match="the call to 'small' is for no draft"):
            asked.abandon(POOR)
        asked.answer(POOR)
        assert not asked.may_abandon
        for use in (asked.abandons, asked.abandon):
            with pytest.raises(SessionStateError, match="no call is pending"):
                use(POOR)

    def test_advice_is_no_draft(self, data):
        options = {"abandon_below": 0.7, "samples": {"small": 1}, "strategy": "cascading"}
        fitted = CascadeRouter(list(PRICES), **options).fit(sampled_data(data))
        asked = fitted.session("a plain question")
        assert asked.may_abandon
        asked.answer(POOR)
        assert asked.pending.purpose == "sample"
        assert not asked.may_abandon
        assert not asked.abandons(POOR)
        with pytest.raises(SessionStateError, match="is for no draft"):
            asked.abandon(POOR)

    @pytest.mark.parametrize(
        "query",
        [
            Query("q", schema={"type": "object"}),
            Query("q", tools=({"name": "f", "parameters": {}},)),
            "Answer as JSON: what is it?",
        ],
        ids=["schema", "tools", "json"],
    )
    def test_what_is_invalid_until_it_is_complete_is_not_judged_in_part(self, query):
        asked = session(query)
        assert not asked.may_abandon
        assert not asked.abandons(POOR)

    def test_nor_is_an_open_block_of_code_or_a_tool_call(self):
        asked = session()
        assert not asked.abandons(sure(0.5, "so:\n```python\nprint("))
        assert asked.abandons(sure(0.5, "so:\n```python\nprint()\n```"))
        assert not asked.abandons(sure(0.5, "", tool_calls=(ToolCall("f", "{"),)))

    def test_looks_come_every_so_many_tokens(self):
        watch, looks = DraftWatch(session(), every=4), []

        def partial():
            looks.append(1)
            return sure(0.8)

        for tokens in (1, 3, 4, 5, 7, 9, 10, 13):
            assert not watch.abandons(tokens, partial)
        assert len(looks) == 3  # at 4, 9 and 13
        assert watch.abandons(20, lambda: POOR)

    @pytest.mark.parametrize("value", [-0.1, 1.5, math.nan, "0.5"])
    def test_what_is_no_quality_is_refused(self, value):
        with pytest.raises(ConfigurationError, match="abandon_below must be a quality"):
            router(abandon_below=value)


class TestAbandoning:
    def test_the_model_is_out_and_what_it_wrote_is_charged(self):
        asked = session()
        asked.abandon(POOR)
        assert asked.pending.model == "medium"
        trace = drive(asked, lambda call: sure(0.95))
        assert trace.chosen == "medium"
        assert trace.models_run == ("medium",)
        (failure,) = trace.failures
        assert isinstance(failure.error, DraftAbandonedError)
        assert (failure.model, failure.answer, failure.cost) == ("small", POOR, 1.0)
        assert trace.total_cost == 3.0
        assert trace.total_tokens("output_tokens") == 800_000
        told = trace.to_dict()["failures"][0]
        assert told["cost"] == 1.0
        assert "DraftAbandonedError" in told["error"]

    def test_a_log_has_it(self, tmp_path):
        asked = session()
        asked.abandon(POOR)
        trace = drive(asked, lambda call: sure(0.95))
        TraceLog(tmp_path / "log").write(trace)
        (logged,) = read_traces(tmp_path / "log")
        assert logged.trace.failures[0].answer == POOR
        assert logged.trace.to_dict() == trace.to_dict()

    def test_several_may_go(self):
        asked = session()
        asked.abandon(POOR)
        assert asked.abandons(POOR)
        asked.abandon(POOR)
        assert asked.pending.model == "large"
        assert asked.pending.final
        assert drive(asked, lambda call: sure(0.1)).chosen == "large"

    def test_an_answer_held_is_returned_when_the_rest_fails(self):
        asked = session()
        asked.answer(sure(0.8, "held"))
        asked.abandon(POOR)
        asked.fail(TimeoutError())
        assert asked.pending is None
        assert asked.result.text == "held"

    def test_when_all_others_fail_the_draft_is_completed(self):
        asked = session()
        asked.abandon(POOR)
        asked.fail(TimeoutError("medium"))
        asked.fail(TimeoutError("large"))
        assert asked.pending.model == "small"
        assert asked.pending.final
        assert not asked.abandons(POOR)
        assert asked.decision.reason == (
            "no other model is left: small is to complete what was abandoned"
        )
        asked.answer(sure(0.5, "whole"))
        assert asked.pending is None
        assert asked.result.text == "whole"
        assert asked.trace.chosen == "small"
        assert asked.trace.total_cost == 2.0
        assert asked.trace.stopped_because.endswith("no other model is left to run")
        json.dumps(asked.trace.to_dict())

    def test_first_the_one_that_promises_most(self):
        asked = session(priors=[0.3, 0.6, 0.8])
        asked.abandon(POOR)
        asked.abandon(POOR)
        asked.fail(TimeoutError("large"))
        assert asked.pending.model == "medium"
        asked.fail(TimeoutError("medium"))
        assert asked.pending.model == "small"
        asked.answer(sure(0.5, "whole"))
        assert asked.result.text == "whole"

    def test_no_error_is_ever_that_a_draft_was_abandoned(self):
        asked = session()
        asked.abandon(POOR)
        asked.abandon(POOR)
        for name in ("large", "medium", "small"):
            assert asked.pending.model == name
            asked.fail(TimeoutError(name))
        assert asked.pending is None
        with pytest.raises(AllModelsFailedError) as caught:
            _ = asked.result
        assert {name: str(error) for name, error in caught.value.errors.items()} == {
            name: name for name in ("large", "medium", "small")
        }


class TestHardCap:
    """Small and large are expected to cost about 5.14 and 51.4 millionths here."""

    def capped(self, share):
        free = session()
        cost = free.decision.cost
        return session(sessions={"max_cost": share * (cost["small"] + cost["medium"])}), cost

    def test_nothing_is_abandoned_that_could_not_be_asked_for_again(self):
        partial = sure(0.5)
        partial = Answer("po", partial.logprobs, cost=0.0)
        asked, cost = self.capped(0.99)
        assert asked.pending.model == "small"
        assert not asked.abandons(partial)
        asked, cost = self.capped(1.01)
        assert asked.abandons(partial)
        dearer = Answer("po", partial.logprobs, cost=cost["small"])
        assert not asked.abandons(dearer)
        asked.abandon(partial)
        assert asked.pending.model == "medium"
        asked.fail(TimeoutError())
        assert asked.pending.model == "small"
        asked.answer(sure(0.5))
        assert asked.trace.chosen == "small"

    def test_what_was_abandoned_and_what_was_asked_again_both_count(self):
        asked, cost = self.capped(3)
        asked.abandon(Answer("po", cost=cost["small"]))
        left = asked.pending.max_cost
        assert left == pytest.approx(3 * (cost["small"] + cost["medium"]) - cost["small"])

    def test_without_money_for_it_the_error_says_so(self):
        asked, cost = self.capped(1.01)
        asked.abandon(Answer("po", cost=cost["small"]))  # against its advice
        asked.fail(TimeoutError("medium"))
        with pytest.raises(AllModelsFailedError, match=r"'small'\] cost more than is left") as e:
            _ = asked.result
        assert list(e.value.errors) == ["medium"]


class TestFitted:
    def test_a_fitted_router_looks_too(self, data, held_out):
        fitted = CascadeRouter(data.models, abandon_below=0.5, strategy="cascading").fit(data)
        budget = float(data.cost.mean(axis=0)[1])
        gone = looked = 0
        for query, answers in zip(held_out.queries, held_out.answers, strict=True):
            asked = fitted.session(query, budget=budget)
            if asked.may_abandon:
                looked += 1
                good = asked.abandons(answers[0])
                asked.answer(answers[0])
                if good:
                    gone += 1
                    assert asked.pending is not None  # it was rejected indeed
                    assert asked.decision.quality[data.models[0]] < 0.5
        assert 0 < gone < looked

    def test_the_option_is_saved(self, tmp_path, data):
        fitted = CascadeRouter(data.models, abandon_below=0.25, strategy="routing").fit(data)
        fitted.save(tmp_path / "router")
        assert CascadeRouter.load(tmp_path / "router").abandon_below == 0.25
        assert fitted.with_budget(None).abandon_below == 0.25
