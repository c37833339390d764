"""The journal of a collection: one line per finished call, on disk before the next one counts.

The file is JSONL, only ever appended to:

```
{"format": "cascade-routing/journal", "version": 1, "models": [...], "settings": {...}}
{"key": "<hash>", "query": {...}}                                   before a query's first call
{"key": "<hash>", "model": "small", "sample": 0, "answer": {...}}
{"key": "<hash>", "model": "large", "sample": 0, "failure": {"error": "...", "attempts": 3}}
```

A line is known by the content of its query, its model and its number among the samples: a query
that was edited has another key and is asked again, one that was added is asked. What a killed
process left of a last line is cut off; the calls it was still waiting for are asked again.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from cascade_engine.core.records import Answer, Query
from cascade_engine.errors import DataError
from cascade_engine.storage.files import check_header, locked, parsed, synced_folder
from cascade_engine.storage.json_records import record_from_json, record_to_json
from cascade_engine.storage.json_values import json_line, value_to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Self

__all__ = ["CallFailure", "Entry", "Journal", "read_journal"]

FORMAT, VERSION = "cascade-routing/journal", 1
_START = b'{"format": "cascade-routing/journal"'


@dataclass(frozen=True, slots=True)
class CallFailure:
    """A call that never brought an answer.

    Attributes:
        error: the last error, its type and message.
        attempts: how often it was tried.
    """

    error: str
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One finished call.

    Attributes:
        key: the content hash of the query.
        model: who was asked.
        sample: which of its answers to the query this is, from 0.
        result: what came of it.
    """

    key: str
    model: str
    sample: int
    result: Answer | CallFailure


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a journal holds.

    Attributes:
        models: in the order they were first asked for.
        queries: by key.
        entries: in the order they finished.
        settings: what the models were asked with, as the caller named it.
        whole: bytes up to the end of the last whole line.
    """

    models: tuple[str, ...]
    queries: Mapping[str, Query]
    entries: Sequence[Entry]
    settings: Any
    whole: int


def read_journal(path: Path) -> Recorded | None:
    """What a journal holds, without its torn last line; None where it holds nothing.

    Raises:
        DataError: it is no journal, one of another version, or a line within it is damaged.
    """
    data = path.read_bytes() if path.exists() else b""
    lines = data.split(b"\n")[:-1]  # what follows the last newline is torn
    if not lines:
        if not _START.startswith(data[: len(_START)]):
            raise DataError(f"{path} is no journal: it begins with {data[:40]!r}")
        return None
    header = check_header(parsed(lines[0], path, 1), path, FORMAT, VERSION)
    queries: dict[str, Query] = {}
    entries = []
    for number, line in enumerate(lines[1:], start=2):
        entry = _entry(parsed(line, path, number), path, number, queries)
        entries += [] if entry is None else [entry]
    models = dict.fromkeys([*header.get("models", ()), *(entry.model for entry in entries)])
    whole = sum(len(line) + 1 for line in lines)
    return Recorded(tuple(models), queries, entries, header.get("settings"), whole)


def _entry(value: Any, path: Path, number: int, queries: dict[str, Query]) -> Entry | None:
    """A line's call; None for a query, which is added to those known."""
    try:
        if "query" in value:
            queries[value["key"]] = record_from_json(Query, value["query"])
            return None
        result = (
            record_from_json(Answer, value["answer"])
            if "answer" in value
            else record_from_json(CallFailure, value["failure"])
        )
        _ = queries[value["key"]]
        return Entry(value["key"], value["model"], value["sample"], result)
    except (KeyError, TypeError, DataError) as error:
        raise DataError(f"line {number} of {path} is damaged: {error}") from error


class Journal:
    """A journal open for writing, by one process at a time.

    Args:
        path: the file; it is made where there is none.
        models: who is asked.
        settings: what they are asked with; the journal of another setting is refused.

    Raises:
        DataError: another process is writing to it, it is no journal, or one of other models or
            settings.
    """

    def __init__(self, path: Path, models: Sequence[str], settings: Any = None) -> None:
        settings = value_to_json(settings, "settings")
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            stack.enter_context(locked(path))
            recorded = read_journal(path)
            if recorded is not None:
                _check_same(recorded, path, models, settings)
            self.entries: Sequence[Entry] = recorded.entries if recorded else ()
            self._known = set(recorded.queries) if recorded else set()
            # Unbuffered: a write that failed must not come back with the next.
            self._file: IO[bytes] = stack.enter_context(path.open("ab", buffering=0))
            self._size = recorded.whole if recorded else 0
            os.ftruncate(self._file.fileno(), self._size)
            if recorded is None:
                header = {"format": FORMAT, "version": VERSION, "models": list(models)}
                self._write([{**header, "settings": settings}])
                synced_folder(path.parent)
            self._open = stack.pop_all()

    def append(self, query: Query, entry: Entry) -> None:
        """Writes a finished call; it is on disk when this returns.

        Raises:
            OSError: it could not be written; the journal is as it was.
            DataError: it holds what could not be read again; the journal is as it was.
        """
        at = {"key": entry.key, "model": entry.model, "sample": entry.sample}
        kind = "answer" if isinstance(entry.result, Answer) else "failure"
        try:
            lines: list[Any] = [{**at, kind: record_to_json(entry.result)}]
        except DataError as error:
            asked = f"{entry.model!r} to {query.text!r:.80}"
            raise DataError(f"the {kind} of {asked} cannot be written: {error}") from error
        if entry.key not in self._known:
            lines.insert(0, {"key": entry.key, "query": record_to_json(query)})
        self._write(lines)
        self._known.add(entry.key)

    def _write(self, values: Iterable[Any]) -> None:
        data = memoryview(b"".join(json_line(value) for value in values))
        size = self._size + len(data)
        try:
            while data:
                data = data[self._file.write(data) :]
            os.fsync(self._file.fileno())
            self._size = size
        except BaseException:  # an interrupt too: half a line must not come before a whole one
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fileno(), self._size)
            raise

    def close(self) -> None:
        """Lets others write to it."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _check_same(recorded: Recorded, path: Path, models: Sequence[str], settings: Any) -> None:
    if not set(recorded.models) & set(models):
        raise DataError(
            f"{path} is a journal of the models {list(recorded.models)}, and none of them is asked "
            f"now ({list(models)}): give another path"
        )
    if recorded.settings != settings:
        raise DataError(
            f"{path} was recorded with settings={recorded.settings!r}, not {settings!r}: its "
            "answers would not be the same; give the settings it was recorded with, or another path"
        )
