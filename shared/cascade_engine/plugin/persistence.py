"""Saving and loading an adapter's model: its router, its settings, and its children by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cascade_engine.errors import ConfigurationError, PersistenceError
from cascade_engine.plugin.names import ADVISERS
from cascade_engine.routing.persistence import load, save
from cascade_engine.routing.router import CascadeRouter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

__all__ = ["Restored", "restore", "save_cascade"]

#: Settings of an adapter that its router does not keep as they were given.
_OWN = ("max_cost", "priors")


class Restored(NamedTuple):
    """What a saved cascade is built from again.

    Attributes:
        router: fitted or not.
        children: in the order in which they were saved.
        fields: settings, as the constructor takes them.
    """

    router: CascadeRouter
    children: dict[str, Any]
    fields: dict[str, Any]


def save_cascade(
    cascade: Any, path: str | PathLike[str], *, include_fitting_data: bool = False
) -> tuple[str, ...]:
    """Writes a cascade's router and settings; see `cascade_engine.routing.persistence.save`."""
    settings = {name: getattr(cascade, name) for name in _OWN}
    return save(cascade.router, path, include_fitting_data=include_fitting_data, settings=settings)


def restore(
    path: str | PathLike[str],
    children: Mapping[str, Any],
    fields: Mapping[str, Any],
    supply: Mapping[str, Any] | None,
) -> Restored:
    """Reads what `save_cascade` wrote.

    Args:
        path: of the folder.
        children: by name; those that it was saved with.
        fields: further ones, for the constructor; none that was saved, and the models to ask for
            the advisers.
        supply: what could not be saved, by its place.

    Raises:
        ConfigurationError: children of other names, or a field that was saved.
        PersistenceError: there is no cascade, or it cannot be read.
    """
    router, settings = load(CascadeRouter, path, supply=supply)
    if set(settings) - set(_OWN):
        raise PersistenceError(f"{path} has settings that are not known: {sorted(settings)}")
    if set(children) != set(router.models):
        raise ConfigurationError(
            f"{path} was saved with the models {list(router.models)}, and {list(children)} are "
            "given: pass models={name: model, ...} with those names"
        )
    saved = {
        "prices": router.prices,
        "cost": router.charge.by,
        "max_expected_cost": router.budget,
        "strategy": router.strategy,
        "quality_estimator": router.quality,
        "cost_estimator": router.cost,
        "seed": router.seed,
        "clamp_budget": router.clamp_budget,
        "samples": router.samples,
        **settings,
        **_advisers(router, fields, path),
    }
    fields = {name: value for name, value in fields.items() if name not in ADVISERS}
    if twice := sorted({*saved, *_OWN} & set(fields)):
        raise ConfigurationError(
            f"{twice} come from {path}: leave them out, and change what is loaded (with_budget, "
            "for max_expected_cost)"
        )
    return Restored(router, {name: children[name] for name in router.models}, {**saved, **fields})


def _advisers(
    router: CascadeRouter, fields: Mapping[str, Any], path: str | PathLike[str]
) -> dict[str, Any]:
    """The advisers as they were saved, each with the model that is given for it again."""
    advisers: dict[str, Any] = {}
    for name, kind in ADVISERS.items():
        saved = [adviser for adviser in router.advisers if isinstance(adviser, kind)]
        model = fields.get(name)
        if bool(saved) != (model is not None):
            raise ConfigurationError(
                f"{path} was saved with a {name}: pass {name}=, a chat model to ask"
                if saved
                else f"{path} was saved without a {name}: one has to be fitted"
            )
        if saved:
            advisers[name] = (saved[0], model[1] if isinstance(model, tuple) else model)
    return advisers
