"""Looks at a draft while it is written, so that one that would be rejected need not be finished."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cascade_engine.answers.question_form import asked
from cascade_engine.core.arrays import is_number
from cascade_engine.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cascade_engine.core.records import Answer, Query
    from cascade_engine.routing.session import Session

__all__ = [
    "CHARACTERS_PER_TOKEN",
    "TOKENS_BETWEEN_LOOKS",
    "DraftWatch",
    "can_be_judged_in_part",
    "check_abandon_below",
    "is_between_parts",
]

#: A look costs some hundred microseconds, and says little new after a word or two.
TOKENS_BETWEEN_LOOKS = 8
#: What is usual, of text in English, where a model does not report its tokens.
CHARACTERS_PER_TOKEN = 4


def check_abandon_below(value: float | None) -> None:
    """Refuses what is no quality.

    Raises:
        ConfigurationError: it is neither None nor a number from 0 to 1.
    """
    if value is not None and not (is_number(value) and 0 <= value <= 1):
        raise ConfigurationError(
            f"abandon_below must be a quality from 0 to 1, or None to finish every draft, not "
            f"{value!r}"
        )


def can_be_judged_in_part(query: Query) -> bool:
    """Whether half an answer may be told from a bad one: half of a JSON object is none."""
    return query.schema is None and not query.tools and not asked(query.text).json


def is_between_parts(partial: Answer) -> bool:
    """Whether an answer has not begun, or ends within what is invalid until it is complete."""
    has_begun = bool(partial.text) and not partial.text.isspace()
    return not has_begun or bool(partial.tool_calls) or partial.text.count("```") % 2 == 1


@dataclass(slots=True)
class DraftWatch:
    """Looks at the draft of a session's pending call every so many tokens.

    Attributes:
        session: which has a call pending.
        every: tokens from one look to the next.
    """

    session: Session
    every: int = TOKENS_BETWEEN_LOOKS
    _next: int = 0

    def __post_init__(self) -> None:
        self._next = self.every

    def abandons(self, tokens: int, partial: Callable[[], Answer]) -> bool:
        """Whether the draft is to be written no further, if it is time for a look.

        Args:
            tokens: how many have been written.
            partial: makes the answer so far.
        """
        if tokens < self._next:
            return False
        self._next = tokens + self.every
        return self.session.abandons(partial())
