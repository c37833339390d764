"""The children of a cascade and their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableBinding

from cascade_engine import _naming

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine._advisers import Adviser

_NAMES = ("name", "model_name", "model", "model_id", "deployment_name")


def name_children(models: Any) -> dict[str, Runnable[Any, Any]]:
    """Chat models by name; those in a sequence are named after themselves or what they call."""
    return _naming.name_children(models, Runnable, called="chat model", name_of=_name)


def name_advisers(given: Mapping[str, Any], models: Sequence[str]) -> dict[Adviser, Any]:
    """What asks each adviser: see `cascade_engine._naming.name_advisers`."""
    return _naming.name_advisers(given, models, Runnable, called="chat model")


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
