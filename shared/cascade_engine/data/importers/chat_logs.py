"""Chats as plain mappings, in the shapes that logs have them: who said what, and what was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cascade_engine.core.records import Query
from cascade_engine.storage.json_values import content_key

__all__ = ["get", "message_of", "query_of", "text_of", "tools_of"]

_ASKING = frozenset({"user", "human", "HumanMessage", "HumanMessageChunk"})


def get(holder: Any, *path: str) -> Any:
    """A value deep inside mappings and objects; None where the path ends early."""
    for key in path:
        holder = holder.get(key) if isinstance(holder, Mapping) else getattr(holder, key, None)
    return holder


def message_of(value: Any) -> Any:
    """A message out of its envelope: LangChain's `kwargs` or `data`."""
    for envelope in ("kwargs", "data"):
        inner = get(value, envelope)
        if isinstance(inner, Mapping):
            return inner
    return value


def text_of(content: Any) -> str:
    """The text of a message's content, which may be a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return "".join(
            part if isinstance(part, str) else get(part, "text") or "" for part in content
        )
    return ""


def query_of(messages: Sequence[Any], tools: Any = None, schema: Any = None) -> tuple[Query, str]:
    """The query that messages are, and a key that tells it from others with another context."""
    said = [(_role(message), text_of(get(message_of(message), "content"))) for message in messages]
    asked = [text for role, text in said if role in _ASKING] or [text for _, text in said]
    text = asked[-1] if asked else ""
    query = Query(text, sum(len(t) for _, t in said) - len(text), tools_of(tools), schema)
    return query, content_key([said, tools, schema])


def tools_of(entries: Any) -> tuple[Mapping[str, Any], ...]:
    """Tools as `Query` has them, out of OpenAI's envelope."""
    if not isinstance(entries, Sequence):
        return ()
    return tuple(get(entry, "function") or entry for entry in entries if isinstance(entry, Mapping))


def _role(message: Any) -> str:
    inner = message_of(message)
    kind = get(message, "id")
    named = kind[-1] if isinstance(kind, list) and kind else None
    return str(get(inner, "role") or get(inner, "type") or get(message, "type") or named or "")
