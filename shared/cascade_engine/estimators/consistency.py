"""Whether a model says the same when it is asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.answers.canonical_answers import canonical_answer
from cascade_engine.answers.extractors import automatic
from cascade_engine.answers.text import full_text
from cascade_engine.estimators.contracts import AnswerSignal
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.answers.extractors import Extract
    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.core.records import Answer, Query

__all__ = ["ConsistencySignal"]


@persistent("ConsistencySignal")
class ConsistencySignal(AnswerSignal):
    """How many of a model's further answers to the query agree with the one it gave.

    A model that is sure comes to the same answer again at a temperature above 0 (Wang et al.,
    Self-Consistency Improves Chain of Thought Reasoning, ICLR 2023). Unknown where there are no
    further answers in `Answer.samples`; a `CascadeRouter(samples=...)` asks for them. Tool calls
    are compared along with the text.

    Args:
        extract: how the final answer is read from a text, see `answers.extractors`; by
            default what the question and the answer call for.
    """

    def __init__(self, extract: Extract = automatic) -> None:
        self.extract = extract

    def read(self, queries: Sequence[Query], answers: Sequence[Answer]) -> FloatArray:
        """Mean agreement in [0, 1], shape (n, 1)."""
        return np.array([[self._one(q, a)] for q, a in zip(queries, answers, strict=True)])

    def _one(self, query: Query, answer: Answer) -> float:
        if not answer.samples:
            return float("nan")
        own = canonical_answer(query.text, full_text(answer), extract=self.extract)
        others = (
            canonical_answer(query.text, text, extract=self.extract) for text in answer.samples
        )
        return float(np.mean([own.agreement(other) for other in others]))
