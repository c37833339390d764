"""The former name of `cascade_engine.answers`, kept for programs that use it."""

from cascade_engine.answers.canonical_answers import CanonicalAnswer as Canonical
from cascade_engine.answers.canonical_answers import agreement
from cascade_engine.answers.canonical_answers import canonical_answer as canonical
from cascade_engine.answers.extractors import *  # noqa: F403
from cascade_engine.answers.text_similarity import similarity

__all__ = ["Canonical", "agree", "agreement", "canonical", "similarity"]


def agree(a: Canonical, b: Canonical) -> float:
    """How far two answers to one question agree: `a.agreement(b)`."""
    return a.agreement(b)
