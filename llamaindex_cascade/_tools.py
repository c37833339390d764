"""Tools: the calls that a response holds, and agents for children that call none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llamaindex_cascade._messages import RECORD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llama_index.core.base.llms.types import ChatResponse
    from llama_index.core.llms.llm import ToolSelection

    from llamaindex_cascade._children import Child


def tool_calls_of(
    children: Mapping[str, Child], response: ChatResponse, **kwargs: Any
) -> list[ToolSelection]:
    """The tools that a response wants called, as the child reads them that gave the response.

    Where that is not on record, it is the first child that finds any.
    """
    able: dict[str, Any] = {
        name: child.llm for name, child in children.items() if child.calls_tools
    }
    chosen = response.additional_kwargs.get(RECORD, {}).get("chosen")
    for llm in [able[chosen]] if chosen in able else able.values():
        calls: list[ToolSelection] = llm.get_tool_calls_from_response(
            response, error_on_no_tool_call=False, **kwargs
        )
        if calls:
            return calls
    return []


def react_keywords() -> dict[str, Any]:
    """What upstream's agent needs to ask in words; without them it fails."""
    # Agents are a large import.
    from llama_index.core.agent.react.formatter import ReActChatFormatter  # noqa: PLC0415
    from llama_index.core.agent.react.output_parser import ReActOutputParser  # noqa: PLC0415

    return {
        "react_chat_formatter": ReActChatFormatter.from_defaults(),
        "output_parser": ReActOutputParser(),
    }
