"""Tools over real clients: what is sent, how a call is judged, and what streams of it."""

from __future__ import annotations

import pytest

pytest.importorskip("langchain_openai")

from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool

from langchain_cascade import CascadeRoutingLLM
from tests.helpers import whole
from tests.scripted import Reply, ToolCall, plain, sure

ASKED = "What is 2 + 40?"


@tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def record(message):
    return message.response_metadata["cascade"]


async def in_every_way(llm, given):
    """The message in each of the four ways of asking."""
    yield llm.invoke(given)
    yield await llm.ainvoke(given)
    yield whole(list(llm.stream(given)))
    yield whole([chunk async for chunk in llm.astream(given)])


async def test_a_call_comes_back_whichever_way(cascades):
    llm = cascades.make().bind_tools([add])
    async for message in in_every_way(llm, ASKED):
        (call,) = message.tool_calls
        assert (call["name"], call["args"]) == ("add", {"a": 2, "b": 40})
        assert record(message)["chosen"] == cascades.answering
        assert record(message)["calls"][-1]["finish_reason"] == "tool_calls"


def test_what_is_bound_is_sent(cascades):
    llm = cascades.make().bind_tools(
        [add], tool_choice="add", strict=True, parallel_tool_calls=False
    )
    llm.invoke(ASKED)
    for request in cascades.server.requests:
        (sent,) = request["tools"]
        assert sent["function"]["strict"] is True
        assert request["tool_choice"]["function"]["name"] == "add"
        assert request["parallel_tool_calls"] is False


@pytest.mark.parametrize(
    ("probability", "call_logprobs", "runs"),
    [(0.99, True, ["weak"]), (0.5, True, ["weak", "strong"]), (0.99, False, ["weak", "strong"])],
)
async def test_a_call_is_judged_by_its_own_log_probs(
    scripted_server, probability, call_logprobs, runs
):
    reply = Reply(
        calls=(ToolCall("add", {"a": 2, "b": 40}),),
        probability=probability,
        call_logprobs=call_logprobs,
    )
    models = [scripted_server.chat("weak", reply), scripted_server.chat("strong", sure(0.99))]
    llm = CascadeRoutingLLM(models=models).bind_tools([add])
    async for message in in_every_way(llm, ASKED):
        assert record(message)["models_run"] == runs  # without any they are unknown, not high
        assert message.text == ""


async def test_a_final_call_streams_live(scripted_server):
    llm = CascadeRoutingLLM(models=[scripted_server.chat("only")]).bind_tools([add])
    chunks = [chunk async for chunk in llm.astream(ASKED)]
    assert sum(bool(chunk.tool_call_chunks) for chunk in chunks) > 1
    (call,) = record(whole(chunks))["calls"]
    assert 0 < call["seconds_to_first_token"] <= call["seconds"]


async def test_usage_is_exact(cascades):
    llm = cascades.make().bind_tools([add])
    async for message in in_every_way(llm, ASKED):
        made = record(message)
        assert made["total_output_tokens"] == sum(c["output_tokens"] for c in made["calls"])
    with get_usage_metadata_callback() as counted:
        made = record(llm.invoke(ASKED))
    for call in made["calls"]:
        assert counted.usage_metadata[call["model"]]["output_tokens"] == call["output_tokens"]


async def test_a_history_of_another_provider_can_be_read(cascades):
    used = {"type": "tool_use", "name": "add", "input": {"a": 1, "b": 2}, "id": "toolu_1"}
    mark = {"cache_control": {"type": "ephemeral"}}
    history = [
        HumanMessage([{"type": "text", "text": "1 + 2?", **mark}]),
        AIMessage(
            [
                {"type": "thinking", "thinking": "Hm.", "signature": "abc"},
                {"type": "text", "text": "Adding."},
                used,
            ],
            tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "toolu_1"}],
            response_metadata={"model_provider": "anthropic"},
        ),
        ToolMessage("3", tool_call_id="toolu_1"),
        HumanMessage("And now?"),
    ]
    llm = cascades.make(lambda request: plain({**request, "tools": []})).bind_tools([add])
    async for message in in_every_way(llm, history):
        assert message.text == f"{cascades.answering} answers: And now?"
    for request in cascades.server.requests:
        human, answer, result, _ = request["messages"]
        assert human["content"] == [{"type": "text", "text": "1 + 2?"}]
        assert answer["content"] == "Adding."
        assert answer["tool_calls"][0]["id"] == result["tool_call_id"] == "toolu_1"
