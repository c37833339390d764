"""Graders compare an answer with a reference, and return a score in [0, 1].

Every grader has one signature, `grade(question, answer, reference) -> float`, so any of them, or a
function of your own, can be used wherever a grader is expected. All graders here return 0.0 or 1.0,
and an empty answer always scores 0.0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from cascade_engine.answers.choices import chosen_letters, names_another_option
from cascade_engine.answers.code_and_json import comparable_json, first_object
from cascade_engine.answers.final_answers import last_boxed
from cascade_engine.answers.numbers import final_number, number_value
from cascade_engine.answers.text import bare, mentioned, mentions, phrase, without_markup

__all__ = [
    "Grader",
    "Reference",
    "best_match",
    "choice",
    "contains",
    "exact",
    "exact_case",
    "grader",
    "json_fields",
    "label",
    "number",
    "sequence",
]

Reference: TypeAlias = Any
"""Whatever a grader compares an answer with: text, a number, a list or a mapping."""

Grader: TypeAlias = Callable[[str, str, Reference], float]
"""A function `(question, answer, reference) -> score` with a score in [0, 1]."""

_LETTER = "[A-J]"


def number(question: str, answer: str, reference: Reference) -> float:  # noqa: ARG001 - one signature
    r"""Scores 1.0 if the final number of the answer equals the reference.

    Thousands separators, signs, decimals, fractions such as `3/4`, currency signs and trailing
    units are understood; a percent sign counts as a unit, so `25%` equals 25, and also equals a
    reference of `0.25` or `"1/4"`. Fractions of LaTeX and Unicode count too, as do mixed ones
    (`1 1/2`); exponents, as in `20 cm^2`, do not. Of an answer with a LaTeX `\boxed{}` the
    last of these counts. The first of these rules that finds a number decides:

    1. the last number that follows "answer is" or "answer:",
    2. an answer that begins with a lone number, such as `42`, `12 apples` or
       `42. Explanation: ...` (but not with the first entry of a numbered list),
    3. the number after the last `=`, unless an operator continues it,
    4. an answer that begins with `9.9 is larger ...`,
    5. the last number in the answer.

    Args:
        question: not used.
        answer: the model's answer.
        reference: a number, or text such as `"3/4"`, `"1,200"` or `"25%"`.

    Returns:
        1.0 or 0.0.
    """
    boxed = without_markup(last_boxed(answer) or "")
    text = boxed if final_number(boxed) else without_markup(answer)
    final = final_number(text)
    expected = number_value(without_markup(str(reference)))
    if final is None or expected is None:
        return 0.0
    values = [number_value(final)]
    if re.search(re.escape(final) + r"\s*(?:%|percent)", text):
        values.append(number_value(final + "%"))
    return float(expected in values)


def exact(question: str, answer: str, reference: Reference) -> float:  # noqa: ARG001 - one signature
    """Scores 1.0 if the whole answer is the reference.

    Case, Unicode form, runs of whitespace, a lead-in such as "The answer is", and quotes,
    punctuation or markdown around the answer make no difference.

    Args:
        question: not used.
        answer: the model's answer.
        reference: the text, or a list of accepted texts.

    Returns:
        1.0 or 0.0.
    """
    text = bare(answer).casefold()
    return float(bool(text) and text in {bare(accept).casefold() for accept in _texts(reference)})


def exact_case(question: str, answer: str, reference: Reference) -> float:  # noqa: ARG001 - one signature
    """Scores like `exact`, except that upper and lower case differ.

    Args:
        question: not used.
        answer: the model's answer.
        reference: the text, or a list of accepted texts.

    Returns:
        1.0 or 0.0.
    """
    text = bare(answer)
    return float(bool(text) and text in {bare(accept) for accept in _texts(reference)})


def contains(question: str, answer: str, reference: Reference) -> float:  # noqa: ARG001 - one signature
    """Scores 1.0 if the answer contains the reference as whole words.

    An answer that also contains one of the `wrong` texts scores 0.0, so hedging does not pay.

    Args:
        question: not used.
        answer: the model's answer.
        reference: the text, a list of accepted texts, or a mapping with the lists `accept`
            and `wrong`.

    Returns:
        1.0 or 0.0.
    """
    accept, wrong = reference, ()
    if isinstance(reference, Mapping):
        accept, wrong = reference["accept"], reference.get("wrong", ())
    named = any(mentions(answer, text) for text in _texts(accept))
    return float(named and not any(mentions(answer, text) for text in _texts(wrong)))


def choice(question: str, answer: str, reference: Reference) -> float:
    r"""Scores 1.0 if the answer chooses the reference letter, A to J.

    Understood are a letter that is the whole answer or stands in a LaTeX `\boxed{}`, a leading
    one (`B`, `b)`, `(B)`, `**B**`, `B. Paris`, `B: because ...`) and a phrase such as
    "The answer is B" or "option B". The article "A" in prose is no choice, and an answer that
    chooses two different letters scores 0.0. If the question lists its options as
    `A) text`, one a line, then an answer that gives the right letter with the text of another
    option scores 0.0 as well.

    Args:
        question: the question, for the texts of its options.
        answer: the model's answer.
        reference: the letter, such as `"B"` or `"(B)"`.

    Returns:
        1.0 or 0.0.
    """
    right = bare(str(reference)).upper()
    # Beyond E letters are read as far as the right one: "I" is a word, mostly.
    last = max("E", right) if re.fullmatch(_LETTER, right) else "E"
    text = without_markup(last_boxed(answer) or answer)
    chosen = bare(text).upper() == right or chosen_letters(text, last) == {right}
    return float(chosen and not names_another_option(question, answer, right))


def label(question: str, answer: str, reference: Reference) -> float:  # noqa: ARG001 - one signature
    """Scores 1.0 if the answer names the reference label and no other label of the set.

    A label that is named only as a part of a longer one does not count: "spam" in "not spam".

    Args:
        question: not used.
        answer: the model's answer.
        reference: a mapping with `label` and the closed list `labels`.

    Returns:
        1.0 or 0.0.
    """
    right = phrase(reference["label"])
    return float(mentioned(answer, [right, *reference["labels"]]) == {right})


def sequence(question: str, answer: str, reference: Reference) -> float:  # noqa: ARG001 - one signature
    """Scores 1.0 if the answer lists the reference items in order and nothing else.

    For numbers every number of the answer counts, for words every word that belongs to the
    reference. The answer may repeat the unsorted list once, before the sorted one.

    Args:
        question: not used.
        answer: the model's answer.
        reference: the numbers or single words in the right order.

    Returns:
        1.0 or 0.0.
    """
    expected = [phrase(str(item)) if isinstance(item, str) else item for item in reference]
    items = _items(without_markup(answer), expected)
    size = len(expected)
    has_echo = len(items) == 2 * size and Counter(items[:size]) == Counter(expected)
    return float(bool(expected) and (items[size:] if has_echo else items) == expected)


def json_fields(question: str, answer: str, reference: Reference) -> float:  # noqa: ARG001 - one signature
    """Scores 1.0 if the first JSON object in the answer equals the reference, all or nothing.

    Prose and code fences around the object are ignored. Keys and texts are compared without case
    and outer whitespace, and a number equals the same number in quotes. A missing or an
    additional field scores 0.0.

    Args:
        question: not used.
        answer: the model's answer.
        reference: the mapping.

    Returns:
        1.0 or 0.0.
    """
    value = first_object(answer)
    return float(value is not None and comparable_json(value) == comparable_json(reference))


def best_match(question: str, answer: str, reference: Reference) -> float:
    """Chooses the grader by the reference, for data that has references only.

    A mapping with `label` and `labels` goes to `label`, one with `accept` to
    `contains`, any other mapping to `json_fields`. A number, or text that reads as one, goes
    to `number`, a single capital letter A to J, or one in parentheses, to `choice`. Other text,
    or a list of accepted texts, goes to `contains`, or to `exact` if it is one character long.
    Truth values are compared as the labels yes and no, or true and false.

    Args:
        question: the question.
        answer: the model's answer.
        reference: the reference, of JSON-able values.

    Returns:
        1.0 or 0.0.
    """
    if isinstance(reference, bool):
        return _truth(answer, expected=reference)
    return _by_shape(reference)(question, answer, reference)


_GRADERS: dict[str, Grader] = {
    "best_match": best_match,
    "choice": choice,
    "contains": contains,
    "exact": exact,
    "exact_case": exact_case,
    "json_fields": json_fields,
    "label": label,
    "number": number,
    "sequence": sequence,
}


def grader(name: str) -> Grader:
    """Looks up a grader by its name.

    Args:
        name: one of the names of the graders in this module.

    Returns:
        The grader.

    Raises:
        ValueError: there is no grader of that name.
    """
    try:
        return _GRADERS[name]
    except KeyError:
        names = ", ".join(_GRADERS)
        raise ValueError(
            f"Unknown grader {name!r}. Use one of {names}, or pass a function "
            "(question, answer, reference) -> float instead of a name."
        ) from None


def _by_shape(reference: Reference) -> Grader:
    if isinstance(reference, Mapping):
        return _by_keys(reference)
    if isinstance(reference, list | tuple):
        return contains
    text = str(reference).strip()
    if number_value(without_markup(text)) is not None:
        return number
    if re.fullmatch(rf"\(?{_LETTER}\)?", text):
        return choice
    return exact if len(text) == 1 else contains


def _by_keys(reference: Mapping[str, Any]) -> Grader:
    if {"label", "labels"} <= reference.keys():
        return label
    return contains if "accept" in reference else json_fields


def _truth(answer: str, *, expected: bool) -> float:
    pair = ("yes", "no") if any(mentions(answer, w) for w in ("yes", "no")) else ("true", "false")
    return label("", answer, {"label": pair[not expected], "labels": list(pair)})


def _texts(reference: Reference) -> list[str]:
    """The accepted texts: one, or several."""
    if isinstance(reference, str) or not isinstance(reference, Iterable):
        return [str(reference)]
    return [str(text) for text in reference]


def _items(text: str, expected: Sequence[Any]) -> list[Any]:
    """The items that an answer lists: the expected words among its words, or its numbers."""
    if all(isinstance(item, str) for item in expected):
        return [word for word in re.findall(r"[\w'-]+", text.casefold()) if word in expected]
    text = re.sub(r"^\s*\d+[.)]\s+(?=\S)", "", text, flags=re.MULTILINE)
    return [number_value(digits) for digits in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?!\d)", text)]
