"""Answering: the eight methods, which all open a run, and carry it out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.generic_utils import messages_to_prompt
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.llms.llm import LLM, default_completion_to_prompt
from typing_extensions import override

from cascade_engine import ConfigurationError
from cascade_engine.data.importers.chat_logs import tools_of
from cascade_engine.plugin.shadow import Shadowed, opened
from llamaindex_cascade._messages import query_of, with_signals
from llamaindex_cascade._options import apart, in_force, measured
from llamaindex_cascade._requests import Request
from llamaindex_cascade._running import R, Run
from llamaindex_cascade._settings import Settings
from llamaindex_cascade.retrieval import retrieved

if TYPE_CHECKING:
    from collections.abc import Callable

    from llama_index.core.base.llms.types import (
        ChatResponseAsyncGen,
        ChatResponseGen,
        CompletionResponseAsyncGen,
        CompletionResponseGen,
    )
    from llama_index.core.prompts import BasePromptTemplate
    from typing_extensions import Self

    from cascade_engine import Query, Session
    from llamaindex_cascade._forms import Form

__all__ = ["TOOLS", "Answering", "checked"]

#: The keyword under which tools travel from `_prepare_chat_with_tools` to `chat`, and no further.
TOOLS = "cascade_tools"
#: Functions that lay a model's format over prompts, and what stands for none.
_FORMATS = {
    "messages_to_prompt": messages_to_prompt,
    "completion_to_prompt": default_completion_to_prompt,
}


class _Templated(str):
    """A prompt on its way from `_get_prompt` to `complete`, and no further.

    Attributes:
        laid: the prompt in the format of an LLM.
    """

    __slots__ = ("laid",)
    laid: Callable[[LLM], str]

    def __new__(cls, told: str, laid: Callable[[LLM], str]) -> Self:
        made = super().__new__(cls, told)
        made.laid = laid
        return made


class Answering(Shadowed, Settings):
    """The part of `CascadeRoutingLLM` that answers.

    Its methods are left without LlamaIndex's callback decorators: the children's have them, and
    every call would be counted twice.
    """

    @override
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answers a conversation."""
        return self._open(ChatResponse, messages, kwargs).answer()

    @override
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answers a prompt."""
        kwargs["formatted"] = formatted
        return self._open(CompletionResponse, prompt, kwargs).answer()

    @override
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Answers a conversation chunk by chunk."""
        return self._open(ChatResponse, messages, kwargs).stream()

    @override
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """Answers a prompt chunk by chunk."""
        kwargs["formatted"] = formatted
        return self._open(CompletionResponse, prompt, kwargs).stream()

    @override
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answers a conversation without blocking the event loop."""
        return await (await self._aopen(ChatResponse, messages, kwargs)).aanswer()

    @override
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """Answers a prompt without blocking the event loop."""
        kwargs["formatted"] = formatted
        return await (await self._aopen(CompletionResponse, prompt, kwargs)).aanswer()

    @override
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Answers a conversation chunk by chunk, without blocking the event loop."""
        return await (await self._aopen(ChatResponse, messages, kwargs)).astream()

    @override
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """Answers a prompt chunk by chunk, without blocking the event loop."""
        kwargs["formatted"] = formatted
        return await (await self._aopen(CompletionResponse, prompt, kwargs)).astream()

    @override
    def _get_prompt(self, prompt: BasePromptTemplate, **prompt_args: Any) -> str:
        """A prompt for `complete`: where the cascade has no format, each child lays its own."""
        told = super()._get_prompt(prompt, **prompt_args)
        if any(getattr(self, name) is not default for name, default in _FORMATS.items()):
            return told

        def laid(llm: LLM) -> str:
            own = self.model_copy(update={name: getattr(llm, name) for name in _FORMATS})
            return LLM._get_prompt(own, prompt, **prompt_args)

        return _Templated(told, laid)

    async def _aopen(
        self, kind: type[R], asked: Any, kwargs: dict[str, Any], form: Form | None = None
    ) -> Run[R]:
        """`_open`; the strategy of a call, should it be to tune, is tuned in a thread."""
        strategy = in_force(self, apart(dict(kwargs), list(self.llms))).get("strategy")
        if strategy is not None:
            await asyncio.to_thread(self._sessions.routed, self._router, strategy)
        return self._open(kind, asked, kwargs, form)

    def _open(
        self, kind: type[R], asked: Any, kwargs: dict[str, Any], form: Form | None = None
    ) -> Run[R]:
        self._lend()
        options = self._options(kwargs)
        tools = kwargs.pop(TOOLS, None)
        laid = getattr(asked, "laid", None)
        request = Request(kind, checked(kind, asked), kwargs, tools, form, laid)
        query, able = self._query(request, options), self._able(request)

        def opening(options: Mapping[str, Any]) -> Session:
            return self._sessions.open(
                self._router, query, options, max_cost=self.max_cost, able=able
            )

        session, shadow = opened(self.shadow, options, opening)
        everybody = self._children | self._advisers
        return Run(everybody, session, request, self._shadows, self.rate_limiter, shadow)

    def _options(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The options of a call, which are taken out of its keywords."""
        return in_force(self, apart(kwargs, list(self.llms)))

    def _query(self, request: Request, options: Mapping[str, Any]) -> Query:
        offered = [] if request.tools is None else request.tools["tools"]
        tools = tools_of([_told(tool) for tool in offered])
        schema = None if request.form is None else request.form.kind.model_json_schema()
        query = with_signals(query_of(request.asked, tools, schema), retrieved(request.asked))
        for source in (self.signals, options.get("signals")):
            query = with_signals(query, measured(source, query))
        return query

    def _able(self, request: Request) -> list[str]:
        """Who can answer: tools are offered only to children that can call them."""
        if request.tools is not None:
            return [name for name, child in self._children.items() if child.calls_tools]
        if request.form is None:
            return list(self._children)
        able = [name for name, child in self._children.items() if request.form.suits(child)]
        if not able:
            raise ConfigurationError(
                f"none of the models {list(self.llms)} can answer in that form: it is asked for by "
                "functions, which none can call"
            )
        return able

    def _lend(self) -> None:
        """Gives children without callback handlers of their own the cascade's, as it is now."""
        for child in (*self._children.values(), *self._advisers.values()):
            child.lend(self.callback_manager)


def checked(kind: type[Any], asked: Any) -> Any:
    """What is asked, if it is what the method takes.

    Raises:
        ConfigurationError: it is something else.
    """
    if kind is CompletionResponse:
        if isinstance(asked, str):
            return str(asked)
        raise ConfigurationError(f"a completion takes a prompt, a string, not {asked!r:.200}")
    messages = list(asked) if isinstance(asked, Iterable) else [asked]
    if isinstance(asked, str) or not all(isinstance(each, ChatMessage) for each in messages):
        raise ConfigurationError(f"a chat takes a list of ChatMessage, not {asked!r:.200}")
    return messages


def _told(tool: Any) -> dict[str, Any]:
    """A tool as OpenAI has it."""
    told: dict[str, Any] = tool.metadata.to_openai_tool(skip_length_check=True)
    return told
