"""Token usage and tool calls, as providers report them."""

from __future__ import annotations

from types import SimpleNamespace

import genai_prices
import pytest
from genai_prices.types import Usage as ListedUsage
from openai.types import CompletionUsage
from openai.types.responses import ResponseUsage

from cascade_engine import Price, ToolCall, Usage
from cascade_engine.answers.provider_reports import token_usage, tool_calls

OPENAI = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 10, "cache_write_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 4},
}
RESPONSES = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 0},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 30},
    "total_tokens": 150,
}
ANTHROPIC = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 20,
    "cache_read_input_tokens": 70,
    "output_tokens": 50,
    "service_tier": "standard",
}
BEDROCK = {
    "inputTokens": 10,
    "cacheReadInputTokens": 70,
    "cacheWriteInputTokens": 20,
    "outputTokens": 50,
    "totalTokens": 150,
}
GEMINI = {
    "promptTokenCount": 100,
    "cachedContentTokenCount": 60,
    "candidatesTokenCount": 20,
    "thoughtsTokenCount": 30,
    "totalTokenCount": 150,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 60},
        {"modality": "IMAGE", "tokenCount": 25},
        {"modality": "AUDIO", "tokenCount": 15},
    ],
    "cacheTokensDetails": [
        {"modality": "TEXT", "tokenCount": 45},
        {"modality": "AUDIO", "tokenCount": 15},
    ],
}
SHAPES = {
    "openai": (OPENAI, Usage(100, 50, 60, 5, 0, 10, 30, 4)),
    "openai_responses": (RESPONSES, Usage(100, 50, 60, reasoning_tokens=30)),
    "openai_realtime": (
        {
            "input_tokens": 100,
            "output_tokens": 50,
            "input_token_details": {
                "text_tokens": 40,
                "audio_tokens": 50,
                "image_tokens": 10,
                "cached_tokens": 45,
                "cached_tokens_details": {"text_tokens": 15, "audio_tokens": 30},
            },
            "output_token_details": {"text_tokens": 20, "audio_tokens": 30},
        },
        Usage(100, 50, 45, image_tokens=10, audio_input_tokens=20, audio_output_tokens=30),
    ),
    "anthropic": (ANTHROPIC, Usage(100, 50, 70, 20)),
    "anthropic_cached_by_nobody": (
        {**ANTHROPIC, "cache_creation_input_tokens": None, "cache_read_input_tokens": 0},
        Usage(10, 50),
    ),
    "bedrock": (BEDROCK, Usage(100, 50, 70, 20)),
    "gemini": (GEMINI, Usage(100, 50, 60, image_tokens=25, reasoning_tokens=30)),
    "gemini_in_python": (
        {
            "prompt_token_count": 100,
            "cached_content_token_count": None,
            "candidates_token_count": None,  # blocked
            "thoughts_token_count": 30,
            "tool_use_prompt_token_count": 7,
            "total_token_count": 137,
            "prompt_tokens_details": [
                SimpleNamespace(modality="MediaModality.IMAGE", token_count=25),
                SimpleNamespace(modality="MediaModality.TEXT", token_count=75),
            ],
        },
        Usage(107, 30, image_tokens=25, reasoning_tokens=30),
    ),
    "ollama": ({"prompt_eval_count": 26, "eval_count": 298, "done": True}, Usage(26, 298)),
    "deepseek": (
        {"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 5},
        Usage(9, 2, 5),
    ),
    "grok": (
        {
            "prompt_tokens": 32,
            "completion_tokens": 9,
            "total_tokens": 135,
            "prompt_tokens_details": {"text_tokens": 32, "image_tokens": 0, "cached_tokens": 6},
            "completion_tokens_details": {"reasoning_tokens": 94},
        },
        Usage(32, 103, 6, reasoning_tokens=94),
    ),
    "litellm_in_front_of_anthropic": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "total_tokens": 150,
            "cache_read_input_tokens": 70,
            "cache_creation_input_tokens": 20,
        },
        Usage(100, 50, 70, 20),
    ),
    "langchain": (
        {
            "input_tokens": 350,
            "output_tokens": 240,
            "total_tokens": 590,
            "input_token_details": {"audio": 10, "cache_creation": 200, "cache_read": 100},
            "output_token_details": {"audio": 10, "reasoning": 200},
        },
        Usage(350, 240, 100, 200, 0, 10, 200, 10),
    ),
    "langchain_openai_flex": (
        {
            "input_tokens": 100,
            "output_tokens": 50,
            "total_tokens": 150,
            "input_token_details": {"flex_cache_read": 60, "flex": 40},
            "output_token_details": {"flex_reasoning": 30, "flex": 20},
        },
        Usage(100, 50, 60, reasoning_tokens=30),
    ),
    "langchain_anthropic_by_time_to_live": (
        {
            "input_tokens": 100,
            "output_tokens": 50,
            "total_tokens": 150,
            "input_token_details": {
                "cache_read": 70,
                "cache_creation": 0,
                "ephemeral_5m_input_tokens": 5,
                "ephemeral_1h_input_tokens": 15,
            },
        },
        Usage(100, 50, 70, 20),
    ),
    "langchain_bedrock_beside": (
        {
            "input_tokens": 10,
            "output_tokens": 50,
            "total_tokens": 150,
            "input_token_details": {"cache_read": 70, "cache_creation": 20},
        },
        Usage(100, 50, 70, 20),
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_usage_is_read_with_its_parts_inside(shape):
    report, expected = SHAPES[shape]
    assert token_usage(report) == expected
    assert token_usage(SimpleNamespace(**report)) == expected
    Price(1, 1).of(token_usage(report))


def test_usage_is_read_from_the_objects_of_a_client():
    assert token_usage(CompletionUsage(**OPENAI)) == SHAPES["openai"][1]
    assert token_usage(ResponseUsage(**RESPONSES)) == SHAPES["openai_responses"][1]
    assert token_usage(CompletionUsage(prompt_tokens=3, completion_tokens=4, total_tokens=7)) == (
        Usage(3, 4)
    )


@pytest.mark.parametrize(
    ("provider", "flavor", "report", "root"),
    [
        ("openai", "chat", OPENAI, "usage"),
        ("openai", "responses", RESPONSES, "usage"),
        ("anthropic", "default", ANTHROPIC, "usage"),
        ("aws", "default", BEDROCK, "usage"),
        ("google", "default", GEMINI, "usageMetadata"),
    ],
)
def test_usage_is_read_as_genai_prices_reads_it(provider, flavor, report, root):
    read = genai_prices.extract_usage({root: report}, provider_id=provider, api_flavor=flavor).usage
    ours = token_usage(report)
    assert isinstance(read, ListedUsage)
    assert read.input_tokens == ours.input_tokens
    assert read.output_tokens == ours.output_tokens
    assert read.reported_value("cache_read_tokens") == ours.cached_tokens
    assert read.reported_value("cache_write_tokens") == ours.cache_write_tokens
    assert read.reported_value("output_reasoning_tokens") == ours.reasoning_tokens


@pytest.mark.parametrize(
    ("model", "provider", "report"),
    [
        ("gpt-4o-mini", "openai", RESPONSES),
        ("claude-sonnet-4-5", "anthropic", ANTHROPIC),
        ("gemini-2.5-pro", "google", {k: GEMINI[k] for k in GEMINI if "Details" not in k}),
    ],
)
def test_a_call_costs_what_genai_prices_says(model, provider, report):
    ours = token_usage(report)
    theirs = ListedUsage(
        input_tokens=ours.input_tokens,
        output_tokens=ours.output_tokens,
        cache_read_tokens=ours.cached_tokens,
        cache_write_tokens=ours.cache_write_tokens,
    )
    listed = genai_prices.calc_price(theirs, model, provider_id=provider)
    price = Price.of_model(model, provider)
    assert price.of(ours) == pytest.approx(float(listed.total_price))


@pytest.mark.parametrize(
    "report",
    [None, {}, [], "usage", 7, {"total_cost": 0}, {"total_tokens": 9}, {"input_tokens": None}],
)
def test_what_counts_no_tokens_is_no_usage(report):
    assert token_usage(report) is None


def test_a_piece_of_a_stream_may_count_one_side():
    assert token_usage({"output_tokens": 9}) == Usage(0, 9)
    assert token_usage({"input_tokens": 9}) == Usage(9, 0)
    assert token_usage({"output_tokens": 9, "total_tokens": 19}) == Usage(10, 9)


@pytest.mark.parametrize("bad", [-1, 0.5, float("nan"), float("inf"), "3", True, [4]])
def test_a_count_that_is_none_counts_as_not_reported(bad):
    report = {"input_tokens": 5, "output_tokens": 3, "input_token_details": {"cache_read": bad}}
    assert token_usage(report) == Usage(5, 3)
    assert token_usage({**report, "output_tokens": bad}) == Usage(5, 0)
    assert token_usage({**report, "total_tokens": bad}) == Usage(5, 3)


def test_whole_floats_are_counts():
    assert token_usage({"input_tokens": 5.0, "output_tokens": 3.0}) == Usage(5, 3)


def test_a_part_greater_than_its_total_is_added_to_it():
    report = {
        "input_tokens": 10,
        "output_tokens": 5,
        "total_tokens": 15,
        "input_token_details": {"cache_read": 70},
        "output_token_details": {"reasoning": 30},
    }
    assert token_usage(report) == Usage(80, 35, 70, reasoning_tokens=30)


def test_parts_that_overlap_are_charged_once():
    details = {"cached_tokens": 80, "audio_tokens": 50}  # of which 30 or more were cached
    report = {"prompt_tokens": 100, "completion_tokens": 0, "prompt_tokens_details": details}
    assert token_usage(report) == Usage(100, 0, 80, audio_input_tokens=20)


CALL = ToolCall("add", {"a": 1})


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "add", "args": {"a": 1}, "id": "x", "type": "tool_call"},
        {"name": "add", "args": '{"a": 1}', "error": None, "type": "invalid_tool_call"},
        {"id": "x", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}},
        SimpleNamespace(function=SimpleNamespace(name="add", arguments='{"a": 1}')),
        SimpleNamespace(tool_name="add", tool_kwargs={"a": 1}),
        {"type": "tool_use", "id": "x", "name": "add", "input": {"a": 1}},
        {"toolUseId": "x", "name": "add", "input": {"a": 1}},
    ],
)
def test_tool_calls_are_read(entry):
    assert tool_calls([entry, entry]) == (CALL, CALL)


@pytest.mark.parametrize("written", ["", '{"a": ', "[1]", "7", "null", "add one"])
def test_arguments_that_are_no_object_stay_as_they_were_written(written):
    assert tool_calls([{"name": "add", "args": written}]) == (ToolCall("add", written),)


def test_a_call_may_lack_everything():
    assert tool_calls([{"name": None, "args": None}]) == (ToolCall("", ""),)
    assert tool_calls([{"name": "add", "args": [1, 2]}]) == (ToolCall("add", "[1, 2]"),)
    assert tool_calls([{"name": "now", "args": {}}]) == (ToolCall("now", {}),)


@pytest.mark.parametrize("entries", [None, [], (), "add", {"name": "add"}, 7])
def test_no_calls_are_none(entries):
    assert tool_calls(entries) == ()
