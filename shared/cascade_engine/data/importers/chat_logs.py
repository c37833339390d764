"""Chats as other tools log them: plain mappings or objects, in the shapes that are common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cascade_engine.core.records import Answer, Query
from cascade_engine.data.calls.journal import Cell
from cascade_engine.data.collection import Collection
from cascade_engine.errors import DataError
from cascade_engine.storage.json_values import content_key

if TYPE_CHECKING:
    from cascade_engine.core.prices import Charge
    from cascade_engine.data.calls.journal import CallResult

__all__ = ["LoggedCalls", "dig", "message_of", "query_of", "text_of", "tools_of"]

#: Roles of users, by the tools that log them.
_USERS = frozenset({"user", "human", "HumanMessage", "HumanMessageChunk"})


def dig(holder: Any, *path: str) -> Any:
    """A value deep inside mappings and objects; None where the path ends early."""
    for key in path:
        holder = holder.get(key) if isinstance(holder, Mapping) else getattr(holder, key, None)
    return holder


def message_of(value: Any) -> Any:
    """A message out of the envelope that LangChain may have put it in: `kwargs` or `data`."""
    for envelope in ("kwargs", "data"):
        inner = dig(value, envelope)
        if isinstance(inner, Mapping):
            return inner
    return value


def text_of(content: Any) -> str:
    """The text of a message's content, which may be a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return "".join(
            part if isinstance(part, str) else dig(part, "text") or "" for part in content
        )
    return ""


def query_of(messages: Sequence[Any], tools: Any = None, schema: Any = None) -> tuple[Query, str]:
    """The query that messages ask, and a key that tells it from others with another context.

    The last message of a user is the question; without one, the last message of all.
    """
    turns = [(_role(message), text_of(dig(message_of(message), "content"))) for message in messages]
    questions = [text for role, text in turns if role in _USERS] or [text for _, text in turns]
    text = questions[-1] if questions else ""
    query = Query(text, sum(len(t) for _, t in turns) - len(text), tools_of(tools), schema)
    return query, content_key([turns, tools, schema])


def tools_of(entries: Any) -> tuple[Mapping[str, Any], ...]:
    """Tools as `Query` has them, out of the envelope that OpenAI's format puts them in."""
    if not isinstance(entries, Sequence):
        return ()
    return tuple(dig(entry, "function") or entry for entry in entries if isinstance(entry, Mapping))


class LoggedCalls:
    """The calls of a log, gathered one by one until they make a collection.

    Attributes:
        queries: by key.
        models: the models' names, in the order of their first calls.
        results: what came of each call.
        ids: the log's name of each query, by key.
    """

    def __init__(self) -> None:
        self.queries: dict[str, Query] = {}
        self.models: dict[str, None] = {}
        self.results: dict[Cell, CallResult] = {}
        self.ids: dict[str, str] = {}

    def add(self, key: str, query: Query, model: str, result: CallResult) -> None:
        """Adds a call as the model's next sample; an answer takes the place of a failure."""
        self.queries.setdefault(key, query)
        self.models[model] = None
        sample = 0
        while isinstance(self.results.get(cell := Cell(key, model, sample)), Answer):
            sample += 1
        if isinstance(result, Answer) or sample == 0:
            self.results[cell] = result

    def collection(self, models: Sequence[str] | None, samples: int, charge: Charge) -> Collection:
        """The collection of all calls, with the ids of the log where they are distinct."""
        if not self.queries:
            raise DataError("there is no call of a model in what was given")
        # A log may use one name for several questions.
        has_distinct_ids = len(set(self.ids.values())) == len(self.queries)
        return Collection(
            list(models or self.models),
            list(self.queries.values()),
            self.results,
            keys=list(self.queries),
            samples=samples,
            ids=[self.ids[key] for key in self.queries] if has_distinct_ids else list(self.queries),
            charge=charge,
        )


def _role(message: Any) -> str:
    inner = message_of(message)
    path = dig(message, "id")  # of the class, in LangChain's envelope
    class_name = path[-1] if isinstance(path, list) and path else None
    return str(dig(inner, "role") or dig(inner, "type") or dig(message, "type") or class_name or "")
