"""Errors by which a graph is stopped, and which say nothing of the child that they come through."""

from __future__ import annotations

import sys

__all__ = ["stops_the_graph"]


def stops_the_graph(error: BaseException) -> bool:
    """Whether it is LangGraph's way to stop: to ask a human, say, or to hand over.

    Whoever raises one has imported it: LangGraph is looked up, and never loaded.
    """
    errors = sys.modules.get("langgraph.errors")
    return errors is not None and isinstance(error, errors.GraphBubbleUp)
