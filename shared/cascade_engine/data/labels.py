"""Labels: how good each answer is, by references, a judge, agreement or people's feedback."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from cascade_engine.answers.graders import best_match
from cascade_engine.answers.text import full_text, tool_call_texts
from cascade_engine.core.checks import check_function
from cascade_engine.data._feedback import Feedback
from cascade_engine.data.judge_labels import Judge, Judgement
from cascade_engine.data.labeller import (
    Labeller,
    Labels,
    Unlabelled,
)
from cascade_engine.errors import ConfigurationError, DataError
from cascade_engine.extraction import agreement as agreement_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.answers.graders import Grader
    from cascade_engine.core.records import Answer
    from cascade_engine.data._feedback import FeedbackScores
    from cascade_engine.data.judge_labels import JudgeFunction

__all__ = [
    "Graded",
    "Judge",
    "Judgement",
    "Labeller",
    "Labels",
    "Unlabelled",
    "check_labels",
    "find_labeller",
]

#: How alike two answers are, in [0, 1].
Similar: TypeAlias = Callable[[str, str], float]


@dataclass(frozen=True, slots=True)
class Graded(Labeller):
    """By a grader, on the references where there are any."""

    grade: Grader
    source: str

    def __post_init__(self) -> None:
        rule = "grade must be a function of question, answer and reference"
        check_function(rule, self.grade, may_wait=True, takes=[3])

    def label(self, table: Unlabelled) -> Labels:
        """Grades every answer."""
        rows = zip(table.queries, table.answers, table.references, strict=True)
        quality = [[self.grade(q.text, a.text, right) for a in row] for q, row, right in rows]
        return Labels(quality, self.source)


@dataclass(frozen=True, slots=True)
class Agreement(Labeller):
    """By how far an answer agrees with that of the strongest model."""

    similar: Similar | None = None
    strongest: str | None = None

    def label(self, table: Unlabelled) -> Labels:
        """Compares every answer; the strongest model's own are taken to be right."""
        strongest = table.models[-1] if self.strongest is None else self.strongest
        if strongest not in table.models:
            raise ConfigurationError(
                f"strongest={strongest!r} is none of the models {list(table.models)}"
            )
        best = table.models.index(strongest)
        quality = [
            [
                1.0 if column == best else self._alike(query.text, answer, row[best])
                for column, answer in enumerate(row)
            ]
            for query, row in zip(table.queries, table.answers, strict=True)
        ]
        return Labels(quality, f"agreement with {strongest}")

    def _alike(self, question: str, answer: Answer, right: Answer) -> float:
        if self.similar is not None:
            return self.similar(full_text(answer), full_text(right))
        if (called := tool_call_texts(answer)) != tool_call_texts(right):
            return 0.0
        # What is said beside a call of a tool is no answer.
        same = bool(called) or answer.text == right.text
        return 1.0 if same else agreement_of(question, answer.text, right.text)


def find_labeller(
    references: Sequence[Any] | None = None,
    *,
    grade: Grader | None = None,
    judge: JudgeFunction | Judge | None = None,
    agreement: bool | Similar = False,
    strongest: str | None = None,
    feedback: FeedbackScores | None = None,
) -> Labeller:
    """The labeller that the options name: see `CascadeDataset.label`.

    Raises:
        ConfigurationError: they name none, or several.
    """
    named = {
        "grade": grade is not None,
        "judge": judge is not None,
        "agreement": agreement is not False,
        "feedback": feedback is not None,
    }
    chosen = [name for name, given in named.items() if given]
    if len(chosen) > 1:
        raise ConfigurationError(f"quality can come from one thing only, not from {chosen}")
    if strongest is not None and chosen != ["agreement"]:
        raise ConfigurationError("strongest= belongs to agreement=True, or to agreement=similar")
    if feedback is not None:
        return Feedback(feedback)
    if agreement is not False:
        return Agreement(agreement if callable(agreement) else None, strongest)
    if judge is not None:
        return judge if isinstance(judge, Judge) else Judge(judge)
    if grade is None and references is None:
        raise ConfigurationError(
            "nothing says which answers are good: pass references=[...], one per question, or "
            "grade=function(question, answer, reference) -> number in [0, 1], or "
            "judge=function(question, answer) -> the same, or agreement=True"
        )
    if grade is None:
        _check_references([] if references is None else references)
    return Graded(grade or best_match, "grader" if references is None else "references")


def _check_references(references: Sequence[Any]) -> None:
    """Refuses gaps: without a reference every answer would be graded as wrong."""
    gaps = [i for i, right in enumerate(references) if right is None or _is_nan(right)]
    if gaps:
        raise DataError(
            f"{len(gaps)} of {len(references)} references are missing, the first of query "
            f"{gaps[0]}: leave such queries out, or pass grade=, which is told None there"
        )


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def check_labels(
    questions: Sequence[object], references: Sequence[object] | None, **labels: Any
) -> None:
    """Refuses questions that cannot be learned from, before any model is paid to answer them.

    Raises:
        ConfigurationError: nothing says which answers are good.
        DataError: no questions, one string for a list of them, or not as many references.
    """
    if isinstance(questions, str) or isinstance(references, str):
        raise DataError("questions and references must be lists, not a single string")
    find_labeller(references, **labels)
    if not len(questions):
        raise DataError("no questions given")
    if references is not None and len(references) != len(questions):
        raise DataError(
            f"{len(questions)} questions and {len(references)} references: there must be as many"
        )
