"""One call of the cascade, and how each child gets it: with tools, or a form to fill in."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from llama_index.core.base.llms.generic_utils import messages_to_prompt
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.llms.llm import LLM, default_completion_to_prompt
from llama_index.core.output_parsers import PydanticOutputParser
from llama_index.core.program.function_program import get_function_tool
from llama_index.core.types import PydanticProgramMode

from cascade_engine import ConfigurationError
from cascade_engine.data.importers.chat_logs import tools_of
from cascade_engine.errors import InvalidAnswerError
from llamaindex_cascade._messages import answer_of, query_of, readable, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from llama_index.core.prompts import BasePromptTemplate
    from pydantic import BaseModel
    from typing_extensions import Self

    from cascade_engine import Answer, Query

#: The keyword under which tools travel from `_prepare_chat_with_tools` to `chat`, and no further.
TOOLS = "cascade_tools"
#: Fields of an LLM that lay its format over prompts, and what stands there where it has none.
_FORMATS = {
    "messages_to_prompt": messages_to_prompt,
    "completion_to_prompt": default_completion_to_prompt,
}


class ChildLLM(Protocol):
    """What a request needs to know of the child that gets it."""

    @property
    def llm(self) -> Any:
        """Its LLM."""

    @property
    def calls_tools(self) -> bool:
        """Whether it can be offered tools. Not read in vain: it may have to ask a server."""


class FormAnswer(NamedTuple):
    """A child's response, and the object that it holds."""

    response: Any
    value: Any


def whole_chunk(payload: Any) -> Any:
    """A finished answer as the one chunk of a stream."""
    response = payload.response if isinstance(payload, FormAnswer) else payload
    return response.model_copy(update={"delta": text_of(response)})


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of whichever child is called.

    Attributes:
        kind: class of the response.
        content: the messages of a chat, or the prompt of a completion.
        options: further keywords of the call.
        tools: keywords of `chat_with_tools`, or None where no tools are offered.
        form: the form in which the answer has to be, if any.
        layout: lays the prompt out in the format of an LLM, where it came out of a template.
        retries: how often a child is asked again after an error that may pass.
    """

    kind: type[ChatResponse | CompletionResponse]
    content: Sequence[ChatMessage] | str
    options: Mapping[str, Any]
    tools: Mapping[str, Any] | None = None
    form: OutputForm | None = None
    layout: Callable[[LLM], str] | None = None
    retries: int = 0

    @classmethod
    def of_call(
        cls,
        kind: type[Any],
        content: Any,
        options: dict[str, Any],
        form: OutputForm | None = None,
        *,
        retries: int,
    ) -> Request:
        """A call as the user made it.

        Args:
            kind: class of the response.
            content: what the method was called with.
            options: the keywords of the call.
            form: the form in which the answer has to be, if any.
            retries: how often a child is asked again after an error that may pass.

        Raises:
            ConfigurationError: the content is not what the method takes.
        """
        tools = options.pop(TOOLS, None)
        layout = content.layout if isinstance(content, TemplatePrompt) else None
        return cls(kind, _checked(kind, content), options, tools, form, layout, retries)

    @classmethod
    def of_prompt(cls, prompt: str, *, retries: int) -> Request:
        """A plain question, such as an adviser is asked."""
        return cls(ChatResponse, [ChatMessage(content=prompt)], {}, retries=retries)

    def query(self) -> Query:
        """The request as the engine sees it."""
        offered = () if self.tools is None else self.tools["tools"]
        tools = tools_of([tool.metadata.to_openai_tool(skip_length_check=True) for tool in offered])
        schema = None if self.form is None else self.form.output_cls.model_json_schema()
        return query_of(self.content, tools, schema)

    @property
    def needs_functions(self) -> bool:
        """Whether only children that can call functions can be asked."""
        by_form = self.form is not None and self.form.mode is PydanticProgramMode.FUNCTION
        return by_form or self.tools is not None

    def method(self, prefix: str) -> str:
        """Name of the LLM's method, without tools; the prefix is "a", "stream_" or both."""
        return prefix + ("chat" if self.kind is ChatResponse else "complete")

    def call(self, child: ChildLLM, prefix: str) -> tuple[Any, dict[str, Any]]:
        """A child's method, and keywords that are its own to change, as providers do.

        Args:
            child: whom to ask.
            prefix: of the method: "a", "stream_", "astream_" or nothing.
        """
        if self.form is not None:
            return self.form.request(self, child).call(child, prefix)
        llm, name, options = child.llm, self.method(prefix), _copied(self.options)
        if isinstance(self.content, str):
            prompt = self.content if self.layout is None else self.layout(llm)
            return getattr(llm, name), {"prompt": prompt, **options}
        messages = readable(self.content)
        if self.tools is None:
            return getattr(llm, name), {"messages": messages, **options}
        options |= _copied(self.tools)
        return getattr(llm, f"{name}_with_tools"), {"chat_history": messages, **options}

    def read(self, child: ChildLLM, response: Any, seconds: float) -> Answer:
        """A response as the engine's answer.

        Args:
            child: whose response it is.
            response: of the request's kind.
            seconds: how long it took.

        Raises:
            InvalidAnswerError: it does not fit the form, or calls no tool where one is required.
        """
        answer = answer_of(response, seconds)
        try:
            if self.form is not None:
                return replace(answer, payload=self.form.read(child, response))
            if self.tools is not None and self.tools["tool_required"]:
                _tool_calls(child, response, self.tools["tools"])
        except ValueError as error:
            raise InvalidAnswerError(f"not what was asked for: {error}", answer) from error
        return answer


@dataclass(frozen=True)
class OutputForm:
    """The form of a structured answer, which each child fills in its own way.

    A child that can be bound to a JSON schema is bound to it; one that calls functions calls one
    whose arguments are the form's fields; any other is told the schema in words, and writes JSON.

    Attributes:
        output_cls: class of the object.
        mode: DEFAULT for each child's own way; FUNCTION, or LLM (in words), for all children.
    """

    output_cls: type[BaseModel]
    mode: PydanticProgramMode = PydanticProgramMode.DEFAULT

    def request(self, request: Request, child: ChildLLM) -> Request:
        """The request with the form put in the child's own way, and no form left to put."""
        if self._is_bound(child):
            options = child.llm._prepare_schema(dict(request.options), self.output_cls)
            return replace(request, options=options, form=None)
        if self._is_function(child):
            tools = {"tools": [get_function_tool(self.output_cls)], "tool_required": True}
            return replace(request, tools=tools, form=None)
        messages = [m.model_copy(deep=True) for m in cast("list[ChatMessage]", request.content)]
        content = _SchemaInWords(self.output_cls).format_messages(messages)
        return replace(request, content=content, form=None)

    def read(self, child: ChildLLM, response: Any) -> FormAnswer:
        """A child's response, and the object that it holds.

        Raises:
            ValueError: it holds none.
        """
        if self._is_bound(child):
            value = self.output_cls.model_validate_json(text_of(response))
        elif self._is_function(child):
            call, *_ = _tool_calls(child, response, [get_function_tool(self.output_cls)])
            value = self.output_cls.model_validate(call.tool_kwargs)
        else:
            value = PydanticOutputParser(self.output_cls).parse(text_of(response))
        return FormAnswer(response, value)

    def _is_bound(self, child: ChildLLM) -> bool:
        """Whether a child of OpenAI's kind answers by a JSON schema."""
        is_able = getattr(child.llm, "_should_use_structure_outputs", None)
        return self.mode is PydanticProgramMode.DEFAULT and is_able is not None and bool(is_able())

    def _is_function(self, child: ChildLLM) -> bool:
        """Whether a child, which is not bound to a schema, answers by calling a function."""
        return self.mode is not PydanticProgramMode.LLM and child.calls_tools


class TemplatePrompt(str):
    """A prompt that came out of a template, on its way from `_get_prompt` to `complete`.

    Upstream's `predict`, `stream` and their asynchronous twins hand on nothing but this string: the
    way to lay the prompt out for each child travels in it, or all four would be written anew here.

    Attributes:
        layout: lays the prompt out in the format of an LLM.
    """

    __slots__ = ("layout",)
    layout: Callable[[LLM], str]

    @classmethod
    def of(cls, text: str, cascade: LLM, template: BasePromptTemplate, values: Any) -> Self | str:
        """A prompt of a cascade, to be laid out anew unless the cascade itself has a format.

        Args:
            text: the prompt as the cascade lays it out.
            cascade: whose system prompt holds for all children.
            template: of the prompt.
            values: of the template's variables.
        """
        if any(getattr(cascade, name) is not default for name, default in _FORMATS.items()):
            return text

        def layout(llm: LLM) -> str:
            formats = {name: getattr(llm, name) for name in _FORMATS}
            return LLM._get_prompt(cascade.model_copy(update=formats), template, **values)

        prompt = cls(text)
        prompt.layout = layout
        return prompt


class _SchemaInWords(PydanticOutputParser[Any]):
    """Writes the schema with the braces that it has: upstream doubles them, as for a template."""

    def format(self, query: str) -> str:
        return f"{query}\n\n{self.get_format_string(escape_json=False)}"


def _tool_calls(child: ChildLLM, response: ChatResponse, tools: Sequence[Any]) -> list[Any]:
    """The tools that a child's response wants called: at least one, and only of those on offer.

    Raises:
        ValueError: none is called, one that is not on offer, or one with arguments that do not fit.
    """
    schemas = {tool.metadata.get_name(): tool.metadata.fn_schema for tool in tools}
    calls: list[Any] = child.llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    if not calls:
        raise ValueError(f"no tool was called, but said: {response.message.content!r:.200}")
    for call in calls:
        if call.tool_name not in schemas:
            raise ValueError(f"there is no tool {call.tool_name!r}, only {list(schemas)}")
        if (schema := schemas[call.tool_name]) is not None:
            schema.model_validate(call.tool_kwargs)
    return calls


def _checked(kind: type[Any], content: Any) -> Any:
    if kind is CompletionResponse:
        if isinstance(content, str):
            return str(content)
        raise ConfigurationError(f"a completion takes a prompt, a string, not {content!r:.200}")
    messages = list(content) if isinstance(content, Iterable) else [content]
    if isinstance(content, str) or not all(isinstance(m, ChatMessage) for m in messages):
        raise ConfigurationError(f"a chat takes a list of ChatMessage, not {content!r:.200}")
    return messages


def _copied(value: Any) -> Any:
    """Copies of the containers; the tools and clients in them stay the same objects."""
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return copy.copy(value) if isinstance(value, (list, set)) else value
