"""`CascadeDataset`: what every model answered to every query, how good it was, what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from cascade_engine._arrays import FloatArray, check_names, check_table
from cascade_engine._costs import Charge
from cascade_engine._types import Answer, Query
from cascade_engine.errors import ConfigurationError, DataError
from cascade_engine.graders import best_match

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cascade_engine._costs import Price
    from cascade_engine.graders import Grader

__all__ = ["CascadeDataset", "check_labels"]


def check_labels(
    questions: Sequence[object], references: Sequence[object] | None, grade: Grader | None
) -> Grader:
    """Refuses questions that cannot be learned from, before any model is paid to answer them.

    Returns:
        What grades the answers: `grade`, or a comparison with the references.

    Raises:
        ConfigurationError: neither references nor a grader.
        DataError: no questions, one string for a list of them, or not as many references.
    """
    if isinstance(questions, str) or isinstance(references, str):
        raise DataError("questions and references must be lists, not a single string")
    if references is None and grade is None:
        raise ConfigurationError(
            "nothing says which answers are good: pass references=[...], one per question, or "
            "grade=function(question, answer, reference) -> number in [0, 1]"
        )
    if not len(questions):
        raise DataError("no questions given")
    if references is not None and len(references) != len(questions):
        raise DataError(
            f"{len(questions)} questions and {len(references)} references: there must be as many"
        )
    return grade or best_match


class CascadeDataset:
    """A complete table of queries x models.

    Args:
        models: names of the k models, the columns, cheapest first for strategies that keep order.
        queries: the n queries, the rows; plain strings are accepted.
        answers: n rows of k answers.
        quality: array of shape (n, k) in [0, 1]: how good each answer is.
        cost: array of shape (n, k) >= 0: what each answer cost, in one unit.
        references: the right answers, when known, kept for grading again.

    Raises:
        DataError: lengths differ, a number is missing or out of range, or there is no query.
        ConfigurationError: no model names, or two the same.
    """

    def __init__(
        self,
        models: Sequence[str],
        queries: Sequence[Query | str],
        answers: Sequence[Sequence[Answer]],
        quality: object,
        cost: object,
        *,
        references: Sequence[object] | None = None,
    ) -> None:
        self.models = check_names(models)
        self.queries = [q if isinstance(q, Query) else Query(q) for q in queries]
        if not self.queries:
            raise DataError("no queries given: a data set needs at least one")
        self.answers = [list(row) for row in answers]
        self._check_answers()
        shape = (len(self.queries), len(self.models))
        self.quality: FloatArray = check_table("quality", quality, shape)
        self.cost: FloatArray = check_table("cost", cost, shape)
        self._check_range()
        if references is not None and len(references) != len(self.queries):
            raise DataError(f"{len(references)} references for {len(self.queries)} queries")
        self.references = None if references is None else list(references)

    def _check_answers(self) -> None:
        if len(self.answers) != len(self.queries):
            raise DataError(f"{len(self.answers)} rows of answers for {len(self.queries)} queries")
        for row, answers in enumerate(self.answers):
            if len(answers) != len(self.models):
                raise DataError(
                    f"query {row} has {len(answers)} answers for {len(self.models)} models: every "
                    "model must have answered every query"
                )

    def _check_range(self) -> None:
        if self.quality.min() < 0 or self.quality.max() > 1:
            raise DataError(
                f"quality runs from {self.quality.min():g} to {self.quality.max():g}: rescale it "
                "to [0, 1]"
            )
        if self.cost.min() < 0:
            raise DataError(f"a cost is negative: {self.cost.min():g}")

    @classmethod
    def from_answers(
        cls,
        models: Sequence[str],
        queries: Sequence[Query | str],
        answers: Sequence[Sequence[Answer]],
        *,
        grade: Grader,
        references: Sequence[object] | None = None,
        prices: Mapping[str, Price] | None = None,
        cost: Literal["price", "seconds"] | Callable[[str, Answer], float] = "price",
    ) -> CascadeDataset:
        """Grades and prices answers.

        Args:
            models: as in the constructor.
            queries: as in the constructor.
            answers: as in the constructor.
            grade: `grade(question, answer, reference)` in [0, 1]; the reference is None when none
                are given.
            references: one per query.
            prices: price of each model, used where an answer carries no cost of its own.
            cost: "price", tokens times prices; "seconds", the latency; or a callable of the model's
                name and the answer. An answer that carries its own cost keeps it.

        Raises:
            UnknownPriceError: an answer has no cost, and it cannot be priced.
        """
        names = check_names(models)
        asked = [q if isinstance(q, Query) else Query(q) for q in queries]
        right = [None] * len(asked) if references is None else list(references)
        if not len(asked) == len(right) == len(answers):
            raise DataError(
                f"{len(asked)} queries, {len(answers)} rows of answers and {len(right)} references "
                "were given: there must be as many of each"
            )
        charge = Charge(prices or {}, cost)
        quality = [
            [grade(query.text, answer.text, reference) for answer in row]
            for query, row, reference in zip(asked, answers, right, strict=True)
        ]
        costs = [
            [charge.required(m, a) for m, a in zip(names, row, strict=False)] for row in answers
        ]
        return cls(names, asked, answers, quality, costs, references=references)

    def __len__(self) -> int:
        return len(self.queries)

    def __repr__(self) -> str:
        return f"CascadeDataset({len(self)} queries x {len(self.models)} models)"

    def take(self, rows: Sequence[int] | np.ndarray) -> CascadeDataset:
        """The same models on some of the queries: row numbers, or a boolean mask."""
        picked = np.arange(len(self))[np.asarray(rows)]
        return CascadeDataset(
            self.models,
            [self.queries[i] for i in picked],
            [self.answers[i] for i in picked],
            self.quality[picked],
            self.cost[picked],
            references=None if self.references is None else [self.references[i] for i in picked],
        )

    def select(self, models: Sequence[str]) -> CascadeDataset:
        """The same queries for some of the models, in the order given.

        Raises:
            DataError: a model is not in the data.
        """
        unknown = [name for name in models if name not in self.models]
        if unknown:
            raise DataError(f"no such models in the data: {unknown}; it has {list(self.models)}")
        columns = [self.models.index(name) for name in models]
        return CascadeDataset(
            models,
            self.queries,
            [[row[i] for i in columns] for row in self.answers],
            self.quality[:, columns],
            self.cost[:, columns],
            references=self.references,
        )
