"""Conversations that several providers took part in."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_cascade import CascadeRoutingLLM
from langchain_cascade._history import readable_by

CALL = {"name": "add", "args": {"a": 1}, "id": "toolu_1", "type": "tool_call"}
SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": "abc"}
USED = {"type": "tool_use", "name": "add", "input": {"a": 1}, "id": "toolu_1"}

ANTHROPIC = AIMessage(
    [SIGNED, {"type": "text", "text": "Let me add."}, USED],
    tool_calls=[CALL],
    response_metadata={"model_provider": "anthropic", "stop_reason": "tool_use"},
    id="msg_01",
)
RESPONSES = AIMessage(
    [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"type": "text", "text": "Lima", "annotations": [], "id": "msg_1"},
    ],
    response_metadata={"model_provider": "openai", "id": "resp_1"},
    id="resp_1",
)
DEEPSEEK = AIMessage(
    "Lima",
    additional_kwargs={"reasoning_content": "Peru, so..."},
    response_metadata={"model_provider": "deepseek"},
)
GEMINI = AIMessage(
    [
        {"type": "thinking", "thinking": "Hm."},
        {"type": "text", "text": "Lima", "extras": {"signature": "s"}},
    ],
    additional_kwargs={"__gemini_function_call_thought_signatures__": {"1": "x"}},
    response_metadata={"model_provider": "google_genai"},
)
STANDARD = AIMessage(
    [
        {"type": "reasoning", "reasoning": "Hm.", "extras": {"signature": "abc"}},
        {"type": "text", "text": "Let me add."},
        CALL,
    ],
    tool_calls=[CALL],
    response_metadata={"model_provider": "anthropic", "output_version": "v1"},
)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (ANTHROPIC, "Let me add."),
        (RESPONSES, "Lima"),
        (DEEPSEEK, "Lima"),
        (GEMINI, "Lima"),
        (STANDARD, "Let me add."),
    ],
)
def test_another_providers_answer_is_what_it_says(written, text):
    before = written.model_copy(deep=True)
    (read,) = readable_by("mistralai", [written])
    assert read.content == text
    assert read.tool_calls == written.tool_calls
    assert (read.additional_kwargs, read.response_metadata, read.id) == ({}, {}, None)
    assert written == before


@pytest.mark.parametrize(
    ("provider", "written"),
    [
        ("anthropic", ANTHROPIC),
        ("anthropic-mantle", ANTHROPIC),
        ("openai", RESPONSES),
        ("azure", RESPONSES),
        ("deepseek", DEEPSEEK),
        ("google_genai", GEMINI),
        (None, ANTHROPIC),
    ],
)
def test_its_own_are_left_as_they_are(provider, written):
    messages = [HumanMessage("Hi"), written]
    assert readable_by(provider, messages) is messages


def test_calls_and_results_stay_together():
    result = ToolMessage("2", tool_call_id="toolu_1", name="add")
    messages = [HumanMessage("1 + 1?"), ANTHROPIC, result, AIMessage("2")]
    asked, called, same, answer = readable_by("openai", messages)
    assert called.tool_calls[0]["id"] == same.tool_call_id
    assert (asked, same, answer) == (messages[0], result, messages[3])
    assert answer is messages[3]


def test_a_call_in_the_content_alone_is_kept():
    written = AIMessage([{"type": "text", "text": "Adding."}, USED])
    (read,) = readable_by("openai", [written])
    assert read.content == "Adding."
    assert read.tool_calls == [CALL]


def test_blocks_give_away_who_wrote_them():
    unsigned = AIMessage([SIGNED, {"type": "text", "text": "Hello"}])
    (read,) = readable_by("openai", [unsigned])
    assert read.content == "Hello"
    assert readable_by("anthropic", [unsigned])[0] is unsigned


def test_media_and_refusals_are_kept():
    image = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}
    meta = {"model_provider": "google_genai"}
    drawn = AIMessage([{"type": "text", "text": "Here:"}, image], response_metadata=meta)
    (read,) = readable_by("openai", [drawn])
    assert [block["type"] for block in read.content] == ["text", "image"]
    refusal = AIMessage(
        "",
        additional_kwargs={"refusal": "I can't."},
        response_metadata={"model_provider": "openai"},
    )
    assert readable_by("anthropic", [refusal])[0].content == "I can't."


def test_marks_of_what_to_cache():
    mark = {"cache_control": {"type": "ephemeral"}}
    messages = [
        SystemMessage([{"type": "text", "text": "Rules.", **mark}]),
        HumanMessage(["Hi", {"type": "text", "text": "there", **mark}], additional_kwargs=mark),
    ]
    system, human = readable_by("openai", messages)
    assert system.content == [{"type": "text", "text": "Rules."}]
    assert human.content == ["Hi", {"type": "text", "text": "there"}]
    assert human.additional_kwargs == {}
    assert "cache_control" in messages[0].content[0]
    for provider in ("anthropic", "amazon_bedrock"):
        assert readable_by(provider, messages)[0] is messages[0]


def test_what_a_child_wrote_itself_it_can_read():
    record = {"cascade": {"chosen": "mine"}, **ANTHROPIC.response_metadata}
    written = ANTHROPIC.model_copy(update={"response_metadata": record})
    assert readable_by("my-proxy", [written], "mine")[0] is written
    assert readable_by("my-proxy", [written], "other")[0].content == "Let me add."


def test_a_cascade_as_a_child_sorts_it_out_itself(fakes):
    inner = CascadeRoutingLLM(models={"a": fakes.WholeChat(), "b": fakes.StreamChat()})
    outer = CascadeRoutingLLM(models={"inner": inner, "c": fakes.WholeChat()})
    assert outer._providers == {"inner": None, "c": "whole"}


def test_plain_conversations_are_the_very_same():
    messages = [HumanMessage("Hi"), AIMessage("Hello", tool_calls=[CALL]), HumanMessage("So?")]
    assert readable_by("openai", messages) is messages


async def test_each_child_gets_what_it_can_read(fakes, ask):
    seen = {}

    class Reader(fakes.WholeChat):
        provider: str

        def _get_ls_params(self, stop=None, **kwargs):
            return {**super()._get_ls_params(stop, **kwargs), "ls_provider": self.provider}

        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            seen[self.provider] = messages[1]
            return super()._generate(messages, stop, run_manager, **kwargs)

    models = {
        name: Reader(provider=name, model_name=name, script=fakes.Say(name, 0.5))
        for name in ("openai", "anthropic")
    }
    await ask(CascadeRoutingLLM(models=models), [HumanMessage("Hi"), ANTHROPIC, HumanMessage("?")])
    assert seen["openai"].content == "Let me add."
    assert seen["anthropic"].content == ANTHROPIC.content
    assert seen["anthropic"].tool_calls == seen["openai"].tool_calls == [CALL]
