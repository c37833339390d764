"""The children of an adapter's model, and their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cascade_engine.errors import ConfigurationError


def name_children(
    models: Any, kind: type[Any], *, called: str, name_of: Callable[[Any], str]
) -> dict[str, Any]:
    """Children by name, in the order given.

    Args:
        models: a mapping of names to children, or a sequence of children.
        kind: what a child must be.
        called: that, in words.
        name_of: the name of a child in a sequence.

    Raises:
        ConfigurationError: there are none, one is not of the kind, or two have the same name.
    """
    if isinstance(models, Mapping):
        named = list(models.items())
    elif isinstance(models, Sequence) and not isinstance(models, str):
        named = [(name_of(child), child) for child in models]
    else:
        raise ConfigurationError(
            f"models must be a list of {called}s or a mapping of names to them, not {models!r}"
        )
    if not named:
        raise ConfigurationError("no models given: pass models=[small, large]")
    for name, child in named:
        if not isinstance(child, kind):
            raise ConfigurationError(f"model {name!r} is {type(child).__name__}, no {called}")
    twice = [name for name, count in Counter(name for name, _ in named).items() if count > 1]
    if twice:
        raise ConfigurationError(
            f"two models have the same name {twice}: pass models={{'a name': model, ...}}"
        )
    return dict(named)
