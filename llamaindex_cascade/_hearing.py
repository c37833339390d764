"""Whether anybody listens to LlamaIndex's instrumentation."""

from __future__ import annotations

from typing import Any

from llama_index.core.instrumentation.event_handlers import NullEventHandler

__all__ = ["is_heard"]


def is_heard(dispatcher: Any) -> bool:
    """Whether anybody listens to a dispatcher's events: making them costs time."""
    while True:
        if any(not isinstance(each, NullEventHandler) for each in dispatcher.event_handlers):
            return True
        if not dispatcher.propagate:
            return False
        dispatcher = dispatcher.parent
