"""The children of a cascade and their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBindingBase

from cascade_engine.plugin import names as _naming
from langchain_cascade._adapting import chat_model_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine.routing.advisers import Adviser

_NAMES = ("name", "model_name", "model", "model_id", "deployment_name")


def name_children(models: Any) -> dict[str, Runnable[Any, Any]]:
    """Chat models by name; those in a sequence are named after themselves or what they call."""
    return _naming.name_children(models, Runnable, called="chat model", name_of=_name)


def name_advisers(given: Mapping[str, Any], models: Sequence[str]) -> dict[Adviser, Any]:
    """What asks each adviser: see `cascade_engine.plugin.names.name_advisers`."""
    return _naming.name_advisers(given, models, Runnable, called="chat model")


def _name(child: Any) -> str:
    inner = child
    while isinstance(inner, RunnableBindingBase):
        if isinstance(inner.kwargs.get("model"), str):
            return str(inner.kwargs["model"])
        inner = inner.bound
    for holder in (child, inner, chat_model_of(inner)):
        for attribute in _NAMES:
            value = getattr(holder, attribute, None)
            if isinstance(value, str) and value:
                return value
    return type(inner).__name__
