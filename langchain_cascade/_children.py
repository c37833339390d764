"""The children of a cascade: their names, and the chat models within them.

A child may be bound, retried, given fallbacks, or be a chain that ends in a chat model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableSequence, RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase

from cascade_engine.plugin import names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cascade_engine.routing import Adviser


_NAMES = ("name", "model_name", "model", "model_id", "deployment_name")


def name_children(models: Any) -> dict[str, Runnable[Any, Any]]:
    """Chat models by name; those in a sequence are named after themselves or what they call."""
    return names.name_children(models, Runnable, called="chat model", name_of=_name)


def name_advisers(advisers: Mapping[str, Any], models: Sequence[str]) -> dict[Adviser, Any]:
    """Chat models by the adviser that asks them; see `cascade_engine.plugin.names`."""
    return names.name_advisers(advisers, models, Runnable, called="chat model")


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


def adapt(child: Any, change: Callable[[Any], Any]) -> Any:
    """The child with its chat model changed; what is around it stays.

    Args:
        child: a chat model; a binding of one, with its keywords and configuration; a chain that has
            one, of which the last is changed; one with fallbacks, all of which are changed.
        change: what becomes of the chat model.

    Raises:
        NotImplementedError: there is none in the child, or it does not support the change.
    """
    if isinstance(child, RunnableBindingBase):
        return child.model_copy(update={"bound": adapt(child.bound, change)})
    if isinstance(child, RunnableWithFallbacks):
        return with_each(child, lambda one: adapt(one, change))
    if isinstance(child, RunnableSequence):
        return _adapt_last(child, change)
    try:
        return change(child)
    except AttributeError as error:
        raise NotImplementedError(str(error)) from error


def with_each(child: RunnableWithFallbacks[Any, Any], change: Callable[[Any], Any]) -> Any:
    """The child with itself and each of its fallbacks changed."""
    fallbacks = [change(fallback) for fallback in child.fallbacks]
    return child.model_copy(update={"runnable": change(child.runnable), "fallbacks": fallbacks})


def _adapt_last(chain: RunnableSequence[Any, Any], change: Callable[[Any], Any]) -> Any:
    steps: list[Runnable[Any, Any]] = list(chain.steps)
    for place in reversed(range(len(steps))):
        if chat_model_of(steps[place]) is not None:
            steps[place] = adapt(steps[place], change)
            return RunnableSequence(*steps, name=chain.name)
    raise NotImplementedError("there is no chat model in the chain")


def chat_model_of(child: Any) -> BaseChatModel | None:
    """The chat model that answers for a child, None if there is none to be found."""
    while True:
        if isinstance(child, BaseChatModel):
            return child
        if isinstance(child, RunnableBindingBase):
            child = child.bound
        elif isinstance(child, RunnableWithFallbacks):
            child = child.runnable
        elif isinstance(child, RunnableSequence):
            models = (chat_model_of(step) for step in reversed(child.steps))
            return next((model for model in models if model is not None), None)
        else:
            return None
