"""Generates the questions of *everyday*; the same seed gives the same questions everywhere."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

from everyday.families import FAMILIES, Question

PER_FAMILY = 100
_TRAIN, _VALIDATION = 0.50, 0.15


def generate(seed: int = 0) -> list[Question]:
    """Generate every question of every family.

    Args:
        seed: Chooses the numbers, words, templates and splits.

    Returns:
        The questions, grouped by family, each with its split. Within a family 50% are
        ``"train"``, 15% ``"validation"`` and the rest ``"test"``.

    Raises:
        RuntimeError: If two questions share a prompt.
    """
    questions = [
        question
        for family in FAMILIES
        for question in _split(family(_random(seed, family.__name__), PER_FAMILY), seed)
    ]
    _require_distinct(questions)
    return questions


def _random(seed: int, purpose: str) -> Random:
    # A text seed is hashed with SHA-512, so it does not depend on PYTHONHASHSEED.
    return Random(f"cascade-questions/{seed}/{purpose}")  # noqa: S311 - reproducible on purpose


def _split(questions: list[Question], seed: int) -> list[Question]:
    order = list(range(len(questions)))
    _random(seed, f"split/{questions[0].family}").shuffle(order)
    train = round(_TRAIN * len(order))
    validation = train + round(_VALIDATION * len(order))
    name = {
        position: "train" if rank < train else "validation" if rank < validation else "test"
        for rank, position in enumerate(order)
    }
    return [replace(question, split=name[i]) for i, question in enumerate(questions)]


def _require_distinct(questions: list[Question]) -> None:
    counts = Counter(question.prompt for question in questions)
    repeated = [prompt for prompt, count in counts.items() if count > 1]
    if repeated:
        raise RuntimeError(
            f"{len(repeated)} prompts occur twice, the first is {repeated[0]!r}; "
            "widen the lists of its family."
        )
