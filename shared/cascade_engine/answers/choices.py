"""Choices in texts: which letter of a list of options, or which label of a set, an answer gives."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from cascade_engine.answers.final_answers import LATEX_NOISE, final_part, last_boxed
from cascade_engine.answers.question_form import LETTERS
from cascade_engine.answers.text import mentions, phrase, without_markup
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cascade_engine.answers.question_form import QuestionForm

# A letter that is all of a text, of the last line, or of what is in a box.
_ALONE = re.compile(r"\(?([A-J])[).]*")
# "B is correct".
_CORRECT = re.compile(r"\(?\b([A-J])\)? is (?:the )?(?:correct|right|best)\b")
# "the answer is b)": a small letter is read only where nothing but a choice can be meant.
_LOWER = re.compile(r"\banswer is:? \(?([a-j])(?:\)|\.?\s*$)", re.IGNORECASE)
_LEADING_WORDS = 40


def chosen_letters(text: str, last: str = "E") -> set[str]:
    """The letters that a text chooses: those it states, or else those that it begins with.

    The article "A" in prose is no choice.

    Args:
        text: an answer in the form of `without_markup`.
        last: the last of the letters that may be meant.
    """
    if stated := _stated(last).findall(text):
        return set(stated)
    lead = _lead(last).match(text)
    if not lead:
        return set()
    return {lead[1].upper(), *_further(last).findall(text[lead.end() :])}


@cache
def _stated(last: str) -> re.Pattern[str]:
    """Letters that are stated: "the answer is B", "option (B)"; not "answer: A dog"."""
    return re.compile(
        r"\b(?:(?i:answer|option|choice))(?: is|:)?(?: option)?[\s:]*"
        rf"\(?([A-{last}])\b(?![' ]+[a-z])"
    )


@cache
def _lead(last: str) -> re.Pattern[str]:
    """The letter that a text begins with: "B", "b)", "(B)", "B: because"."""
    return re.compile(rf"\(?([A-{last}a-{last.lower()}])(?:[).:,]|\s*$|\s*[-\n])")


@cache
def _further(last: str) -> re.Pattern[str]:
    """Letters after the one that a text begins with: "A) or B)", or on a line of their own."""
    return re.compile(rf"(?:^|\n|\b(?:or|and) )\(?([A-{last}])(?:[).:]|$)")


def names_another_option(question: str, answer: str, right: str) -> bool:
    """Whether an answer gives the text of an option of the question, and not that of the right one.

    Args:
        question: the question, with options as "A) text", one a line.
        answer: the answer.
        right: the letter of the right option.
    """
    options = dict(re.findall(r"^([A-J])\) (.+)$", question, flags=re.MULTILINE))
    if right not in options or mentions(answer, options[right]):
        return False
    return any(mentions(answer, text) for text in options.values())


@persistent("extraction.final_letter")
def final_letter(text: str, form: QuestionForm) -> str | None:
    """The letter that an answer chooses, or that of the one option whose text it names.

    None where it chooses none, or a letter with the text of another option.
    """
    letters = "".join(form.options) or LETTERS.replace("I", "")  # "I" is a word, unless listed
    letter = next((found for found in _letters(text) if found and found in letters), None)
    if letter is None:
        return _named_option(text, form)
    after = re.split(rf"\b{letter}\b", text)[-1]
    named = _named_option(after, form)
    if named in {None, letter} or mentions(after, form.options[letter]):
        return letter
    return None


def _letters(text: str) -> Iterator[str | None]:
    """The letters that a text chooses, by one way of writing after the other."""
    boxed = last_boxed(text)
    if boxed:
        yield _whole(_ALONE, LATEX_NOISE.sub("", boxed).strip("{}"))
    flat = without_markup(text)
    stated = _stated(LETTERS[-1]).findall(flat)
    yield stated[-1] if stated else None
    lower = _last(_LOWER, flat)
    yield lower.upper() if lower else None
    chosen = chosen_letters(flat, LETTERS[-1])
    yield chosen.pop() if len(chosen) == 1 else None
    yield _last(_CORRECT, flat)
    yield _whole(_ALONE, flat.rsplit("\n", 1)[-1].strip())


def _named_option(text: str, form: QuestionForm) -> str | None:
    """The letter of the one option whose text is named."""
    # An option that is a letter or a digit itself says nothing.
    by_text = {text: letter for letter, text in form.options.items() if len(text) > 1}
    named = final_label(text, tuple(by_text)) if by_text else None
    return by_text[named] if named else None


def final_label(text: str, labels: Sequence[str]) -> str | None:
    """The one of the labels that an answer gives; None where it gives none, or several.

    That is the label it begins with, or else the only one it names. A label that is a part of a
    longer one that is named does not count, nor does one after "not". Of long answers the
    beginning counts.

    Args:
        text: the answer.
        labels: the labels in the form of `phrase`.
    """
    words = f" {phrase(final_part(text))} ".replace(" '", " ").replace("' ", " ")
    leading = max((one for one in labels if words.startswith(f" {one} ")), key=len, default=None)
    if leading and not words[len(leading) + 2 :].startswith(("or ", "and ")):
        return leading
    words = f" {' '.join(words.split()[:_LEADING_WORDS])} "
    named = [label for label in labels if f" {label} " in words.replace(f" not {label} ", " ")]
    widest = [
        label
        for label in named
        if not any(label != other and f" {label} " in f" {other} " for other in named)
    ]
    return widest[0] if len(widest) == 1 else None


def _whole(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.fullmatch(text)
    return match[1] if match else None


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    letters = pattern.findall(text)
    return letters[-1] if letters else None
