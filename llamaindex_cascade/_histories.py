"""Conversations as any child can read them, whoever wrote their messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ToolCallBlock

from cascade_engine.answers.provider_reports import tool_calls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.base.llms.types import ChatMessage

__all__ = ["readable"]

_CALLS = "tool_calls"


def readable(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Copies for one child, which is free to change them: providers do.

    A provider keeps the tools it called as blocks, as further keywords in a form of its own, or as
    both. Here they are blocks alone, with arguments as mappings, which every integration reads.
    """
    return [_readable(message.model_copy(deep=True)) for message in messages]


def _readable(message: ChatMessage) -> ChatMessage:
    entries = message.additional_kwargs.pop(_CALLS, None)
    called = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    if not called and entries:
        message.blocks.extend(_blocks(entries))
        return message
    for block in called:
        block.tool_kwargs = _mapping(block.tool_kwargs)
    return message


def _blocks(entries: Any) -> list[ToolCallBlock]:
    calls = zip(entries, tool_calls(entries), strict=True)
    return [
        ToolCallBlock(
            tool_call_id=_id(entry), tool_name=call.name, tool_kwargs=_mapping(call.arguments)
        )
        for entry, call in calls
    ]


def _mapping(arguments: Mapping[str, Any] | str) -> dict[str, Any]:
    """Arguments; what a model wrote that is no JSON object is lost, as the tool has lost it."""
    if isinstance(arguments, Mapping):
        return dict(arguments)
    try:
        read = json.loads(arguments)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _id(entry: Any) -> str | None:
    found = entry.get("id") if isinstance(entry, Mapping) else getattr(entry, "id", None)
    return found if isinstance(found, str) else None
