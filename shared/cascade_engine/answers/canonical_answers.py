"""Canonical answers: the form in which answers to one question are compared, and how they agree."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from cascade_engine.answers.code_and_json import json_leaves
from cascade_engine.answers.extractors import Extractor, automatic
from cascade_engine.answers.final_answers import final_part
from cascade_engine.answers.question_form import form_of
from cascade_engine.answers.text import bare
from cascade_engine.answers.text_similarity import Profile, compare, leaf_profile, text_profile

if TYPE_CHECKING:
    from collections.abc import Callable

    from cascade_engine.answers.extractors import Extract

__all__ = ["CanonicalAnswer", "agreement", "canonical_answer"]


@dataclass(frozen=True)
class CanonicalAnswer:
    """An answer brought into the form in which answers to one question are compared.

    Attributes:
        kind: what kind of final answer the value is, see `Extractor.kind`.
        value: the final answer; None where there is none.
        closed: see `Extractor.closed`.
        text: the answer without wrapping, which is compared where the values do not decide.
        question_words: words of the question, which say little when an answer repeats them.
    """

    kind: str
    value: str | None
    closed: bool
    text: str = field(repr=False)
    question_words: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    @cached_property
    def profile(self) -> Profile:
        """What of the text is compared, with weights; worked out when first needed."""
        if self.kind == "json" and self.value is not None:
            return leaf_profile(json_leaves(self.value))
        return text_profile(self.text, self.question_words)

    def agreement(self, other: CanonicalAnswer) -> float:
        """How far this answer agrees with another one.

        Args:
            other: an answer to the same question, read by the same extractor.

        Returns:
            1.0 if their final answers are the same, 0.0 if both have one of a closed kind and they
            differ, or if one is empty; else the likeness of their texts, in [0, 1].
        """
        agreement = self.decided_agreement(other)
        return compare(self.profile, other.profile) if agreement is None else agreement

    def decided_agreement(self, other: CanonicalAnswer) -> float | None:
        """`agreement` where the final answers decide it; None where the texts must be compared."""
        if not self.text or not other.text:
            return 0.0
        if self.kind != other.kind or self.value is None or other.value is None:
            return None
        if self.value == other.value:
            return 1.0
        return 0.0 if self.closed and other.closed else None


def canonical_answer(question: str, text: str, *, extract: Extract = automatic) -> CanonicalAnswer:
    """Brings an answer into the form in which answers to one question are compared.

    Args:
        question: the question.
        text: the answer.
        extract: how the final answer is read: one of `answers.extractors`, or a function of your
            own.
    """
    own = extract if isinstance(extract, Extractor) else Extractor("custom", extract)
    extractor, value = own.find(question, text)
    words = form_of(question).words
    compares_value = value is not None and extractor.kind in {"field", "custom", "boxed", "code"}
    return CanonicalAnswer(
        extractor.kind,
        value,
        extractor.closed,
        str(value) if compares_value else bare(final_part(text, words)),
        words,
    )


def agreement(
    question: str,
    a: str,
    b: str,
    *,
    extract: Extract = automatic,
    similar: Callable[[str, str], float] | None = None,
) -> float:
    """How far two answers to a question agree, in [0, 1]; see `CanonicalAnswer.agreement`.

    To compare many answers to one question, bring each into its canonical form once, by
    `canonical_answer`.

    Args:
        question: the question.
        a: the one answer.
        b: the other.
        extract: how the final answers are read: one of `answers.extractors`, or a function of your
            own.
        similar: likeness of two texts in [0, 1] where final answers do not decide; by default that
            of `similarity`, with words of the question counting little.
    """
    one, other = (canonical_answer(question, text, extract=extract) for text in (a, b))
    if similar is None:
        return one.agreement(other)
    agreement = one.decided_agreement(other)
    return similar(one.text, other.text) if agreement is None else agreement
