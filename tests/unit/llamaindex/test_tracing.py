"""A cascade's log, drafts that are broken off, and shadow mode, over real clients of LlamaIndex."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading

import pytest

pytest.importorskip("llama_index.llms.openai_like")

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from cascade_engine import ConfigurationError, DataError, Price
from cascade_engine.data.traffic import LoggedTrace, TraceLog, read_traces
from llamaindex_cascade import CascadeRoutingLLM, CascadeTraceEvent, TraceLogHandler
from tests.helpers import check_left_early, until
from tests.scripted import Reply

PRICES = {"weak": Price(1, 1), "strong": Price(10, 10)}
LONG = " ".join(f"word{i}" for i in range(40))
POOR = Reply(LONG, probability=0.3)
GOOD = Reply("the right answer")


@pytest.fixture
def listening():
    """Adds a handler for the time of a test."""
    root, added = get_dispatcher(), []

    def add(handler):
        root.add_event_handler(handler)
        added.append(handler)
        return handler

    yield add
    for handler in added:
        root.event_handlers.remove(handler)


@pytest.fixture
def log(tmp_path, listening):
    log = TraceLog(tmp_path / "traffic.jsonl")
    listening(TraceLogHandler(log))
    return log


@pytest.fixture
def build(scripted_server):
    def build(weak=POOR, strong=GOOD, **fields):
        llms = {
            "weak": scripted_server.llm("weak", weak),
            "strong": scripted_server.llm("strong", strong),
        }
        return CascadeRoutingLLM(llms=llms, prices=PRICES, **fields)

    return build


WAYS = ["chat", "achat", "stream_chat", "astream_chat", "complete", "astream_complete"]


@pytest.fixture(params=WAYS)
def ask(request):
    """Asks in one of six ways; the last response."""

    async def run(llm, question, **kwargs):
        given = question if "complete" in request.param else [ChatMessage(content=question)]
        found = getattr(llm, request.param)(given, **kwargs)
        if request.param.startswith("a"):
            found = await found
        if "astream" in request.param:
            found = [chunk async for chunk in found][-1]
        elif "stream" in request.param:
            found = list(found)[-1]
        for _ in range(50):  # upstream leaves it to the event loop to close a stream
            await asyncio.sleep(0)
        return found

    return run


def text(response):
    return getattr(response, "text", None) or response.message.content


class TestLog:
    async def test_every_query_is_logged(self, build, ask, log):
        response = await ask(build(), "What is it?")
        (logged,) = read_traces(log.path)
        assert logged.trace.models_run == ("weak", "strong")
        assert logged.query.text == "What is it?"
        assert [one.text for one in logged.answers.values()] == [LONG, GOOD.text]
        assert not logged.shadow
        record = response.additional_kwargs["cascade"]
        assert logged.trace.total_cost == record["total_cost"]

    async def test_a_stream_that_its_reader_leaves_is_logged(self, build, log):
        llm, messages = build(), [ChatMessage(content="Hi")]
        stream = llm.stream_chat(messages, model="strong")
        assert any(chunk.delta for chunk in stream)
        stream.close()
        live = await llm.astream_chat(messages, model="strong")
        while not (await anext(live)).delta:
            pass
        await live.aclose()
        # Upstream leaves it to the event loop to close a stream.
        await until(lambda: len(read_traces(log.path)) == 2)
        check_left_early(read_traces(log.path))

    async def test_handlers_of_ones_own_hear_of_it_in_the_span_of_the_call(
        self, build, ask, listening
    ):
        class Ears(BaseEventHandler):
            heard: list = []  # noqa: RUF012

            def handle(self, event, **kwargs):
                self.heard.append(event)

        ears = listening(Ears(heard=[]))
        await ask(build(), "What is it?")
        (event,) = [each for each in ears.heard if isinstance(each, CascadeTraceEvent)]
        assert isinstance(event.logged, LoggedTrace)
        assert "word7" not in event.model_dump_json()
        assert "word7" not in repr(event)
        decisions = [each for each in ears.heard if each.class_name() == "CascadeDecisionEvent"]
        assert event.span_id == decisions[-1].span_id

    def test_a_log_that_cannot_be_written_hurts_nobody(self, build, listening, tmp_path, caplog):
        listening(TraceLogHandler(tmp_path))
        assert build().complete("What is it?").text == GOOD.text
        assert "a trace could not be logged" in caplog.text

    def test_no_key_is_in_it(self, build, log):
        build().complete("What is it?")
        assert "api_key" not in log.path.read_text()


class TestAskingAgain:
    @pytest.fixture
    def llm(self, build):
        return build(lambda r: GOOD if "easy" in str(r["messages"]) else POOR)

    def chat(self):
        return [ChatMessage(role="system", content="Be brief."), ChatMessage(content="easy?")]

    def test_only_who_has_not_answered_is_asked(self, llm, log, scripted_server):
        llm.complete("easy one")
        llm.chat(self.chat())
        llm.complete("hard one")
        assert len(scripted_server.requests) == 4
        traces = read_traces(log.path)
        found = llm.collect(traces, progress=False)
        new = scripted_server.requests[4:]
        assert [r["model"] for r in new] == ["strong"] * 2
        assert {str(r["messages"][-1]["content"]) for r in new} == {"easy one", "easy?"}
        assert not found.missing()
        assert found.keys == [trace.key for trace in traces]
        assert llm.collect(["easy one", self.chat()], progress=False).keys == found.keys[:2]

    def test_a_cascade_is_fitted_on_its_log(self, llm, log, scripted_server):
        for i in range(24):
            llm.complete(f"{'easy' if i % 2 else 'hard'} question {i}?")
        before = len(scripted_server.requests)
        llm.fit(read_traces(log.path), [GOOD.text] * 24, progress=False)
        assert len(scripted_server.requests) - before == 12
        assert llm.router.is_fitted

    def test_tools_and_forms_cannot_be_asked_for_again(self, build, log):
        class City(BaseModel):
            name: str

        llm = build(lambda r: Reply.call("City", name="Lima"))
        assert llm.structured_predict(City, PromptTemplate("Which?")) == City(name="Lima")
        tool = FunctionTool.from_defaults(fn=lambda query: query, name="search")
        llm.chat_with_tools([tool], user_msg="Look it up")
        for logged in read_traces(log.path):
            with pytest.raises(DataError, match="children cannot be asked for"):
                llm.collect([logged], progress=False)

    def test_what_is_no_input_is_refused(self, llm, log):
        llm.complete("Hi")
        (logged,) = read_traces(log.path)
        for given in ({}, [], "Hi", {"messages": [{"role": "alien"}]}, {"messages": 1}):
            with pytest.raises(DataError, match="none of LlamaIndex's"):
                llm.collect([LoggedTrace(logged.trace, given)], progress=False)

    def test_an_input_that_cannot_be_written_is_left_out(self, llm, log):
        llm.chat([ChatMessage(content="Hi", additional_kwargs={"name": "me"})])
        (logged,) = read_traces(log.path)
        assert logged.input["messages"][0]["additional_kwargs"] == {"name": "me"}
        message = ChatMessage(content="Hi", additional_kwargs={"name": object()})
        assert text(llm.chat([message])) == GOOD.text
        assert read_traces(log.path)[1].input is None


class TestShadow:
    async def settled(self, llm):
        assert await llm.ajoin_shadows(20)
        assert llm._shadows.failed == llm._shadows.skipped == 0

    async def test_the_user_gets_the_incumbent_and_the_log_the_cascade(
        self, build, ask, log, scripted_server
    ):
        llm = build(shadow="strong")
        response = await ask(llm, "What is it?")
        assert text(response) == GOOD.text
        record = response.additional_kwargs["cascade"]
        assert record["models_run"] == ["strong"]
        await self.settled(llm)
        (logged,) = read_traces(log.path)
        assert logged.shadow
        assert logged.trace.models_run == ("weak", "strong")
        assert logged.trace.total_cost > record["total_cost"]
        assert [r["model"] for r in scripted_server.requests] == ["strong", "weak"]

    async def test_where_it_is_not_asked_for_its_answer_is_logged_all_the_same(
        self, build, ask, log
    ):
        llm = build(GOOD, shadow="strong")
        await ask(llm, "What is it?")
        await self.settled(llm)
        (logged,) = read_traces(log.path)
        assert logged.trace.models_run == ("weak",)
        assert logged.beside["strong"].text == GOOD.text
        assert not llm.collect([logged], progress=False).missing()

    async def test_the_user_does_not_wait(self, build, ask):
        gate = threading.Event()
        llm = build(Reply("late", gate=gate), shadow="strong")
        assert text(await ask(llm, "What is it?")) == GOOD.text
        assert not await llm.ajoin_shadows(0)
        gate.set()
        await self.settled(llm)

    async def test_nothing_that_happens_there_reaches_the_user(self, build, ask, caplog, log):
        llm = build(Reply.error(500), shadow="strong", max_cost=1e-9)
        assert text(await ask(llm, "What is it?")) == GOOD.text
        assert await llm.ajoin_shadows(20)
        assert llm._shadows.failed == 1  # the cap is below every model
        assert "InfeasibleBudgetError" in caplog.text
        assert not log.path.exists()

    async def test_a_call_that_names_a_child_has_no_shadow(self, build, ask, log):
        llm = build(shadow="strong")
        await ask(llm, "What is it?", model="weak")
        (logged,) = read_traces(log.path)
        assert not logged.shadow
        assert logged.trace.chosen == "weak"

    def test_when_the_incumbent_fails_it_is_not_asked_again(self, build, log, scripted_server):
        llm = build(GOOD, Reply.error(500), shadow="strong")
        with pytest.raises(Exception, match="every model that could be tried failed"):
            llm.complete("What is it?")
        assert llm.join_shadows(20)
        (logged,) = read_traces(log.path)
        assert logged.trace.chosen == "weak"
        assert [r["model"] for r in scripted_server.requests] == ["strong", "weak"]

    def test_forms_are_played_too(self, build, log):
        class City(BaseModel):
            name: str

        fits = lambda r: Reply.call("City", name="Lima")  # noqa: E731
        llm = build(Reply("no form"), fits, shadow="strong")
        assert llm.structured_predict(City, PromptTemplate("Which?")) == City(name="Lima")
        assert llm.join_shadows(20)
        (logged,) = read_traces(log.path)
        assert logged.shadow
        assert [f.model for f in logged.trace.failures] == ["weak"]
        assert logged.trace.chosen == "strong"

    def test_it_is_written_down_with_the_rest_and_checked(self, build):
        with pytest.raises(ConfigurationError, match="shadow='medium' is none of the children"):
            build(shadow="medium")
        llm = build(shadow="strong")
        assert llm.to_dict()["shadow"] == "strong"
        assert copy.deepcopy(llm).shadow == "strong"
        assert pickle.loads(pickle.dumps(llm)).shadow == "strong"  # noqa: S301  its own
