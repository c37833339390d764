"""Live queries on disk: nothing lost, nothing torn, nothing told that was to be left out."""

from __future__ import annotations

import json
import math
import multiprocessing
import stat
import sys
import threading
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
    ToolCall,
    Usage,
    drive,
)
from cascade_engine.core.trace import Advice
from cascade_engine.data.traffic import LoggedTrace, TraceLog, read_traces
from cascade_engine.errors import DataWarning, InvalidAnswerError
from cascade_engine.evaluation.drift import drift
from tests import by_word

PRICES = {"small": Price(1, 2), "large": Price(10, 20)}


def run(call):
    return Answer(
        f"by {call.model}",
        logprobs=(-0.5, -math.inf),
        usage=Usage(10, 5, cached_tokens=3),
        seconds=0.25,
        finish_reason="stop",
        tool_calls=(ToolCall("search", {"q": "Lima"}),),
        signals={"verifier": 0.5},
        payload=object(),
    )


@pytest.fixture
def trace():
    return drive(CascadeRouter(list(PRICES), prices=PRICES).session("What is it?"), run)


@pytest.fixture(scope="module")
def router():
    data = by_word.make(300, 1)
    return by_word.router(budget=float(data.cost.mean()), strategy="cascading").fit(data)


@pytest.fixture
def log(tmp_path):
    return TraceLog(tmp_path / "deep" / "traces.jsonl")


def lines(log):
    return log.path.read_text("utf-8").splitlines()


def bare(trace):
    """Without what a log does not keep: payloads, and errors but for their repr."""
    return replace(
        trace,
        answers={name: replace(a, payload=None) for name, a in trace.answers.items()},
        failures=tuple(
            replace(f, error=repr(f.error), answer=f.answer and replace(f.answer, payload=None))
            for f in trace.failures
        ),
        advice=tuple(replace(a, error=a.error and repr(a.error)) for a in trace.advice),
    )


class TestRoundTrip:
    def test_a_trace_comes_back(self, log, trace):
        log.write(trace)
        (logged,) = read_traces(log.path)
        assert logged.trace == bare(trace)
        assert logged.trace.to_dict() == trace.to_dict()
        assert logged.trace.answers["large"].logprobs == (-0.5, -math.inf)
        assert logged.has_texts
        assert not logged.shadow
        assert abs(datetime.now(timezone.utc) - logged.time) < timedelta(minutes=1)

    def test_whatever_was_recorded_beside_it(self, log, trace):
        at = datetime(2026, 5, 4, 10, 2, 11, 318000, timezone.utc)
        given = LoggedTrace(
            trace,
            input=[{"role": "user", "parts": ("a", math.inf), "n": {1: None}}, "é\ud83d\u2028"],
            key="k",
            time=at,
            shadow=True,
            beside={"old": Answer("the incumbent's")},
        )
        log.write(given)
        (logged,) = read_traces(log.path)
        assert logged == replace(given, trace=bare(trace))
        assert set(logged.answers) == {"old", "small", "large"}
        assert len(lines(log)) == 1

    def test_failures_and_advice(self, log):
        router = CascadeRouter(list(PRICES), prices=PRICES)
        session = router.session(Query("Q", signals={"own": 1.0}, schema={"type": "object"}))
        session.fail(InvalidAnswerError("not in the form", run(session.pending)), seconds=2.0)
        session.fail(TimeoutError("away"), seconds=1.0)
        advice = (
            Advice("judge", "judge", "small", {"judge": 0.5}, 0.1, Usage(3, 4), 0.5),
            Advice("judge", "judge", "large", cost=0.0, error=ValueError("no number")),
        )
        trace = replace(session.trace, advice=advice)
        log.write(trace)
        (logged,) = read_traces(log.path)
        assert bare(logged.trace) == bare(trace)
        assert logged.trace.to_dict() == trace.to_dict()
        assert logged.trace.failures[0].answer.text == "by small"

    def test_a_fitted_router_and_its_setting(self, log, make_data):
        data = make_data(60, 2, 0)
        for strategy in ("routing", "threshold_cascade"):
            router = CascadeRouter(data.models, strategy=strategy).fit(data)
            log.write(drive(router.session("a question"), lambda call: Answer("", cost=1.0)))
        one, other = read_traces(log.path)
        assert "lambda" in one.trace.setting
        assert "threshold" in other.trace.setting

    def test_every_line_says_what_it_is(self, log, trace):
        log.write(trace)
        value = json.loads(lines(log)[0])
        assert value["format"] == "cascade-routing/trace"
        assert value["version"] == 1
        assert value["trace"]["chosen"] == trace.chosen

    def test_an_input_that_json_cannot_hold_is_refused_and_nothing_is_written(self, log, trace):
        with pytest.raises(DataError, match="the input is a object, which cannot be written"):
            log.write(LoggedTrace(trace, input=object()))
        assert not log.path.exists()


class TestAppending:
    def test_threads_share_a_log(self, log, trace):
        gate = threading.Barrier(8, timeout=30)

        def write(number):
            gate.wait()
            for i in range(25):
                log.write(LoggedTrace(trace, input=f"{number}/{i} " + "x" * 5000))

        threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = read_traces(log.path)
        assert len(found) == 200
        assert len({each.input for each in found}) == 200

    @pytest.mark.skipif(sys.platform == "win32", reason="it has no atomic appends")
    def test_so_do_processes(self, log, trace):
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=_write_many, args=(log, bare(trace), n)) for n in (1, 2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
            assert worker.exitcode == 0
        found = read_traces(log.path)
        assert sorted(each.input["number"] for each in found) == [1] * 50 + [2] * 50

    def test_a_file_that_was_moved_away_is_begun_anew(self, log, trace):
        log.write(trace)
        log.path.rename(log.path.with_suffix(".1"))
        log.write(trace)
        assert len(read_traces(log.path)) == len(read_traces(log.path.with_suffix(".1"))) == 1

    @pytest.mark.skipif(sys.platform == "win32", reason="it has other permissions")
    def test_others_cannot_read_it(self, log, trace):
        log.write(trace)
        assert stat.S_IMODE(log.path.stat().st_mode) & 0o077 == 0


def _write_many(log, trace, number):
    for _ in range(50):
        log.write(LoggedTrace(trace, input={"number": number, "rest": "x" * 20_000}))


class TestDamage:
    @pytest.mark.parametrize("kept", [1, 30, 200, -2])
    def test_a_torn_last_line_is_left_out(self, log, trace, kept):
        log.write(trace)
        whole = log.path.read_bytes()
        log.path.write_bytes(whole + whole[:kept])
        with pytest.warns(DataWarning, match="line 2 of .* was torn"):
            assert len(read_traces(log.path)) == 1

    @pytest.mark.parametrize("kept", [1, 30, 200, -2])
    def test_and_what_is_written_after_it_is_not(self, log, trace, kept):
        log.write(trace)
        whole = log.path.read_bytes()
        log.path.write_bytes(whole + whole[:kept])
        log.write(trace)
        with pytest.warns(DataWarning, match="line 2"):
            assert len(read_traces(log.path)) == 2

    def test_a_line_that_was_appended_to_a_torn_one_is_saved(self, log, trace):
        log.write(trace)
        whole = log.path.read_bytes()
        log.path.write_bytes(whole + whole[:100] + whole + whole)
        with pytest.warns(DataWarning, match="line 2"):
            assert len(read_traces(log.path)) == 3

    def test_only_the_newline_is_missing(self, log, trace):
        log.write(trace)
        log.path.write_bytes(log.path.read_bytes()[:-1])
        assert len(read_traces(log.path)) == 1
        log.write(trace)
        assert len(read_traces(log.path)) == 2

    def test_empty_lines_are_passed_over(self, log, trace):
        log.write(trace)
        log.path.write_bytes(b"\n" + log.path.read_bytes() + b"\n\n")
        assert len(read_traces(log.path)) == 1

    def test_an_empty_log_holds_nothing(self, log):
        log.path.parent.mkdir()
        log.path.touch()
        assert read_traces(log.path) == []

    def test_a_first_line_may_be_torn_too(self, log, trace):
        log.write(trace)
        log.path.write_bytes(log.path.read_bytes()[:20])
        with pytest.warns(DataWarning, match="line 1"):
            assert read_traces(log.path) == []

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda value: value.update(version=2), "version 2"),
            (lambda value: value.pop("query"), "line 1 of .* is damaged: KeyError\\('query'\\)"),
            (lambda value: value["query"].update(new=1), "Query has no field 'new'"),
            (lambda value: value["trace"].update(decisions=[{}]), "is damaged"),
            (lambda value: value.update(time="soon"), "is damaged"),
            (lambda value: value.update(answers=[]), "is damaged"),
        ],
    )
    def test_what_was_changed_is_refused(self, log, trace, change, message):
        log.write(trace)
        value = json.loads(lines(log)[0])
        change(value)
        log.path.write_text(json.dumps(value) + "\n")
        with pytest.raises(DataError, match=message):
            read_traces(log.path)

    @pytest.mark.parametrize("content", ['{"format": "cascade-routing/journal"}\n', "a,b\n1,2\n"])
    def test_other_files_are_refused(self, log, content):
        log.path.parent.mkdir()
        log.path.write_text(content)
        with pytest.raises(DataError, match="begins with"):
            read_traces(log.path)

    def test_a_missing_one_too(self, log):
        with pytest.raises(DataError, match="does not exist: TraceLog"):
            read_traces(log.path)


class TestPrivacy:
    PRIVATE = "Lima 4711"

    @pytest.fixture
    def secret(self):
        def tell(call):
            if call.model == "small":
                raise TimeoutError(f"{self.PRIVATE} timed out")
            return replace(
                run(call), text=self.PRIVATE, samples=(self.PRIVATE,),
                tool_calls=(ToolCall("search", {"q": [self.PRIVATE]}), ToolCall("s", self.PRIVATE)),
            )  # fmt: skip

        router = CascadeRouter(list(PRICES), prices=PRICES)
        query = Query(self.PRIVATE, tools=({"name": "x", "parameters": {}},))
        trace = drive(router.session(query), tell)
        advice = Advice("j", "judge", "large", cost=0.0, error=ValueError(self.PRIVATE))
        return LoggedTrace(
            replace(trace, advice=(advice,)),
            input={"messages": [{"content": self.PRIVATE}]},
            key="hash of the secret",
            beside={"old": Answer(self.PRIVATE)},
        )

    def test_texts_can_be_left_out(self, tmp_path, secret):
        log = TraceLog(tmp_path / "log", texts=False)
        log.write(secret)
        written = log.path.read_text()
        assert "Lima" not in written
        assert "4711" not in written
        assert "hash of the secret" not in written
        (logged,) = read_traces(log.path)
        assert not logged.has_texts
        assert logged.input is None
        assert len(logged.query.text) == len(logged.answers["large"].text) == len(self.PRIVATE)
        assert logged.answers["large"].logprobs == (-0.5, -math.inf)
        assert logged.trace.total_cost == secret.trace.total_cost

    def test_what_was_read_without_texts_stays_so(self, tmp_path, secret):
        TraceLog(tmp_path / "log", texts=False).write(secret)
        (logged,) = read_traces(tmp_path / "log")
        TraceLog(tmp_path / "copy").write(logged)
        assert read_traces(tmp_path / "copy") == [logged]

    def test_texts_can_be_rewritten(self, tmp_path, secret):
        log = TraceLog(tmp_path / "log", redact=lambda text: text.replace("4711", "####"))
        log.write(secret)
        written = log.path.read_text()
        assert "4711" not in written
        assert "hash of the secret" not in written
        assert written.count("Lima ####") >= 8
        (logged,) = read_traces(log.path)
        assert logged.has_texts
        assert logged.query.text == "Lima ####"
        assert logged.trace.failures[0].error.args == ("TimeoutError('Lima #### timed out')",)

    def test_a_hook_that_returns_no_text_is_refused(self, tmp_path, secret):
        log = TraceLog(tmp_path / "log", redact=lambda text: None)
        with pytest.raises(ConfigurationError, match="redact returned NoneType"):
            log.write(secret)
        assert not log.path.exists()


class TestDrift:
    @pytest.fixture
    def fresh(self, router):
        return by_word.traces(router, by_word.make(120, 7, length=14))

    def logged(self, path, traces, **options):
        log = TraceLog(path, **options)
        for trace in traces:
            log.write(trace)
        return read_traces(path)

    def test_it_takes_what_was_read(self, tmp_path, router, fresh):
        found = drift(router, self.logged(tmp_path / "log", fresh))
        assert found.to_dict() == drift(router, fresh).to_dict()
        assert found.drifted

    def test_and_traces_without_texts(self, tmp_path, router, fresh):
        found = drift(router, self.logged(tmp_path / "log", fresh, texts=False))
        told = {f.name: f for f in drift(router, fresh).features if f.name != "wording"}
        assert {f.name for f in found.features} == set(told)
        for feature in found.features:
            assert feature.psi == pytest.approx(told[feature.name].psi)
        assert "length of the question" in found.moved

    def test_or_both(self, tmp_path, router, fresh):
        bare = self.logged(tmp_path / "log", fresh[:60], texts=False)
        found = drift(router, [*bare, *fresh[60:]])
        counts = {f.name: f.fresh for f in found.features}
        assert counts["length of the question"] == 120
        assert counts["wording"] == 60

    def test_those_of_other_models_cannot_be_compared(self, tmp_path, router, trace):
        other = replace(trace, decisions=(replace(trace.decisions[0], quality={"x": 0.5}),))
        bare = self.logged(tmp_path / "log", [other] * 30, texts=False)
        with pytest.raises(DataError, match="without texts can be compared only"):
            drift(router, bare)
