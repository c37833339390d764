"""Calls that no one observes, and that are therefore answered directly.

LangChain opens a run around every call, describes the model to whoever follows it, and looks into
caches. Where there is nobody to tell and nothing to look into, all that comes of it is the id of
the message. Any other call takes LangChain's way.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage

from langchain_cascade._answering import Answering

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import BaseMessage

    from langchain_cascade._callbacks import Run
    from langchain_cascade._settings import Settings

__all__ = ["directly", "is_streamed"]

#: Keywords of a call that LangChain takes for itself.
_FOR_LANGCHAIN = frozenset(
    {
        *("callbacks", "tags", "metadata", "run_name", "run_id", "stream"),
        *("ls_structured_output_format", "structured_output_format"),
    }
)


def directly(
    cascade: Settings,
    run: Run,
    given: LanguageModelInput,
    kwargs: Mapping[str, Any],
    *,
    is_async: bool,
) -> list[BaseMessage] | None:
    """The messages of a call that may be answered directly; None where it may not.

    Args:
        cascade: that is called.
        run: of the call.
        given: what is asked.
        kwargs: of the call.
        is_async: whether the call is awaited.

    Raises:
        ValueError: what is given is nothing to ask.
    """
    if (
        run.events is not None
        or _is_looked_up(cascade)
        or cascade.streaming
        or cascade.rate_limiter is not None
        or cascade.output_version == "v1"
        or not _FOR_LANGCHAIN.isdisjoint(kwargs)
        or not _is_as_written(type(cascade), is_async=is_async)
    ):
        return None
    if type(given) is str:
        return [HumanMessage(given)]
    messages = cascade._convert_input(given).to_messages()
    # Of other content LangChain brings older forms into newer ones.
    return messages if all(isinstance(each.content, str) for each in messages) else None


def is_streamed(cascade: Settings) -> bool:
    """Whether it has not been said that streams are to have one piece, or that they are not."""
    return not cascade.disable_streaming and "streaming" not in cascade.model_fields_set


def _is_looked_up(cascade: Settings) -> bool:
    if cascade.cache is None:
        return get_llm_cache() is not None
    return cascade.cache is not False


#: The methods that a direct call passes by: LangChain's, and those that a subclass may have.
_PASSED = (
    attrgetter("invoke", "stream", "generate_prompt", "generate", "_generate_with_cache"),
    attrgetter("ainvoke", "astream", "agenerate_prompt", "agenerate", "_agenerate_with_cache"),
)
_MAY_BE_REPLACED = (
    attrgetter("generate_prompt", "generate", "_generate"),
    attrgetter("agenerate_prompt", "agenerate", "_agenerate"),
)


def _as_written(passed: Callable[[Any], tuple[Any, ...]]) -> tuple[Any, ...] | None:
    """LangChain's own methods, None where somebody has put his around them."""
    methods = passed(BaseChatModel)
    return None if any(hasattr(method, "__wrapped__") for method in methods) else methods


_LANGCHAINS = tuple(map(_as_written, _PASSED))
_OURS = tuple(written(Answering) for written in _MAY_BE_REPLACED)


def _is_as_written(kind: type[Settings], *, is_async: bool) -> bool:
    """Whether no subclass and no tool for monitoring has put its own method in the way."""
    return (
        _PASSED[is_async](BaseChatModel) == _LANGCHAINS[is_async]
        and _MAY_BE_REPLACED[is_async](kind) == _OURS[is_async]
    )
