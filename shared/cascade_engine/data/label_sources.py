"""Labels: how good each answer is, by references, a judge, agreement or people's feedback."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from cascade_engine.answers.canonical_answers import agreement as answer_agreement
from cascade_engine.answers.graders import best_match
from cascade_engine.answers.text import full_text, tool_call_texts
from cascade_engine.core.checks import check_function, is_number
from cascade_engine.data.judge_labels import Judge
from cascade_engine.data.labeller import AnswerTable, Labeller, Labels
from cascade_engine.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.answers.graders import Grader
    from cascade_engine.core.records import Answer
    from cascade_engine.data.judge_labels import JudgeFunction

__all__ = [
    "AgreementLabeller",
    "FeedbackLabeller",
    "GraderLabeller",
    "check_labels",
    "find_labeller",
]

#: `similar(a, b)`: how alike two answers are, in [0, 1].
SimilarityFunction: TypeAlias = Callable[[str, str], float]
#: Scores by (name of the query, model), or records with "id", "model" and "score".
FeedbackScores: TypeAlias = "Mapping[tuple[str, str], float] | Iterable[Mapping[str, Any]]"


@dataclass(frozen=True, slots=True)
class GraderLabeller(Labeller):
    """Labels by a grader, which compares with the reference where there is one.

    Args:
        grade: `grade(question, answer, reference)` in [0, 1].
        source: where the labels come from, in words.
    """

    grade: Grader
    source: str

    def __post_init__(self) -> None:
        rule = "grade must be a function of question, answer and reference"
        check_function(rule, self.grade, may_wait=True, takes=[3])

    def label(self, table: AnswerTable) -> Labels:
        """Grades every answer."""
        rows = zip(table.queries, table.answers, table.references, strict=True)
        quality = [
            [self.grade(query.text, answer.text, reference) for answer in row]
            for query, row, reference in rows
        ]
        return Labels(quality, self.source)


@dataclass(frozen=True, slots=True)
class AgreementLabeller(Labeller):
    """Labels by agreement with the strongest model, whose own answers are taken to be right.

    Args:
        similar: compares all that two answers say; None compares their final answers.
        strongest: the model that is believed; None for the last one.
    """

    similar: SimilarityFunction | None = None
    strongest: str | None = None

    def label(self, table: AnswerTable) -> Labels:
        """Compares every answer with that of the strongest model."""
        strongest = table.models[-1] if self.strongest is None else self.strongest
        if strongest not in table.models:
            raise ConfigurationError(
                f"strongest={strongest!r} is none of the models {list(table.models)}"
            )
        best = table.models.index(strongest)
        quality = [
            [
                1.0 if column == best else self._agreement(query.text, answer, row[best])
                for column, answer in enumerate(row)
            ]
            for query, row in zip(table.queries, table.answers, strict=True)
        ]
        return Labels(quality, f"agreement with {strongest}")

    def _agreement(self, question: str, answer: Answer, reference: Answer) -> float:
        if self.similar is not None:
            return self.similar(full_text(answer), full_text(reference))
        calls = tool_call_texts(answer)
        if calls != tool_call_texts(reference):
            return 0.0
        # The text beside a tool call is no answer.
        if calls or answer.text == reference.text:
            return 1.0
        return answer_agreement(question, answer.text, reference.text)


@dataclass(frozen=True, slots=True)
class FeedbackLabeller(Labeller):
    """Labels by people's scores; rows in which some model's answer has none are left out.

    Args:
        scores: by (name of the query, model), or as records.
    """

    scores: FeedbackScores

    def label(self, table: AnswerTable) -> Labels:
        """Looks every answer up."""
        scores = self._by_answer()
        unknown = sorted({str(model) for _, model in scores} - set(table.models))
        if unknown:
            raise DataError(
                f"there is feedback on {unknown}, and the models are {list(table.models)}"
            )
        names = table.names
        rows = [i for i, name in enumerate(names) if all((name, m) in scores for m in table.models)]
        if not rows:
            raise DataError(
                f"no query has feedback on all of {list(table.models)}: it is looked up by (id, "
                f"model), and the first query is known as {names[0][:80]!r}"
            )
        quality = [[scores[names[row], model] for model in table.models] for row in rows]
        return Labels(quality, "feedback", rows=rows)

    def _by_answer(self) -> dict[tuple[str, str], float]:
        """The scores by (name of the query, model).

        Raises:
            DataError: a record lacks a field, or a score is no number in [0, 1].
        """
        if isinstance(self.scores, Mapping):
            scores: dict[Any, Any] = dict(self.scores)
        else:
            try:
                scores = {
                    (record["id"], record["model"]): record["score"] for record in self.scores
                }
            except (KeyError, TypeError) as error:
                raise DataError(
                    'feedback is a mapping of (id, model) to scores, or records with "id", "model" '
                    f'and "score": {error}'
                ) from error
        for place, score in scores.items():
            if not is_number(score) or not 0 <= score <= 1:
                raise DataError(
                    f"the feedback on {place} is {score!r}: it must be a truth value or a number "
                    "in [0, 1]"
                )
        return {place: float(score) for place, score in scores.items()}


def find_labeller(
    references: Sequence[Any] | None = None,
    *,
    grade: Grader | None = None,
    judge: JudgeFunction | Judge | None = None,
    agreement: bool | SimilarityFunction = False,
    strongest: str | None = None,
    feedback: FeedbackScores | None = None,
) -> Labeller:
    """The labeller that the options name: see `CascadeDataset.label`.

    Raises:
        ConfigurationError: the options name no source of labels, or several.
        DataError: the references are the source, and some are missing.
    """
    is_chosen = {
        "grade": grade is not None,
        "judge": judge is not None,
        "agreement": agreement is not False,
        "feedback": feedback is not None,
    }
    sources = [name for name, chosen in is_chosen.items() if chosen]
    if len(sources) > 1:
        raise ConfigurationError(f"quality can come from one thing only, not from {sources}")
    if strongest is not None and sources != ["agreement"]:
        raise ConfigurationError("strongest= belongs to agreement=True, or to agreement=similar")
    if feedback is not None:
        return FeedbackLabeller(feedback)
    if agreement is not False:
        return AgreementLabeller(agreement if callable(agreement) else None, strongest)
    if judge is not None:
        return judge if isinstance(judge, Judge) else Judge(judge)
    if grade is not None:
        return GraderLabeller(grade, "grader" if references is None else "references")
    if references is None:
        raise ConfigurationError(
            "nothing says which answers are good: pass references=[...], one per question, or "
            "grade=function(question, answer, reference) -> number in [0, 1], or "
            "judge=function(question, answer) -> the same, or agreement=True"
        )
    _check_references(references)
    return GraderLabeller(best_match, "references")


def _check_references(references: Sequence[Any]) -> None:
    """Refuses gaps: without a reference every answer would be graded as wrong."""
    gaps = [
        row
        for row, reference in enumerate(references)
        if reference is None or (isinstance(reference, float) and math.isnan(reference))
    ]
    if gaps:
        raise DataError(
            f"{len(gaps)} of {len(references)} references are missing, the first of query "
            f"{gaps[0]}: leave such queries out, or pass grade=, which is told None there"
        )


def check_labels(
    questions: Sequence[object], references: Sequence[object] | None, **labels: Any
) -> None:
    """Refuses questions that cannot be learned from, before any model is paid to answer them.

    Args:
        questions: the questions.
        references: the right answers, one per question.
        **labels: where quality comes from, as in `CascadeDataset.label`.

    Raises:
        ConfigurationError: nothing says which answers are good.
        DataError: there are no questions, one string for a list of them, or not as many references.
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
