"""The children of a cascade: their names, and how they are asked."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
)
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM

from cascade_engine import _naming
from llamaindex_cascade._messages import answer_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from cascade_engine import Answer
    from cascade_engine._advisers import Adviser
    from llamaindex_cascade._messages import Response

_NAMES = ("model", "model_name", "model_id", "deployment_name", "name")


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the cascade, as each child is to get it.

    Attributes:
        kind: what comes of it.
        asked: messages for a chat, a prompt for a completion.
        options: further keywords of the call.
        tools: keywords of `chat_with_tools`, or None where no tools are offered.
    """

    kind: type[ChatResponse | CompletionResponse]
    asked: Sequence[ChatMessage] | str
    options: Mapping[str, Any]
    tools: Mapping[str, Any] | None = None

    @classmethod
    def of_prompt(cls, prompt: str) -> Request:
        """A plain question, such as an adviser is asked."""
        return cls(ChatResponse, [ChatMessage(content=prompt)], {})

    def name(self, prefix: str = "") -> str:
        """The method that serves it."""
        return prefix + ("chat" if self.kind is ChatResponse else "complete")

    def method(self, llm: LLM, prefix: str = "") -> tuple[Any, dict[str, Any]]:
        """The child's method, and keywords that are its own to change: providers do change them."""
        name, options = self.name(prefix), _own(self.options)
        if isinstance(self.asked, str):
            return getattr(llm, name), {"prompt": self.asked, **options}
        messages = [message.model_copy(deep=True) for message in self.asked]
        if self.tools is None:
            return getattr(llm, name), {"messages": messages, **options}
        options |= _own(self.tools)
        return getattr(llm, f"{name}_with_tools"), {"chat_history": messages, **options}


@dataclass(frozen=True, slots=True)
class Child:
    """One LLM of the cascade.

    Attributes:
        name: its name.
        llm: the LLM.
    """

    name: str
    llm: LLM

    def ask(self, request: Request) -> Answer:
        """Its answer to a request."""
        start = time.perf_counter()
        method, options = request.method(self.llm)
        response = method(**options)
        return answer_of(response, time.perf_counter() - start)

    async def aask(self, request: Request) -> Answer:
        """The same; in a thread where the LLM has no asynchronous method of its own."""
        if self._blocks(request.name("a")):
            return await asyncio.to_thread(self.ask, request)
        start = time.perf_counter()
        method, options = request.method(self.llm, "a")
        response = await method(**options)
        return answer_of(response, time.perf_counter() - start)

    def stream(self, request: Request) -> Generator[Response, None, None]:
        """Its answer in chunks."""
        method, options = request.method(self.llm, "stream_")
        chunks: Generator[Response, None, None] = method(**options)
        return chunks

    async def astream(self, request: Request) -> AsyncGenerator[Response, None]:
        """The same, without blocking the event loop."""
        if self._blocks(request.name("astream_")):
            return _threaded(await asyncio.to_thread(self.stream, request))
        method, options = request.method(self.llm, "astream_")
        chunks: AsyncGenerator[Response, None] = await method(**options)
        return chunks

    def _blocks(self, name: str) -> bool:
        # `CustomLLM.achat` and its like call the synchronous methods, on the event loop.
        owner = next(c for c in type(self.llm).__mro__ if name in vars(c))
        return owner is CustomLLM


def name_children(llms: Any) -> dict[str, LLM]:
    """LLMs by name; those in a sequence are named after what they call."""
    return _naming.name_children(llms, LLM, called="LlamaIndex LLM", name_of=_name)


def name_advisers(given: Mapping[str, Any], models: Sequence[str]) -> dict[Adviser, LLM]:
    """What asks each adviser: see `cascade_engine._naming.name_advisers`."""
    return _naming.name_advisers(given, models, LLM, called="LlamaIndex LLM")


def joint_metadata(llms: Mapping[str, LLM]) -> LLMMetadata:
    """What holds whichever child answers."""
    each = [llm.metadata for llm in llms.values()]
    outputs = [one.num_output for one in each]
    return LLMMetadata(
        context_window=min(one.context_window for one in each),
        num_output=max(outputs) if min(outputs) > 0 else -1,
        is_chat_model=any(one.is_chat_model for one in each),
        is_function_calling_model=any(calls_tools(llm) for llm in llms.values()),
        model_name=f"cascade({', '.join(llms)})",
    )


def calls_tools(llm: LLM) -> bool:
    """Whether a child can be offered tools."""
    return isinstance(llm, FunctionCallingLLM) and llm.metadata.is_function_calling_model


def _name(child: Any) -> str:
    values = (getattr(child, attribute, None) for attribute in _NAMES)
    named = (value for value in values if isinstance(value, str) and value)
    return next(named, type(child).__name__)


def _own(value: Any) -> Any:
    """Copies of the containers; what is in them may be tools and clients, which stay."""
    if isinstance(value, Mapping):
        return {key: _own(item) for key, item in value.items()}
    return copy.copy(value) if isinstance(value, (list, set)) else value


async def _threaded(
    chunks: Generator[Response, None, None],
) -> AsyncGenerator[Response, None]:
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk
