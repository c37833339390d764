"""Agreement of answers: between different models, and of one model with itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.answers.canonical_answers import canonical_answer
from cascade_engine.answers.extractors import automatic
from cascade_engine.answers.text import full_text
from cascade_engine.estimators.base import RowSignal
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.answers.canonical_answers import CanonicalAnswer
    from cascade_engine.answers.extractors import Extract
    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.core.records import Answer, Query

__all__ = ["Agreement", "ConsistencySignal"]


@persistent("Agreement")
class Agreement:
    """Whether the answers of different models say the same: the strongest of the cheap signals.

    Models rarely agree on a wrong answer unless they share a misconception, and of two answers that
    differ at most one is good, where a question has only one good answer.

    Args:
        extract: how the final answer is read from a text; by default as the question and the answer
            call for, see `cascade_engine.answers.extractors`.
    """

    def __init__(self, extract: Extract = automatic) -> None:
        self.extract = extract

    def finals(self, queries: Sequence[Query], answers: Sequence[Answer]) -> list[CanonicalAnswer]:
        """The final answer of each of n texts, in the form in which `compare` takes them."""
        return [
            canonical_answer(query.text, answer.text, extract=self.extract)
            for query, answer in zip(queries, answers, strict=True)
        ]

    def compare(
        self, one: Sequence[CanonicalAnswer], other: Sequence[CanonicalAnswer]
    ) -> FloatArray:
        """Agreement of two models' answers to n queries, in [0, 1], shape (n,)."""
        return np.array([a.agreement(b) for a, b in zip(one, other, strict=True)])

    def table(self, finals: Sequence[Sequence[CanonicalAnswer]]) -> FloatArray:
        """Agreement of each pair of k models on n queries, shape (n, k, k), 1 on the diagonal.

        Args:
            finals: of each model its n final answers.
        """
        k, n = len(finals), len(finals[0])
        table = np.tile(np.eye(k), (n, 1, 1))
        for i in range(k):
            for j in range(i):
                table[:, i, j] = table[:, j, i] = self.compare(finals[i], finals[j])
        return table


@persistent("ConsistencySignal")
class ConsistencySignal(RowSignal):
    """How many of a model's further answers to a query agree with the one it gave; shape (n, 1).

    A model that is sure comes to the same answer again at a temperature above 0 (Wang et al.,
    Self-Consistency Improves Chain of Thought Reasoning, ICLR 2023). The signal is unknown where
    there are no further answers in `Answer.samples`; a `CascadeRouter(samples=...)` asks for them.
    Tool calls are compared along with the text.

    Args:
        extract: how the final answer is read from a text; by default as the question and the answer
            call for, see `cascade_engine.answers.extractors`.
    """

    def __init__(self, extract: Extract = automatic) -> None:
        self.extract = extract

    def row(self, query: Query, answer: Answer) -> list[float]:
        """Mean agreement with the further answers, in [0, 1]."""
        if not answer.samples:
            return [float("nan")]
        own = canonical_answer(query.text, full_text(answer), extract=self.extract)
        others = (
            canonical_answer(query.text, text, extract=self.extract) for text in answer.samples
        )
        return [float(np.mean([own.agreement(other) for other in others]))]
