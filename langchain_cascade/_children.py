"""The children of a cascade and their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.runnables import Runnable, RunnableBinding

from cascade_engine import ConfigurationError

_NAMES = ("name", "model_name", "model", "model_id", "deployment_name")


def name_children(models: Any) -> dict[str, Runnable[Any, Any]]:
    """Children by name, in the order given.

    Args:
        models: a mapping of names to chat models, or a sequence of chat models, which are named
            after their `name` or the model they call.

    Raises:
        ConfigurationError: there are none, one is no Runnable, or two have the same name.
    """
    if isinstance(models, Mapping):
        named = list(models.items())
    elif isinstance(models, Sequence) and not isinstance(models, str):
        named = [(_name(child), child) for child in models]
    else:
        raise ConfigurationError(
            f"models must be a list of chat models or a mapping of names to them, not {models!r}"
        )
    if not named:
        raise ConfigurationError("no models given: pass models=[small, large]")
    for name, child in named:
        if not isinstance(child, Runnable):
            raise ConfigurationError(f"model {name!r} is {type(child).__name__}, no chat model")
    names = [name for name, _ in named]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(
            f"two models have the same name {twice}: pass models={{'a name': model, ...}}"
        )
    return dict(named)


def _name(child: Any) -> str:
    inner = child
    while isinstance(inner, RunnableBinding):
        if isinstance(inner.kwargs.get("model"), str):
            return str(inner.kwargs["model"])
        inner = inner.bound
    for holder in (child, inner):
        for attribute in _NAMES:
            value = getattr(holder, attribute, None)
            if isinstance(value, str) and value:
                return value
    return type(inner).__name__
