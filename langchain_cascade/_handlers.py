"""Callback handlers as a child's run may see them: they hear everything but its tokens.

What the user sees token by token are the tokens of the cascade's own run. A child's may belong to a
draft that is rejected, and those of a final answer are passed on, and would be heard twice.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from langchain_core.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
    UsageMetadataCallbackHandler,
)
from langchain_core.tracers import BaseTracer
from langchain_core.tracers._streaming import (
    _StreamingCallbackHandler,
    _V2StreamingCallbackHandler,
)
from langchain_core.tracers.base import AsyncBaseTracer
from langchain_core.tracers.context import _configure_hooks

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["STREAMING", "counting", "without_tokens"]

_TOKENS = ("on_llm_new_token", "on_stream_event")
#: Handlers that turn a run's tokens into a stream, and have no use without them.
STREAMING = (_StreamingCallbackHandler, _V2StreamingCallbackHandler)
#: Handlers that keep a child's tokens with the child's run.
_TRACERS = (BaseTracer, AsyncBaseTracer)


def without_tokens(
    handlers: Iterable[BaseCallbackHandler], *, is_async: bool
) -> list[BaseCallbackHandler]:
    """The handlers for a child's run."""
    deaf = _AsyncDeaf if is_async else _Deaf
    return [
        cast("BaseCallbackHandler", deaf(handler)) if _is_to_be_deaf(handler) else handler
        for handler in handlers
        if not isinstance(handler, STREAMING)
    ]


def counting(source: Any) -> list[BaseCallbackHandler]:
    """Handlers of a run alone that count tokens: what is used, is used by the children."""
    return [
        handler
        for handler in source.handlers
        if isinstance(handler, UsageMetadataCallbackHandler)
        and handler not in source.inheritable_handlers
    ]


def _is_to_be_deaf(handler: BaseCallbackHandler) -> bool:
    kind: Any = type(handler)
    return not isinstance(handler, _Deaf) and _hears_tokens(kind) and not _is_global(handler)


@lru_cache(maxsize=1024)
def _hears_tokens(kind: Any) -> bool:
    if issubclass(kind, _TRACERS):
        return False
    return any(
        getattr(kind, name) not in {getattr(base, name, None) for base in _SILENT}
        for name in _TOKENS
    )


_SILENT = (BaseCallbackHandler, AsyncCallbackHandler)


def _is_global(handler: BaseCallbackHandler) -> bool:
    """Whether LangChain adds it to every run, unless it is there itself: counters of tokens."""
    return any(hook[0].get() is handler for hook in _configure_hooks)


class _Deaf:
    """A handler that hears no tokens; to `isinstance` and `in` it is the handler itself."""

    def __init__(self, handler: BaseCallbackHandler) -> None:
        self._handler = handler

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)

    @property  # type: ignore[misc]
    def __class__(self) -> type[Any]:
        return type(self._handler)

    def __eq__(self, other: object) -> bool:
        return self._handler is other or self._handler is getattr(other, "_handler", None)

    def __hash__(self) -> int:
        return hash(self._handler)

    def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:
        """Hears nothing."""

    def on_stream_event(self, *args: Any, **kwargs: Any) -> None:
        """Hears nothing."""


class _AsyncDeaf(_Deaf):
    """The same; LangChain would send a plain method to a thread for every token."""

    async def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Hears nothing."""

    async def on_stream_event(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Hears nothing."""
