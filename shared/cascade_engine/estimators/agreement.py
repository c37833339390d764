"""Agreement between the answers of different models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.answers.canonical_answers import canonical_answer
from cascade_engine.answers.extractors import automatic
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.answers.canonical_answers import CanonicalAnswer
    from cascade_engine.answers.extractors import Extract
    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.core.records import Answer, Query

__all__ = ["Agreement"]


@persistent("Agreement")
class Agreement:
    """Whether answers say the same: the strongest of the cheap signals.

    Models rarely agree on a wrong answer unless they share a misconception, and a pair that differs
    has at most one good answer where only one can be good.

    Args:
        extract: how the final answer is read from a text, see `answers.extractors`; by
            default what the question and the answer call for.
    """

    def __init__(self, extract: Extract = automatic) -> None:
        self.extract = extract

    def finals(self, queries: Sequence[Query], answers: Sequence[Answer]) -> list[CanonicalAnswer]:
        """The final answers in canonical form."""
        return [
            canonical_answer(query.text, answer.text, extract=self.extract)
            for query, answer in zip(queries, answers, strict=True)
        ]

    def compare(
        self, one: Sequence[CanonicalAnswer], other: Sequence[CanonicalAnswer]
    ) -> FloatArray:
        """Agreement of each pair in [0, 1], shape (n,)."""
        return np.array([a.agreement(b) for a, b in zip(one, other, strict=True)])

    def table(self, finals: Sequence[Sequence[CanonicalAnswer]]) -> FloatArray:
        """Agreement of all k models on n queries, shape (n, k, k), 1 on the diagonal."""
        k, n = len(finals), len(finals[0])
        out = np.tile(np.eye(k), (n, 1, 1))
        for i in range(k):
            for j in range(i):
                out[:, i, j] = out[:, j, i] = self.compare(finals[i], finals[j])
        return out
