"""LangChain: models that answer at once, and the ways to ask them that are compared."""

from __future__ import annotations

import asyncio
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_cascade import CascadeRoutingLLM

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cascade_engine import Answer, CascadeDataset, Price

NAME = "LangChain"
_PIECES = 8


def message_of(answer: Answer, kind: type[AIMessage] = AIMessage) -> Any:
    """The recorded answer as a provider's integration returns it."""
    logprobs = [{"token": "t", "logprob": value} for value in answer.logprobs or ()]
    usage = answer.usage
    return kind(
        answer.text,
        response_metadata={"finish_reason": "stop", "logprobs": {"content": logprobs}},
        usage_metadata={
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
        },
    )


class Instant(BaseChatModel):
    """Says what it is told to, at once."""

    says: dict[str, Any]
    pieces: dict[str, Any]

    @property
    def _llm_type(self) -> str:
        return "instant"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        message = self.says[messages[-1].content].model_copy()
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        return self._generate(messages)

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        for piece in self.pieces[messages[-1].content]:
            yield ChatGenerationChunk(message=piece.model_copy())


class Bare(BaseChatModel):
    """Hands every call on: the least that a model around a model costs."""

    child: BaseChatModel

    @property
    def _llm_type(self) -> str:
        return "bare"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return ChatResult(generations=[ChatGeneration(message=self.child.invoke(messages))])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        message = await self.child.ainvoke(messages)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        for piece in self.child.stream(messages):
            yield ChatGenerationChunk(message=piece)


def instant(answers: Mapping[str, Answer]) -> Instant:
    """A model that gives these answers, whole or in pieces."""
    says = {prompt: message_of(answer) for prompt, answer in answers.items()}
    return Instant(says=says, pieces={p: _pieces(answer) for p, answer in answers.items()})


def _pieces(answer: Answer) -> list[AIMessageChunk]:
    size = len(answer.text) // _PIECES + 1
    texts = [answer.text[i : i + size] for i in range(0, len(answer.text), size)]
    last = message_of(answer, AIMessageChunk)
    return [*(AIMessageChunk(text) for text in texts), last.model_copy(update={"content": ""})]


def ways(
    said: Mapping[str, Mapping[str, Answer]],
    train: CascadeDataset,
    prices: Mapping[str, Price],
    lam: float,
) -> dict[str, dict[str, Callable[[str], str]]]:
    """By kind of call the ways to make it: each from a prompt to the text of the answer."""
    models = {name: instant(answers) for name, answers in said.items()}
    first, *others = models.values()
    cascade = CascadeRoutingLLM(models=models, prices=prices).fit(train)
    every = {
        "alone": (first, None),
        "bare": (Bare(child=first), None),
        "with_fallbacks": (first.with_fallbacks(others), None),
        "cascade": (cascade, {"configurable": {"lam": lam}}),
    }
    loop = asyncio.new_event_loop()
    return {
        "invoke": {
            way: lambda p, m=m, c=c: m.invoke(p, c).content for way, (m, c) in every.items()
        },
        "ainvoke": {
            way: lambda p, m=m, c=c: loop.run_until_complete(m.ainvoke(p, c)).content
            for way, (m, c) in every.items()
        },
        "stream": {
            way: lambda p, m=m, c=c: reduce(add, m.stream(p, c)).content
            for way, (m, c) in every.items()
        },
    }
