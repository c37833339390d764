"""Agents of LangChain, and their middleware, on a cascade of real clients.

Each test runs twice: with the first child's answers taken, and with an escalation at every call.
"""

from __future__ import annotations

import asyncio
import json

import pytest

pytest.importorskip("langchain.agents")
pytest.importorskip("langchain_openai")

from langchain.agents import create_agent
from langchain.agents.middleware import (
    HumanInTheLoopMiddleware,
    LLMToolSelectorMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    SummarizationMiddleware,
)
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel, Field

from langchain_cascade import CascadeRoutingLLM
from tests.langchain_agents import ASKED, THREAD, add, look, records, user
from tests.scripted import Reply, ToolCall, plain, question_of, sure


class Sum(BaseModel):
    """A sum."""

    a: int = Field(description="the first number")
    b: int
    note: str | None = None


async def test_tools_are_called(cascades):
    agent = create_agent(cascades.make(), [add, look])
    for state in (agent.invoke(user()), await agent.ainvoke(user())):
        _, called, result, answer = state["messages"]
        (call,) = called.tool_calls
        assert (call["name"], call["args"]) == ("add", {"a": 2, "b": 40})
        assert (result.content, result.tool_call_id) == ("42", call["id"])
        assert answer.text == f"{cascades.answering} answers: {ASKED}"
        assert [record["chosen"] for record in records(state)] == [cascades.answering] * 2
    assert cascades.asked() == cascades.rounds(4)


def test_every_child_sees_the_tools_and_what_they_gave(cascades):
    create_agent(cascades.make(), [add, look], system_prompt="Be brief.").invoke(user())
    for model in ("weak", cascades.answering):
        first, second = cascades.server.asked(model)
        assert [t["function"]["name"] for t in first["tools"]] == ["add", "look"]
        assert [m["role"] for m in second["messages"]] == ["system", "user", "assistant", "tool"]
        assert second["messages"][-1]["content"] == "42"
        # The record of the decision is no business of a provider's.
        known = {"role", "content", "tool_calls", "tool_call_id"}
        assert all(set(message) <= known for message in second["messages"])


def test_calls_in_parallel(cascades):
    def script(request):
        if request["messages"][-1]["role"] == "user":
            return Reply(
                calls=(ToolCall("add", {"a": 1, "b": 2}), ToolCall("look", {"where": "sea"}))
            )
        results = [m["content"] for m in request["messages"] if m["role"] == "tool"]
        return Reply(" and ".join(results))

    state = create_agent(cascades.make(script), [add, look]).invoke(user())
    assert [m.name for m in state["messages"] if isinstance(m, ToolMessage)] == ["add", "look"]
    assert state["messages"][-1].text == "3 and nothing at sea"


@pytest.mark.parametrize("strategy", [ProviderStrategy, ToolStrategy])
async def test_a_structured_response(cascades, strategy):
    agent = create_agent(cascades.make(), [add], response_format=strategy(Sum))
    for state in (agent.invoke(user()), await agent.ainvoke(user())):
        assert state["structured_response"] == Sum(a=2, b=40, note=ASKED)
        assert next(m.content for m in state["messages"] if isinstance(m, ToolMessage)) == "42"
    asked = cascades.server.asked(cascades.answering)
    if strategy is ProviderStrategy:
        assert all(r["response_format"]["json_schema"]["name"] == "Sum" for r in asked)
    else:
        assert all([t["function"]["name"] for t in r["tools"]] == ["add", "Sum"] for r in asked)
        assert all(r["tool_choice"] == "required" for r in asked)
    assert cascades.asked() == cascades.rounds(4)


def test_a_structured_response_where_the_agent_chooses_how(cascades):
    profile = {"structured_output": True}
    for options in ({}, {"profile": profile}):
        agent = create_agent(cascades.make(options=options), [add], response_format=Sum)
        assert agent.invoke(user())["structured_response"] == Sum(a=2, b=40, note=ASKED)
    ways = ["response_format" in request for request in cascades.server.requests]
    half = len(ways) // 2
    assert ways == [False] * half + [True] * half


def test_a_wrong_structured_response_is_asked_for_again(cascades):
    def script(request):
        wrong = all(m["role"] != "tool" for m in request["messages"])
        return Reply.call("Sum", a="many") if wrong else Reply.call("Sum", a=1, b=2)

    agent = create_agent(cascades.make(script), [], response_format=ToolStrategy(Sum))
    state = agent.invoke(user())
    assert state["structured_response"] == Sum(a=1, b=2)
    assert "Error" in state["messages"][2].content


def test_a_conversation_goes_on(cascades):
    agent = create_agent(cascades.make(), [add], checkpointer=InMemorySaver())
    agent.invoke(user(), THREAD)
    state = agent.invoke(user("And 1 + 1?"), THREAD)
    assert len(state["messages"]) == 8
    assert state["messages"][-1].text == f"{cascades.answering} answers: And 1 + 1?"
    assert [record["chosen"] for record in records(state)] == [cascades.answering] * 4
    kept = agent.get_state(THREAD).values["messages"]
    assert records({"messages": kept}) == records(state)
    assert len(agent.invoke(user(), {"configurable": {"thread_id": "two"}})["messages"]) == 4


@pytest.mark.parametrize(
    ("decision", "outcome"),
    [
        ({"type": "approve"}, "42"),
        (
            {"type": "edit", "edited_action": {"name": "add", "args": {"a": 5, "b": 6}}},
            "11",
        ),
        ({"type": "reject", "message": "Not today."}, "Not today."),
    ],
)
def test_a_human_in_the_loop(cascades, decision, outcome):
    agent = create_agent(
        cascades.make(),
        [add],
        middleware=[HumanInTheLoopMiddleware(interrupt_on={"add": True})],
        checkpointer=InMemorySaver(),
    )
    (interrupt,) = agent.invoke(user(), THREAD)["__interrupt__"]
    assert interrupt.value["action_requests"][0]["args"] == {"a": 2, "b": 40}
    assert cascades.asked() == cascades.rounds(1)
    state = agent.invoke(Command(resume={"decisions": [decision]}), THREAD)
    (result,) = [m.content for m in state["messages"] if isinstance(m, ToolMessage)]
    assert outcome in result
    assert state["messages"][-1].text == f"{cascades.answering} answers: {ASKED}"
    assert cascades.asked() == cascades.rounds(2)


def test_history_is_summarised(cascades):
    def script(request):
        if "extract" in question_of(request):
            return Reply(f"{request['model']} sums up: twice the same question")
        return plain(request)

    llm = cascades.make(script)
    middleware = SummarizationMiddleware(llm, trigger=("messages", 5), keep=("messages", 2))
    agent = create_agent(llm, [], middleware=[middleware], checkpointer=InMemorySaver())
    for text in ("One?", "Two?"):
        agent.invoke(user(text), THREAD)
    pieces = list(agent.stream(user("Three?"), THREAD, stream_mode="messages"))
    kept = agent.get_state(THREAD).values["messages"]
    assert [m.text for m in kept[1:]] == [
        f"{cascades.answering} answers: Two?",
        "Three?",
        f"{cascades.answering} answers: Three?",
    ]
    assert f"{cascades.answering} sums up" in kept[0].text
    shown = "".join(m.text for m, _ in pieces if isinstance(m, AIMessageChunk))
    assert shown.endswith(f"{cascades.answering} answers: Three?")
    assert shown.count("answers") == 1


def test_a_history_too_long_to_be_summarised_at_once_is_cut(cascades):
    def script(request):
        if len(str(request["messages"])) > 9000:
            return Reply.error(400, code="context_length_exceeded")
        return plain(request)

    llm = cascades.make(script)
    middleware = SummarizationMiddleware(
        llm, trigger=("messages", 4), keep=("messages", 1), trim_tokens_to_summarize=None
    )
    history = [("human", "a" * 3000), ("ai", "b" * 3000), ("human", "c" * 3000), ("human", ASKED)]
    state = create_agent(llm, [], middleware=[middleware]).invoke({"messages": history})
    assert state["messages"][-1].text == f"{cascades.answering} answers: {ASKED}"


def test_history_is_summarised_at_a_share_of_what_the_children_can_read(cascades):
    llm = cascades.make(options={"profile": {"max_input_tokens": 60}})
    middleware = SummarizationMiddleware(llm, trigger=("fraction", 0.5), keep=("messages", 1))
    agent = create_agent(llm, [], middleware=[middleware], checkpointer=InMemorySaver())
    agent.invoke(user("One?"), THREAD)
    before = sum(cascades.asked())
    agent.invoke(user("word " * 60), THREAD)
    assert sum(cascades.asked()) == 3 * before  # a summary, and the answer


def test_tools_are_selected(cascades):
    selector = LLMToolSelectorMiddleware(max_tools=1)
    agent = create_agent(cascades.make(), [add, look], middleware=[selector])
    state = agent.invoke(user())
    assert state["messages"][-1].text == f"{cascades.answering} answers: {ASKED}"
    offered = [
        [t["function"]["name"] for t in request.get("tools", ())]
        for request in cascades.server.requests
    ]
    assert offered.count(["add"]) == sum(cascades.rounds(2))
    assert not any("look" in names for names in offered)


def test_a_fallback_is_not_needed_while_a_child_answers(cascades):
    spare = cascades.server.chat("spare")
    llm = cascades.make(weak=Reply.error(500))
    agent = create_agent(llm, [add], middleware=[ModelFallbackMiddleware(spare)])
    assert agent.invoke(user())["messages"][-1].text == f"strong answers: {ASKED}"
    assert cascades.server.asked("spare") == []


def test_a_fallback_behind_the_cascade(cascades):
    spare = cascades.server.chat("spare")
    llm = cascades.make(Reply.error(500))
    agent = create_agent(llm, [add], middleware=[ModelFallbackMiddleware(spare)])
    assert agent.invoke(user())["messages"][-1].text == f"spare answers: {ASKED}"
    assert cascades.asked() == (2, 2)


async def test_the_cascade_as_a_fallback(cascades):
    main = cascades.server.chat("main", Reply.error(500))
    agent = create_agent(main, [add], middleware=[ModelFallbackMiddleware(cascades.make())])
    for state in (agent.invoke(user()), await agent.ainvoke(user())):
        assert state["messages"][-1].text == f"{cascades.answering} answers: {ASKED}"


def test_a_cascade_that_fails_is_tried_again(cascades):
    failed = set()

    def script(request):
        if request["model"] in failed:
            return plain(request)
        failed.add(request["model"])
        return Reply.error(500)

    retry = ModelRetryMiddleware(max_retries=1, initial_delay=0, jitter=False)
    agent = create_agent(cascades.make(script), [add], middleware=[retry])
    assert agent.invoke(user())["messages"][-1].text == f"{cascades.answering} answers: {ASKED}"


def test_a_cap_reaches_the_cascade_in_an_agent(cascades):
    agent = create_agent(cascades.make(), [add])
    # Enough for any call of the first child, for none of the second.
    state = agent.invoke(user(), {"configurable": {"max_cost": 0.001}})
    assert {tuple(record["models_run"]) for record in records(state)} == {("weak",)}
    assert all(record["total_cost"] <= 0.001 for record in records(state))
    assert cascades.asked() == (2, 0)


def test_a_cap_bound_to_the_cascade_holds_in_an_agent(cascades):
    capped = cascades.make().with_config(configurable={"max_cost": 0.001})
    create_agent(capped, [add]).invoke(user())
    assert cascades.asked() == (2, 0)


def test_usage_is_exact_in_an_agent(cascades):
    with get_usage_metadata_callback() as counted:
        state = create_agent(cascades.make(), [add]).invoke(user())
    told = {}
    for record in records(state):
        for call in record["calls"]:
            told[call["model"]] = told.get(call["model"], 0) + call["output_tokens"]
    assert {m: used["output_tokens"] for m, used in counted.usage_metadata.items()} == told
    assert set(told) == {"weak", cascades.answering}


async def test_many_conversations_at_once(cascades):
    agent = create_agent(cascades.make(), [add])
    asked = [f"What is {i} + {i * i}?" for i in range(8)]
    states = agent.batch([user(text) for text in asked], {"max_concurrency": 4})
    states += await asyncio.gather(*(agent.ainvoke(user(text)) for text in asked))
    for i, state in enumerate(states):
        _, called, result, answer = state["messages"]
        n = i % 8
        assert called.tool_calls[0]["args"] == {"a": n, "b": n * n}
        assert result.content == str(n + n * n)
        assert answer.text == f"{cascades.answering} answers: {asked[n]}"
        assert [record["chosen"] for record in records(state)] == [cascades.answering] * 2


def switching(server, **options):
    """The second child is sure of its calls, and in doubt of what it says after a tool's result."""

    def medium(request):
        return sure(0.97 if request["messages"][-1]["role"] == "user" else 0.5)(request)

    models = [
        server.chat("weak", sure(0.5)),
        server.chat("medium", medium),
        server.chat("strong", **options),
    ]
    return CascadeRoutingLLM(models=models)


@pytest.mark.parametrize("options", [{}, {"output_version": "v1"}])
def test_the_child_changes_within_a_conversation(scripted_server, options):
    llm = switching(scripted_server, **options)
    agent = create_agent(llm, [add], checkpointer=InMemorySaver())
    state = agent.invoke(user(), THREAD)
    state = agent.invoke(user("And 1 + 1?"), THREAD)
    chosen = [record["chosen"] for record in records(state)]
    assert chosen == ["medium", "strong"] * 2
    assert state["messages"][-1].text == "strong answers: And 1 + 1?"
    # The strong child carries on what the other began, with the same calls and results.
    weak, strong = scripted_server.asked("weak")[-1], scripted_server.asked("strong")[-1]
    assert weak["messages"] == strong["messages"]
    roles = ["user", "assistant", "tool", "assistant"]
    assert [m["role"] for m in strong["messages"]] == roles + roles[:3]
    first, second = (m["tool_calls"][0] for m in strong["messages"] if m.get("tool_calls"))
    assert first["id"] != second["id"]
    assert json.loads(second["function"]["arguments"]) == {"a": 1, "b": 1}


def test_a_history_of_someone_elses(cascades):
    history = [
        HumanMessage("One?"),
        AIMessage("", tool_calls=[{"name": "look", "args": {"where": "sea"}, "id": "c1"}]),
        ToolMessage("nothing", tool_call_id="c1"),
        AIMessage("There is nothing."),
        HumanMessage(ASKED),
    ]
    answer = cascades.make().bind_tools([add, look]).invoke(history)
    assert answer.tool_calls[0]["name"] == "add"
    assert cascades.asked() == cascades.rounds(1)
