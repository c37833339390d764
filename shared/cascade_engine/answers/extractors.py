"""Extractors: ways to read the one final answer from a free text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from cascade_engine.answers.code_and_json import final_code, final_field, final_json
from cascade_engine.answers.final_answers import (
    final_boxed,
    final_label,
    final_letter,
    final_part,
    final_value,
    lone_value,
)
from cascade_engine.answers.question_form import Asked, asked
from cascade_engine.answers.text import bare, phrase
from cascade_engine.errors import ConfigurationError
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "Extract",
    "Extractor",
    "automatic",
    "boxed",
    "choice_letter",
    "code_block",
    "json_answer",
    "json_field",
    "label",
    "normalised_text",
    "number",
]

Extract: TypeAlias = Callable[[str, str], "str | None"]
"""A function `(question, text) -> final answer`, None where there is none."""


@persistent("Extractor")
@dataclass(frozen=True)
class Extractor:
    """A way to read the final answer, with a name. Call it as a function `(question, text)`.

    Attributes:
        kind: what it reads; values of different kinds are never compared with each other.
        read: the function.
        closed: whether two values are either the same or not, and likeness of words means nothing:
            so it is for numbers, letters and labels.
    """

    kind: str
    read: Extract = field(repr=False)
    closed: bool = False

    def __call__(self, question: str, text: str) -> str | None:
        """The final answer in its canonical form, None where there is none."""
        return self.find(question, text)[1]

    def find(self, question: str, text: str) -> tuple[Extractor, str | None]:
        """The extractor that applies, and what it found."""
        return self, self.read(question, text)


def _read(reader: Callable[[str, Asked], str | None]) -> Extract:
    return partial(_asking, reader)


@persistent("extraction.asking")
def _asking(reader: Callable[[str, Asked], str | None], question: str, text: str) -> str | None:
    return reader(text, asked(question))


@persistent("extraction.text_value")
def _text_value(text: str, asked: Asked) -> str | None:
    part = bare(final_part(text, asked))
    return phrase(part) or part.casefold() or None


number = Extractor("number", _read(final_value), closed=True)
choice_letter = Extractor("letter", _read(final_letter), closed=True)
boxed = Extractor("boxed", _read(final_boxed))
code_block = Extractor("code", _read(final_code))
json_answer = Extractor("json", _read(final_json))
normalised_text = Extractor("text", _read(_text_value))


def label(labels: Sequence[str]) -> Extractor:
    """An extractor of one label of a closed set.

    The answer's label is the one it begins with, or else the only one it names.

    Args:
        labels: at least two texts, distinct but for case, spaces and punctuation.

    Returns:
        An extractor whose values are labels as they are given here.

    Raises:
        ConfigurationError: a single string, fewer than two labels, or two that are the same.
    """
    if isinstance(labels, str):
        raise ConfigurationError(f"labels must be a list, not the one string {labels!r}")
    given = {phrase(text): text for text in labels}
    if len(given) < 2 or len(given) < len(labels) or "" in given:  # noqa: PLR2004
        raise ConfigurationError(
            f"labels must be two or more distinct words or phrases, not {list(labels)!r}"
        )

    return Extractor("label", partial(_label, given), closed=True)


@persistent("extraction.label")
def _label(given: Mapping[str, str], _: str, text: str) -> str | None:
    found = final_label(text, tuple(given))
    return given[found] if found else None


def json_field(path: str) -> Extractor:
    """An extractor of one field of the JSON in an answer.

    Args:
        path: names and list positions that lead to the field, with dots: "person.names.0".

    Returns:
        An extractor whose values are numbers and texts in canonical form, objects as JSON.

    Raises:
        ConfigurationError: an empty name in the path.
    """
    steps = path.split(".")
    if not all(steps):
        raise ConfigurationError(
            f"a path is names joined by single dots, such as 'a.b', not {path!r}"
        )
    return Extractor("field", partial(_field, steps))


@persistent("extraction.field")
def _field(steps: Sequence[str], _: str, text: str) -> str | None:
    return final_field(text, steps)


@persistent("AutomaticExtractor")
class _Automatic(Extractor):
    """Tries what the question asks for, then what the answer looks like."""

    def find(self, question: str, text: str) -> tuple[Extractor, str | None]:
        wanted = asked(question)
        for extractor in _candidates(wanted, text):
            value = extractor(question, text)
            if value is not None:
                return (number if extractor is boxed and lone_value(value) else extractor), value
        return normalised_text.find(question, text)


def _candidates(wanted: Asked, text: str) -> Iterator[Extractor]:
    if wanted.options:
        yield choice_letter
    if "\\boxed{" in text:
        yield boxed
    if wanted.labels:
        yield _ASKED_LABEL
    elif wanted.yes_no and len(text) <= _SHORT:
        yield _YES_NO
    if wanted.code and "```" in text:
        yield code_block
    if wanted.json or text.lstrip()[:1] in {"{", "[", "`"}:
        yield json_answer
    if wanted.number:
        yield number
    yield _LONE_NUMBER


@persistent("extraction.asked_label")
def _asked_label(text: str, asked: Asked) -> str | None:
    return final_label(text, asked.labels)


@persistent("extraction.lone_number")
def _lone_number(text: str, asked: Asked) -> str | None:
    return lone_value(bare(final_part(text, asked)))


_ASKED_LABEL = Extractor("label", _read(_asked_label), closed=True)
# A long answer says more than its first word, and is compared by all it says.
_SHORT = 300
_YES_NO = label(["yes", "no"])
_LONE_NUMBER = Extractor("number", _read(_lone_number), closed=True)

automatic = _Automatic("automatic", normalised_text.read)
