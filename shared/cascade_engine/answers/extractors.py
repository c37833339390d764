r"""Extractors read the one final answer from a free text, so that answers can be compared.

An extractor is any function `(question, text) -> str | None` that returns one canonical text for
all answers that say the same, and None where it finds no final answer. Here are:

| Extractor          | reads                                                    | "B) 1,200 USD" |
| ------------------ | -------------------------------------------------------- | -------------- |
| `number`           | the final number, as a decimal or a fraction             | "1200"         |
| `choice_letter`    | the letter A to J of the option chosen                   | "B"            |
| `label(labels)`    | the one of the given labels                              |                |
| `json_field(path)` | a field of the JSON in the answer                        |                |
| `json_answer`      | the JSON that the answer is, keys sorted                 |                |
| `code_block`       | the last code block, without comments and layout         |                |
| `boxed`            | what LaTeX's `\boxed{}` holds                            |                |
| `normalised_text`  | the words, without a lead-in such as "The answer is"     | "b 1 200 usd"  |
| `automatic`        | whichever of these the question and the answer call for  |                |

No extractor raises on any text, and all take time linear in its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from cascade_engine.answers.choices import final_label, final_letter
from cascade_engine.answers.code_and_json import final_code, final_field, final_json
from cascade_engine.answers.final_answers import LATEX_NOISE, final_part, last_boxed
from cascade_engine.answers.numbers import final_value, lone_value, number_text, number_value
from cascade_engine.answers.question_form import QuestionForm, form_of
from cascade_engine.answers.text import bare, phrase, without_markup
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

Reader: TypeAlias = Callable[[str, QuestionForm], "str | None"]
"""A function `(text, form of the question) -> final answer`, None where there is none."""

_LATEX_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]+)\}\{([^{}]+)\}")
# A long answer says more than its first word, and is compared by all it says.
_LONGEST_YES_NO = 300  # characters


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
        """The extractor that applies, which may be another one, and the final answer it reads."""
        return self, self.read(question, text)


def _with_form(reader: Reader) -> Extract:
    return partial(_read_with_form, reader)


@persistent("extraction.asking")
def _read_with_form(reader: Reader, question: str, text: str) -> str | None:
    return reader(text, form_of(question))


@persistent("extraction.text_value")
def _text_value(text: str, form: QuestionForm) -> str | None:
    part = bare(final_part(text, form.words))
    return phrase(part) or part.casefold() or None


@persistent("extraction.final_boxed")
def _boxed_value(text: str, _: QuestionForm) -> str | None:
    """What the last box holds: a number, or else its LaTeX but for what only changes its looks."""
    content = last_boxed(text)
    if content is None:
        return None
    value = number_value(without_markup(content))
    if value is not None:
        return number_text(value)
    return LATEX_NOISE.sub("", _LATEX_FRACTION.sub(r"\1/\2", content)).strip("{}") or None


number = Extractor("number", _with_form(final_value), closed=True)
choice_letter = Extractor("letter", _with_form(final_letter), closed=True)
boxed = Extractor("boxed", _with_form(_boxed_value))
code_block = Extractor("code", _with_form(final_code))
json_answer = Extractor("json", _with_form(final_json))
normalised_text = Extractor("text", _with_form(_text_value))


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
    by_phrase = {phrase(text): text for text in labels}
    if len(by_phrase) < 2 or len(by_phrase) < len(labels) or "" in by_phrase:  # noqa: PLR2004
        raise ConfigurationError(
            f"labels must be two or more distinct words or phrases, not {list(labels)!r}"
        )
    return Extractor("label", partial(_label, by_phrase), closed=True)


@persistent("extraction.label")
def _label(by_phrase: Mapping[str, str], _: str, text: str) -> str | None:
    named = final_label(text, tuple(by_phrase))
    return by_phrase[named] if named else None


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
        for extractor in _candidates(form_of(question), text):
            value = extractor(question, text)
            if value is not None:
                return (number if extractor is boxed and lone_value(value) else extractor), value
        return normalised_text.find(question, text)


def _candidates(form: QuestionForm, text: str) -> Iterator[Extractor]:
    """The extractors that the question or the answer call for, the most certain first."""
    if form.options:
        yield choice_letter
    if "\\boxed{" in text:
        yield boxed
    if form.labels:
        yield _OWN_LABEL
    elif form.yes_no and len(text) <= _LONGEST_YES_NO:
        yield _YES_NO
    if form.code and "```" in text:
        yield code_block
    if form.json or text.lstrip()[:1] in {"{", "[", "`"}:
        yield json_answer
    if form.number:
        yield number
    yield _LONE_NUMBER


@persistent("extraction.asked_label")
def _own_label(text: str, form: QuestionForm) -> str | None:
    """The one of the labels that the question itself names."""
    return final_label(text, form.labels)


@persistent("extraction.lone_number")
def _lone_number(text: str, form: QuestionForm) -> str | None:
    return lone_value(bare(final_part(text, form.words)))


_OWN_LABEL = Extractor("label", _with_form(_own_label), closed=True)
_YES_NO = label(["yes", "no"])
_LONE_NUMBER = Extractor("number", _with_form(_lone_number), closed=True)

automatic = _Automatic("automatic", normalised_text.read)
