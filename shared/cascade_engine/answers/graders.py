"""Graders: compare a free-text answer with a reference and return a score in [0, 1].

Every grader has one signature, ``grade(question, answer, reference) -> float``, so any of
them, or a function of your own, can be used wherever a grader is expected. All graders here
return 0.0 or 1.0, and an empty answer always scores 0.0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from cascade_engine.answers._grading import (
    canonical_json,
    hundredth,
    listed,
    names_another_option,
    texts,
)
from cascade_engine.answers.text import (
    bare,
    chosen_letters,
    final_number,
    first_object,
    last_boxed,
    mentioned,
    mentions,
    number_value,
    phrase,
    plain,
)

Reference: TypeAlias = Any
"""Whatever a grader compares an answer with: text, a number, a list or a mapping."""

_LETTER = "[A-J]"

Grader: TypeAlias = Callable[[str, str, Reference], float]
"""A function ``(question, answer, reference) -> score`` with a score in [0, 1]."""


def number(question: str, answer: str, reference: Reference) -> float:  # noqa: ARG001 - one signature
    r"""Score 1.0 if the final number of the answer equals the reference.

    Thousands separators, signs, decimals, fractions such as ``3/4``, currency signs and trailing
    units are understood; a percent sign counts as a unit, so ``25%`` equals 25, and also equals a
    reference of ``0.25`` or ``"1/4"``. Fractions of LaTeX and Unicode count too, as do mixed ones
    (``1 1/2``); exponents, as in ``20 cm^2``, do not. Of an answer with a LaTeX ``\boxed{}`` the
    last of these counts. The first of these rules that finds a number decides:

    1. the last number that follows "answer is" or "answer:",
    2. an answer that begins with a lone number, such as ``42``, ``12 apples`` or
       ``42. Explanation: ...`` (but not with the first entry of a numbered list),
    3. the number after the last ``=``, unless an operator continues it,
    4. an answer that begins with ``9.9 is larger ...``,
    5. the last number in the answer.

    Args:
        question: Not used.
        answer: The answer of the model.
        reference: A number, or text such as ``"3/4"``, ``"1,200"`` or ``"25%"``.

    Returns:
        1.0 or 0.0.
    """
    boxed = plain(last_boxed(answer) or "")
    text = boxed if final_number(boxed) else plain(answer)
    found = final_number(text)
    expected = number_value(plain(str(reference)))
    if found is None or expected is None:
        return 0.0
    matches = [number_value(found)]
    if re.search(re.escape(found) + r"\s*(?:%|percent)", text):
        matches.append(number_value(found + "%") if "%" in str(reference) else hundredth(found))
    return float(expected in matches)


def exact(question: str, answer: str, reference: Reference) -> float:  # noqa: ARG001 - one signature
    """Score 1.0 if the whole answer is the reference.

    Case, Unicode form, runs of whitespace, a lead-in such as "The answer is", and quotes,
    punctuation or markdown around the answer make no difference.

    Args:
        question: Not used.
        answer: The answer of the model.
        reference: The text, or a list of accepted texts.

    Returns:
        1.0 or 0.0.
    """
    given = bare(answer).casefold()
    return float(bool(given) and given in {bare(text).casefold() for text in texts(reference)})


def exact_case(question: str, answer: str, reference: Reference) -> float:  # noqa: ARG001 - one signature
    """Score like ``exact``, except that upper and lower case differ.

    Args:
        question: Not used.
        answer: The answer of the model.
        reference: The text, or a list of accepted texts.

    Returns:
        1.0 or 0.0.
    """
    given = bare(answer)
    return float(bool(given) and given in {bare(text) for text in texts(reference)})


def contains(question: str, answer: str, reference: Reference) -> float:  # noqa: ARG001 - one signature
    """Score 1.0 if the answer contains the reference as whole words.

    An answer that also contains one of the ``wrong`` texts scores 0.0, so hedging does not pay.

    Args:
        question: Not used.
        answer: The answer of the model.
        reference: The text, a list of accepted texts, or a mapping with the lists ``accept``
            and ``wrong``.

    Returns:
        1.0 or 0.0.
    """
    accept, wrong = reference, ()
    if isinstance(reference, Mapping):
        accept, wrong = reference["accept"], reference.get("wrong", ())
    named = any(mentions(answer, text) for text in texts(accept))
    return float(named and not any(mentions(answer, text) for text in texts(wrong)))


def choice(question: str, answer: str, reference: Reference) -> float:
    r"""Score 1.0 if the answer chooses the reference letter, A to J.

    Understood are a letter that is the whole answer or stands in a LaTeX ``\boxed{}``, a leading
    one (``B``, ``b)``, ``(B)``, ``**B**``, ``B. Paris``, ``B: because ...``) and a phrase such as
    "The answer is B" or "option B". The article "A" in prose is no choice, and an answer that
    chooses two different letters scores 0.0. If the question lists its options as
    ``A) text``, one a line, then an answer that gives the right letter with the text of another
    option scores 0.0 as well.

    Args:
        question: The question, for the texts of its options.
        answer: The answer of the model.
        reference: The letter, such as ``"B"`` or ``"(B)"``.

    Returns:
        1.0 or 0.0.
    """
    right = bare(str(reference)).upper()
    # Beyond E letters are read as far as the right one: "I" is a word, mostly.
    last = max("E", right) if re.fullmatch(_LETTER, right) else "E"
    said = plain(last_boxed(answer) or answer)
    chosen = bare(said).upper() == right or chosen_letters(said, last) == {right}
    return float(chosen and not names_another_option(question, answer, right))


def label(question: str, answer: str, reference: Reference) -> float:  # noqa: ARG001 - one signature
    """Score 1.0 if the answer names the reference label and no other label of the set.

    A label inside of a longer one that is named is not named: "spam" in "not spam".

    Args:
        question: Not used.
        answer: The answer of the model.
        reference: A mapping with ``label`` and the closed list ``labels``.

    Returns:
        1.0 or 0.0.
    """
    right = phrase(reference["label"])
    return float(mentioned(answer, [right, *reference["labels"]]) == {right})


def sequence(question: str, answer: str, reference: Reference) -> float:  # noqa: ARG001 - one signature
    """Score 1.0 if the answer lists the reference items in order and nothing else.

    For numbers every number of the answer counts, for words every word that belongs to the
    reference. The answer may repeat the unsorted list once, before the sorted one.

    Args:
        question: Not used.
        answer: The answer of the model.
        reference: The numbers or single words in the right order.

    Returns:
        1.0 or 0.0.
    """
    expected = [phrase(str(item)) if isinstance(item, str) else item for item in reference]
    found = listed(plain(answer), expected)
    size = len(expected)
    echoes = len(found) == 2 * size and Counter(found[:size]) == Counter(expected)
    return float(bool(expected) and (found[size:] if echoes else found) == expected)


def json_fields(question: str, answer: str, reference: Reference) -> float:  # noqa: ARG001 - one signature
    """Score 1.0 if the first JSON object in the answer equals the reference, all or nothing.

    Prose and code fences around the object are ignored. Keys and texts are compared without case
    and outer whitespace, and a number equals the same number in quotes. A missing or an
    additional field scores 0.0.

    Args:
        question: Not used.
        answer: The answer of the model.
        reference: The mapping.

    Returns:
        1.0 or 0.0.
    """
    found = first_object(answer)
    return float(found is not None and canonical_json(found) == canonical_json(reference))


def best_match(question: str, answer: str, reference: Reference) -> float:
    """Choose the grader by the reference, for data that has references only.

    A mapping with ``label`` and ``labels`` goes to ``label``, one with ``accept`` to
    ``contains``, any other mapping to ``json_fields``. A number, or text that reads as one, goes
    to ``number``, a single capital letter A to J, or one in parentheses, to ``choice``. Other text,
    or a list of accepted texts, goes to ``contains``, or to ``exact`` if it is one character long.
    Truth values are compared as the labels yes and no, or true and false.

    Args:
        question: The question.
        answer: The answer of the model.
        reference: Referencething JSON-able.

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
    """Look up a grader by its name.

    Args:
        name: One of the names of the graders in this module.

    Returns:
        The grader.

    Raises:
        ValueError: If there is no grader of that name.
    """
    try:
        return _GRADERS[name]
    except KeyError:
        known = ", ".join(_GRADERS)
        raise ValueError(
            f"Unknown grader {name!r}. Use one of {known}, or pass a function "
            "(question, answer, reference) -> float instead of a name."
        ) from None


def _by_shape(reference: Reference) -> Grader:
    if isinstance(reference, Mapping):
        return _by_keys(reference)
    if isinstance(reference, list | tuple):
        return contains
    text = str(reference).strip()
    if number_value(plain(text)) is not None:
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
