"""How graders read references and answers before they compare them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cascade_engine.answers.text import mentions, number_value

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["canonical_json", "hundredth", "listed", "names_another_option", "texts"]


def texts(reference: Any) -> list[str]:
    """The accepted texts: one, or several."""
    if isinstance(reference, str) or not isinstance(reference, Iterable):
        return [str(reference)]
    return [str(text) for text in reference]


def names_another_option(question: str, answer: str, right: str) -> bool:
    """Whether an answer gives the text of another option than the right letter's."""
    options = dict(re.findall(r"^([A-J])\) (.+)$", question, flags=re.MULTILINE))
    if right not in options or mentions(answer, options[right]):
        return False
    return any(mentions(answer, text) for text in options.values())


def hundredth(text: str) -> Fraction | None:
    """A percentage as a number."""
    return number_value(text + "%")


def listed(text: str, expected: Sequence[Any]) -> list[Any]:
    """The items that an answer lists: the expected words among its words, or its numbers."""
    if all(isinstance(item, str) for item in expected):
        return [word for word in re.findall(r"[\w'-]+", text.casefold()) if word in expected]
    text = re.sub(r"^\s*\d+[.)]\s+(?=\S)", "", text, flags=re.MULTILINE)
    return [number_value(found) for found in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?!\d)", text)]


def canonical_json(value: Any) -> Any:
    """JSON in the form in which it is compared."""
    if isinstance(value, Mapping):
        return {str(key).strip().casefold(): canonical_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical_json(item) for item in value]
    if isinstance(value, bool) or value is None:
        return ("literal", value)
    read = number_value(str(value))
    return str(value).strip().casefold() if read is None else read
