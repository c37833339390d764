"""Options of a call, and those that hold for all calls of a cascade within a block of code."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

from cascade_engine import ConfigurationError, Query
from cascade_engine.core.checks import is_number
from cascade_engine.plugin.call_options import OPTIONS, check_options, merged_options

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

Signals: TypeAlias = "Mapping[str, float] | Callable[[Query], Mapping[str, float] | None]"

#: The options of a call, by name.
ALL_OPTIONS = (*OPTIONS, "signals")
_NO_QUERY = Query("")
#: Of each block that is open, the cascade and its options: the innermost last. Tasks inherit them,
#: and threads that are started with a copy of the context.
_BLOCKS: ContextVar[tuple[tuple[Any, Mapping[str, Any]], ...]] = ContextVar(
    "cascade_options", default=()
)


@contextmanager
def block_of_options(
    cascade: Any, options: dict[str, Any], models: Collection[str]
) -> Iterator[None]:
    """Puts options in force for all calls of a cascade within the block.

    Raises:
        ConfigurationError: one is not known, cannot work, or contradicts another.
    """
    unknown = sorted(set(options) - set(ALL_OPTIONS))
    if unknown:
        raise ConfigurationError(f"{unknown} are no options: choose of {[*ALL_OPTIONS]}")
    token = _BLOCKS.set((*_BLOCKS.get(), (cascade, pop_options(options, models))))
    try:
        yield
    finally:
        _BLOCKS.reset(token)


def options_in_force(cascade: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a call.

    Args:
        cascade: that is called.
        own: options given with the call. They hold against those of a block, as an inner block's
            do against an outer's.
    """
    options: dict[str, Any] = {}
    for owner, of_block in _BLOCKS.get():
        if owner is cascade:
            options = merged_options(options, of_block)
    return merged_options(options, own) if options else dict(own)


def pop_options(keywords: dict[str, Any], models: Collection[str]) -> dict[str, Any]:
    """Takes the cascade's own options out of the keywords of a call.

    Raises:
        ConfigurationError: one cannot work, or contradicts another.
    """
    values = {name: keywords.pop(name) for name in ALL_OPTIONS if name in keywords}
    options = check_options(values, models)
    if values.get("signals") is not None:
        options["signals"] = values["signals"]
    return options


def signals_of(source: Signals | None, query: Query = _NO_QUERY) -> dict[str, float]:
    """The signals of a query, from a mapping or a function of the query.

    Raises:
        ConfigurationError: they are no numbers by name.
    """
    signals = source(query) if callable(source) else source
    if signals is None:
        return {}
    if not isinstance(signals, Mapping):
        raise ConfigurationError(
            "signals must map names to numbers, or be a function of the query, not "
            f"{signals!r:.200}"
        )
    for name, value in signals.items():
        if not is_number(value) or not math.isfinite(value):
            raise ConfigurationError(f"the signal {name!r} must be a finite number, not {value!r}")
    return {name: float(value) for name, value in signals.items()}
