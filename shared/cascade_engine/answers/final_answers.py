"""Readers of numbers, letters, labels: `(text, asked) -> value`, None where there is none."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from cascade_engine.answers.question_form import LETTERS
from cascade_engine.answers.similarity import unechoed
from cascade_engine.answers.text import (
    NUMBER,
    bare,
    chosen_letters,
    final_number,
    last_boxed,
    letters_stated,
    mentions,
    number_value,
    phrase,
    plain,
)
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cascade_engine.answers.question_form import Asked

__all__ = [
    "final_boxed",
    "final_label",
    "final_letter",
    "final_part",
    "final_value",
    "lone_value",
    "number_text",
]

_MARK = re.compile(
    r"####[ \t]*|\b(?:final|correct|right) answer\b\W{0,4}(?:is\b|:)\W{0,4}"
    r"|\b(?:the|my) answer\b\W{0,4}(?:is\b|:)\W{0,4}|^\W{0,4}answer\W{0,2}:\W{0,4}",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCE_END = re.compile(r"(?<=[^\W_]{3}[.!?])\s+(?=[A-Z])")
_HASHED = re.compile(r"####[ \t]*([^\n]{1,100})")
_LONE = re.compile(rf"({NUMBER})\s*[%°$€£¥]?(?:\s?[^\W\d_]{{1,20}}){{0,2}}")
_LAST_LINE = re.compile(r"\(?([A-J])[).]*")
_CORRECT = re.compile(r"\(?\b([A-J])\)? is (?:the )?(?:correct|right|best)\b")
_LOWER = re.compile(r"\banswer is:? \(?([a-j])(?:\)|\.?\s*$)", re.IGNORECASE)
_LATEX_NOISE = re.compile(r"\\(?:left|right|text|mathrm|mathbf|,|!|;|\s)|[\s$]")
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]+)\}\{([^{}]+)\}")
_LEADING_WORDS = 40
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SPELLED = {word: value for value, word in enumerate(_ONES.split())} | {
    word: 10 * tens for tens, word in enumerate(_TENS.split(), 2)
}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}


def final_part(text: str, asked: Asked | None = None) -> str:
    """What follows the last "The answer is" or "####", up to its line's or sentence's end.

    The whole text where nothing is marked so, but for a beginning that repeats the question.
    """
    end = -1
    for mark in _MARK.finditer(text):
        end = mark.end()
    if end < 0:
        return unechoed(text, asked.words) if asked else text
    line = text[end:].lstrip().split("\n", 1)[0].replace("**", "")
    return _SENTENCE_END.split(line, maxsplit=1)[0] or text


def number_text(value: Fraction) -> str:
    """One text for each number: a decimal where it is finite, else a fraction."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    whole = digits if not places else f"{digits[:-places]}.{digits[-places:]}"
    return f"-{whole}" if value < 0 else whole


@persistent("extraction.final_value")
def final_value(text: str, asked: Asked) -> str | None:
    """The final number: boxed, after "####", by the rules of `graders.number`, or spelled out."""
    del asked
    for marked in (last_boxed(text), _last(_HASHED, text)):
        if marked and (value := _numeric(plain(marked))) is not None:
            return number_text(value)
    value = _numeric(plain(text))
    if value is None:
        value = _spelled(text)
    return None if value is None else number_text(value)


def lone_value(text: str) -> str | None:
    """The number that is the whole text, but for a unit of at most two words."""
    lone = plain(text).strip(" *_.!\"'")
    found = _LONE.fullmatch(lone)
    value = _scaled(found[1], lone) if found else None
    return None if value is None else number_text(value)


@persistent("extraction.final_letter")
def final_letter(text: str, asked: Asked) -> str | None:
    """The letter that is chosen, or that of the one option whose text the answer names.

    None for a letter with the text of another option.
    """
    letters = "".join(asked.options) or LETTERS.replace("I", "")  # "I" is a word, unless listed
    letter = next((x for x in _letters(text) if x and x in letters), None)
    if letter is None:
        return _named_option(text, asked)
    after = re.split(rf"\b{letter}\b", text)[-1]
    named = _named_option(after, asked)
    if named in {None, letter} or mentions(after, asked.options[letter]):
        return letter
    return None


def _letters(text: str) -> Iterator[str | None]:
    boxed = last_boxed(text)
    if boxed:
        yield _last(_LAST_LINE, _LATEX_NOISE.sub("", boxed).strip("{}"), whole=True)
    flat = plain(text)
    stated = letters_stated(flat, LETTERS[-1])
    yield stated[-1] if stated else None
    found = _last(_LOWER, flat)
    yield found.upper() if found else None
    chosen = chosen_letters(flat, LETTERS[-1])
    yield chosen.pop() if len(chosen) == 1 else None
    yield _last(_CORRECT, flat)
    yield _last(_LAST_LINE, flat.rsplit("\n", 1)[-1].strip(), whole=True)


def _named_option(text: str, asked: Asked) -> str | None:
    # An option that is a letter or a digit itself says nothing.
    by_text = {text: letter for letter, text in asked.options.items() if len(text) > 1}
    named = final_label(text, tuple(by_text)) if by_text else None
    return by_text[named] if named else None


def final_label(text: str, labels: Sequence[str]) -> str | None:
    """The one of the labels, in the form of `phrase`, that the answer gives.

    That is the label it begins with, or else the only one it names. A label inside of a longer one
    that is named, and one after "not", is not named. Of long answers the beginning counts.
    """
    words = f" {phrase(final_part(text))} ".replace(" '", " ").replace("' ", " ")
    leading = max((x for x in labels if words.startswith(f" {x} ")), key=len, default=None)
    if leading and not words[len(leading) + 2 :].startswith(("or ", "and ")):
        return leading
    words = f" {' '.join(words.split()[:_LEADING_WORDS])} "
    named = [label for label in labels if f" {label} " in words.replace(f" not {label} ", " ")]
    widest = [x for x in named if not any(x != y and f" {x} " in f" {y} " for y in named)]
    return widest[0] if len(widest) == 1 else None


@persistent("extraction.final_boxed")
def final_boxed(text: str, asked: Asked) -> str | None:
    r"""What the last `\boxed{...}` holds, without LaTeX that only changes its looks."""
    del asked
    boxed = last_boxed(text)
    if boxed is None:
        return None
    short = _FRACTION.sub(r"\1/\2", boxed)
    value = number_value(plain(boxed))
    return (
        number_text(value) if value is not None else _LATEX_NOISE.sub("", short).strip("{}") or None
    )


def _numeric(text: str) -> Fraction | None:
    found = final_number(text)
    return None if found is None else _scaled(found, text)


def _scaled(found: str, text: str) -> Fraction | None:
    """The number as it is written in the text, times a million in "5 million"."""
    value = number_value(found)
    unit = re.match(r"\s?([a-z]+)\b", text[text.rfind(found) + len(found) :], re.IGNORECASE)
    return value * _SCALES.get(unit[1].lower(), 1) if value is not None and unit else value


def _spelled(text: str) -> Fraction | None:
    """The number that an answer such as "Twenty-one apples" spells out at its beginning."""
    words = phrase(bare(final_part(text))[:200]).replace("-", " ").replace(" and ", " ").split()
    size = next((i for i, word in enumerate(words) if word not in _SPELLED | _SCALES), len(words))
    return None if not size or len(words) - size > 2 else _spelled_out(words[:size])  # noqa: PLR2004


def _spelled_out(words: list[str]) -> Fraction | None:
    total = part = 0
    for word in words:
        if word in _SPELLED:
            part += _SPELLED[word]
        elif word == "hundred":
            part = max(part, 1) * 100
        else:
            total, part = total + max(part, 1) * _SCALES[word], 0
    return Fraction(total + part)


def _last(pattern: re.Pattern[str], text: str, *, whole: bool = False) -> str | None:
    if whole:
        match = pattern.fullmatch(text)
        return match[1] if match else None
    found = pattern.findall(text)
    return found[-1] if found else None
