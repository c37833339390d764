"""What a LangChain message says of the tokens it used and the tools it wants called."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import RunnableLambda

from cascade_engine import ToolCall, Usage
from langchain_cascade import CascadeRoutingLLM, Price
from langchain_cascade._messages import answer_of
from tests.helpers import whole

USAGE = {
    "input_tokens": 350,
    "output_tokens": 240,
    "total_tokens": 590,
    "input_token_details": {"audio": 10, "cache_creation": 200, "cache_read": 100},
    "output_token_details": {"audio": 10, "reasoning": 200},
}
READ = Usage(350, 240, 100, 200, 0, 10, 200, 10)


def usage_of(**fields):
    return answer_of(AIMessage("Hi", **fields), 0.1).usage


def test_every_part_is_read():
    assert usage_of(usage_metadata=USAGE) == READ


def test_a_stream_reports_in_pieces():
    start = {"input_tokens": 350, "output_tokens": 0, "total_tokens": 350}
    end = {**USAGE, "input_tokens": 0, "total_tokens": 240}
    chunks = [AIMessageChunk(text, usage_metadata=u) for text, u in (("Hi", start), ("!", end))]
    assert answer_of(whole(chunks), 0.1).usage == READ


@pytest.mark.parametrize(
    "metadata",
    [
        {"token_usage": {"prompt_tokens": 3, "completion_tokens": 4}},
        {"usage": {"input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 4}},
        {"prompt_eval_count": 3, "eval_count": 4},
    ],
)
def test_an_integration_that_reports_none_is_read_from_its_response(metadata):
    usage = usage_of(response_metadata=metadata)
    assert (usage.input_tokens, usage.output_tokens) == (3, 4)


def test_a_cache_hit_that_counts_no_tokens_used_none_that_are_known():
    hit = AIMessage("Hi", response_metadata={"token_usage": {"prompt_tokens": 3}})
    hit.usage_metadata = {"total_cost": 0}
    assert answer_of(hit, 0.1).usage is None
    assert usage_of() is None


def test_tool_calls_are_read_with_those_that_are_no_json():
    message = AIMessage(
        "",
        tool_calls=[{"name": "add", "args": {"a": 1}, "id": "1"}],
        invalid_tool_calls=[{"name": "add", "args": '{"a": ', "id": "2", "error": "cut off"}],
    )
    calls = answer_of(message, 0.1).tool_calls
    assert calls == (ToolCall("add", {"a": 1}), ToolCall("add", '{"a": '))
    assert answer_of(AIMessage("Hi"), 0.1).tool_calls == ()


def test_tool_calls_of_a_stream_are_read():
    parts = [('{"a": ', "add"), ("1}", None)]
    chunks = [
        AIMessageChunk("", tool_call_chunks=[{"name": name, "args": args, "id": None, "index": 0}])
        for args, name in parts
    ]
    assert answer_of(whole(chunks), 0.1).tool_calls == (ToolCall("add", {"a": 1}),)


def test_cached_tokens_are_charged_as_cached_and_recorded(fakes):
    weak = fakes.WholeChat(model_name="weak", script=fakes.Say("a poor draft", 0.5))
    strong = RunnableLambda(lambda _: AIMessage("the right answer", usage_metadata=USAGE))
    prices = {"weak": Price(1, 1), "strong": Price(10, 20, cached=1, cache_write=12, reasoning=30)}
    llm = CascadeRoutingLLM(models={"weak": weak, "strong": strong}, prices=prices)
    first, last = llm.invoke("Hi").response_metadata["cascade"]["calls"]
    assert last["cost"] == pytest.approx((50 * 10 + 100 + 200 * 12 + 40 * 20 + 200 * 30) / 1e6)
    parts = {key: count for key, count in last.items() if key.endswith("_tokens")}
    assert parts == {key: count for key, count in asdict(READ).items() if count}
    assert [key for key in first if key.endswith("_tokens")] == ["input_tokens", "output_tokens"]
