"""What a call of the cascade hands down to its children: callbacks, metadata, configuration.

A child's handlers hear everything but its tokens. What the user sees token by token are the tokens
of the cascade's own run: a child's may belong to a draft that is rejected, and those of a final
answer are passed on, and would be heard twice.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from langchain_core.callbacks import (
    AsyncCallbackHandler,
    AsyncCallbackManager,
    BaseCallbackHandler,
    CallbackManager,
    UsageMetadataCallbackHandler,
)
from langchain_core.runnables.config import (
    RunnableConfig,
    ensure_config,
    var_child_runnable_config,
)
from langchain_core.tracers import BaseTracer

# LangChain has no public names for these: its own streams are told by their class alone, and so are
# LangGraph's; and the hooks by which counters of tokens come to every run are in one list.
from langchain_core.tracers._streaming import (
    _StreamingCallbackHandler,
    _V2StreamingCallbackHandler,
)
from langchain_core.tracers.base import AsyncBaseTracer
from langchain_core.tracers.context import _configure_hooks
from langchain_core.utils.utils import LC_ID_PREFIX
from langchain_core.utils.uuid import uuid7

from cascade_engine.plugin.call_options import OPTIONS
from langchain_cascade._options import read_options

if TYPE_CHECKING:
    import uuid
    from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Mapping

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun

    from cascade_engine import Session
    from langchain_cascade._settings import Settings

#: The call keyword under which a run travels from `invoke` to `_generate`, and no further.
RUN = "cascade_run"
#: The custom event that announces each decision, with `Decision.to_dict` as its data.
DECISION = "cascade_decision"
#: Handlers that turn a run's tokens into a stream, and have no use without them.
STREAMING = (_StreamingCallbackHandler, _V2StreamingCallbackHandler)
#: Handlers that keep a child's tokens with the child's run.
_TRACERS = (BaseTracer, AsyncBaseTracer)
#: Methods that hear tokens, and the classes whose own hear nothing.
_TOKENS = ("on_llm_new_token", "on_stream_event")
_BASES = (BaseCallbackHandler, AsyncCallbackHandler)


@dataclass(slots=True)
class CallContext:
    """What a call of the cascade hands down to its children.

    Attributes:
        options: the cascade's options for this call; see `read_options`.
        config: for the children: callbacks whose parent is this call's run, tags, metadata.
        run_id: the run's id.
        events: where its decisions are announced; None where nobody is to hear of them.
    """

    options: Mapping[str, Any]
    config: RunnableConfig
    run_id: uuid.UUID | None = None
    events: CallbackManager | AsyncCallbackManager | None = None

    @property
    def message_id(self) -> str:
        """The id that LangChain gives a message that has none of its provider."""
        return f"{self.stream_id}-0"

    @property
    def stream_id(self) -> str:
        """The same of a stream's pieces."""
        return f"{LC_ID_PREFIX}-{self.run_id}"

    def child(self, name: str) -> RunnableConfig:
        """The configuration of one child's run."""
        return cast("RunnableConfig", {**self.config, "run_name": name})

    def announce(self, session: Session) -> None:
        """Tells handlers of the session's last decision, as the custom event `DECISION`."""
        events = self.events
        if isinstance(events, CallbackManager) and events.handlers:
            events.on_custom_event(DECISION, session.decision.to_dict(), self.run_id)

    async def aannounce(self, session: Session) -> None:
        """The same, for asynchronous handlers."""
        events = self.events
        if isinstance(events, AsyncCallbackManager) and events.handlers:
            await events.on_custom_event(DECISION, session.decision.to_dict(), self.run_id)


def open_run(
    config: RunnableConfig | None, cascade: Settings, *, is_async: bool
) -> tuple[RunnableConfig, CallContext]:
    """Fixes the run's id and callbacks beforehand, so that children can be hung below it.

    LangChain tells `_stream` nothing of the run it belongs to. Knowing the id in advance, the
    children's callback manager can be built here, on the same handlers.

    Returns:
        The configuration to call LangChain's own method with, and the run.

    Raises:
        ConfigurationError: an option of the call that cannot work.
    """
    config = ensure_config(config)
    run_id = config.get("run_id") or uuid7()
    manager = AsyncCallbackManager if is_async else CallbackManager
    callbacks = manager.configure(
        config.get("callbacks"),
        inheritable_tags=config.get("tags"),
        inheritable_metadata=config.get("metadata"),
    )
    events = callbacks
    if cascade.callbacks or cascade.verbose:
        # The cascade's own handlers hear of its decisions, and not of its children, unless they
        # count tokens.
        events = manager.configure(callbacks, cascade.callbacks, cascade.verbose)
    run = CallContext(
        read_options(config.get("configurable"), cascade.models),
        _config_below(events, run_id, config, is_async=is_async),
        run_id,
        events if events.handlers else None,
    )
    return cast("RunnableConfig", {**config, "run_id": run_id, "callbacks": callbacks}), run


def run_below(
    parent: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None,
    models: Collection[str],
    *,
    is_async: bool,
) -> CallContext:
    """The run of a call that did not come through `invoke` or `stream` (`generate`, say)."""
    config = ensure_config()
    if parent is not None:
        return run_in(parent, config, models, is_async=is_async)
    # The call has no run of its own: the children belong to the run that surrounds it.
    manager = AsyncCallbackManager if is_async else CallbackManager
    around = manager.configure(config.get("callbacks"))
    options = read_options(config.get("configurable"), models)
    below = _config_below(around, around.parent_run_id, config, is_async=is_async)
    return CallContext(options, below)


def run_in(
    parent: Any, config: RunnableConfig, models: Collection[str], *, is_async: bool
) -> CallContext:
    """The run of a call that LangChain has opened already.

    Args:
        parent: the run's own manager.
        config: of the call.
        models: names of the children.
        is_async: whether the children are awaited.
    """
    manager = AsyncCallbackManager if is_async else CallbackManager
    return CallContext(
        read_options(config.get("configurable"), models),
        _config_below(parent, parent.run_id, config, is_async=is_async),
        parent.run_id,
        manager(handlers=list(parent.handlers), parent_run_id=parent.run_id),
    )


class Surroundings:
    """A context in which a child's configuration is the one that surrounds it.

    A binding merges what surrounds it into what it is called with: it would bring back the handlers
    and options that a child must not see. LangChain's own `set_config_context` sets it in a copy of
    the context, which is slow to make, and in which nothing can be awaited.
    """

    __slots__ = ("_config", "_token")

    def __init__(self, config: RunnableConfig) -> None:
        self._config = config

    def __enter__(self) -> None:
        self._token = var_child_runnable_config.set(self._config)

    def __exit__(self, *error: object) -> None:
        var_child_runnable_config.reset(self._token)


def streamed(stream: Iterator[Any], config: RunnableConfig) -> Iterator[Any]:
    """A child's stream, surrounded by its configuration; between the chunks nothing is."""
    while True:
        with Surroundings(config):
            try:
                chunk = next(stream)
            except StopIteration:
                return
        yield chunk


async def astreamed(
    stream: AsyncGenerator[Any, None], config: RunnableConfig
) -> AsyncGenerator[Any, None]:
    """The same, without blocking the event loop."""
    async with aclosing(stream):
        while True:
            with Surroundings(config):
                try:
                    chunk = await anext(stream)
                except StopAsyncIteration:
                    return
            yield chunk


def _config_below(
    source: Any, run_id: uuid.UUID | None, config: RunnableConfig, *, is_async: bool
) -> RunnableConfig:
    """The children's configuration: the source's handlers, tags and metadata, under a run's id."""
    manager: Any = AsyncCallbackManager if is_async else CallbackManager
    inherited = [*source.inheritable_handlers, *token_counters(source)]
    handlers = without_tokens(inherited, is_async=is_async)
    children = manager(
        handlers=list(handlers),
        inheritable_handlers=handlers,
        parent_run_id=run_id,
        tags=list(source.inheritable_tags),
        inheritable_tags=list(source.inheritable_tags),
        metadata=_without_model(source.inheritable_metadata),
        inheritable_metadata=_without_model(source.inheritable_metadata),
    )
    configurable = config.get("configurable") or {}
    others = {key: value for key, value in configurable.items() if key not in OPTIONS}
    return RunnableConfig(callbacks=children, configurable=others)


def _without_model(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata without what describes the parent as a model."""
    return {key: value for key, value in metadata.items() if not key.startswith("ls_")}


def without_tokens(
    handlers: Iterable[BaseCallbackHandler], *, is_async: bool
) -> list[BaseCallbackHandler]:
    """The handlers for a child's run."""
    silent = _AsyncTokenless if is_async else _Tokenless
    return [
        cast("BaseCallbackHandler", silent(handler)) if _needs_silence(handler) else handler
        for handler in handlers
        if not isinstance(handler, STREAMING)
    ]


def token_counters(source: Any) -> list[BaseCallbackHandler]:
    """Handlers of a run alone that count tokens, all of which are used by the children."""
    return [
        handler
        for handler in source.handlers
        if isinstance(handler, UsageMetadataCallbackHandler)
        and handler not in source.inheritable_handlers
    ]


def _needs_silence(handler: BaseCallbackHandler) -> bool:
    kind: Any = type(handler)
    return not isinstance(handler, _Tokenless) and _hears_tokens(kind) and not _is_global(handler)


@lru_cache(maxsize=1024)
def _hears_tokens(kind: Any) -> bool:
    if issubclass(kind, _TRACERS):
        return False
    return any(
        getattr(kind, name) not in {getattr(base, name, None) for base in _BASES}
        for name in _TOKENS
    )


def _is_global(handler: BaseCallbackHandler) -> bool:
    """Whether LangChain adds it to every run, unless it is there itself: counters of tokens."""
    return any(hook[0].get() is handler for hook in _configure_hooks)


class _Tokenless:
    """A handler that hears no tokens; to `isinstance` and `in` it is the handler itself.

    LangChain looks at both: by its class it tells whether a tracer or a counter is there already,
    and by equality that a handler given twice is one. A subclass made for the handler could not
    share its state, and a copy of the handler would count for itself alone.
    """

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


class _AsyncTokenless(_Tokenless):
    """The same; LangChain would send a plain method to a thread for every token."""

    async def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Hears nothing."""

    async def on_stream_event(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Hears nothing."""
