"""A folder on disk that holds one object: `router.json`, and the arrays that it refers to.

The arrays are named after their checksum, so that the old files stay whole until the new
`router.json` takes the old one's place, in one step: whoever reads meanwhile, or after the writer
was killed, finds one object or the other.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, Any

from cascade_engine._version import __version__
from cascade_engine.errors import PersistenceError
from cascade_engine.storage.arrays_file import declaration, pack, unpack
from cascade_engine.storage.files import written_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

#: The file that says what the folder holds.
MANIFEST = "router.json"
_FORMAT, _VERSION = "cascade-routing router", 1
_LARGEST_MANIFEST = 1 << 28  # bytes
#: Times that the object may be saved anew while it is being read.
_TRIES = 5


def write_folder(
    folder: Path, content: Mapping[str, Any], arrays: Sequence[np.ndarray[Any, Any]]
) -> None:
    """Writes an object to a folder, in place of the one that it may hold already.

    Args:
        folder: where to; it is made if need be, and other files in it are left alone.
        content: what `router.json` says of the object, as JSON values.
        arrays: those that `content` refers to, by their numbers.

    Raises:
        PersistenceError: the folder is a file, or its `router.json` is something else.
        OSError: the folder cannot be written to. What it held before is as it was.
    """
    if folder.exists() and not folder.is_dir():
        raise PersistenceError(f"{folder} is a file: a router is saved to a folder")
    packed = pack(arrays)
    digest = hashlib.sha256(packed).hexdigest()
    manifest = {
        "format": _FORMAT,
        "version": _VERSION,
        "library": __version__,
        **content,
        "arrays": {"sha256": digest, "declared": [declaration(array) for array in arrays]},
    }
    manifest["sha256"] = _checksum(manifest)
    text = json.dumps(manifest, ensure_ascii=False, allow_nan=False, indent=1)
    _replace(folder, text.encode(), folder / _arrays_name(digest), packed)


def _replace(folder: Path, manifest: bytes, path: Path, arrays: bytes) -> None:
    """Writes the arrays, then what refers to them, and removes those of the object before."""
    before = _arrays_before(folder)
    is_new = not path.exists()
    try:
        with written_whole(path) as file:
            file.write(arrays)
        with written_whole(folder / MANIFEST) as file:
            file.write(manifest)
    except BaseException:
        # The last step may be the one that failed: then they are needed.
        if is_new and _arrays_before(folder) != path:
            path.unlink(missing_ok=True)
        raise
    if before is not None and before != path:
        before.unlink(missing_ok=True)


def _arrays_name(digest: str) -> str:
    return f"arrays-{digest[:16]}.npz"


def _arrays_before(folder: Path) -> Path | None:
    """The arrays of the object that the folder holds, if any."""
    if not (folder / MANIFEST).exists():
        return None
    try:
        return folder / _arrays_name(_digest(_manifest(folder)))
    except PersistenceError as error:
        raise PersistenceError(
            f"{folder / MANIFEST} is there already, and no router that could be replaced "
            f"({error}): save to another folder, or delete it"
        ) from error


def read_folder(folder: Path) -> tuple[dict[str, Any], list[np.ndarray[Any, Any]]]:
    """The content of `router.json`, and the arrays that it refers to.

    Raises:
        PersistenceError: a file is missing, damaged, too large, or of another format or version.
    """
    manifest, packed = _manifest(folder), None
    for _ in range(_TRIES):
        with contextlib.suppress(FileNotFoundError):
            packed = (folder / _arrays_name(_digest(manifest))).read_bytes()
            break
        manifest = _manifest(folder)
    digest = _digest(manifest)
    name = _arrays_name(digest)
    if packed is None:
        raise PersistenceError(f"{name} is missing, with the arrays of {MANIFEST}: copy both")
    if hashlib.sha256(packed).hexdigest() != digest:
        raise PersistenceError(
            f"{name} is damaged, or not the one saved with this {MANIFEST}: copy both again"
        )
    return manifest, unpack(packed, manifest["arrays"]["declared"])


def _manifest(folder: Path) -> dict[str, Any]:
    """The content of `router.json`, once its format and version can be read."""
    path = folder / MANIFEST
    if not path.is_file():
        raise PersistenceError(f"no router is saved here: there is no {MANIFEST}")
    if path.stat().st_size > _LARGEST_MANIFEST:
        raise PersistenceError(
            f"{MANIFEST} is larger than any router's: {path.stat().st_size} bytes"
        )
    try:
        manifest = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise PersistenceError(f"{MANIFEST} is no JSON: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise PersistenceError(f"{MANIFEST} is not of the format {_FORMAT!r}")
    if manifest.get("version") != _VERSION:
        raise PersistenceError(
            f"{MANIFEST} is of version {manifest.get('version')!r} of the format, written by "
            f"cascade-routing {manifest.get('library')!r}, and this is {__version__}, which reads "
            f"version {_VERSION}: upgrade cascade-routing, or fit and save again"
        )
    return manifest


def _digest(manifest: dict[str, Any]) -> str:
    """The checksum of the arrays, as `router.json` has it."""
    arrays = manifest.get("arrays")
    digest = arrays.get("sha256") if isinstance(arrays, dict) else None
    if not isinstance(digest, str) or len(digest) != 64 or set(digest) - set("0123456789abcdef"):  # noqa: PLR2004
        raise PersistenceError(f"{MANIFEST} is damaged: its arrays have no checksum")
    return digest


def check_whole(manifest: Mapping[str, Any]) -> None:
    """Refuses a `router.json` in which something was changed, a number say.

    It comes after all other checks, since they say more precisely what is wrong.
    """
    if manifest.get("sha256", _checksum(manifest)) != _checksum(manifest):
        raise PersistenceError(
            f"{MANIFEST} is not as it was saved: copy it again, or fit and save again"
        )


def _checksum(manifest: Mapping[str, Any]) -> str:
    """Of all else that `router.json` says, however it is laid out."""
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
