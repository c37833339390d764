"""Tools: offered to the children that can call them, and read by the child that did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from typing_extensions import override

from cascade_engine import ConfigurationError
from cascade_engine.plugin.call_options import OPTIONS
from llamaindex_cascade._answering import TOOLS, Answering
from llamaindex_cascade._messages import RECORD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.chat_engine.types import AgentChatResponse
    from llama_index.core.llms.llm import ToolSelection
    from llama_index.core.tools.types import BaseTool

__all__ = ["Calling"]

_OWN = (*OPTIONS, "signals")


class Calling(Answering):
    """The part of `CascadeRoutingLLM` that calls tools."""

    @override
    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """What `chat` gets: each child is to prepare the tools for itself."""
        asked = ChatMessage(content=user_msg) if isinstance(user_msg, str) else user_msg
        messages = [*(chat_history or []), *([asked] if asked else [])]
        own = {key: kwargs.pop(key) for key in _OWN if key in kwargs}
        if not tools:
            return {"messages": messages, **own}
        if not self.metadata.is_function_calling_model:
            raise ConfigurationError(
                f"tools are offered, and none of the models {list(self.llms)} can call functions"
            )
        request = {
            "tools": list(tools),
            "verbose": verbose,
            "allow_parallel_tool_calls": allow_parallel_tool_calls,
            "tool_required": tool_required,
            **kwargs,
        }
        return {"messages": messages, TOOLS: request, **own}

    @override
    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The tools that a response wants called.

        Each provider writes them its own way: the child that answered reads them.

        Raises:
            ValueError: there are none, and that is an error.
        """
        able: dict[str, Any] = {
            name: child.llm for name, child in self._children.items() if child.calls_tools
        }
        chosen = response.additional_kwargs.get(RECORD, {}).get("chosen")
        for llm in [able[chosen]] if chosen in able else able.values():
            calls: list[ToolSelection] = llm.get_tool_calls_from_response(
                response, error_on_no_tool_call=False, **kwargs
            )
            if calls:
                return calls
        if error_on_no_tool_call:
            raise ValueError("the answer holds no tool call, and at least one was expected")
        return []

    def predict_and_call(
        self, tools: Sequence[BaseTool], *args: Any, **kwargs: Any
    ) -> AgentChatResponse:
        """Asks for a tool call, and makes it; children that call no functions are asked in words.

        See LlamaIndex's own.
        """
        return super().predict_and_call(tools, *args, **self._react(kwargs))

    async def apredict_and_call(
        self, tools: Sequence[BaseTool], *args: Any, **kwargs: Any
    ) -> AgentChatResponse:
        """The same, without blocking the event loop."""
        return await super().apredict_and_call(tools, *args, **self._react(kwargs))

    def _react(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Keywords with what upstream's agent needs where no child calls functions."""
        if self.metadata.is_function_calling_model:
            return kwargs
        # Agents are a large import.
        from llama_index.core.agent.react.formatter import ReActChatFormatter  # noqa: PLC0415
        from llama_index.core.agent.react.output_parser import ReActOutputParser  # noqa: PLC0415

        needed = {
            "react_chat_formatter": ReActChatFormatter.from_defaults(),
            "output_parser": ReActOutputParser(),
        }
        return {**needed, **kwargs}
