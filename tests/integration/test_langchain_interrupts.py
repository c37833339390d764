"""A graph that is interrupted within a child stops there: the child has not failed."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

pytest.importorskip("langgraph")

from langchain_core.language_models import FakeListChatModel
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from langchain_cascade import CascadeRoutingLLM
from tests.langchain_agents import ASKED, THREAD, records, user


class Sum(BaseModel):
    """A sum."""

    a: int
    b: int


def approved(messages):
    """Lets a human have a look before anything is sent."""
    return interrupt("May I?") and messages


def asked_first(server, **fields):
    """A cascade whose first child asks a human first."""
    weak = RunnableLambda(approved) | server.chat("weak")
    return CascadeRoutingLLM(models={"weak": weak, "strong": server.chat("strong")}, **fields)


def graph_of(node):
    graph = StateGraph(MessagesState)
    graph.add_node("ask", node)
    graph.add_edge(START, "ask")
    return graph.compile(checkpointer=InMemorySaver())


def invoking(llm):
    return lambda state: {"messages": llm.invoke(state["messages"])}


def streaming(llm):
    def node(state):
        *_, last = llm.stream(state["messages"])
        return {"messages": last}

    return node


@pytest.mark.parametrize("way", [invoking, streaming])
@pytest.mark.parametrize("options", [{}, {"max_retries": 2}])
def test_an_interrupt_reaches_the_graph(scripted_server, way, options):
    graph = graph_of(way(asked_first(scripted_server, **options)))
    (asked,) = graph.invoke(user(), THREAD)["__interrupt__"]
    assert asked.value == "May I?"
    assert scripted_server.requests == []
    state = graph.invoke(Command(resume=True), THREAD)
    (record,) = records(state)
    assert (record["models_run"], record["failures"]) == (["weak"], [])
    assert [r["model"] for r in scripted_server.requests] == ["weak"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="contexts of tasks come with Python 3.11")
@pytest.mark.parametrize("streamed", [False, True])
async def test_without_blocking(scripted_server, streamed):
    llm = asked_first(scripted_server)

    async def node(state):
        if not streamed:
            return {"messages": await llm.ainvoke(state["messages"])}
        chunks = [chunk async for chunk in llm.astream(state["messages"])]
        return {"messages": chunks[-1]}

    graph = graph_of(node)
    (asked,) = (await graph.ainvoke(user(), THREAD))["__interrupt__"]
    assert asked.value == "May I?"
    state = await graph.ainvoke(Command(resume=True), THREAD)
    assert [record["models_run"] for record in records(state)] == [["weak"]]
    assert [r["model"] for r in scripted_server.requests] == ["weak"]


def test_a_last_child_is_streamed_live_and_may_be_interrupted(scripted_server):
    strong = RunnableLambda(approved) | scripted_server.chat("strong")
    graph = graph_of(streaming(CascadeRoutingLLM(models={"strong": strong})))
    assert "__interrupt__" in graph.invoke(user(), THREAD)
    graph.invoke(Command(resume=True), THREAD)
    assert [r["model"] for r in scripted_server.requests] == ["strong"]


def test_within_a_form(scripted_server):
    sums = asked_first(scripted_server).with_structured_output(Sum, include_raw=True)

    def node(state):
        assert sums.invoke(state["messages"])["parsed"] == Sum(a=2, b=40)
        return {}

    graph = graph_of(node)
    assert "__interrupt__" in graph.invoke(user(), THREAD)
    graph.invoke(Command(resume=True), THREAD)
    assert [r["model"] for r in scripted_server.requests] == ["weak"]


def test_any_other_error_is_the_childs():
    def broken(messages):
        raise RuntimeError("no")

    models = {"weak": RunnableLambda(broken), "strong": FakeListChatModel(responses=["well"])}
    message = CascadeRoutingLLM(models=models).invoke(ASKED)
    (failure,) = message.response_metadata["cascade"]["failures"]
    assert failure["model"] == "weak"
    assert 0 <= failure["seconds"] < 60


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_draft_that_fails_in_a_stream_took_time(way):
    def broken(messages):
        raise RuntimeError("no")

    models = {"weak": RunnableLambda(broken), "strong": FakeListChatModel(responses=["well"])}
    llm = CascadeRoutingLLM(models=models)

    async def drained():
        return [chunk async for chunk in llm.astream(ASKED)]

    chunks = list(llm.stream(ASKED)) if way == "stream" else asyncio.run(drained())
    (failure,) = chunks[-1].response_metadata["cascade"]["failures"]
    assert 0 <= failure["seconds"] < 60


def test_langgraph_is_not_imported_for_it():
    code = """if True:
        import sys
        from langchain_core.language_models import FakeListChatModel
        from langchain_core.runnables import RunnableLambda
        from langchain_cascade import CascadeRoutingLLM

        def broken(messages):
            raise RuntimeError("no")

        models = {"weak": RunnableLambda(broken), "strong": FakeListChatModel(responses=["well"])}
        assert CascadeRoutingLLM(models=models).invoke("Hi").text == "well"
        assert "langgraph" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True)
