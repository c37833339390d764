"""What a cascade tells LlamaIndex's instrumentation."""

from __future__ import annotations

from typing import Any

from llama_index.core.instrumentation.events import BaseEvent

__all__ = ["CascadeDecisionEvent"]


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
