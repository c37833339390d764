"""Routers on disk: what of a router is saved to a folder, and what is checked when it is loaded.

How the folder is laid out is the business of `storage.folder`, and how objects become JSON values
that of `storage.json_objects`. Loading runs no code of the file's choosing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cascade_engine.core.checks import check_names
from cascade_engine.core.prices import Charge
from cascade_engine.errors import ConfigurationError, PersistenceError
from cascade_engine.estimators import CostEstimator, QualityEstimator
from cascade_engine.routing.advisers import check_advisers
from cascade_engine.routing.decider import Decider
from cascade_engine.routing.live_advice import AdvicePlan
from cascade_engine.storage.folder import MANIFEST, check_whole, read_folder, write_folder
from cascade_engine.storage.json_objects import Decoder, Encoder
from cascade_engine.strategies import Strategy
from cascade_engine.strategies.frontier import Frontier, Policy, check_budget

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

__all__ = ["load", "save"]

R = TypeVar("R")

#: The class of each of a router's attributes, by name, and of those that it has once fitted.
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


def save(
    router: Any,
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
        router: a `CascadeRouter`, fitted or not.
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
    encoder = Encoder(fitting_data=include_fitting_data)
    content = {
        "models": list(router.models),
        "router": encoder.encode(router),
        "settings": encoder.encode(dict(settings or {}), "settings"),
    }
    write_folder(Path(path), content, encoder.arrays)
    return tuple(encoder.to_supply)


def load(
    kind: type[R], path: str | PathLike[str], *, supply: Mapping[str, Any] | None = None
) -> tuple[R, dict[str, Any]]:
    """Reads what `save` wrote: the router decides as the one that was saved.

    Nothing that the folder holds is run or imported: classes that are not registered are refused.

    Args:
        kind: the router's class, which imports this module and is not imported by it.
        path: of the folder.
        supply: what could not be saved, by its place: `{"charge.by": function}`.

    Returns:
        The router, and the settings that were saved along.

    Raises:
        PersistenceError: there is no router, it is damaged or of another version, it needs
            something that `supply` lacks, or `supply` has something that it does not need.
    """
    folder = Path(path)
    try:
        content, arrays = read_folder(folder)
        decoder = Decoder(arrays, supply)
        router = decoder.decode(content["router"])
        settings = decoder.decode(content["settings"], "settings")
        decoder.check_supply()
        _check_router(router, kind, content["models"])
        _check_kind("settings", settings, dict)
        check_whole(content)
    except PersistenceError as error:
        raise PersistenceError(f"{folder}: {error}") from error.__cause__
    except (LookupError, RecursionError, TypeError) as error:
        raise PersistenceError(f"{folder}: {MANIFEST} is damaged: {error!r}") from error
    return router, settings


def _check_router(router: Any, kind: type[Any], models: Any) -> None:
    """Refuses what is no router, and attributes that none has, before a query falls over them."""
    if not isinstance(router, kind):
        raise PersistenceError(f"{type(router).__name__} is no router")
    for name, part_kind in (_KINDS | _FITTED_KINDS if router.is_fitted else _KINDS).items():
        _check_kind(name, getattr(router, name), part_kind)
    advising = router._advising  # noqa: SLF001  what is saved is private too
    if advising is not None:
        _check_kind("_advising", advising, AdvicePlan)
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
