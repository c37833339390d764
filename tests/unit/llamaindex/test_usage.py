"""What a LlamaIndex response says of the tokens it used and the tools it wants called."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ToolCallBlock,
)
from llama_index.llms.openai.utils import from_openai_message
from openai.types.chat import ChatCompletion

from cascade_engine import ToolCall, Usage
from llamaindex_cascade._messages import answer_of

READ = Usage(100, 50, 60, reasoning_tokens=30)
OPENAI = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 60},
    "completion_tokens_details": {"reasoning_tokens": 30},
}
ANTHROPIC = {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 5}
GEMINI = {
    "prompt_token_count": 100,
    "cached_content_token_count": 60,
    "candidates_token_count": 20,
    "thoughts_token_count": 30,
    "total_token_count": 150,
}
BEDROCK = {
    "inputTokens": 10,
    "cacheReadInputTokens": 90,
    "outputTokens": 5,
    "totalTokens": 105,
}


def chat(raw=None, blocks=(), message_kwargs=None, **kwargs):
    message = ChatMessage(
        role="assistant", blocks=list(blocks), additional_kwargs=message_kwargs or {}
    )
    return ChatResponse(message=message, raw=raw, **kwargs)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"usage": OPENAI}, READ),
        (SimpleNamespace(usage=OPENAI), READ),
        ({"usage": ANTHROPIC}, Usage(100, 5, 90)),
        ({"usage": SimpleNamespace(**ANTHROPIC)}, Usage(100, 5, 90)),
        ({"usage": BEDROCK}, Usage(100, 5, 90)),
        ({"usage_metadata": GEMINI}, READ),
        ({"prompt_eval_count": 26, "eval_count": 298}, Usage(26, 298)),
        ({"usage": None}, None),
        ({}, None),
        (None, None),
    ],
)
def test_every_part_is_read(raw, expected):
    assert answer_of(chat(raw), 0.1).usage == expected
    assert answer_of(CompletionResponse(text="Hi", raw=raw), 0.1).usage == expected


def test_usage_beside_a_response_without_any_is_read():
    kwargs = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert answer_of(chat({"id": 1}, additional_kwargs=kwargs), 0.1).usage == Usage(3, 4)
    assert answer_of(chat({"usage": OPENAI}, additional_kwargs=kwargs), 0.1).usage == READ


CALLS = (ToolCall("add", {"a": 1}), ToolCall("add", '{"a": '))


def test_tool_calls_are_read_from_blocks():
    blocks = [
        ToolCallBlock(tool_name="add", tool_kwargs={"a": 1}),
        ToolCallBlock(tool_name="add", tool_kwargs='{"a": '),
    ]
    assert answer_of(chat(blocks=blocks), 0.1).tool_calls == CALLS


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "tool_use", "name": "add", "input": {"a": 1}},
        {"toolUseId": "1", "name": "add", "input": {"a": 1}},
        SimpleNamespace(function=SimpleNamespace(name="add", arguments='{"a": 1}')),
    ],
)
def test_tool_calls_are_read_from_the_keywords_of_a_message(entry):
    response = chat(message_kwargs={"tool_calls": [entry]})
    assert answer_of(response, 0.1).tool_calls == CALLS[:1]


def test_a_response_of_openai_is_read_whole_and_its_calls_once():
    functions = [{"name": "add", "arguments": text} for text in ('{"a": 1}', '{"a": ')]
    raw = ChatCompletion.model_validate(
        {
            "id": "1",
            "created": 0,
            "model": "gpt",
            "object": "chat.completion",
            "usage": OPENAI,
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "tool_calls",
                    "message": {
                        "role": "assistant",
                        "tool_calls": [
                            {"id": str(i), "type": "function", "function": function}
                            for i, function in enumerate(functions)
                        ],
                    },
                }
            ],
        }
    )
    message = from_openai_message(raw.choices[0].message, modalities=["text"])
    answer = answer_of(ChatResponse(message=message, raw=raw), 0.1)
    assert answer.tool_calls == CALLS
    assert answer.usage == READ
    assert answer.finish_reason == "tool_calls"


def test_a_completion_calls_no_tools():
    assert answer_of(CompletionResponse(text="Hi"), 0.1).tool_calls == ()
    assert answer_of(chat(), 0.1).tool_calls == ()
