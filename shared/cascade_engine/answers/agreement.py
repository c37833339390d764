"""Answers in the form in which they are compared, and how far two of them agree."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from cascade_engine.answers.code_and_json import json_leaves
from cascade_engine.answers.extractors import Extractor, automatic
from cascade_engine.answers.final_answers import final_part
from cascade_engine.answers.question_form import asked
from cascade_engine.answers.similarity import Profile, compare, leaf_profile, profile
from cascade_engine.answers.text import bare

if TYPE_CHECKING:
    from collections.abc import Callable

    from cascade_engine.answers.extractors import Extract

__all__ = ["Canonical", "agree", "agreement", "canonical"]


@dataclass(frozen=True)
class Canonical:
    """An answer brought into the form in which answers to one question are compared.

    Attributes:
        kind: of the extractor that found the value.
        value: the final answer; None where there is none.
        closed: see `Extractor.closed`.
        text: the answer without wrapping: what is compared where the values do not decide.
        known: words of the question, which say little when an answer repeats them.
    """

    kind: str
    value: str | None
    closed: bool
    text: str = field(repr=False)
    known: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    @cached_property
    def tokens(self) -> Profile:
        """What of the text is compared, with weights; worked out when first needed."""
        if self.kind == "json" and self.value is not None:
            return leaf_profile(json_leaves(self.value))
        return profile(self.text, self.known)


def canonical(question: str, text: str, *, extract: Extract = automatic) -> Canonical:
    """Brings an answer into the form in which answers to one question are compared.

    Args:
        question: the question.
        text: the answer.
        extract: an extractor of this module, or a function of your own.
    """
    own = extract if isinstance(extract, Extractor) else Extractor("custom", extract)
    found, value = own.find(question, text)
    wanted = asked(question)
    open_value = value is not None and found.kind in {"field", "custom", "boxed", "code"}
    return Canonical(
        found.kind,
        value,
        found.closed,
        str(value) if open_value else bare(final_part(text, wanted)),
        wanted.words,
    )


def agree(a: Canonical, b: Canonical) -> float:
    """How far two answers to one question agree.

    Args:
        a: the one, of `canonical`.
        b: the other, of the same question and extractor.

    Returns:
        1.0 if their final answers are the same, 0.0 if both have one of a closed kind and they
        differ, or if one is empty; else the likeness of their texts, in [0, 1].
    """
    decided = _decided(a, b)
    return compare(a.tokens, b.tokens) if decided is None else decided


def agreement(
    question: str,
    a: str,
    b: str,
    *,
    extract: Extract = automatic,
    similar: Callable[[str, str], float] | None = None,
) -> float:
    """How far two answers to a question agree; see `agree`.

    Args:
        question: the question.
        a: the one answer.
        b: the other.
        extract: an extractor of this module, or a function of your own.
        similar: likeness of two texts in [0, 1] where final answers do not decide; by default that
            of `similarity`, with words of the question counting little.
    """
    one, other = (canonical(question, text, extract=extract) for text in (a, b))
    decided = _decided(one, other)
    if decided is not None:
        return decided
    return agree(one, other) if similar is None else similar(one.text, other.text)


def _decided(a: Canonical, b: Canonical) -> float | None:
    if not a.text or not b.text:
        return 0.0
    if a.kind != b.kind or a.value is None or b.value is None:
        return None
    if a.value == b.value:
        return 1.0
    return 0.0 if a.closed and b.closed else None
