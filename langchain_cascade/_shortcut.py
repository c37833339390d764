"""Calls that no one observes, and that are therefore answered directly.

LangChain opens a run around every call, describes the model to callback handlers, and looks into
caches. Without handlers and caches nothing comes of that but the id of the message, and it takes as
long as all the rest of a call. Any other call takes LangChain's way.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import BaseMessage

    from langchain_cascade._callbacks import CallContext
    from langchain_cascade._settings import Settings


#: Keywords of a call that LangChain takes for itself.
_FOR_LANGCHAIN = frozenset(
    {
        *("callbacks", "tags", "metadata", "run_name", "run_id", "stream"),
        *("ls_structured_output_format", "structured_output_format"),
    }
)


def direct_messages(
    cascade: Settings,
    run: CallContext,
    input: LanguageModelInput,
    kwargs: Mapping[str, Any],
    own: OwnMethods,
) -> list[BaseMessage] | None:
    """The messages of a call that may be answered directly; None where it may not.

    Args:
        cascade: that is called.
        run: of the call.
        input: what is asked.
        kwargs: of the call.
        own: the methods of the cascade's class that a direct call passes by.

    Raises:
        ValueError: the input is nothing to ask.
    """
    if (
        run.events is not None
        or _has_cache(cascade)
        or cascade.streaming
        or cascade.rate_limiter is not None
        or cascade.output_version == "v1"
        or not _FOR_LANGCHAIN.isdisjoint(kwargs)
        or not own.are_those_of(type(cascade))
    ):
        return None
    if type(input) is str:
        return [HumanMessage(input)]
    messages = cascade._convert_input(input).to_messages()
    # Of other content LangChain brings older forms into newer ones.
    return messages if all(isinstance(m.content, str) for m in messages) else None


def is_streamed(cascade: Settings) -> bool:
    """Whether `stream` yields chunks: streaming is not disabled, and left to the cascade."""
    return not cascade.disable_streaming and "streaming" not in cascade.model_fields_set


def _has_cache(cascade: Settings) -> bool:
    if cascade.cache is None:
        return get_llm_cache() is not None
    return cascade.cache is not False


class OwnMethods:
    """The methods that a direct call passes by, as they were when the cascade's class was made.

    A subclass, or a tool for monitoring, may have put its own in their place: it has to be called.

    Args:
        cascade: the class.
        is_async: whether calls are awaited.
    """

    def __init__(self, cascade: type[Settings], *, is_async: bool) -> None:
        a = "a" if is_async else ""
        replaceable = (f"{a}generate_prompt", f"{a}generate")
        self._own = attrgetter(*replaceable, f"_{a}generate")
        self._langchains = attrgetter(
            f"{a}invoke", f"{a}stream", *replaceable, f"_{a}generate_with_cache"
        )
        self._methods = (self._langchains(BaseChatModel), self._own(cascade))
        # A tool that came before wraps LangChain's methods, and is not passed by either.
        self._are_wrapped = any(hasattr(method, "__wrapped__") for method in self._methods[0])

    def are_those_of(self, cascade: type[Settings]) -> bool:
        """Whether they still are what LangChain and the class itself have."""
        methods = (self._langchains(BaseChatModel), self._own(cascade))
        return not self._are_wrapped and methods == self._methods
