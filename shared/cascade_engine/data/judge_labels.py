"""Labels by a judge, which is asked about every answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cascade_engine.answers.text import full_text
from cascade_engine.core.checks import check_function, is_number
from cascade_engine.core.records import Answer, Query
from cascade_engine.data.calls.job import Job, arun, await_call, is_async, run
from cascade_engine.data.calls.journal import CallFailure, Cell, latest_results
from cascade_engine.data.labeller import AnswerTable, Labeller, Labels
from cascade_engine.errors import ConfigurationError, DataError
from cascade_engine.storage.json_values import value_to_json

if TYPE_CHECKING:
    from cascade_engine.data.calls.ledger import Ledger

__all__ = ["Judge", "JudgeFunction", "Judgement"]

#: `judge(question, answer)`, or with the reference as a third argument where there are references.
JudgeFunction: TypeAlias = Callable[..., Any]

_NAME = "judge"  # as a model of its job


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge says of an answer.

    Attributes:
        score: in [0, 1].
        cost: what the judgement cost.
        reason: why, in the judge's words.
    """

    score: float
    cost: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Judge(Labeller):
    """Labels by a judge, which is asked about equal answers to a question only once.

    Args:
        function: `judge(question, answer)`, with the reference as a third argument where there are
            references. It returns a score in [0, 1], or a `Judgement` that tells its cost. A
            coroutine function needs `adataset`, `alabel` or `afit`.
        options: those of `collect` (`path`, `max_concurrency`, `max_cost`, `retries`, ...): judging
            survives interruptions as collecting does.
    """

    function: JudgeFunction
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rule = "judge must be a function of question, answer and, where there is one, reference"
        check_function(rule, self.function, may_wait=True, takes=[2, 3])

    def label(self, table: AnswerTable) -> Labels:
        """Judges every answer, in threads."""
        if is_async(self.function):
            raise ConfigurationError(
                "the judge is a coroutine function: use adataset, alabel or afit"
            )
        job = self._job(table, lambda arguments: _as_answer(self.function(*arguments)))
        return _labels(table, job, run(job))

    async def alabel(self, table: AnswerTable) -> Labels:
        """Judges every answer without blocking the event loop."""

        async def judge(arguments: tuple[Any, ...]) -> Answer:
            return _as_answer(await await_call(self.function, *arguments))

        job = self._job(table, judge)
        return _labels(table, job, await arun(job))

    def _job(self, table: AnswerTable, judge: Callable[[Any], Any]) -> Job:
        """A job whose model is the judge, and whose queries are the answers of the table."""
        has_references = table.columns.get("references") is not None
        rows = zip(table.queries, table.answers, table.references, strict=True)
        inputs = [
            (query.text, full_text(answer), *([reference] if has_references else []))
            for query, row, reference in rows
            for answer in row
        ]
        queries = [Query(json.dumps(value_to_json(list(arguments)))) for arguments in inputs]
        # Without a journal one failure loses all verdicts: none is then paid for in vain.
        limit = 0 if self.options.get("path") is None else None
        options = {"max_failures": limit, **self.options}
        return Job(models={_NAME: judge}, queries=queries, inputs=inputs, **options)


def _labels(table: AnswerTable, job: Job, ledger: Ledger) -> Labels:
    known = {} if job.known is None else job.known.results
    by_cell = latest_results([*known.items(), *ledger.results.items()])
    results = [by_cell.get(Cell(key, _NAME)) for key in job.row_keys]
    verdicts = [result for result in results if isinstance(result, Answer)]
    missing = [row for row, result in enumerate(results) if not isinstance(result, Answer)]
    if missing:
        failure = results[missing[0]]
        why = failure.error if isinstance(failure, CallFailure) else None
        raise DataError(
            f"the judge failed on {job.rows[missing[0]].text:.80}: {why}"
            f" ({len(missing)} of {len(results)} answers are not judged"
            + (f"; {ledger.stopped})" if ledger.stopped else ")")
        )
    scores = [verdict.signals["score"] for verdict in verdicts]
    shape = (len(table.queries), len(table.models))
    return Labels(np.reshape(scores, shape), "judge", ledger.cost(set(job.row_keys)))


def _as_answer(verdict: Any) -> Answer:
    """A judgement as the answer of the judge, so that a journal can keep it.

    Raises:
        DataError: the score is no number in [0, 1].
    """
    if not isinstance(verdict, Judgement):
        verdict = Judgement(verdict)
    if not is_number(verdict.score) or not 0 <= verdict.score <= 1:
        raise DataError(f"a judge must return a number in [0, 1], not {verdict.score!r}")
    return Answer(verdict.reason, cost=verdict.cost, signals={"score": float(verdict.score)})
