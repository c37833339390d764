"""The events by which a cascade tells LlamaIndex's instrumentation what it does."""

from __future__ import annotations

from typing import Any

from llama_index.core.instrumentation.event_handlers import NullEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from pydantic import Field

__all__ = ["CascadeDecisionEvent", "CascadeTraceEvent"]


class CascadeDecisionEvent(BaseEvent):
    """A cascade has decided whom to ask next, or that it is done.

    It belongs to the span of the cascade's own call, next to the spans of the children it asked.

    Attributes:
        decision: what was believed, decided and why, as `Decision.to_dict` has it.
        record: with the last decision, the record of the whole call: all costs, those of rejected
            drafts, judges and samples included.
    """

    decision: dict[str, Any]
    record: dict[str, Any] | None = None

    @classmethod
    def class_name(cls) -> str:
        """Name of the kind of event."""
        return "CascadeDecisionEvent"


class CascadeTraceEvent(BaseEvent):
    """A call of a cascade has come to its end.

    Attributes:
        logged: a `LoggedTrace`: what was asked, answered and decided, rejected drafts included. It
            is left out where the event is written down.
    """

    logged: Any = Field(exclude=True, repr=False)

    @classmethod
    def class_name(cls) -> str:
        """Name of the kind of event."""
        return "CascadeTraceEvent"


def has_listeners(dispatcher: Any) -> bool:
    """Whether anybody listens to a dispatcher's events: building them costs time."""
    while True:
        if any(not isinstance(h, NullEventHandler) for h in dispatcher.event_handlers):
            return True
        if not dispatcher.propagate:
            return False
        dispatcher = dispatcher.parent
