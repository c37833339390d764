"""One call of the cascade, as each child is to get it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse

from cascade_engine.errors import InvalidAnswerError
from llamaindex_cascade._histories import readable
from llamaindex_cascade._messages import answer_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from llama_index.core.llms.llm import LLM

    from cascade_engine import Answer
    from llamaindex_cascade._children import Child
    from llamaindex_cascade._forms import Form

__all__ = ["Filled", "Request", "whole"]


class Filled(NamedTuple):
    """What a child answered, and the object that it filled in."""

    response: Any
    value: Any


def whole(payload: Any) -> Any:
    """A finished answer as the one chunk of a stream."""
    response = payload.response if isinstance(payload, Filled) else payload
    return response.model_copy(update={"delta": text_of(response)})


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked.

    Attributes:
        kind: what comes of it.
        asked: messages for a chat, a prompt for a completion.
        options: further keywords of the call.
        tools: keywords of `chat_with_tools`, or None where no tools are offered.
        form: what the answer has to be filled into, if anything.
        laid: the prompt in the format of an LLM, where it came out of a template.
    """

    kind: type[ChatResponse | CompletionResponse]
    asked: Sequence[ChatMessage] | str
    options: Mapping[str, Any]
    tools: Mapping[str, Any] | None = None
    form: Form | None = None
    laid: Callable[[LLM], str] | None = None

    @classmethod
    def of_prompt(cls, prompt: str) -> Request:
        """A plain question, such as an adviser is asked."""
        return cls(ChatResponse, [ChatMessage(content=prompt)], {})

    def call(self, child: Child, prefix: str) -> tuple[Any, dict[str, Any]]:
        """A child's method, and keywords that are its own to change, as providers do.

        Args:
            child: whom to ask.
            prefix: of the method: "a", "stream_", "astream_" or nothing.
        """
        if self.form is not None:
            return self.form.asked_of(child, self).call(child, prefix)
        llm, name, options = child.llm, self.method(prefix), _own(self.options)
        if isinstance(self.asked, str):
            prompt = self.asked if self.laid is None else self.laid(llm)
            return getattr(llm, name), {"prompt": prompt, **options}
        messages = readable(self.asked)
        if self.tools is None:
            return getattr(llm, name), {"messages": messages, **options}
        options |= _own(self.tools)
        return getattr(llm, f"{name}_with_tools"), {"chat_history": messages, **options}

    def method(self, prefix: str) -> str:
        """Name of the child's method, but for tools."""
        return prefix + ("chat" if self.kind is ChatResponse else "complete")

    def check(self, child: Child, response: Any) -> None:
        """Sees to it that a child gave what was asked for.

        Raises:
            TypeError: it is something else.
        """
        if not isinstance(response, self.kind):
            raise TypeError(
                f"child {child.name!r} returned {type(response).__name__}, and no "
                f"{self.kind.__name__}"
            )

    def read(self, child: Child, response: Any, seconds: float) -> Answer:
        """What the engine wants to know of a child's response.

        Raises:
            TypeError: it is no response.
            InvalidAnswerError: it does not fit the form, or calls no tool where one is required.
        """
        self.check(child, response)
        answer = answer_of(response, seconds)
        try:
            if self.form is not None:
                filled = Filled(response, self.form.read(child, response))
                return replace(answer, payload=filled)
            if self.tools is not None and self.tools["tool_required"]:
                check_calls(child, response, self.tools["tools"])
        except ValueError as error:
            raise InvalidAnswerError(f"not what was asked for: {error}", answer) from error
        return answer


def check_calls(child: Child, response: ChatResponse, tools: Sequence[Any]) -> None:
    """Sees to it that a tool is called, and each call is one of a tool on offer.

    Raises:
        ValueError: it is not.
    """
    offered = {tool.metadata.get_name(): tool.metadata.fn_schema for tool in tools}
    llm: Any = child.llm
    calls = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    if not calls:
        raise ValueError(f"no tool was called, but said: {response.message.content!r:.200}")
    for call in calls:
        if call.tool_name not in offered:
            raise ValueError(f"there is no tool {call.tool_name!r}, only {list(offered)}")
        schema = offered[call.tool_name]
        if schema is not None:
            schema.model_validate(call.tool_kwargs)


def _own(value: Any) -> Any:
    """Copies of the containers; what is in them may be tools and clients, which stay."""
    if isinstance(value, Mapping):
        return {key: _own(item) for key, item in value.items()}
    return copy.copy(value) if isinstance(value, (list, set)) else value
