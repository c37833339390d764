"""From live traffic to a fit: what is known is not asked again, and bias is told of."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from cascade_engine import (
    Answer,
    CascadeRouter,
    ConfigurationError,
    DataError,
    Price,
    Query,
    Usage,
    acollect,
    collect,
    drive,
)
from cascade_engine.core.prices import Charge
from cascade_engine.core.queries import query_key
from cascade_engine.core.trace import Advice
from cascade_engine.data.calls.journal import Cell
from cascade_engine.data.collection import Collection
from cascade_engine.data.traffic import LoggedTrace, TraceLog, read_traces
from cascade_engine.errors import DataWarning, InvalidAnswerError
from cascade_engine.plugin.training_data import Children, TrainingData
from tests.helpers import finished

PRICES = {"small": Price(1, 1), "large": Price(10, 10)}
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def said(model, text="yes", *, sure=True):
    """The small model is sure of easy questions only: others are escalated."""
    return Answer(
        text,
        logprobs=(-0.01 if sure else -2.0,),
        usage=Usage(600_000, 400_000),
        seconds=1.0,
        payload=object(),
    )


def live(question, *, at=0, **fields):
    """A question as the cascade answered it."""
    session = CascadeRouter(list(PRICES), prices=PRICES).session(question)
    text = question if isinstance(question, str) else question.text
    trace = drive(session, lambda call: said(call.model, sure=text.startswith("easy")))
    return LoggedTrace(trace, time=START + timedelta(minutes=at), **fields)


TRAFFIC = [live(f"{'hard' if i % 4 == 0 else 'easy'} question {i}", at=i) for i in range(12)]


def asking(log):
    def child(name):
        def ask(query):
            log.append((name, query if isinstance(query, str) else query.text))
            return Answer(f"new of {name}", cost=7.0)

        return ask

    return {name: child(name) for name in PRICES}


class TestCollection:
    def test_it_has_holes_where_a_model_did_not_run(self):
        found = Collection.from_traces(TRAFFIC, prices=PRICES)
        assert found.models == ("small", "large")
        assert len(found) == 12
        assert [one.row for one in found.missing()] == [i for i in range(12) if i % 4]
        assert {one.model for one in found.missing()} == {"large"}
        assert found.answers(0, "large")[0].payload is None
        assert found.cost == pytest.approx(12 * 1 + 3 * 10)
        assert repr(found) == "Collection(12 queries x 2 models, 9 answers missing)"

    def test_from_a_file(self, tmp_path):
        log = TraceLog(tmp_path / "traffic.jsonl")
        for each in TRAFFIC:
            log.write(each)
        for source in (log.path, str(log.path), read_traces(log.path), iter(TRAFFIC)):
            found = Collection.from_traces(source, models=["large"])
            assert found.models == ("large",)
            assert len(found.missing()) == 9

    def test_the_latest_answer_counts_whatever_the_order_of_the_lines(self):
        one, other = live("easy one", at=5), live("easy one", at=1)
        new = replace(one.trace.answers["small"], text="new")
        one = replace(one, trace=replace(one.trace, answers={"small": new}))
        found = Collection.from_traces([one, other])
        assert len(found) == 1
        assert found.answers(0, "small")[0].text == "new"

    def test_a_later_failure_does_not_hide_an_answer_and_is_told_of_where_there_is_none(self):
        def broken(question, at):
            session = CascadeRouter(list(PRICES), prices=PRICES).session(question)
            session.fail(TimeoutError("away"))
            return LoggedTrace(
                drive(session, lambda call: said(call.model)), time=START + timedelta(minutes=at)
            )

        found = Collection.from_traces([live("easy a"), broken("easy a", 3), broken("easy b", 4)])
        assert found.answers(0, "small")[0].text == "yes"
        (missing,) = found.missing()
        assert (missing.row, missing.model, missing.why) == (1, "small", "TimeoutError('away')")

    def test_the_incumbent_counts_in_shadow_mode(self):
        shadow = live("easy one", shadow=True, beside={"large": Answer("the user's", cost=1.0)})
        found = Collection.from_traces([shadow])
        assert not found.missing()
        assert found.answers(0, "large")[0].text == "the user's"

    def test_an_answer_that_could_not_be_used_is_no_answer(self):
        session = CascadeRouter(list(PRICES), prices=PRICES).session("hard one")
        session.fail(InvalidAnswerError("cut short", said("small", "ye", sure=False)))
        logged = LoggedTrace(drive(session, lambda call: said(call.model)))
        assert [one.model for one in Collection.from_traces([logged]).missing()] == ["small"]

    def test_samples_are_answers_of_their_own(self):
        logged = live("easy one")
        answer = replace(
            logged.trace.answers["small"],
            samples=("yes", "no"),
            signals={"judge": 0.5},
            advice_cost={"small": 3.0, "judge": 1.0},
        )
        logged = replace(logged, trace=replace(logged.trace, answers={"small": answer}))
        found = Collection.from_traces([logged], models=["small"], samples=3, prices=PRICES)
        assert not found.missing()
        first, *more = found.answers(0, "small")
        assert first.samples == ()
        assert first.advice_cost == {"judge": 1.0}
        assert first.signals == {"judge": 0.5}
        assert [(one.text, one.cost) for one in more] == [("yes", 1.5), ("no", 1.5)]

    def test_what_routers_said_does_not_make_it_another_query(self):
        query = Query("easy one", signals={"own": 1.0})
        told = replace(query, signals={"own": 1.0, "router": 0.7}, advice_cost={"router": 0.1})
        logged = live(query)
        advice = (Advice("router", "route", None, {"router": 0.7}, 0.1),)
        logged = replace(logged, trace=replace(logged.trace, query=told, advice=advice))
        found = Collection.from_traces([logged])
        assert found.keys == [query_key(query)]
        assert found.queries == [told]

    def test_textless_traces_and_none_are_refused(self, tmp_path):
        TraceLog(tmp_path / "log", texts=False).write(TRAFFIC[0])
        with pytest.raises(DataError, match="logged without texts"):
            Collection.from_traces(tmp_path / "log")
        with pytest.raises(DataError, match="no traces"):
            Collection.from_traces([])

    def test_going_on_with_the_complete_rows_warns_of_the_bias(self):
        found = Collection.from_traces(TRAFFIC, prices=PRICES)
        with pytest.warns(DataWarning, match="3 of 12 logged queries are complete") as warned:
            data = found.dataset(references=["yes"] * 12, on_missing="drop")
        assert warned[0].filename == __file__
        assert len(data) == 3
        with pytest.raises(DataError, match="9 of 24 answers are missing"):
            found.dataset(references=["yes"] * 12)


class TestKnown:
    @pytest.fixture(params=[collect, acollect])
    def gather(self, request):
        def run(*args, **options):
            found = request.param(*args, progress=False, **options)
            return finished(found) if asyncio.iscoroutine(found) else found

        return run

    def test_what_is_known_is_neither_asked_nor_paid_for(self, gather):
        log, known = [], Collection.from_traces(TRAFFIC, prices=PRICES)
        found = gather(asking(log), known.queries, known=known)
        assert sorted(log) == sorted(
            ("large", q.text) for q in known.queries if q.text.startswith("easy")
        )
        assert not found.missing()
        assert found.cost == 9 * 7.0
        assert found.answers(0, "small")[0].text == "yes"
        assert found.answers(1, "large")[0].text == "new of large"

    def test_all_is_known(self, gather):
        log, known = [], Collection.from_traces(TRAFFIC[:1])
        found = gather(asking(log), known.queries, known=known, max_cost=0)
        assert not log
        assert not found.missing()
        assert found.cost == 0
        assert found.stopped is None

    def test_a_limit_is_on_what_is_new(self, gather):
        known = Collection.from_traces(TRAFFIC, prices=PRICES)
        options = {"max_cost": 21.0, "max_concurrency": 1, "prices": PRICES}
        found = gather(asking([]), known.queries, known=known, **options)
        assert found.cost == 21.0
        assert len(found.missing()) == 6
        with pytest.warns(DataWarning, match="6 of 12"):
            found.dataset(references=["yes"] * 12, on_missing="drop")

    def test_the_journal_holds_what_was_asked_and_goes_before_what_was_known(
        self, gather, tmp_path
    ):
        log, known, path = [], Collection.from_traces(TRAFFIC), tmp_path / "journal.jsonl"
        gather(asking(log), known.queries, known=known, path=path)
        assert len(Collection.from_journal(path).missing()) == 9
        again = gather(asking(log), known.queries, known=known, path=path)
        assert len(log) == 9
        assert not again.missing()
        alone = gather(asking(log), known.queries[:1], path=path)
        assert len(log) == 11
        assert alone.cost == 14.0
        both = gather(asking(log), known.queries, known=known, path=path)
        assert both.answers(0, "small")[0].text == "new of small"

    def test_a_failure_in_the_journal_does_not_hide_what_is_known(self, gather, tmp_path):
        def broken(query):
            raise TimeoutError

        path, known = tmp_path / "journal.jsonl", Collection.from_traces(TRAFFIC[:1])
        models = dict.fromkeys(PRICES, broken)
        assert len(gather(models, known.queries, path=path, retries=0).missing()) == 2
        found = gather(models, known.queries, known=known, path=path, retries=0)
        assert not found.missing()
        assert found.cost == 0

    def test_answers_to_other_queries_are_left_alone(self, gather):
        known = Collection.from_traces(TRAFFIC)
        found = gather(asking([]), ["another"], known=known)
        assert found.cost == 14.0
        assert found.results[Cell(query_key(TRAFFIC[0].query), "small")].text == "yes"

    def test_anything_else_is_refused(self, gather):
        with pytest.raises(ConfigurationError, match="known must be a Collection, not list"):
            gather(asking([]), ["q"], known=TRAFFIC)


class TestAdapters:
    """What an adapter's `collect` and `fit` make of logged queries."""

    def children(self, log):
        def ask(name):
            def run(given):
                log.append((name, given["content"]))
                return Answer(f"new of {name}", cost=7.0)

            return run

        asks = {name: ask(name) for name in PRICES}
        return Children(
            asks,
            {},
            Charge(PRICES),
            lambda question: (Query(question["content"]), question, question["content"]),
            rebuild=lambda logged: {"content": logged[0]},
        )

    def logged(self, tmp_path):
        log = TraceLog(tmp_path / "log")
        for each in TRAFFIC:
            log.write(replace(each, input=[each.query.text]))
        return read_traces(log.path)

    def test_the_missing_children_are_asked_what_was_asked(self, tmp_path):
        log = []
        found = self.children(log).collect(self.logged(tmp_path), {"progress": False})
        assert len(log) == 9
        assert {name for name, _ in log} == {"large"}
        assert not found.missing()
        assert found.keys[0] == "hard question 0"

    def test_a_fit_takes_logged_queries(self, tmp_path):
        log = []
        traces = [*self.logged(tmp_path), {"content": "hard and new"}]
        options = {"progress": False}
        data = TrainingData(traces, ["yes"] * 13, options, self.children(log)).dataset()
        assert len(data) == 13
        assert len(log) == 11
        assert data.quality[:, 1].tolist() == [float(i % 4 == 0) for i in range(12)] + [0.0]

    def test_what_a_router_said_is_kept(self, tmp_path):
        (one, *_) = self.logged(tmp_path)
        query = replace(one.query, signals={"router": 0.5}, advice_cost={"router": 0.1})
        one = replace(one, trace=replace(one.trace, query=query))
        found = self.children([]).collect([one], {"progress": False})
        assert found.queries[0].signals == {"router": 0.5}
        assert found.queries[0].advice_cost == {"router": 0.1}

    def test_an_input_is_needed(self):
        with pytest.raises(DataError, match="'hard question 0' was logged without its input"):
            self.children([]).collect(TRAFFIC, {})

    def test_texts_are_too(self, tmp_path):
        TraceLog(tmp_path / "log", texts=False).write(TRAFFIC[0])
        with pytest.raises(DataError, match="logged without texts"):
            self.children([]).collect(read_traces(tmp_path / "log"), {})

    def test_known_answers_come_from_one_place(self, tmp_path):
        known = Collection.from_traces(TRAFFIC)
        with pytest.raises(ConfigurationError, match="leave out known="):
            self.children([]).collect(self.logged(tmp_path), {"known": known})
