"""Prompts from templates, for children that only complete: each has a format of its own."""

from __future__ import annotations

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.base.llms.types import ChatMessage, CompletionResponse, LLMMetadata
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from pydantic import Field

from llamaindex_cascade import CascadeRoutingLLM

PROMPT = PromptTemplate("Say {word}")
CHAT = ChatPromptTemplate([ChatMessage(role="system", content="Be"), ChatMessage(content="{word}")])


class Local(CustomLLM):
    """A model that runs here, in the format it was trained in; `told` is what it gets."""

    model: str = "a"
    told: list[str] = Field(default_factory=list)

    def __init__(self, model, **fields):
        super().__init__(
            model=model,
            completion_to_prompt=lambda prompt: f"<{model}>{prompt}",
            messages_to_prompt=lambda messages: f"<{model}>{[m.content for m in messages]}",
            **fields,
        )

    @property
    def metadata(self):
        return LLMMetadata(model_name=self.model)

    @llm_completion_callback()
    def complete(self, prompt, *, formatted=False, **kwargs):
        self.told.append(prompt if formatted else self.completion_to_prompt(prompt))
        return CompletionResponse(text="" if self.model == "a" else "done")

    @llm_completion_callback()
    def stream_complete(self, prompt, *, formatted=False, **kwargs):
        whole = self.complete(prompt, formatted=formatted)
        return (CompletionResponse(text=each, delta=each) for each in (whole.text,))


def cascade(**fields):
    """Its first child says nothing, and the second is asked."""
    return CascadeRoutingLLM([Local("a"), Local("b")], **fields)


def told(llm):
    return [child.told for child in llm.llms.values()]


@pytest.mark.parametrize("prompt", [PROMPT, CHAT], ids=["text", "chat"])
async def test_each_child_has_its_own_as_when_it_is_asked_itself(prompt):
    llm, alone = cascade(), Local("b")
    assert llm.predict(prompt, word="Hi") == "done"
    assert await llm.apredict(prompt, word="Hi") == "done"
    assert list(llm.stream(prompt, word="Hi"))
    assert [each async for each in await llm.astream(prompt, word="Hi")]
    alone.predict(prompt, word="Hi")
    asked = alone.told[0]
    assert asked.startswith("<b>")
    assert told(llm) == [[asked.replace("<b>", "<a>")] * 4, [asked] * 4]


def test_what_the_cascade_adds_is_around_it():
    llm = cascade(system_prompt="Be brief.")
    llm.predict(PROMPT, word="Hi")
    assert told(llm) == [["Be brief.\n\n<a>Say Hi"], ["Be brief.\n\n<b>Say Hi"]]


def test_a_format_of_the_cascades_holds_for_all():
    llm = cascade(completion_to_prompt=lambda prompt: f"[{prompt}]")
    llm.predict(PROMPT, word="Hi")
    assert told(llm) == [["[Say Hi]"]] * 2


def test_a_prompt_that_is_said_to_be_formatted_is_left():
    llm = cascade()
    llm.complete("Hi", formatted=True)
    llm.complete("Hi")
    assert told(llm) == [["Hi", "<a>Hi"], ["Hi", "<b>Hi"]]
