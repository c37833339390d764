"""Graphs of LangGraph on a cascade of real clients: what is streamed, and what is remembered."""

from __future__ import annotations

from threading import Event

import pytest

pytest.importorskip("langchain.agents")
pytest.importorskip("langchain_openai")

from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from langchain_cascade import CascadeRoutingLLM
from tests.helpers import whole
from tests.langchain_agents import ASKED, THREAD, add, user
from tests.scripted import Reply, sure


def test_messages_are_streamed_without_drafts(cascades):
    agent = create_agent(cascades.make(), [add])
    pieces = list(agent.stream(user(), stream_mode="messages"))
    check_streamed(cascades, pieces)


async def test_messages_are_streamed_without_drafts_async(cascades):
    agent = create_agent(cascades.make(), [add])
    check_streamed(cascades, [p async for p in agent.astream(user(), stream_mode="messages")])


def check_streamed(cascades, pieces):
    """A call, its result and the answer, each once and each of the right child."""
    by_id = {}
    for message, _ in pieces:
        by_id.setdefault(message.id, []).append(message)
    called, result, answer = map(whole, by_id.values())
    assert [(c["name"], c["args"]) for c in called.tool_calls] == [("add", {"a": 2, "b": 40})]
    assert (result.content, result.tool_call_id) == ("42", called.tool_calls[0]["id"])
    assert answer.text == f"{cascades.answering} answers: {ASKED}"
    for message in (called, answer):
        assert message.response_metadata["cascade"]["chosen"] == cascades.answering
        used = message.usage_metadata["output_tokens"]
        assert message.response_metadata["cascade"]["calls"][-1]["output_tokens"] == used


def test_updates_and_messages_together(cascades):
    agent = create_agent(cascades.make(), [add])
    modes = [mode for mode, _ in agent.stream(user(), stream_mode=["updates", "messages"])]
    assert modes.count("updates") == 3
    assert cascades.asked() == cascades.rounds(2)


class Notes(MessagesState):
    """A graph's state."""

    drafts: int


def graph_of(llm):
    """A graph whose node asks a model, and one that counts."""

    def ask(state):
        return {"messages": [llm.invoke(state["messages"])]}

    def count(state):
        return {"drafts": len(state["messages"][-1].response_metadata["cascade"]["models_run"])}

    graph = StateGraph(Notes)
    graph.add_node("ask", ask)
    graph.add_node("count", count)
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "count")
    graph.add_edge("count", END)
    return graph


async def test_a_graph_streams_the_answer_once(cascades):
    graph = graph_of(cascades.make()).compile()
    streams = [
        list(graph.stream(user(), stream_mode="messages")),
        [piece async for piece in graph.astream(user(), stream_mode="messages")],
    ]
    for pieces in streams:
        assert "".join(m.text for m, _ in pieces) == f"{cascades.answering} answers: {ASKED}"
        assert {meta["langgraph_node"] for _, meta in pieces} == {"ask"}
        assert len({m.id for m, _ in pieces}) == 1


def held(server):
    """A cascade whose last child says one word, and the rest when the gate is opened."""
    gate = Event()
    models = [
        server.chat("weak", sure(0.5)),
        server.chat("strong", Reply("one two three", holds={2: gate})),
    ]
    return CascadeRoutingLLM(models=models), gate


def test_the_last_child_streams_live_in_a_graph(scripted_server):
    llm, gate = held(scripted_server)
    pieces = graph_of(llm).compile().stream(user(), stream_mode="messages")
    assert next(message.text for message, _ in pieces if message.text) == "one"
    gate.set()
    assert "".join(message.text for message, _ in pieces) == " two three"


async def test_the_last_child_streams_live_in_an_agent(scripted_server):
    llm, gate = held(scripted_server)
    pieces = create_agent(llm, [add]).astream(user(), stream_mode="messages")
    async for message, _ in pieces:
        if message.text:
            break
    assert message.text == "one"
    gate.set()
    assert "".join([message.text async for message, _ in pieces]) == " two three"


async def test_events_of_a_graph_show_no_draft(cascades):
    graph = graph_of(cascades.make()).compile()
    shown = [
        event["data"]["chunk"].text
        async for event in graph.astream_events(user(), version="v2")
        if event["event"] == "on_chat_model_stream"
    ]
    assert "".join(shown) == f"{cascades.answering} answers: {ASKED}"


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
def test_the_newer_protocol_shows_no_draft(cascades):
    told = f"{cascades.answering} answers: {ASKED}"
    run = graph_of(cascades.make()).compile().stream_events(user(), version="v3")
    assert ["".join(message.text) for message in run.messages] == [told]
    assert run.output["messages"][-1].text == told
    run = create_agent(cascades.make(), [add]).stream_events(user(), version="v3")
    assert ["".join(message.text) for message in run.messages] == ["", told]
    assert [m.type for m in run.output["messages"]] == ["human", "ai", "tool", "ai"]


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
async def test_the_newer_protocol_shows_no_draft_async(cascades):
    graph = graph_of(cascades.make()).compile()
    run = await graph.astream_events(user(), version="v3")
    shown = [await message.text async for message in run.messages]
    assert shown == [f"{cascades.answering} answers: {ASKED}"]


def test_nodes_in_parallel_keep_their_answers_apart(cascades):
    llm = cascades.make()
    graph = StateGraph(MessagesState)
    for name in ("left", "right"):
        graph.add_node(name, lambda _, name=name: {"messages": [llm.invoke(name)]})
        graph.add_edge(START, name)
    by_node = {"left": "", "right": ""}
    for message, meta in graph.compile().stream(user(), stream_mode="messages"):
        by_node[meta["langgraph_node"]] += message.text
    assert by_node == {name: f"{cascades.answering} answers: {name}" for name in by_node}


def test_an_agent_within_a_graph(cascades):
    graph = StateGraph(MessagesState)
    graph.add_node("agent", create_agent(cascades.make(), [add]))
    graph.add_edge(START, "agent")
    pieces = graph.compile().stream(user(), stream_mode="messages", subgraphs=True)
    check_streamed(cascades, [piece for _, piece in pieces])


def test_a_graph_remembers(cascades):
    graph = graph_of(cascades.make()).compile(checkpointer=InMemorySaver())
    graph.invoke(user("One?"), THREAD)
    state = graph.invoke(user("Two?"), THREAD)
    assert [m.type for m in state["messages"]] == ["human", "ai", "human", "ai"]
    assert state["drafts"] == sum(cascades.rounds(1))
    told = cascades.server.asked("weak")[-1]["messages"]
    assert [m["content"] for m in told] == ["One?", f"{cascades.answering} answers: One?", "Two?"]
