"""What is raised where no child could answer, in words that LangChain knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.exceptions import ContextOverflowError

from cascade_engine import AllModelsFailedError

if TYPE_CHECKING:
    from cascade_engine import Answer, Session

__all__ = ["AllContextsOverflowError", "result_of"]


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
        kinds = {isinstance(each, ContextOverflowError) for each in error.errors.values()}
        if kinds != {True}:
            raise
        raise AllContextsOverflowError(error.errors, error._unavailable) from None
