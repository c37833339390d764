"""Fitted routers on disk: a folder with `router.json`, and the arrays that it refers to.

The arrays are named after their checksum, so that a router's old files stay whole until the new
`router.json` takes the old one's place, in one step: whoever reads meanwhile, or after the writer
was killed, finds one router or the other. Loading runs no code of the file's choosing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cascade_engine._version import __version__
from cascade_engine.core.arrays import check_names
from cascade_engine.core.prices import Charge
from cascade_engine.errors import ConfigurationError, PersistenceError
from cascade_engine.estimators import CostEstimator, QualityEstimator
from cascade_engine.routing.advisers import check_advisers
from cascade_engine.routing.decider import Decider
from cascade_engine.routing.live_advice import Advising
from cascade_engine.routing.router import CascadeRouter
from cascade_engine.storage.arrays_file import declaration, pack, unpack
from cascade_engine.storage.decoding import Decoder
from cascade_engine.storage.encoding import Encoder
from cascade_engine.storage.files import written_whole
from cascade_engine.strategies import Strategy
from cascade_engine.strategies.frontier import Frontier, Policy, check_budget

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    import numpy as np

__all__ = ["Saved", "load", "load_saved", "save"]

_FORMAT = "cascade-routing router"
_VERSION = 1
_NAME = "router.json"
_LARGEST_JSON = 1 << 28
#: What a router's attributes are, by name, and those that it has once fitted.
_KINDS: dict[str, type[Any]] = {
    "strategy": Strategy,
    "quality": QualityEstimator,
    "cost": CostEstimator,
    "charge": Charge,
    "advisers": tuple,
    "samples": dict,
    "_unfitted": Decider,
}
_FITTED_KINDS: dict[str, type[Any]] = {"frontier_": Frontier, "policy_": Policy}
#: Times that a router may be saved anew while it is being loaded.
_TRIES = 5


class Saved(NamedTuple):
    """What a folder holds: a router, and the settings of the adapter that saved it."""

    router: CascadeRouter
    settings: dict[str, Any]


def save(
    router: CascadeRouter,
    path: str | PathLike[str],
    *,
    include_fitting_data: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> tuple[str, ...]:
    """Writes a router to a folder, in place of the router that it may hold already.

    What is written is what decisions need: settings, prices, and what was learned. That includes
    words that are frequent in the fitting queries, and no query or answer. What cannot be written,
    a function of your own say, leaves its place empty and has to be given to `load` again.

    Args:
        router: fitted or not.
        path: of the folder; it is made if need be, and other files in it are left alone.
        include_fitting_data: whether to keep the estimates, qualities and costs of the fitting
            queries, on which another strategy can be tuned (`with_strategy`).
        settings: of an adapter, as plain values.

    Returns:
        The places that `load` will ask for: "charge.by" for what `router.charge.by` is.

    Raises:
        PersistenceError: an array that cannot be stored, an attribute that a registration does not
            name, or a folder whose `router.json` is something else.
        OSError: the folder cannot be written to. What it held before is as it was.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise PersistenceError(f"{folder} is a file: a router is saved to a folder")
    encoder = Encoder(fitting_data=include_fitting_data)
    encoded = encoder.encode(router)
    told = encoder.encode(dict(settings or {}), "settings")
    arrays = pack(encoder.arrays)
    digest = hashlib.sha256(arrays).hexdigest()
    content = {
        "format": _FORMAT,
        "version": _VERSION,
        "library": __version__,
        "models": list(router.models),
        "settings": told,
        "router": encoded,
        "arrays": {"sha256": digest, "declared": [declaration(each) for each in encoder.arrays]},
    }
    content["sha256"] = _checksum(content)
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1)
    _replace(folder, text.encode(), folder / _arrays_name(digest), arrays)
    return tuple(encoder.given)


def load(path: str | PathLike[str], *, supply: Mapping[str, Any] | None = None) -> CascadeRouter:
    """Reads a router that `save` wrote; it decides as the one that was saved.

    Nothing that the folder holds is run or imported: classes that are not registered are refused.

    Args:
        path: of the folder.
        supply: what could not be saved, by its place: `{"charge.by": function}`.

    Raises:
        PersistenceError: there is no router, it is damaged or of another version, it needs
            something that `supply` lacks, or `supply` has something that it does not need.
    """
    return load_saved(path, supply=supply).router


def load_saved(path: str | PathLike[str], *, supply: Mapping[str, Any] | None = None) -> Saved:
    """`load`, with the settings that were saved along."""
    folder = Path(path)
    try:
        content, arrays = _read(folder)
        decoder = Decoder(arrays, supply)
        router = decoder.decode(content["router"])
        settings = decoder.decode(content["settings"], "settings")
        _check_supply(decoder)
        _check_router(router, content["models"])
        _check_kind("settings", settings, dict)
        _check_whole(content)
    except PersistenceError as error:
        raise PersistenceError(f"{folder}: {error}") from error.__cause__
    except (LookupError, RecursionError, TypeError) as error:
        raise PersistenceError(f"{folder}: {_NAME} is damaged: {error!r}") from error
    return Saved(router, settings)


def _replace(folder: Path, text: bytes, path: Path, arrays: bytes) -> None:
    """Writes the arrays, then what refers to them, and removes those of the router before."""
    before = _arrays_before(folder)
    is_new = not path.exists()
    try:
        with written_whole(path) as file:
            file.write(arrays)
        with written_whole(folder / _NAME) as file:
            file.write(text)
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
    """The arrays of the router that the folder holds, if any."""
    if not (folder / _NAME).exists():
        return None
    try:
        return folder / _arrays_name(_digest(_manifest(folder)))
    except PersistenceError as error:
        raise PersistenceError(
            f"{folder / _NAME} is there already, and no router that could be replaced ({error}): "
            "save to another folder, or delete it"
        ) from error


def _read(folder: Path) -> tuple[dict[str, Any], list[np.ndarray[Any, Any]]]:
    """The content of `router.json`, and its arrays."""
    content, packed = _manifest(folder), None
    for _ in range(_TRIES):
        with contextlib.suppress(FileNotFoundError):
            packed = (folder / _arrays_name(_digest(content))).read_bytes()
            break
        content = _manifest(folder)
    digest = _digest(content)
    name = _arrays_name(digest)
    if packed is None:
        raise PersistenceError(f"{name} is missing, with the arrays of {_NAME}: copy both")
    if hashlib.sha256(packed).hexdigest() != digest:
        raise PersistenceError(
            f"{name} is damaged, or not the one saved with this {_NAME}: copy both again"
        )
    return content, unpack(packed, content["arrays"]["declared"])


def _manifest(folder: Path) -> dict[str, Any]:
    """`router.json`, once it is one of ours and of a version that is known."""
    path = folder / _NAME
    if not path.is_file():
        raise PersistenceError(f"no router is saved here: there is no {_NAME}")
    if path.stat().st_size > _LARGEST_JSON:
        raise PersistenceError(f"{_NAME} is larger than any router's: {path.stat().st_size} bytes")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise PersistenceError(f"{_NAME} is no JSON: {error}") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise PersistenceError(f"{_NAME} is not of the format {_FORMAT!r}")
    if content.get("version") != _VERSION:
        raise PersistenceError(
            f"{_NAME} is of version {content.get('version')!r} of the format, written by "
            f"cascade-routing {content.get('library')!r}, and this is {__version__}, which reads "
            f"version {_VERSION}: upgrade cascade-routing, or fit and save again"
        )
    return content


def _digest(content: dict[str, Any]) -> str:
    arrays = content.get("arrays")
    digest = arrays.get("sha256") if isinstance(arrays, dict) else None
    if not isinstance(digest, str) or len(digest) != 64 or set(digest) - set("0123456789abcdef"):  # noqa: PLR2004
        raise PersistenceError(f"{_NAME} is damaged: its arrays have no checksum")
    return digest


def _checksum(content: Mapping[str, Any]) -> str:
    """Of all else that `router.json` says, however it is laid out."""
    said = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _check_whole(content: Mapping[str, Any]) -> None:
    """Refuses numbers that were changed: they could be anything. Told last, it says the least."""
    if content.get("sha256", _checksum(content)) != _checksum(content):
        raise PersistenceError(
            f"{_NAME} is not as it was saved: copy it again, or fit and save again"
        )


def _check_supply(decoder: Decoder) -> None:
    if decoder.missing:
        wanted = "\n".join(f"  {place!r}: {what}" for place, what in decoder.missing.items())
        example = f"supply={{{next(iter(decoder.missing))!r}: ...}}"
        raise PersistenceError(
            f"what cannot be saved has to be given again, as {example}:\n{wanted}"
        )
    if decoder.unused:
        raise PersistenceError(
            f"supply gives {sorted(decoder.unused)}, which this router does not ask for"
        )


def _check_router(router: Any, models: Any) -> None:
    """Refuses what no router is made of, before a query falls over it."""
    if not isinstance(router, CascadeRouter):
        raise PersistenceError(f"{type(router).__name__} is no router")
    for name, kind in (_KINDS | _FITTED_KINDS if router.is_fitted else _KINDS).items():
        _check_kind(name, getattr(router, name), kind)
    advising = router._advising  # noqa: SLF001  what is saved is private too
    if advising is not None:
        _check_kind("_advising", advising, Advising)
        _check_kind("_advising.advisers", advising.advisers, tuple)
    try:
        check_names(router.models)
        check_budget(float("inf") if router.budget is None else router.budget)
        for advisers in (router.advisers, advising.advisers if advising else ()):
            for adviser in check_advisers(advisers, router.models):
                replace(adviser)  # its own checks, which decoding does without
    except ConfigurationError as error:
        raise PersistenceError(str(error)) from error
    if list(router.models) != models:
        raise PersistenceError(f"it is on {models}, and its router on {router.models}")


def _check_kind(name: str, part: Any, kind: type[Any]) -> None:
    if not isinstance(part, kind):
        raise PersistenceError(f"{name} is {type(part).__name__}, no {kind.__name__}")
