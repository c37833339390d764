"""Files that are there whole or not at all, files with one writer at a time, and lines of JSON."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from typing import IO, TYPE_CHECKING, Any

from cascade_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of `path` once all of it is on disk.

    If anything is raised, or the process killed, `path` is left as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            shutil.copymode(path, temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    synced_folder(path.parent)


def synced_folder(folder: Path) -> None:
    """Makes a new name in a folder outlive a power cut, where the system can."""
    with contextlib.suppress(OSError):  # Windows opens no folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def locked(path: Path, *, timeout: float = 0.0) -> Iterator[None]:
    """Keeps other processes, and other threads, from writing to the same file.

    The lock is a file beside it, `<name>.lock`, which stays there. The system releases the lock
    when its holder dies, however it dies, so that none is ever stale.

    Args:
        path: the file that is written to.
        timeout: seconds to wait while another holds the lock; below 0, for as long as it takes.

    Raises:
        DataError: another still holds it when the time is over.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415  an import of the engine does without

    # Not one for each thread: a journal may be closed by another thread than opened it.
    lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=timeout, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise DataError(
            f"{path} is being written to by another process or thread ({error}): wait for it, or "
            "give another path"
        ) from error
    try:
        yield
    finally:
        lock.release()


def read_lines(path: Path) -> Iterator[Any]:
    """The JSON value of each line that is not blank.

    Raises:
        DataError: a line is no JSON; it names which.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.isspace():
                continue
            yield parsed(line, path, number)


def parsed(line: bytes, path: Path, number: int) -> Any:
    """The JSON value of one line.

    Raises:
        DataError: it is no JSON.
    """
    try:
        return json.loads(line)
    except ValueError as error:
        raise DataError(f"line {number} of {path} is no JSON ({error}): {line[:60]!r}") from error


def check_header(header: Any, path: Path, form: str, version: int) -> dict[str, Any]:
    """The first line of a file that this library wrote, once it is of that format and version.

    Args:
        header: the JSON value of the line.
        path: the file, for the error.
        form: the name of the format.
        version: the version of the format that can be read.

    Raises:
        DataError: it is another kind of file, or of another version.
    """
    fields = header if isinstance(header, dict) else {}
    if fields.get("format") != form:
        raise DataError(f"{path} is no file of the format {form!r}: it begins with {header!r:.80}")
    if fields.get("version") != version:
        raise DataError(
            f"{path} is of version {fields.get('version')} of {form!r}, and this library reads "
            f"version {version}: it was written by another version of cascade-routing"
        )
    return fields
