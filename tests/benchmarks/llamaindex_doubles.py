"""LlamaIndex: models that answer at once, and the ways to ask them that are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
)
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback

from llamaindex_cascade import CascadeRoutingLLM

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cascade_engine import Answer, CascadeDataset, Price

NAME = "LlamaIndex"


def raw_of(answer: Answer) -> dict[str, Any]:
    """What a provider says of the recorded answer."""
    logprobs = {"content": [{"logprob": value} for value in answer.logprobs or ()]}
    usage = answer.usage
    tokens = {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens}
    return {"choices": [{"logprobs": logprobs, "finish_reason": "stop"}], "usage": tokens}


class _Model(CustomLLM):
    """What a model needs besides answering."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_chat_model=True, model_name="instant")

    @llm_completion_callback()
    def stream_complete(self, prompt, **kwargs):
        raise NotImplementedError


class Instant(_Model):
    """Says what it is told to, at once."""

    says: dict[str, Any]

    @llm_completion_callback()
    def complete(self, prompt, **kwargs):
        text, raw = self.says[prompt]
        return CompletionResponse(text=text, raw=raw)

    @llm_chat_callback()
    def chat(self, messages, **kwargs):
        text, raw = self.says[messages[-1].content]
        return ChatResponse(message=ChatMessage(role="assistant", content=text), raw=raw)


class Bare(_Model):
    """Hands every call on: the least that a model around a model costs."""

    child: Any

    @llm_completion_callback()
    def complete(self, prompt, **kwargs):
        return self.child.complete(prompt)

    @llm_chat_callback()
    def chat(self, messages, **kwargs):
        return self.child.chat(messages)


def ways(
    said: Mapping[str, Mapping[str, Answer]],
    train: CascadeDataset,
    prices: Mapping[str, Price],
    lam: float,
) -> dict[str, dict[str, Callable[[str], str]]]:
    """By kind of call the ways to make it: each from a prompt to the text of the answer."""
    models = {
        name: Instant(says={p: (answer.text, raw_of(answer)) for p, answer in answers.items()})
        for name, answers in said.items()
    }
    first = next(iter(models.values()))
    cascade = CascadeRoutingLLM(models=models, prices=prices).fit(train)
    plain = {"alone": first, "bare": Bare(child=first)}
    asked = {
        "complete": lambda model, p, **kw: model.complete(p, **kw).text,
        "chat": lambda model, p, **kw: model.chat([ChatMessage(content=p)], **kw).message.content,
    }
    return {
        kind: {way: lambda p, m=m, ask=ask: ask(m, p) for way, m in plain.items()}
        | {"cascade": lambda p, ask=ask: ask(cascade, p, lam=lam)}
        for kind, ask in asked.items()
    }
