"""A cascade's log, drafts that are broken off, and shadow mode, over real clients."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("langchain_openai")

from langchain_core.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
    get_usage_metadata_callback,
)
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import BaseModel

from cascade_engine import ConfigurationError, DataError, Price
from cascade_engine.data.collection import Collection
from cascade_engine.data.traffic import LoggedTrace, TraceLog, read_traces
from cascade_engine.errors import SessionStateError
from langchain_cascade import CascadeRoutingLLM, TraceLogHandler
from tests.helpers import check_left_early, until, whole
from tests.scripted import Reply, sure

PRICES = {"weak": Price(1, 1), "strong": Price(10, 10)}
LONG = " ".join(f"word{i}" for i in range(40))
POOR = Reply(LONG, probability=0.3)
GOOD = Reply("the right answer")


@pytest.fixture
def log(tmp_path):
    return TraceLog(tmp_path / "traffic.jsonl")


@pytest.fixture
def build(scripted_server, log):
    def build(weak=POOR, strong=GOOD, *, logged=True, **fields):
        models = {
            "weak": scripted_server.chat("weak", weak),
            "strong": scripted_server.chat("strong", strong),
        }
        callbacks = [TraceLogHandler(log)] if logged else None
        return CascadeRoutingLLM(models=models, prices=PRICES, callbacks=callbacks, **fields)

    return build


@pytest.fixture(params=["invoke", "ainvoke", "stream", "astream", "generate"])
def ask(request):
    """Asks in one of five ways; the message."""

    async def run(llm, question, config=None, **kwargs):
        if request.param == "invoke":
            return llm.invoke(question, config, **kwargs)
        if request.param == "ainvoke":
            return await llm.ainvoke(question, config, **kwargs)
        if request.param == "stream":
            return whole(list(llm.stream(question, config, **kwargs)))
        if request.param == "astream":
            return whole([chunk async for chunk in llm.astream(question, config, **kwargs)])
        callbacks = (config or {}).get("callbacks")
        found = llm.generate([[HumanMessage(question)]], callbacks=callbacks, **kwargs)
        return found.generations[0][0].message

    return run


class TestLog:
    async def test_every_query_is_logged(self, build, ask, log):
        llm = build()
        message = await ask(llm, "What is it?")
        (logged,) = read_traces(log.path)
        assert logged.trace.models_run == ("weak", "strong")
        assert logged.query.text == "What is it?"
        assert [one.text for one in logged.answers.values()] == [LONG, GOOD.text]
        assert logged.answers["weak"].logprobs
        assert not logged.shadow
        record = message.response_metadata["cascade"]
        assert logged.trace.total_cost == record["total_cost"]
        assert logged.trace.to_dict().items() <= record.items()

    async def test_a_stream_that_its_reader_leaves_is_logged(self, build, log):
        llm = build()
        stream = llm.stream("Hi", {"configurable": {"model": "strong"}})
        assert any(chunk.text for chunk in stream)
        stream.close()
        live = llm.astream("Hi", {"configurable": {"model": "strong"}})
        while not (await anext(live)).text:
            pass
        await live.aclose()
        # Upstream leaves it to the event loop to close a stream.
        await until(lambda: len(read_traces(log.path)) == 2)
        check_left_early(read_traces(log.path))
        assert Collection.from_traces(log.path).missing()  # half an answer is none

    async def test_a_stream_that_breaks_once_it_was_seen_is_logged(self, build, log):
        llm = build(strong=Reply(LONG, cut=20))
        with pytest.raises(Exception, match="peer closed connection"):
            list(llm.stream("Hi", {"configurable": {"model": "strong"}}))
        with pytest.raises(Exception, match="peer closed connection"):
            _ = [c async for c in llm.astream("Hi", {"configurable": {"model": "strong"}})]
        for logged in read_traces(log.path):
            assert LONG.startswith(logged.trace.failures[0].answer.text.strip())
            assert logged.trace.failures[0].answer.text

    async def test_a_handler_of_one_call_hears_of_it_once(self, build, ask, tmp_path):
        handler = TraceLogHandler(tmp_path / "own.jsonl")
        llm = build(logged=False)
        await ask(llm, "What is it?", {"callbacks": [handler]})
        await ask(llm, "And now?")
        assert [t.query.text for t in read_traces(tmp_path / "own.jsonl")] == ["What is it?"]

    async def test_handlers_of_ones_own_hear_of_it(self, build, ask):
        class Ears(BaseCallbackHandler):
            def __init__(self):
                self.heard = []

            def on_custom_event(self, name, data, *, run_id, **kwargs):
                self.heard.append((name, data))

        ears = Ears()
        await ask(build(logged=False), "What is it?", {"callbacks": [ears]})
        names = [name for name, _ in ears.heard]
        assert names == ["cascade_decision"] * 3 + ["cascade_trace"]
        assert isinstance(ears.heard[-1][1], LoggedTrace)

    async def test_asynchronous_ones_too(self, build):
        heard = []

        class Ears(AsyncCallbackHandler):
            async def on_custom_event(self, name, data, *, run_id, **kwargs):
                heard.append(name)

        await build(logged=False).ainvoke("Hi", {"callbacks": [Ears()]})
        assert heard[-1] == "cascade_trace"

    async def test_streams_of_events_do_not_show_what_was_rejected(self, build):
        llm = build()
        events = [event async for event in llm.astream_events("What is it?", version="v2")]
        assert "word7" not in repr(events)
        assert "cascade_decision" in {event["name"] for event in events}

    def test_a_query_that_nobody_answers_is_logged(self, build, log):
        llm = build(Reply.error(500), Reply.error(401))
        with pytest.raises(Exception, match="every model"):
            llm.invoke("What is it?")
        (logged,) = read_traces(log.path)
        assert logged.trace.chosen is None
        assert [f.model for f in logged.trace.failures] == ["weak", "strong"]

    async def test_a_log_that_cannot_be_written_hurts_nobody(self, build, ask, tmp_path, caplog):
        handler = TraceLogHandler(tmp_path)  # a folder
        message = await ask(build(logged=False), "What is it?", {"callbacks": [handler]})
        assert message.text == GOOD.text
        assert "IsADirectoryError" in caplog.text

    def test_no_key_is_in_it(self, build, log):
        llm = build(api_key="sk-secret")
        llm.invoke("What is it?")
        written = log.path.read_text()
        assert "sk-secret" not in written
        assert "api_key" not in written


class TestAskingAgain:
    def chat(self):
        return [("system", "Be brief."), ("human", "hard question?")]

    def test_only_who_has_not_answered_is_asked(self, build, log, scripted_server):
        llm = build(lambda r: GOOD if "easy" in str(r["messages"]) else POOR)
        for question in ("easy one", self.chat(), "easy two"):
            llm.invoke(question)
        assert len(scripted_server.requests) == 4
        found = llm.collect(read_traces(log.path), progress=False)
        new = scripted_server.requests[4:]
        assert [r["model"] for r in new] == ["strong"] * 2
        assert {str(r["messages"][-1]["content"]) for r in new} == {"easy one", "easy two"}
        assert not found.missing()
        new_cost = [found._charge("strong", found.answers(row, "strong")[0]) for row in (0, 2)]
        assert found.cost == sum(new_cost)

    def test_a_logged_conversation_is_the_same_conversation(self, build, log):
        llm = build()
        first = llm.invoke(self.chat())
        llm.invoke([*self.chat(), first, ("human", "and then?")])
        traces = read_traces(log.path)
        assert '"stopped_because"' not in str(traces[1].input)
        again = llm.collect([self.chat()], progress=False)
        assert traces[0].key == again.keys[0]
        assert llm.collect(traces, progress=False).keys == [trace.key for trace in traces]

    def test_what_no_model_is_told_makes_no_difference(self, build, log):
        llm = build()
        first = llm.invoke(self.chat())
        call = {"name": "search", "args": {}, "id": "1"}
        found = ToolMessage("Lima", tool_call_id="1", artifact=object())
        chat = [*self.chat(), first, AIMessage("", tool_calls=[call]), found, ("human", "So?")]
        llm.invoke(chat)
        logged = read_traces(log.path)[1]
        assert logged.input["messages"][4]["data"]["content"] == "Lima"
        assert logged.input["messages"][4]["data"]["artifact"] is None
        assert llm.collect([chat, logged], progress=False).keys == [logged.key] * 2
        assert found.artifact is not None

    def test_questions_of_ones_own_are_found_in_the_log(self, build, log, scripted_server):
        llm = build(GOOD)
        llm.invoke("easy one")
        known = Collection.from_traces(log.path)
        found = llm.collect(["easy one", "another"], known=known, progress=False)
        assert not found.missing()
        assert len(scripted_server.requests) == 1 + 3

    def test_a_cascade_is_fitted_on_its_log(self, build, log, scripted_server):
        llm = build(lambda r: GOOD if "easy" in str(r["messages"]) else POOR)
        for i in range(24):
            llm.invoke(f"{'easy' if i % 2 else 'hard'} question {i}?")
        before = len(scripted_server.requests)
        llm.fit(read_traces(log.path), [GOOD.text] * 24, progress=False)
        assert len(scripted_server.requests) - before == 12
        assert llm.router.is_fitted

    def test_tools_are_offered_again(self, build, log, scripted_server):
        def search(query: str) -> str:
            """Searches."""
            return query

        call = sure(0.4, lambda r: Reply.call("search", query="Lima"))
        llm = build(call, call)
        llm.bind_tools([search], tool_choice="any").invoke("Look it up")
        assert len(scripted_server.requests) == 2
        (logged,) = read_traces(log.path)
        assert logged.query.tools[0]["name"] == "search"
        lost = logged.trace.answers["weak"]
        trace = logged.trace.__class__(
            **{
                name: {"strong": logged.trace.answers["strong"]} if name == "answers" else value
                for name in logged.trace.__slots__
                for value in [getattr(logged.trace, name)]
            }
        )
        logged = LoggedTrace(trace, logged.input, logged.key, logged.time)
        found = llm.collect([logged], progress=False)
        (request,) = scripted_server.requests[2:]
        assert request["model"] == "weak"
        assert request["tools"] == scripted_server.requests[0]["tools"]
        assert request["tool_choice"] == scripted_server.requests[0]["tool_choice"]
        assert found.answers(0, "weak")[0].tool_calls == lost.tool_calls
        assert found.keys[0] == logged.key
        assert found.queries[0].tools == logged.query.tools

    def test_forms_cannot_be_asked_for_again(self, build, log):
        class City(BaseModel):
            name: str

        llm = build(lambda r: Reply('{"name": "Lima"}'), lambda r: Reply('{"name": "Lima"}'))
        llm.with_structured_output(City, method="json_schema").invoke("Which city?")
        (logged,) = read_traces(log.path)
        assert logged.trace.chosen is not None
        with pytest.raises(DataError, match="'Which city\\?' was asked with a form"):
            llm.collect([logged], progress=False)

    def test_what_is_no_message_is_refused(self, build, log):
        llm = build()
        llm.invoke("Hi")
        (logged,) = read_traces(log.path)
        for given in ({}, [], "Hi", {"messages": [{"type": "alien", "data": {}}]}):
            with pytest.raises(DataError, match="none of LangChain's"):
                llm.collect([LoggedTrace(logged.trace, given)], progress=False)

    def test_an_input_that_cannot_be_written_is_left_out(self, build, log):
        llm = build()
        earlier = AIMessage("Hm.", additional_kwargs={"thing": object()})
        llm.invoke([HumanMessage("Hi"), earlier, HumanMessage("So?")])
        (logged,) = read_traces(log.path)
        assert logged.input is None
        assert logged.query.text == "So?"


class TestShadow:
    async def settled(self, llm):
        assert await llm.ajoin_shadows(20)
        assert llm._shadows.failed == llm._shadows.skipped == 0

    async def test_the_user_gets_the_incumbent_and_the_log_the_cascade(
        self, build, ask, log, scripted_server
    ):
        llm = build(shadow="strong")
        message = await ask(llm, "What is it?")
        assert message.text == GOOD.text
        record = message.response_metadata["cascade"]
        assert record["models_run"] == ["strong"]
        assert message.usage_metadata["output_tokens"] == 3
        await self.settled(llm)
        (logged,) = read_traces(log.path)
        assert logged.shadow
        assert logged.trace.models_run == ("weak", "strong")
        assert logged.trace.total_cost > record["total_cost"]
        assert [r["model"] for r in scripted_server.requests] == ["strong", "weak"]

    async def test_where_it_is_not_asked_for_its_answer_is_logged_all_the_same(
        self, build, ask, log, scripted_server
    ):
        llm = build(GOOD, shadow="strong")
        await ask(llm, "What is it?")
        await self.settled(llm)
        (logged,) = read_traces(log.path)
        assert logged.trace.models_run == ("weak",)
        assert logged.beside["strong"].text == GOOD.text
        found = llm.collect([logged], progress=False)
        assert not found.missing()
        assert len(scripted_server.requests) == 2

    async def test_the_user_does_not_wait(self, build, ask, scripted_server):
        gate = threading.Event()
        llm = build(Reply("late", gate=gate), shadow="strong")
        assert (await ask(llm, "What is it?")).text == GOOD.text
        assert not await llm.ajoin_shadows(0)
        gate.set()
        await self.settled(llm)

    def test_the_incumbent_is_streamed_live(self, build):
        gate = threading.Event()
        llm = build(strong=Reply("one two three", holds={2: gate}), shadow="strong")
        stream = llm.stream("What is it?")
        first = next(stream)
        while not first.text:
            first = next(stream)
        assert "one" in first.text
        gate.set()
        assert "three" in whole(list(stream)).text
        assert llm.join_shadows(20)

    async def test_nothing_that_happens_there_reaches_the_user(self, build, ask, caplog, log):
        llm = build(Reply.error(500), shadow="strong", max_cost=1e-9)
        assert (await ask(llm, "What is it?")).text == GOOD.text
        assert await llm.ajoin_shadows(20)
        assert llm._shadows.failed == 1  # the cap is below every model
        assert "InfeasibleBudgetError" in caplog.text
        assert not log.path.exists()

    async def test_a_child_that_fails_there_is_in_the_log(self, build, ask, log):
        llm = build(Reply.error(500), shadow="strong")
        await ask(llm, "What is it?")
        await self.settled(llm)
        (logged,) = read_traces(log.path)
        assert [f.model for f in logged.trace.failures] == ["weak"]
        assert logged.trace.chosen == "strong"

    def test_when_the_incumbent_fails_the_user_is_told_and_the_cascade_is_not_asked_twice(
        self, build, log, scripted_server
    ):
        llm = build(GOOD, Reply.error(500), shadow="strong")
        with pytest.raises(Exception, match="every model that could be tried failed"):
            llm.invoke("What is it?")
        assert llm.join_shadows(20)
        (logged,) = read_traces(log.path)
        assert logged.trace.chosen == "weak"
        assert logged.beside == {}
        assert [r["model"] for r in scripted_server.requests] == ["strong", "weak"]

    async def test_a_call_that_names_a_child_has_no_shadow(self, build, ask, log):
        llm = build(shadow="strong")
        await ask(llm, "What is it?", model="weak")
        assert llm._shadows.pending == 0
        (logged,) = read_traces(log.path)
        assert not logged.shadow
        assert logged.trace.chosen == "weak"

    def test_too_many_are_skipped(self, build, log):
        gate = threading.Event()
        llm = build(Reply("late", gate=gate), shadow="strong")
        llm._shadows.limit = 2
        for _ in range(5):
            assert llm.invoke("What is it?").text == GOOD.text
        gate.set()
        assert llm.join_shadows(20)
        assert llm._shadows.skipped == 3
        assert len(read_traces(log.path)) == 2

    def test_its_calls_are_counted_by_callbacks_and_not_in_the_message(self, build):
        llm = build(GOOD, shadow="strong")
        with get_usage_metadata_callback() as counted:
            message = llm.invoke("What is it?")
            assert llm.join_shadows(20)
        assert set(counted.usage_metadata) == {"weak", "strong"}
        assert counted.usage_metadata["strong"] == {
            **message.usage_metadata,
            "input_token_details": counted.usage_metadata["strong"].get("input_token_details", {}),
            "output_token_details": counted.usage_metadata["strong"].get(
                "output_token_details", {}
            ),
        }

    def test_decisions_in_the_background_are_not_announced(self, build):
        heard = []

        class Ears(BaseCallbackHandler):
            def on_custom_event(self, name, data, *, run_id, **kwargs):
                heard.append((name, getattr(data, "shadow", None)))

        llm = build(logged=False, shadow="strong")
        llm.invoke("What is it?", {"callbacks": [Ears()]})
        assert llm.join_shadows(20)
        assert heard == [("cascade_decision", None)] * 2 + [("cascade_trace", True)]

    def test_copies_share_what_is_under_way(self, build):
        gate = threading.Event()
        llm = build(Reply("late", gate=gate), shadow="strong")
        other = llm.with_budget(None)
        other.invoke("What is it?")
        assert not llm.join_shadows(0)
        gate.set()
        assert llm.join_shadows(20)

    async def test_it_cannot_be_waited_for_within_a_loop(self, build):
        with pytest.raises(SessionStateError, match="await ajoin"):
            build(shadow="strong").join_shadows()

    def test_an_incumbent_that_is_none_is_refused(self, build):
        with pytest.raises(ConfigurationError, match="shadow='medium' is none of the children"):
            build(shadow="medium")

    def test_forms_are_played_too(self, build, log):
        class City(BaseModel):
            name: str

        llm = build(Reply("no form"), Reply('{"name": "Lima"}'), shadow="strong")
        asking = llm.with_structured_output(City, method="json_schema")
        assert asking.invoke("Which city?") == City(name="Lima")
        assert llm.join_shadows(20)
        (logged,) = read_traces(log.path)
        assert logged.shadow
        assert [f.model for f in logged.trace.failures] == ["weak"]
        assert logged.trace.chosen == "strong"
