"""The weights of a model by its name: cached, resumed, verified."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from cascade_engine.local._errors import WeightsError, WeightsUnavailableError
from cascade_engine.local._sources import MODELS
from cascade_engine.local._transfer import Progress, TransferError, transfer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cascade_engine.local._sources import Location, ModelSource

_CHUNK = 1 << 20
_REMEDY = 'pass the path of a GGUF file of your own, as in LocalServer("/path/to/model.gguf")'


def fetch(
    name_or_path: str | os.PathLike[str],
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
    verify: bool = False,
) -> Path:
    """Return the path of a model's weights, downloading them on first use.

    A download goes on where an earlier one stopped, and a file takes its final
    name only once its hash is right. A file that has it is trusted by its size.

    Args:
        name_or_path: A name in [MODELS][cascade_engine.local.MODELS], or the path
            of any GGUF file, which is returned as it is.
        cache_dir: Where downloads are kept; by default ``$CASCADE_ROUTING_CACHE``,
            else ``$XDG_CACHE_HOME/cascade-routing``, else
            ``~/.cache/cascade-routing``.
        progress: Show the progress of a download on standard error.
        verify: Hash a cached file again, and download it anew if it is damaged.

    Returns:
        The path of the GGUF file.

    Raises:
        WeightsError: The value is neither a known name nor a file.
        WeightsUnavailableError: No location gave the right bytes.
    """
    source = MODELS.get(str(name_or_path))
    if source is None:
        return _own_file(name_or_path)
    target = _cache_folder(cache_dir) / source.file
    if _has_size(target, source) and not verify:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    report = Progress(source.name, source.size, enabled=progress)
    with _one_process(target.with_name(f"{target.name}.lock"), report):
        if not _is_placed(target, source, verify=verify):
            try:
                _place(target, source, report)
            finally:
                report.end()
    return target


def _own_file(value: str | os.PathLike[str]) -> Path:
    path = Path(value).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"{str(value)!r} is neither a known model nor an existing file. "
            f"Known models: {', '.join(MODELS)}. Write one of them, or {_REMEDY}"
        )
    return path


def _cache_folder(cache_dir: str | os.PathLike[str] | None) -> Path:
    if cache_dir is not None:
        return Path(cache_dir).expanduser()
    if own := os.environ.get("CASCADE_ROUTING_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(shared).expanduser() / "cascade-routing"


def _has_size(path: Path, source: ModelSource) -> bool:
    return path.is_file() and path.stat().st_size == source.size


@contextlib.contextmanager
def _one_process(lock: Path, report: Progress) -> Iterator[None]:
    """Wait until no other process or thread downloads the same file.

    The lock is SQLite's on an empty database. It works alike on every system, and
    the system lets go of it however its holder dies, so it is never stale.
    """
    with contextlib.closing(sqlite3.connect(lock, timeout=1.0, isolation_level=None)) as database:
        waited = False
        while not _acquired(database):
            if not waited:
                report.say(f"waiting for another process that holds {lock}")
            waited = True
        yield  # closing the connection ends the transaction and so the lock


def _acquired(database: sqlite3.Connection) -> bool:
    try:
        database.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return False
        raise
    return True


def _is_placed(target: Path, source: ModelSource, *, verify: bool) -> bool:
    # Another process may have placed the file while this one waited for the lock.
    return _has_size(target, source) and not (verify and _sha256(target) != source.sha256)


def _place(target: Path, source: ModelSource, report: Progress) -> None:
    part = target.with_name(f"{target.name}.part")
    reasons: list[str] = []
    for location in source.locations:
        reason = _why_not(location, source, part, report)
        if reason is None:
            part.replace(target)
            return
        reasons.append(f"{location}: {reason}")
        report.say(f"{source.name}: {reasons[-1]}")
    raise WeightsUnavailableError(
        f"the weights of {source.name} could not be had:\n"
        + "".join(f"- {reason}\n" for reason in reasons)
        + f"Try again to go on where the download stopped, or {_REMEDY}"
    )


def _why_not(location: Location, source: ModelSource, part: Path, report: Progress) -> str | None:
    try:
        _complete(location, source, part, report)
    except (TransferError, WeightsError) as error:
        return str(error)
    return None


def _complete(location: Location, source: ModelSource, part: Path, report: Progress) -> None:
    resumed = part.exists()
    transfer(location, source, part, report)
    try:
        _verify(part, source, location)
    except WeightsError:
        if not resumed:
            raise
        # The bytes of an earlier attempt may be at fault, and not this location.
        transfer(location, source, part, report)
        _verify(part, source, location)


def _verify(part: Path, source: ModelSource, location: Location) -> None:
    got = _sha256(part)
    if got != source.sha256:
        part.unlink()
        raise WeightsError(
            f"these are not the weights of {source.name}: "
            f"expected SHA-256 {source.sha256}, got {got} from {location}; the file was deleted"
        )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()
