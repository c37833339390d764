"""What a call of the cascade hands down to its children: callbacks, metadata, configuration."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, cast

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.runnables.config import RunnableConfig, ensure_config
from langchain_core.tracers._streaming import (
    _StreamingCallbackHandler,
    _V2StreamingCallbackHandler,
)

from cascade_engine import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun

    from cascade_engine import Session

#: The call keyword under which a run travels from `invoke` to `_generate`, and no further.
RUN = "cascade_run"
#: The custom event that announces each decision, with `Decision.to_dict` as its data.
DECISION = "cascade_decision"
#: Keys of `config["configurable"]` that are the cascade's own.
OPTIONS = ("max_expected_cost", "max_cost")
#: Handlers that turn a run's tokens into a stream.
_STREAMING = (_StreamingCallbackHandler, _V2StreamingCallbackHandler)


@dataclass(frozen=True, slots=True)
class Run:
    """One call of the cascade.

    Attributes:
        options: the cascade's options for this call.
        config: for the children: callbacks whose parent is this call's run, tags, metadata.
        run_id: the run's id.
        events: where its decisions are announced.
    """

    options: Mapping[str, Any]
    config: RunnableConfig
    run_id: uuid.UUID | None = None
    events: CallbackManager | AsyncCallbackManager | None = None

    def child(self, name: str) -> RunnableConfig:
        """The configuration of one child's run."""
        return cast("RunnableConfig", {**self.config, "run_name": name})

    def announce(self, session: Session | None) -> None:
        """Tells handlers of the session's last decision, as the custom event `DECISION`."""
        events = self.events
        if session is not None and isinstance(events, CallbackManager) and events.handlers:
            events.on_custom_event(DECISION, session.decision.to_dict(), self.run_id)

    async def aannounce(self, session: Session | None) -> None:
        """The same, for asynchronous handlers."""
        events = self.events
        if session is not None and isinstance(events, AsyncCallbackManager) and events.handlers:
            await events.on_custom_event(DECISION, session.decision.to_dict(), self.run_id)


def open_run(config: RunnableConfig | None, *, is_async: bool) -> tuple[RunnableConfig, Run]:
    """Fixes the run's id and callbacks beforehand, so that children can be hung below it.

    LangChain tells `_stream` nothing of the run it belongs to. Knowing the id in advance, the
    children's callback manager can be built here, on the same handlers.

    Returns:
        The configuration to call LangChain's own method with, and the run.
    """
    config = ensure_config(config)
    run_id = config.get("run_id") or uuid.uuid4()
    manager = AsyncCallbackManager if is_async else CallbackManager
    callbacks = manager.configure(
        config.get("callbacks"),
        inheritable_tags=config.get("tags"),
        inheritable_metadata=config.get("metadata"),
    )
    configurable = config.get("configurable") or {}
    run = Run(
        options={key: _limit(key, configurable[key]) for key in OPTIONS if key in configurable},
        config=_below(callbacks, run_id, manager, configurable),
        run_id=run_id,
        events=callbacks,
    )
    return cast("RunnableConfig", {**config, "run_id": run_id, "callbacks": callbacks}), run


def _limit(key: str, value: Any) -> float | None:
    if value is None or (isinstance(value, Real) and float(value) >= 0):
        return cast("float | None", value)
    raise ConfigurationError(
        f'config["configurable"][{key!r}] must be a number >= 0, not {value!r}'
    )


def run_below(
    parent: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None, *, is_async: bool
) -> Run:
    """The run of a call that did not come through `invoke` or `stream` (`generate`, say)."""
    manager = AsyncCallbackManager if is_async else CallbackManager
    if parent is None:
        return Run({}, RunnableConfig(callbacks=manager(handlers=[])))
    events = manager(handlers=list(parent.handlers), parent_run_id=parent.run_id)
    return Run({}, _below(parent, parent.run_id, manager, {}), parent.run_id, events)


def _below(
    source: Any,
    run_id: uuid.UUID,
    manager: type[CallbackManager | AsyncCallbackManager],
    configurable: Mapping[str, Any],
) -> RunnableConfig:
    # The cascade's own run emits the tokens that the user is to see: a handler that turns tokens
    # into a stream must not see the children's, which may belong to a draft.
    handlers = [h for h in source.inheritable_handlers if not isinstance(h, _STREAMING)]
    children = manager(
        handlers=list(handlers),
        inheritable_handlers=handlers,
        parent_run_id=run_id,
        tags=list(source.inheritable_tags),
        inheritable_tags=list(source.inheritable_tags),
        metadata=_own(source.inheritable_metadata),
        inheritable_metadata=_own(source.inheritable_metadata),
    )
    rest = {key: value for key, value in configurable.items() if key not in OPTIONS}
    return RunnableConfig(callbacks=children, configurable=rest)


def _own(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata without what describes the parent as a model."""
    return {key: value for key, value in metadata.items() if not key.startswith("ls_")}
