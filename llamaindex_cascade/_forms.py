"""Answers in a given form: each child gives them in its own way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from llama_index.core.output_parsers import PydanticOutputParser
from llama_index.core.program.function_program import get_function_tool
from llama_index.core.types import PydanticProgramMode

from llamaindex_cascade._messages import text_of
from llamaindex_cascade._requests import Request, check_calls

if TYPE_CHECKING:
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.llms.function_calling import FunctionCallingLLM
    from pydantic import BaseModel

    from llamaindex_cascade._children import Child

__all__ = ["Form"]


@dataclass(frozen=True)
class Form:
    """What an answer has to be filled into.

    A child that can be bound to a schema is; one that calls functions calls one that takes the
    form's fields; any other is told the schema in words, and writes JSON.

    Attributes:
        kind: class of the object.
        mode: DEFAULT for each child's own way, FUNCTION or LLM (in words) for all.
    """

    kind: type[BaseModel]
    mode: PydanticProgramMode = PydanticProgramMode.DEFAULT

    def suits(self, child: Child) -> bool:
        """Whether a child can answer in it."""
        return self.mode is not PydanticProgramMode.FUNCTION or child.calls_tools

    def asked_of(self, child: Child, request: Request) -> Request:
        """The request as a child is to get it."""
        llm: Any = child.llm
        if self._is_bound(child):
            options = llm._prepare_schema(dict(request.options), self.kind)
            return replace(request, options=options, form=None)
        if self._is_called(child):
            tools = {"tools": [get_function_tool(self.kind)], "tool_required": True}
            return replace(request, tools=tools, form=None)
        messages = [m.model_copy(deep=True) for m in cast("list[ChatMessage]", request.asked)]
        asked = _InWords(self.kind).format_messages(messages)
        return replace(request, asked=asked, form=None)

    def read(self, child: Child, response: Any) -> BaseModel:
        """The object that a child's response holds.

        Raises:
            ValueError: it holds none.
        """
        if self._is_bound(child):
            return self.kind.model_validate_json(text_of(response))
        if self._is_called(child):
            tool = get_function_tool(self.kind)
            check_calls(child, response, [tool])
            llm = cast("FunctionCallingLLM", child.llm)
            (call, *_) = llm.get_tool_calls_from_response(response)
            return self.kind.model_validate(call.tool_kwargs)
        parsed: BaseModel = PydanticOutputParser(self.kind).parse(text_of(response))
        return parsed

    def _is_bound(self, child: Child) -> bool:
        """Whether a child of OpenAI's kind answers by a JSON schema."""
        bound = getattr(child.llm, "_should_use_structure_outputs", None)
        return self.mode is PydanticProgramMode.DEFAULT and bound is not None and bool(bound())

    def _is_called(self, child: Child) -> bool:
        return self.mode is not PydanticProgramMode.LLM and child.calls_tools


class _InWords(PydanticOutputParser[Any]):
    """Tells the schema with the braces that it has: upstream doubles them, as for a template."""

    def format(self, query: str) -> str:
        return f"{query}\n\n{self.get_format_string(escape_json=False)}"
