"""Labels: how good each answer is, by references, a judge, agreement or people's feedback."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cascade_engine._arrays import is_number
from cascade_engine._records import plain, to_json
from cascade_engine._types import Answer, Query
from cascade_engine.errors import ConfigurationError, DataError
from cascade_engine.graders import best_match, exact

if TYPE_CHECKING:
    from cascade_engine.graders import Grader

__all__ = ["Judge", "Judgement", "Labeller", "Labels", "Unlabelled", "find_labeller"]

#: `judge(question, answer)`, or with the reference as a third argument where there are references.
JudgeFunction: TypeAlias = Callable[..., Any]
#: How alike two answers are, in [0, 1].
Similar: TypeAlias = Callable[[str, str], float]
#: Scores by (name of the query, model), or records with "id", "model" and "score".
FeedbackScores: TypeAlias = "Mapping[tuple[str, str], float] | Iterable[Mapping[str, Any]]"


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """A complete table of n queries x k models without quality.

    Attributes:
        models: names of the models.
        queries: the queries.
        answers: n rows of k answers.
        cost: n rows of k costs.
        columns: what else there is of each row, by name: see `CascadeDataset`.
    """

    models: tuple[str, ...]
    queries: Sequence[Query]
    answers: Sequence[Sequence[Answer]]
    cost: Any
    columns: Mapping[str, Sequence[Any] | None] = field(default_factory=dict)

    @property
    def references(self) -> Sequence[Any]:
        """The right answers; None for each where there are none."""
        return self.columns.get("references") or [None] * len(self.queries)

    @property
    def names(self) -> list[str]:
        """What each row is known by: its id, or its question."""
        return list(self.columns.get("ids") or [query.text for query in self.queries])


@dataclass(frozen=True, slots=True)
class Labels:
    """How good the answers of some rows are.

    Attributes:
        quality: array of shape (rows, k), or nested lists, in [0, 1].
        source: where it comes from, in words.
        cost: what labelling cost.
        rows: the rows labelled; None for all.
    """

    quality: Any
    source: str
    cost: float = 0.0
    rows: Sequence[int] | None = None


class Labeller(ABC):
    """Where quality comes from."""

    @abstractmethod
    def label(self, table: Unlabelled) -> Labels:
        """The labels of a table."""

    async def alabel(self, table: Unlabelled) -> Labels:
        """The same, without blocking the event loop where that takes other services."""
        return self.label(table)


@dataclass(frozen=True, slots=True)
class Graded(Labeller):
    """By a grader, on the references where there are any."""

    grade: Grader
    source: str

    def label(self, table: Unlabelled) -> Labels:
        """Grades every answer."""
        rows = zip(table.queries, table.answers, table.references, strict=True)
        quality = [[self.grade(q.text, a.text, right) for a in row] for q, row, right in rows]
        return Labels(quality, self.source)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge says of an answer.

    Attributes:
        score: in [0, 1].
        cost: what asking the judge cost.
        reason: in its words.
    """

    score: float
    cost: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Judge(Labeller):
    """By a judge, which is asked about each answer once, however often it was given.

    Args:
        function: `judge(question, answer)`, with the reference as a third argument where there are
            references. It returns a score in [0, 1], or a `Judgement` that tells its cost. A
            coroutine function needs `adataset`, `alabel` or `afit`.
        options: those of `collect` (`path`, `max_concurrency`, `max_cost`, `retries`, ...): judging
            survives interruptions as collecting does.
    """

    function: JudgeFunction
    options: Mapping[str, Any] = field(default_factory=dict)

    def label(self, table: Unlabelled) -> Labels:
        """Judges every answer."""
        from cascade_engine._collecting import (  # noqa: PLC0415  what it collects is labelled here
            collect,
            is_async,
        )

        if is_async(self.function):
            raise ConfigurationError(
                "the judge is a coroutine function: use adataset, alabel or afit"
            )
        judged = collect(
            {"judge": lambda given: _verdict(self.function(*given))}, **self._plan(table)
        )
        return self._labels(table, judged)

    async def alabel(self, table: Unlabelled) -> Labels:
        """Judges every answer without blocking the event loop."""
        from cascade_engine._collecting import acollect  # noqa: PLC0415  the same

        return self._labels(table, await acollect({"judge": self._aask}, **self._plan(table)))

    def _plan(self, table: Unlabelled) -> dict[str, Any]:
        """A query for each answer, to tell it from others, and what the judge is called with."""
        referred = table.columns.get("references") is not None
        rows = zip(table.queries, table.answers, table.references, strict=True)
        inputs = [
            (query.text, said(answer), *([right] if referred else []))
            for query, row, right in rows
            for answer in row
        ]
        queries = [Query(json.dumps(plain(list(each)))) for each in inputs]
        # Without a journal one failure loses all verdicts: none is then paid for in vain.
        limit = 0 if self.options.get("path") is None else None
        return {"queries": queries, "inputs": inputs, "max_failures": limit, **self.options}

    async def _aask(self, given: tuple[Any, ...]) -> Answer:
        from cascade_engine._collecting import awaited  # noqa: PLC0415  the same

        return _verdict(await awaited(self.function, *given))

    def _labels(self, table: Unlabelled, judged: Any) -> Labels:
        missing = judged.missing()
        if missing:
            first = missing[0]
            raise DataError(
                f"the judge failed on {judged.queries[first.row].text:.80}: {first.why}"
                f" ({len(missing)} of {len(judged)} answers are not judged"
                + (f"; {judged.stopped})" if judged.stopped else ")")
            )
        scores = [judged.answers(row, "judge")[0].signals["score"] for row in range(len(judged))]
        shape = (len(table.queries), len(table.models))
        return Labels(np.reshape(scores, shape), "judge", judged.cost)


def _verdict(verdict: Any) -> Answer:
    if not isinstance(verdict, Judgement):
        verdict = Judgement(verdict)
    if not is_number(verdict.score) or not 0 <= verdict.score <= 1:
        raise DataError(f"a judge must return a number in [0, 1], not {verdict.score!r}")
    return Answer(verdict.reason, cost=verdict.cost, signals={"score": float(verdict.score)})


@dataclass(frozen=True, slots=True)
class Agreement(Labeller):
    """By how alike an answer is to that of the strongest model."""

    similar: Similar
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
                1.0 if column == best else self.similar(said(answer), said(row[best]))
                for column, answer in enumerate(row)
            ]
            for row in table.answers
        ]
        return Labels(quality, f"agreement with {strongest}")


@dataclass(frozen=True, slots=True)
class Feedback(Labeller):
    """By people's scores: rows of which some model's answer has none are left out."""

    scores: FeedbackScores

    def label(self, table: Unlabelled) -> Labels:
        """Looks every answer up."""
        scores = _scores(self.scores)
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


def _scores(given: FeedbackScores) -> dict[tuple[str, str], float]:
    if isinstance(given, Mapping):
        found: dict[Any, Any] = dict(given)
    else:
        try:
            found = {(each["id"], each["model"]): each["score"] for each in given}
        except (KeyError, TypeError) as error:
            raise DataError(
                'feedback is a mapping of (id, model) to scores, or records with "id", "model" and '
                f'"score": {error}'
            ) from error
    for at, score in found.items():
        if not is_number(score) or not 0 <= score <= 1:
            raise DataError(
                f"the feedback on {at} is {score!r}: it must be a truth value or a number in [0, 1]"
            )
    return {at: float(score) for at, score in found.items()}


def said(answer: Answer) -> str:
    """All that an answer says: its text, and the tools it wants called."""
    calls = [json.dumps(to_json(call), sort_keys=True) for call in answer.tool_calls]
    return "\n".join([answer.text, *calls]) if calls else answer.text


def same_text(a: str, b: str) -> float:
    """1.0 where two answers differ in nothing but case, white space and outer punctuation."""
    return float(a == b or bool(exact("", a, b)))


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
        return Agreement(agreement if callable(agreement) else same_text, strongest)
    if judge is not None:
        return judge if isinstance(judge, Judge) else Judge(judge)
    if grade is None and references is None:
        raise ConfigurationError(
            "nothing says which answers are good: pass references=[...], one per question, or "
            "grade=function(question, answer, reference) -> number in [0, 1], or "
            "judge=function(question, answer) -> the same, or agreement=True"
        )
    return Graded(grade or best_match, "grader" if references is None else "references")
