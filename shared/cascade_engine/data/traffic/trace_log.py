"""A log of live queries: a file to which each is appended, as one line of JSON."""

from __future__ import annotations

import io
import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascade_engine.data.traffic.redaction import with_texts_rewritten, without_texts
from cascade_engine.data.traffic.trace_line import START, LoggedTrace, line_value, logged_trace
from cascade_engine.errors import ConfigurationError, DataError, DataWarning
from cascade_engine.storage.json_values import json_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from cascade_engine.core.trace import Trace

__all__ = ["TraceLog", "read_traces"]


class TraceLog:
    """A file to which live queries are appended.

    Threads and processes may share it: each line is appended by one write. (Windows does not keep
    the writes of several processes apart.) Only its owner may read a file that it creates.

    Args:
        path: the file, which is created with the first line.
        texts: whether to keep the texts of questions and answers. Without them a log serves
            `drift`, and nothing else.
        redact: a function that is given each text (of questions, answers, inputs, errors) and
            returns what is to be kept of it.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        texts: bool = True,
        redact: Callable[[str], str] | None = None,
    ) -> None:
        self.path = Path(path)
        self.texts = texts
        self.redact = redact

    def __repr__(self) -> str:
        return f"TraceLog({str(self.path)!r})"

    def write(self, trace: Trace | LoggedTrace) -> None:
        """Appends one query.

        Raises:
            DataError: its input holds what JSON cannot.
            OSError: it could not be written.
        """
        logged = trace if isinstance(trace, LoggedTrace) else LoggedTrace(trace)
        if not self.texts or not logged.has_texts:
            logged = without_texts(logged)
        elif self.redact is not None:
            logged = with_texts_rewritten(logged, self._redacted)
        self._append(json_line(line_value(logged)))

    def _redacted(self, text: str) -> str:
        redacted = self.redact(text) if self.redact else text
        if not isinstance(redacted, str):
            raise ConfigurationError(
                f"redact returned {type(redacted).__name__} for a text: it must return a text"
            )
        return redacted

    def _append(self, line: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Opened each time: a file that was moved away is then begun anew.
        with open(self.path, "ab+", buffering=0, opener=_private) as file:
            if file.seek(0, io.SEEK_END):
                file.seek(-1, io.SEEK_END)
                if file.read(1) != b"\n":  # what a killed process left
                    line = b"\n" + line
            written = file.write(line)
        if written != len(line):
            raise OSError(f"only {written} of {len(line)} bytes could be written to {self.path}")


def read_traces(path: str | PathLike[str]) -> list[LoggedTrace]:
    """Reads what a `TraceLog` wrote, in the order of the file.

    A line that was torn, because a process was killed, is left out with a `DataWarning`.

    Raises:
        DataError: there is no such file, it is no log of traces, or one of another version.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist: TraceLog({str(path)!r}) makes it")
    traces = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            value, is_torn = _parsed(line)
            if is_torn and number == 1 and not line.startswith(START[: len(line)]):
                raise DataError(f"{path} is no log of traces: it begins with {line[:60]!r}")
            if is_torn:
                words = f"line {number} of {path} was torn, and is left out: {line[:60]!r}"
                warnings.warn(words, DataWarning, stacklevel=2)
            if value is not None:
                traces.append(logged_trace(value, path, number))
    return traces


def _parsed(line: bytes) -> tuple[Any, bool]:
    """The value of a line, None where it has no whole one, and whether something in it is torn."""
    begin = max(line.rfind(START), 0)
    try:
        return json.loads(line[begin:]), begin > 0
    except ValueError:
        return None, bool(line.strip())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
