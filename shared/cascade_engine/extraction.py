"""The former name of `cascade_engine.answers`, kept for programs that use it."""

from cascade_engine.answers.canonical_answers import CanonicalAnswer as Canonical
from cascade_engine.answers.canonical_answers import agreement
from cascade_engine.answers.canonical_answers import canonical_answer as canonical
from cascade_engine.answers.extractors import (
    Extract,
    Extractor,
    automatic,
    boxed,
    choice_letter,
    code_block,
    json_answer,
    json_field,
    label,
    normalised_text,
    number,
)
from cascade_engine.answers.text_similarity import similarity

__all__ = [
    "Canonical",
    "Extract",
    "Extractor",
    "agree",
    "agreement",
    "automatic",
    "boxed",
    "canonical",
    "choice_letter",
    "code_block",
    "json_answer",
    "json_field",
    "label",
    "normalised_text",
    "number",
    "similarity",
]


def agree(a: Canonical, b: Canonical) -> float:
    """How far two answers to one question agree: `a.agreement(b)`."""
    return a.agreement(b)
