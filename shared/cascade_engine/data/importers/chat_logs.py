"""Chats as other tools log them: plain mappings or objects, in the shapes that are common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cascade_engine.core.records import Answer, Query
from cascade_engine.data.collecting.journal import Cell
from cascade_engine.data.collection import Collection
from cascade_engine.errors import DataError
from cascade_engine.storage.json_values import content_key

if TYPE_CHECKING:
    from cascade_engine.core.prices import Charge
    from cascade_engine.data.collecting.journal import CallResult

__all__ = ["LoggedCalls", "get", "message_of", "query_of", "text_of", "tools_of"]

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


class LoggedCalls:
    """Answers as they are found, on the way to a collection."""

    def __init__(self) -> None:
        self.queries: dict[str, Query] = {}
        self.models: dict[str, None] = {}
        self.results: dict[Cell, CallResult] = {}
        self.ids: dict[str, str] = {}

    def add(self, key: str, query: Query, model: str, result: CallResult) -> None:
        """One more answer of a model; a failure has a place only until an answer takes it."""
        self.queries.setdefault(key, query)
        self.models[model] = None
        sample = 0
        while isinstance(self.results.get(cell := Cell(key, model, sample)), Answer):
            sample += 1
        if isinstance(result, Answer) or sample == 0:
            self.results[cell] = result

    def collection(self, models: Sequence[str] | None, samples: int, charge: Charge) -> Collection:
        """What was found."""
        if not self.queries:
            raise DataError("there is no call of a model in what was given")
        # A log may use one name for several questions.
        named = len(set(self.ids.values())) == len(self.queries)
        return Collection(
            list(models or self.models),
            list(self.queries.values()),
            self.results,
            keys=list(self.queries),
            samples=samples,
            ids=[self.ids[key] for key in self.queries] if named else list(self.queries),
            charge=charge,
        )


def _role(message: Any) -> str:
    inner = message_of(message)
    kind = get(message, "id")
    named = kind[-1] if isinstance(kind, list) and kind else None
    return str(get(inner, "role") or get(inner, "type") or get(message, "type") or named or "")
