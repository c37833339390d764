"""The journal of a collection: one line per finished call, on disk before the next one counts.

The file is JSONL, only ever appended to:

```
{"format": "cascade-routing/journal", "version": 1, "models": [...], "settings": {...}}
{"key": "<hash>", "query": {...}}                                   before a query's first call
{"key": "<hash>", "model": "small", "sample": 0, "answer": {...}}
{"key": "<hash>", "model": "large", "sample": 0, "failure": {"error": "...", "attempts": 3}}
```

A line belongs to the query of its key, which is a hash of the query's content: an edited query has
another key, and so is asked again. What a killed process left of its last line is cut off, and the
calls that it was still waiting for are made again.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeAlias

from cascade_engine.core.records import Answer, Query
from cascade_engine.errors import DataError
from cascade_engine.storage.files import check_header, locked, parsed, synced_folder
from cascade_engine.storage.json_records import record_from_json, record_to_json
from cascade_engine.storage.json_values import json_line, value_to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Self

__all__ = [
    "CallFailure",
    "CallLog",
    "CallResult",
    "Cell",
    "Journal",
    "latest_results",
    "read_journal",
]

FORMAT, VERSION = "cascade-routing/journal", 1
_START = b'{"format": "cascade-routing/journal"'


class Cell(NamedTuple):
    """One place in a table of answers.

    Attributes:
        key: the content hash of the query.
        model: who answers.
        sample: which of the model's answers to the query, from 0.
    """

    key: str
    model: str
    sample: int = 0


@dataclass(frozen=True, slots=True)
class CallFailure:
    """A call that never brought an answer.

    Attributes:
        error: the last error, its type and message.
        attempts: how often the call was tried.
    """

    error: str
    attempts: int = 1


#: What came of a call.
CallResult: TypeAlias = Answer | CallFailure


@dataclass(frozen=True, slots=True)
class CallLog:
    """Calls that were made, as a journal or a log of traces has them.

    Attributes:
        models: in the order of their first calls.
        queries: by key.
        results: what came of the calls, see `latest_results`.
        settings: what the answers depend on, as the caller of `collect` named it.
        size: bytes of a journal up to the end of its last whole line.
    """

    models: tuple[str, ...]
    queries: Mapping[str, Query]
    results: Mapping[Cell, CallResult]
    settings: Any = None
    size: int = 0


def latest_results(results: Iterable[tuple[Cell, CallResult]]) -> dict[Cell, CallResult]:
    """The last result of each cell; a failure never replaces an answer."""
    latest: dict[Cell, CallResult] = {}
    for cell, result in results:
        if isinstance(result, Answer) or not isinstance(latest.get(cell), Answer):
            latest[cell] = result
    return latest


def read_journal(path: Path) -> CallLog | None:
    """Reads a journal up to its last whole line; None where it holds none.

    Raises:
        DataError: the file is no journal, or one of another version, or a line is damaged.
    """
    data = path.read_bytes() if path.exists() else b""
    lines = data.split(b"\n")[:-1]  # what follows the last newline was torn by a killed process
    if not lines:
        if not _START.startswith(data[: len(_START)]):
            raise DataError(f"{path} is no journal: it begins with {data[:40]!r}")
        return None
    header = check_header(parsed(lines[0], path, 1), path, FORMAT, VERSION)
    queries: dict[str, Query] = {}
    results = []
    for number, line in enumerate(lines[1:], start=2):
        value = parsed(line, path, number)
        try:
            if "query" in value:
                queries[value["key"]] = record_from_json(Query, value["query"])
            else:
                results.append(_call_of(value, queries))
        except (KeyError, TypeError, DataError) as error:
            raise DataError(f"line {number} of {path} is damaged: {error}") from error
    models = dict.fromkeys([*header.get("models", ()), *(cell.model for cell, _ in results)])
    size = sum(len(line) + 1 for line in lines)
    return CallLog(tuple(models), queries, latest_results(results), header.get("settings"), size)


def _call_of(value: Any, queries: Mapping[str, Query]) -> tuple[Cell, CallResult]:
    """The finished call that a line tells.

    Raises:
        KeyError: its query is in no line before.
    """
    result: CallResult = (
        record_from_json(Answer, value["answer"])
        if "answer" in value
        else record_from_json(CallFailure, value["failure"])
    )
    _ = queries[value["key"]]
    return Cell(value["key"], value["model"], value["sample"]), result


class Journal:
    """A journal open for writing, by one process at a time.

    Args:
        path: the file, which is created where there is none.
        models: the models that will be called.
        settings: what their answers depend on; a journal of other settings is refused.

    Attributes:
        results: what came of the calls that ended before.

    Raises:
        DataError: another process is writing to the file, it is no journal, or it is one of other
            models or settings.
    """

    def __init__(self, path: Path, models: Sequence[str], settings: Any = None) -> None:
        settings = value_to_json(settings, "settings")
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            stack.enter_context(locked(path))
            contents = read_journal(path)
            if contents is not None:
                _check_same(contents, path, models, settings)
            self.results = contents.results if contents else {}
            self._keys = set(contents.queries) if contents else set()
            # Unbuffered: a write that failed must not come back with the next one.
            self._file: IO[bytes] = stack.enter_context(path.open("ab", buffering=0))
            self._size = contents.size if contents else 0
            os.ftruncate(self._file.fileno(), self._size)
            if contents is None:
                header = {"format": FORMAT, "version": VERSION, "models": list(models)}
                self._write([{**header, "settings": settings}])
                synced_folder(path.parent)
            self._open = stack.pop_all()

    def append(self, query: Query, cell: Cell, result: CallResult) -> None:
        """Writes a finished call, which is on disk when this returns.

        Raises:
            OSError: the call could not be written; the journal is as it was.
            DataError: the result holds what could not be read again; the journal is as it was.
        """
        kind = "answer" if isinstance(result, Answer) else "failure"
        try:
            lines: list[Any] = [{**cell._asdict(), kind: record_to_json(result)}]
        except DataError as error:
            call = f"{cell.model!r} to {query.text!r:.80}"
            raise DataError(f"the {kind} of {call} cannot be written: {error}") from error
        if cell.key not in self._keys:
            lines.insert(0, {"key": cell.key, "query": record_to_json(query)})
        self._write(lines)
        self._keys.add(cell.key)

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


def _check_same(contents: CallLog, path: Path, models: Sequence[str], settings: Any) -> None:
    if not set(contents.models) & set(models):
        raise DataError(
            f"{path} is a journal of the models {list(contents.models)}, and none of them is asked "
            f"now ({list(models)}): give another path"
        )
    if contents.settings != settings:
        raise DataError(
            f"{path} was recorded with settings={contents.settings!r}, not {settings!r}: its "
            "answers would not be the same; give the settings it was recorded with, or another path"
        )
