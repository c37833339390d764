"""Asking every model every query: bounds, failures, limits, and going on where it stopped."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import threading
from functools import partial

import pytest

from cascade_engine import Answer, ConfigurationError, DataError, Price, Query, Usage
from cascade_engine.core.retries import Retries, is_temporary
from cascade_engine.data.calls.ledger import Progress
from cascade_engine.data.collection import Collection, acollect, collect
from cascade_engine.errors import UnknownPriceError
from tests.helpers import finished

QUERIES = [f"question {i}" for i in range(6)]
pytestmark = pytest.mark.filterwarnings("error")


class Model:
    """Answers with its name and the question; counts, and raises what it is told to."""

    def __init__(self, name="small", cost=1.0, errors=()):
        self.name, self.cost, self.errors, self.asked = name, cost, list(errors), []

    def __call__(self, query):
        self.asked.append(query.text)
        if self.errors:
            error = self.errors.pop(0)
            if error is not None:
                raise error
        return Answer(f"{self.name}: {query.text}", cost=self.cost, payload=object())


def models(**errors):
    return {name: Model(name, errors=errors.get(name, ())) for name in ("small", "large")}


@pytest.fixture(params=["collect", "acollect"])
def gather(request):
    """`collect` and `acollect` behind one interface; the models are the same."""

    def run(asked, queries=QUERIES, **options):
        options = {"progress": False, **options}
        if request.param == "collect":
            return collect(asked, queries, **options)
        if "sleep" in options:
            plain = options["sleep"]

            async def sleep(seconds):
                plain(seconds)

            options["sleep"] = sleep

        def coroutine(model):
            if not callable(model):
                return model

            async def ask(query):
                await asyncio.sleep(0)
                return model(query)

            return ask

        return finished(
            acollect({name: coroutine(model) for name, model in asked.items()}, queries, **options)
        )

    return run


class TestAsking:
    def test_every_model_is_asked_every_query_once(self, gather):
        asked = models()
        found = gather(asked)
        for name, model in asked.items():
            assert sorted(model.asked) == QUERIES
            assert found.answers(3, name)[0].text == f"{name}: question 3"
        assert found.missing() == []
        assert found.cost == 12.0
        assert repr(found) == "Collection(6 queries x 2 models, complete)"

    def test_latency_is_measured_and_the_payload_dropped(self, gather):
        (answer,) = gather({"m": Model()}, ["q"]).answers(0, "m")
        assert answer.seconds > 0
        assert answer.payload is None
        told = gather({"m": lambda query: Answer("", cost=0.0, seconds=7.0)}, ["q"])
        assert told.answers(0, "m")[0].seconds == 7.0

    def test_the_same_query_is_asked_once_and_fills_all_its_rows(self, gather):
        asked = models()
        found = gather(asked, ["one", "two", "one"])
        assert sorted(asked["small"].asked) == ["one", "two"]
        data = found.dataset(references=["one", "two", "three"])
        assert [row[0].text for row in data.answers] == ["small: one", "small: two", "small: one"]
        assert data.quality[:, 0].tolist() == [1, 1, 0]
        assert found.cost == 4.0

    def test_samples_are_kept_beside_the_answer_that_counts(self, gather):
        numbers = iter(range(100))
        found = gather(
            {"m": lambda query: Answer(str(next(numbers)), cost=1.0)},
            ["a", "b"],
            samples=3,
            max_concurrency=1,
        )
        assert [[a.text for a in found.answers(row, "m")] for row in (0, 1)] == [
            ["0", "1", "2"],
            ["3", "4", "5"],
        ]
        data = found.dataset(grade=lambda question, answer, reference: int(answer) / 10)
        assert data.quality.tolist() == [[0.0], [0.3]]
        assert data.cost.tolist() == [[1.0], [1.0]]
        assert [a.text for a in data.samples[1][0]] == ["4", "5"]

    def test_each_model_can_have_a_number_of_samples_of_its_own(self, gather):
        asked = {name: Model(name) for name in ("a", "b")}
        found = gather(asked, ["one", "two"], samples={"b": 1, "a": 3})
        assert [len(asked[name].asked) for name in asked] == [6, 2]
        assert not found.missing()
        data = found.dataset(grade=lambda question, answer, reference: 1.0)
        assert [[len(cell) for cell in row] for row in data.samples] == [[2, 0], [2, 0]]
        short = gather(asked, ["one"], samples={"a": 1, "b": 1})
        assert short.dataset(grade=lambda question, answer, reference: 1.0).samples is None

    def test_inputs_and_keys_tell_apart_what_queries_do_not(self, gather):
        seen = []

        def model(given):
            seen.append(given)
            return Answer(given["context"], cost=1.0)

        inputs = [{"context": "one"}, {"context": "two"}]
        found = gather({"m": model}, ["go on"] * 2, inputs=inputs, keys=["k1", "k2"])
        assert sorted(given["context"] for given in seen) == ["one", "two"]
        assert [found.answers(row, "m")[0].text for row in (0, 1)] == ["one", "two"]

    @pytest.mark.parametrize("bound", [1, 3])
    def test_threads_are_bounded(self, bound):
        gate, lock, inside, most = threading.Barrier(bound, timeout=30), threading.Lock(), [], []

        def model(query):
            with lock:
                inside.append(query)
                most.append(len(inside))
            gate.wait()  # as many as may be are inside at once, and no more
            with lock:
                inside.pop()
            return Answer("", cost=0.0)

        collect({"m": model}, QUERIES, max_concurrency=bound, progress=False)
        assert max(most) == bound

    async def test_tasks_are_bounded(self):
        inside, most = [], []

        async def model(query):
            inside.append(query)
            most.append(len(inside))
            await asyncio.sleep(0)
            inside.pop()
            return Answer("", cost=0.0)

        await acollect({"m": model}, QUERIES, max_concurrency=2, progress=False)
        assert max(most) == 2

    async def test_acollect_runs_plain_functions_in_threads(self):
        names = []

        def model(query):
            names.append(threading.current_thread() is threading.main_thread())
            return Answer("", cost=0.0)

        async def other(query):
            return Answer("other", cost=0.0)

        found = await acollect({"a": model, "b": partial(other)}, ["q"], progress=False)
        assert names == [False]
        assert found.answers(0, "b")[0].text == "other"


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"asked": {}}, ConfigurationError, "no models given"),
            ({"asked": {"m": "gpt"}}, ConfigurationError, "'m' is a str: give a function"),
            ({"queries": []}, DataError, "no queries given"),
            ({"queries": "what?"}, DataError, "must be a list, not a single string"),
            ({"queries": ["a", 7]}, DataError, "query 1 must be text or a Query, not 7"),
            ({"samples": 0}, ConfigurationError, "samples must be an integer >= 1, not 0"),
            ({"samples": {"m": 2}}, ConfigurationError, "must name each of the models"),
            ({"samples": {"small": 0, "large": 1}}, ConfigurationError, "not 0, for 'small'"),
            ({"max_concurrency": 0}, ConfigurationError, "max_concurrency must be an integer >= 1"),
            ({"retries": -1}, ConfigurationError, "retries must be an integer >= 0, not -1"),
            ({"max_cost": -1}, ConfigurationError, "max_cost must be a number >= 0, not -1"),
            ({"max_cost": "1"}, ConfigurationError, "max_cost must be a number >= 0, not '1'"),
            ({"max_failures": -1}, ConfigurationError, "max_failures must be a number >= 0"),
            ({"keys": ["a"]}, DataError, "1 keys for 6 queries"),
            ({"inputs": ["a"]}, DataError, "1 inputs for 6 queries"),
            ({"charge": "tokens"}, ConfigurationError, 'must be "price", "seconds" or a callable'),
        ],
    )
    def test_is_refused(self, gather, options, error, message):
        options = {"asked": models(), "queries": QUERIES, **options}
        with pytest.raises(error, match=message):
            gather(options.pop("asked"), options.pop("queries"), **options)

    def test_a_model_must_return_answers(self, gather, tmp_path):
        path = tmp_path / "j"
        with pytest.raises(ConfigurationError, match="'m' returned str and no Answer"):
            gather({"m": lambda query: "text"}, path=path)
        found = gather({"m": Model()}, path=path)  # the lock is free again
        assert found.missing() == []

    def test_collect_knows_coroutine_functions(self):
        async def model(query):
            return Answer("")

        with pytest.raises(ConfigurationError, match="must be a mapping of names to functions"):
            collect([model], ["q"], progress=False)
        with pytest.raises(ConfigurationError, match=r"returned coroutine.*use acollect"):
            collect({"m": model}, ["q"], progress=False)


class Status(Exception):  # noqa: N818
    def __init__(self, status, headers=None):
        super().__init__(f"status {status}")
        self.status_code = status
        self.response = type("Response", (), {"headers": headers or {}})()


class TestFailures:
    def test_a_failure_is_recorded_and_the_rest_goes_on(self, gather):
        asked = models(large=[None, ValueError("too long")])
        found = gather(asked, max_concurrency=1)
        assert [(m.row, m.model, m.why) for m in found.missing()] == [
            (1, "large", "ValueError: too long")
        ]
        assert len(asked["large"].asked) == 6
        with pytest.raises(DataError) as caught:
            found.dataset(references=QUERIES)
        assert "model 'large' failed on the question 'question 1': ValueError: too long" in str(
            caught.value
        )
        assert "1 of 12 answers are missing (1 of 'large')" in str(caught.value)
        assert isinstance(caught.value.__cause__, ValueError)
        data = found.dataset(references=QUERIES, ids=list("abcdef"), on_missing="drop")
        assert data.ids == list("acdef")
        assert data.references == [q for q in QUERIES if q != "question 1"]
        with pytest.raises(ConfigurationError, match='"raise" or "drop", not \'fill\''):
            found.dataset(references=QUERIES, on_missing="fill")

    def test_nothing_left_is_an_error_even_when_dropping(self, gather):
        def model(query):
            raise ValueError("no")

        with pytest.raises(DataError, match="'m' failed on the question 'question 0'"):
            gather({"m": model}).dataset(references=QUERIES, on_missing="drop")

    def test_enough_failures_stop_it(self, gather):
        def model(query):
            asked.append(query)
            raise ValueError("no")

        asked = []
        found = gather({"m": model}, max_failures=1, max_concurrency=1)
        assert len(asked) == 2
        assert found.stopped == "2 calls failed, and the rest was not asked"

    def test_what_may_pass_is_tried_again_with_growing_pauses(self, gather):
        slept = []
        asked = {"m": Model(errors=[TimeoutError(), Status(503), Status(429)])}
        found = gather(asked, ["q"], retries=3, sleep=slept.append)
        assert found.missing() == []
        assert asked["m"].asked == ["q"] * 4
        assert all(full / 2 <= pause <= full for pause, full in zip(slept, [1, 2, 4], strict=True))

    def test_it_gives_up_after_the_last_try(self, gather, tmp_path):
        slept = []
        found = gather(
            {"m": Model(errors=[TimeoutError("slow")] * 9)},
            ["q"],
            retries=2,
            sleep=slept.append,
            path=tmp_path / "j",
        )
        assert len(slept) == 2
        assert found.missing()[0].why == "TimeoutError: slow"
        last = json.loads((tmp_path / "j").read_text().splitlines()[-1])
        assert last["failure"] == {"error": "TimeoutError: slow", "attempts": 3}

    def test_what_will_not_pass_is_not_tried_again(self, gather):
        asked = {"m": Model(errors=[Status(400)])}
        assert len(gather(asked, ["q"], sleep=pytest.fail).missing()) == 1
        assert asked["m"].asked == ["q"]

    def test_one_may_say_oneself_what_may_pass(self, gather):
        asked = {"m": Model(errors=[KeyError("x"), TimeoutError()])}
        found = gather(
            asked, ["q"], retry_on=lambda e: isinstance(e, KeyError), sleep=lambda seconds: None
        )
        assert found.missing()[0].why == "TimeoutError: "

    def test_a_server_that_says_how_long_to_wait_is_heeded(self):
        for header, pause in (("30", 30), ("1e9", 60), ("-5", 1), ("Wed, 21 Oct", 1), ("nan", 1)):
            error = Status(429, {"retry-after": header})
            assert Retries(1, chance=lambda: 0.0).pause(error) == pause

    @pytest.mark.parametrize(
        ("error", "temporary"),
        [
            (TimeoutError(), True),
            (ConnectionResetError(), True),
            (type("APIConnectionError", (Exception,), {})(), True),
            (type("MyError", (type("RateLimitError", (Exception,), {}),), {})(), True),
            (Status(408), True),
            (Status(529), True),
            (Status(401), False),
            (Status(404), False),
            (ValueError(), False),
            (type("Quota", (Status,), {"code": "insufficient_quota"})(429), False),
        ],
    )
    def test_which_errors_may_pass(self, error, temporary):
        assert is_temporary(error) is temporary


class TestCostLimit:
    def test_it_stops_before_the_limit_and_goes_on_with_a_higher_one(self, gather, tmp_path):
        path, first = tmp_path / "journal.jsonl", models()
        found = gather(first, path=path, max_cost=7.5)
        assert found.cost == 7.0
        assert "limit of 7.5 was reached with 7 spent" in found.stopped
        with pytest.raises(DataError, match=r"5 of 12 answers are missing.*higher max_cost"):
            found.dataset(references=QUERIES)
        assert len(found.dataset(references=QUERIES, on_missing="drop")) == 3
        second = models()
        whole = gather(second, path=path, max_cost=12.0)
        assert whole.stopped is None
        assert whole.cost == 12.0
        for name in first:
            assert sorted(first[name].asked + second[name].asked) == QUERIES

    def test_a_limit_may_be_met_exactly(self, gather):
        asked = {"m": Model(cost=0.1)}
        assert gather(asked, ["a", "b", "c"], max_cost=0.3).missing() == []

    def test_calls_in_flight_count_as_what_they_are_expected_to_cost(self):
        release, running = threading.Event(), []

        def model(query):
            running.append(query.text)
            if len(running) == 3:  # the first told the cost; the limit has room for two more
                release.set()
            if len(running) > 1:
                assert release.wait(30)
            return Answer("", cost=1.0)

        found = collect({"m": model}, QUERIES, max_cost=3.5, max_concurrency=6, progress=False)
        assert found.cost == 3.0
        assert running == QUERIES[:3]

    def test_until_costs_are_known_one_call_goes_at_a_time(self):
        inside = []

        def model(query):
            inside.append(query)
            alone = len(inside) == 1 or len(found) > 0
            found.append(query)
            inside.pop()
            assert alone
            return Answer("", cost=0.5)

        found = []
        assert collect({"m": model}, QUERIES, max_cost=9, progress=False).missing() == []

    def test_a_limit_of_nothing_asks_nobody(self, gather):
        asked = models()
        assert gather(asked, max_cost=0).stopped
        assert asked["small"].asked == []

    def test_unknown_costs_are_kept_and_told(self, gather, tmp_path):
        path = tmp_path / "j"
        asked = {"m": Model(cost=None)}
        with pytest.raises(UnknownPriceError, match="call to 'm' is unknown"):
            gather(asked, path=path, max_cost=5)
        assert asked["m"].asked == QUERIES[:1]
        assert len(Collection.from_journal(path).answers(0, "m")) == 1

    def test_prices_say_what_tokens_cost(self, gather):
        found = gather(
            {"m": lambda query: Answer("", usage=Usage(10, 10))},
            prices={"m": Price(1e5, 0)},
            max_cost=3,
        )
        assert found.cost == 3.0
        by_time = gather({"m": lambda q: Answer("", seconds=2.0)}, charge="seconds")
        assert by_time.cost == 12.0


class TestGoingOn:
    def test_a_finished_journal_asks_nobody(self, gather, tmp_path):
        path = tmp_path / "deep" / "journal.jsonl"
        first = gather(models(), path=path)
        before = path.read_bytes()
        asked = models()
        again = gather(asked, path=path)
        assert asked["small"].asked == asked["large"].asked == []
        assert path.read_bytes() == before
        for row in range(6):
            assert again.answers(row, "large") == first.answers(row, "large")

    def test_more_and_other_queries_models_and_samples(self, gather, tmp_path):
        path = tmp_path / "j"
        gather({"small": Model()}, ["a", "b"], path=path)
        asked = models()
        found = gather(asked, ["a", "b, edited", "c"], path=path, samples=2)
        assert sorted(asked["small"].asked) == ["a", "b, edited", "b, edited", "c", "c"]
        assert sorted(asked["large"].asked) == sorted(["a", "b, edited", "c"] * 2)
        assert found.missing() == []
        recorded = Collection.from_journal(path)
        assert sorted(query.text for query in recorded.queries) == ["a", "b", "b, edited", "c"]
        assert recorded.models == ("small", "large")
        assert len(recorded.dataset(agreement=True, on_missing="drop")) == 3

    def test_another_schema_or_context_is_another_query(self, gather, tmp_path):
        asked, path = {"m": Model()}, tmp_path / "j"
        for query in (
            Query("a"),
            Query("a", 3),
            Query("a", schema={"type": "object"}),
            Query("a", tools=({"name": "f"},)),
            Query("a"),
        ):
            gather(asked, [query], path=path)
        assert len(asked["m"].asked) == 4

    def test_failed_calls_are_tried_again(self, gather, tmp_path):
        path = tmp_path / "j"
        gather({"m": Model(errors=[ValueError("once")])}, path=path, max_concurrency=1)
        asked = {"m": Model()}
        assert gather(asked, path=path).missing() == []
        assert asked["m"].asked == QUERIES[:1]

    def test_other_models_and_settings_are_refused(self, gather, tmp_path):
        path = tmp_path / "j"
        gather({"m": Model()}, path=path, settings={"temperature": 0})
        before = path.read_bytes()
        with pytest.raises(DataError, match=r"journal of the models \['m'\], and none of them"):
            gather({"other": Model()}, path=path, settings={"temperature": 0})
        with pytest.raises(
            DataError, match=r"settings=\{'temperature': 0\}, not \{'temperature': 1"
        ):
            gather({"m": Model()}, path=path, settings={"temperature": 1})
        with pytest.raises(DataError, match="not None"):
            gather({"m": Model()}, path=path)
        assert path.read_bytes() == before

    def test_an_interrupt_keeps_what_was_paid_for(self, tmp_path):
        path, second = tmp_path / "j", threading.Event()

        def model(query):
            if query.text == "question 0":
                assert second.wait(30)  # until the other is there, and interrupts
                return Answer("kept", cost=1.0)
            raise KeyboardInterrupt

        def large(query):
            second.set()
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            collect({"a": model, "b": large}, ["question 0"], path=path, progress=False)
        recorded = Collection.from_journal(path)
        assert recorded.answers(0, "a")[0].text == "kept"
        assert collect({"a": pytest.fail, "b": Model()}, ["question 0"], path=path, progress=False)

    def test_an_interrupt_ends_pauses(self):
        waiting = threading.Event()

        def slow(query):
            waiting.set()
            raise TimeoutError

        def dying(query):
            assert waiting.wait(30)
            raise KeyboardInterrupt

        # The pause of a second or so would come twice and end in another call; it does not.
        calls = []
        with pytest.raises(KeyboardInterrupt):
            collect(
                {"slow": lambda q: calls.append(q) or slow(q), "dying": dying},
                ["q"],
                retries=9,
                progress=False,
            )
        assert len(calls) == 1

    async def test_a_cancelled_collection_frees_its_journal(self, tmp_path):
        path, started = tmp_path / "j", asyncio.Event()

        async def model(query):
            if query.text == "question 2":
                started.set()
                await asyncio.Event().wait()
            return Answer(query.text, cost=1.0)

        task = asyncio.create_task(
            acollect({"m": model}, QUERIES, path=path, max_concurrency=1, progress=False)
        )
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        asked = {"m": Model()}
        found = collect(asked, QUERIES, path=path, max_concurrency=1, progress=False)
        assert asked["m"].asked == QUERIES[2:]
        assert found.missing() == []


class Terminal:
    def __init__(self, *, is_terminal=True):
        self.text, self._is_terminal = "", is_terminal

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return self._is_terminal


class TestProgress:
    def test_lines_tell_what_is_done_spent_failed_and_left(self, monkeypatch):
        lines, clock = [], [0.0]
        monkeypatch.setattr("tqdm.std.time", lambda: clock[0])
        progress = Progress(10, 2, lines.append)
        for seconds, failed, cost in [
            (5.0, 0, 0.25),
            (10.0, 0, 0.5),
            (10.1, 0, 0.6),  # too soon after
            (20.0, 1, 0.75),
            (25.0, 1, 0.8),
            (30.0, 1, 0.9),
            (35.0, 1, 0.95),
            (4000.0, 1, 1.0),
        ]:
            clock[0] = seconds
            progress.advance(failed, cost)
        progress.close()
        assert lines[2] == "4/10 calls, cost 0.5, 00:30 left"
        assert lines[3] == "6/10 calls, cost 0.75, 1 failed, 00:20 left"
        assert lines[-1] == "10/10 calls, cost 1, 1 failed, 00:00 left"
        assert not any(line.startswith("5/10") for line in lines)

    def test_a_function_is_given_the_last_line(self, gather):
        lines = []
        gather({"m": Model()}, ["a", "b"], progress=lines.append)
        assert lines[-1].startswith("2/2 calls, cost 2")

    def test_a_terminal_gets_one_moving_line(self, monkeypatch):
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        collect({"m": Model()}, ["a"])
        last = stream.text.rsplit("\r", 1)[-1]
        assert stream.text.count("\n") == 1
        assert "100%" in last
        assert "1/1 calls, cost 1, 00:00 left" in last

    @pytest.mark.parametrize("stream", [Terminal(is_terminal=False), None])
    def test_anything_else_gets_none(self, monkeypatch, stream):
        monkeypatch.setattr(sys, "stderr", stream)
        collect({"m": Model()}, ["a"])
        assert stream is None or stream.text == ""

    def test_a_notebook_gets_a_widget_where_it_can_show_one(self, monkeypatch):
        bars = []

        class Bar:
            def __init__(self, **options):
                bars.append(options["total"])

            def set_postfix_str(self, text, *, refresh):
                bars.append((text, refresh))

            def update(self):
                bars.append("update")

            def close(self):
                bars.append("close")

        monkeypatch.setitem(sys.modules, "ipykernel", sys)
        monkeypatch.setattr("tqdm.auto.tqdm", Bar)
        monkeypatch.setattr("cascade_engine.data.calls.ledger.find_spec", lambda name: name)
        collect({"m": Model()}, ["a"])
        assert bars == [1, ("cost 1", False), "update", "close"]


def test_both_take_the_same_arguments_and_say_which():
    one, other = (inspect.signature(function) for function in (collect, acollect))
    assert one == other
    assert [*one.parameters][:3] == ["models", "queries", "path"]
    with pytest.raises(TypeError, match="unexpected keyword argument 'sample'"):
        collect({"m": Model()}, ["a"], sample=2)


def test_queries_inputs_and_keys_may_come_one_by_one(gather):
    found = gather(
        {"m": Model()}, (Query(t) for t in "ab"), inputs=iter(map(Query, "xy")), keys=iter("kl")
    )
    assert [found.answers(row, "m")[0].text for row in range(2)] == ["small: x", "small: y"]
    assert found.keys == ["k", "l"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Answer(None, cost=1.0), "'small' returned an Answer with None for its text"),
        (Answer("x", cost=float("nan")), "call to 'small' is given as nan"),
        (Answer("x", cost=-1.0), "call to 'small' is given as -1.0"),
        (Answer("x", cost="1"), "call to 'small' is given as '1'"),
        (Answer("x", cost=1.0, logprobs=(None,)), "answer of 'small' to 'question 2' cannot"),
    ],
)
def test_an_answer_that_cannot_be_used_spoils_no_journal(gather, tmp_path, given, said):
    path = tmp_path / "journal.jsonl"

    def small(query):
        return given if query.text == QUERIES[2] else Answer("fine", cost=1.0)

    with pytest.raises((ConfigurationError, DataError), match=said):
        gather({"small": small}, path=path, max_concurrency=1)
    mended = Model()
    assert not gather({"small": mended}, path=path).missing()
    assert mended.asked == QUERIES[2:]


def test_latencies_that_are_none_are_refused_as_costs(gather):
    with pytest.raises(ConfigurationError, match="given as nan"):
        gather({"m": lambda _: Answer("x", seconds=float("nan"))}, charge="seconds", max_cost=9)
