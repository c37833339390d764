"""Labels by a judge, who is asked about every answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from cascade_engine.answers.text import full_text
from cascade_engine.core.checks import check_function, is_number
from cascade_engine.core.records import Answer, Query
from cascade_engine.data.labeller import Labeller, Labels, Unlabelled
from cascade_engine.errors import ConfigurationError, DataError
from cascade_engine.storage.json_values import value_to_json

__all__ = ["Judge", "JudgeFunction", "Judgement"]

#: `judge(question, answer)`, or with the reference as a third argument where there are references.
JudgeFunction: TypeAlias = Callable[..., Any]


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

    def __post_init__(self) -> None:
        rule = "judge must be a function of question, answer and, where there is one, reference"
        check_function(rule, self.function, may_wait=True, takes=[2, 3])

    def label(self, table: Unlabelled) -> Labels:
        """Judges every answer."""
        from cascade_engine.data.collecting.collect import collect, is_async  # noqa: PLC0415  it labels

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
        from cascade_engine.data.collecting.collect import acollect  # noqa: PLC0415  it labels

        return self._labels(table, await acollect({"judge": self._aask}, **self._plan(table)))

    def _plan(self, table: Unlabelled) -> dict[str, Any]:
        """A query for each answer, to tell it from others, and what the judge is called with."""
        referred = table.columns.get("references") is not None
        rows = zip(table.queries, table.answers, table.references, strict=True)
        inputs = [
            (query.text, full_text(answer), *([right] if referred else []))
            for query, row, right in rows
            for answer in row
        ]
        queries = [Query(json.dumps(value_to_json(list(each)))) for each in inputs]
        # Without a journal one failure loses all verdicts: none is then paid for in vain.
        limit = 0 if self.options.get("path") is None else None
        return {"queries": queries, "inputs": inputs, "max_failures": limit, **self.options}

    async def _aask(self, given: tuple[Any, ...]) -> Answer:
        from cascade_engine.data.collecting.collect import awaited  # noqa: PLC0415  it labels

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
