"""Errors that mean something to LangChain: where no child could answer, and where a graph stops."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from langchain_core.exceptions import ContextOverflowError

from cascade_engine import AllModelsFailedError

if TYPE_CHECKING:
    from cascade_engine import Answer, Session


class AllContextsOverflowError(AllModelsFailedError, ContextOverflowError):
    """Every child failed because the conversation is longer than it can read.

    Agents catch LangChain's own error to shorten the conversation and ask again.
    """


def result_of(session: Session) -> Answer:
    """The answer to return.

    Raises:
        AllModelsFailedError: no child answered.
    """
    try:
        return session.result
    except AllModelsFailedError as error:
        causes = error.errors.values()
        if not causes or not all(isinstance(cause, ContextOverflowError) for cause in causes):
            raise
        raise AllContextsOverflowError(error.errors, error.unavailable) from None


def stops_the_graph(error: BaseException) -> bool:
    """Whether an error is LangGraph's way to stop: to ask a human, say, or to hand over.

    It says nothing of the child that it comes through. Whoever raises one has imported LangGraph,
    which is therefore looked up, and never loaded.
    """
    errors = sys.modules.get("langgraph.errors")
    return errors is not None and isinstance(error, errors.GraphBubbleUp)
