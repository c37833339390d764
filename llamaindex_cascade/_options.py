"""Options that hold for all calls of a cascade within a block of code."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

from cascade_engine import ConfigurationError, Query
from cascade_engine.core.checks import is_number
from cascade_engine.plugin.call_options import OPTIONS, check_options, laid_over

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["Signals", "apart", "in_force", "measured", "using"]

Signals: TypeAlias = "Mapping[str, float] | Callable[[Query], Mapping[str, float] | None]"

_SIGNALS = "signals"
_NOTHING = Query("")
#: Whose options they are, and which: the innermost last. Tasks inherit them, and threads that are
#: started with a copy of the context.
_BLOCKS: ContextVar[tuple[tuple[Any, Mapping[str, Any]], ...]] = ContextVar(
    "cascade_options", default=()
)


@contextmanager
def using(cascade: Any, options: dict[str, Any], models: Collection[str]) -> Iterator[None]:
    """Puts options in force.

    Raises:
        ConfigurationError: one is not known, cannot work, or contradicts another.
    """
    unknown = sorted(set(options) - {*OPTIONS, _SIGNALS})
    if unknown:
        raise ConfigurationError(f"{unknown} are no options: choose of {[*OPTIONS, _SIGNALS]}")
    token = _BLOCKS.set((*_BLOCKS.get(), (cascade, apart(options, models))))
    try:
        yield
    finally:
        _BLOCKS.reset(token)


def in_force(cascade: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a call.

    Args:
        cascade: that is called.
        own: given with the call, which hold against those of a block, as an inner block's do
            against an outer's.
    """
    found: dict[str, Any] = {}
    for owner, options in _BLOCKS.get():
        if owner is cascade:
            found = laid_over(found, options)
    return laid_over(found, own)


def apart(keywords: dict[str, Any], models: Collection[str]) -> dict[str, Any]:
    """Takes the cascade's own options out of the keywords of a call.

    Raises:
        ConfigurationError: one cannot work, or contradicts another.
    """
    given = {name: keywords.pop(name) for name in (*OPTIONS, _SIGNALS) if name in keywords}
    found = check_options(given, models)
    if given.get(_SIGNALS) is not None:
        found[_SIGNALS] = given[_SIGNALS]
    return found


def measured(source: Signals | None, query: Query = _NOTHING) -> dict[str, float]:
    """The signals of a query.

    Raises:
        ConfigurationError: they are no numbers by name.
    """
    found = source(query) if callable(source) else source
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise ConfigurationError(
            f"signals must map names to numbers, or be a function of the query, not {found!r:.200}"
        )
    for name, value in found.items():
        if not is_number(value) or not math.isfinite(value):
            raise ConfigurationError(f"the signal {name!r} must be a finite number, not {value!r}")
    return {name: float(value) for name, value in found.items()}
