"""`CascadeDataset`: what every model answered to every query, how good it was, what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cascade_engine.core.checks import check_names
from cascade_engine.core.prices import Charge
from cascade_engine.core.queries import as_queries
from cascade_engine.data._table import COLUMNS, CompleteTable
from cascade_engine.data.labels import Graded, Labels, Unlabelled, check_labels, find_labeller
from cascade_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cascade_engine.answers.graders import Grader
    from cascade_engine.core.prices import Price
    from cascade_engine.core.records import Answer, Query

__all__ = ["COLUMNS", "CascadeDataset", "check_labels", "labelled"]


class CascadeDataset(CompleteTable):
    """A complete table of queries x models.

    Args:
        models: names of the k models, the columns, cheapest first for strategies that keep order.
        queries: the n queries, the rows; plain strings are accepted.
        answers: n rows of k answers.
        quality: array of shape (n, k) in [0, 1]: how good each answer is.
        cost: array of shape (n, k) >= 0: what each answer cost, in one unit.
        references: the right answers, when known, kept for grading again.
        ids: names of the rows, distinct.
        groups: what rows belong together (a user, a document), so that no split parts them; any
            text or number, None for a row that stands alone.
        metadata: anything else about each query, a mapping for each.
        samples: further answers of the same models, n rows of k lists; quality and cost are of the
            first answer, the one in `answers`.
        labels: where `quality` comes from, in words ("references", "judge", ...); None if unknown.
        label_cost: what labelling cost, in the judge's unit.

    Raises:
        DataError: lengths differ, a number is missing or out of range, or there is no query.
        ConfigurationError: no model names, or two the same.
    """

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
        asked = as_queries(queries)
        right = len(asked) if references is None else len(references)
        if not len(asked) == right == len(answers):
            raise DataError(
                f"{len(asked)} queries, {len(answers)} rows of answers and {right} references "
                "were given: there must be as many of each"
            )
        charge = Charge(prices or {}, cost)
        costs = [
            [charge.required(m, a) for m, a in zip(names, row, strict=False)] for row in answers
        ]
        table = Unlabelled(names, asked, answers, costs, {"references": references})
        source = "grader" if references is None else "references"
        return labelled(table, Graded(grade, source).label(table))

    def label(self, **labels: Any) -> CascadeDataset:
        """The same data with quality from somewhere else.

        Args:
            **labels: one of

                - `grade=grade`: `grade(question, answer, reference)` in [0, 1]. Left out, the
                  references decide, by a comparison that suits their kind.
                - `judge=judge`: `judge(question, answer)`, or with the reference as a third
                  argument where there are references. It returns a score in [0, 1], or a
                  `Judgement` that tells its cost; the sum is in `label_cost`. `Judge(judge,
                  options)` takes the options of `collect`.
                - `agreement=True`: agreement with the strongest model, which is the last one unless
                  `strongest` names another. Final answers are compared, as
                  `cascade_engine.extraction.agreement` has it, and calls of tools must be the same;
                  or `agreement=similar`, with `similar(a, b)` in [0, 1], compares all that is said.
                - `feedback=scores`: people's, a mapping of (id, model) to truth values or numbers
                  in [0, 1], or records with "id", "model" and "score". Without ids the question's
                  text counts. Rows that lack some model's score are left out.

        Raises:
            ConfigurationError: no source is named, or several.
            DataError: a score is no number in [0, 1], the judge failed, or nothing is left.
        """
        table = self._unlabelled()
        return labelled(table, find_labeller(self.references, **labels).label(table))

    async def alabel(self, **labels: Any) -> CascadeDataset:
        """`label`, with a judge that may be asynchronous."""
        table = self._unlabelled()
        return labelled(table, await find_labeller(self.references, **labels).alabel(table))

    def _unlabelled(self) -> Unlabelled:
        return Unlabelled(self.models, self.queries, self.answers, self.cost, self.columns)

    def save(self, path: str | Path) -> None:
        """Writes the data, all of it or nothing.

        Args:
            path: `*.parquet` writes Parquet (the extra `data`), anything else JSONL: a line on the
                data set, and a line for each query.

        Raises:
            DataError: a reference, a group or metadata holds what cannot be written.
            ImportError: Parquet is asked for and `pyarrow` is not installed.
        """
        from cascade_engine.data.files import jsonl as _formats  # noqa: PLC0415  it builds data sets

        _formats.save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> CascadeDataset:
        """Reads what `save` wrote.

        Raises:
            DataError: it is damaged, incomplete or of a version that is not known.
        """
        from cascade_engine.data.files import jsonl as _formats  # noqa: PLC0415  it builds data sets

        return _formats.load(Path(path))

    def to_pandas(self, *, wide: bool = False) -> Any:
        """A frame with a row for each query and model, or with `wide` for each query.

        Raises:
            ImportError: `pandas` is not installed (the extra `data`).
        """
        from cascade_engine.data.files import pandas_frames as _frames  # noqa: PLC0415  it builds data sets

        return _frames.to_pandas(self, wide=wide)

    @classmethod
    def from_pandas(
        cls,
        frame: Any,
        *,
        rename: Mapping[str, str] | None = None,
        models: Sequence[str] | None = None,
        prices: Mapping[str, Price] | None = None,
        cost: Literal["price", "seconds"] | Callable[[str, Answer], float] = "price",
        on_missing: Literal["raise", "drop"] = "raise",
        labels: str | None = None,
    ) -> CascadeDataset:
        """Reads a frame, long or wide, as `to_pandas` makes them.

        Long, it has a row for each query and model, with at least the columns `query`, `model` and
        `quality`. Wide, it has a row for each query and columns such as `quality|small`. Empty
        cells (None, NaN) count as not given.

        Args:
            frame: a `pandas.DataFrame` with any of the columns `row`, `id`, `group`, `reference`,
                `metadata`, `query`, `context_length`, `tools`, `schema`, `model`, `sample`,
                `answer`, `logprobs`, `own_cost`, `seconds`, `finish_reason`, `tool_calls`,
                `signals`, token counts by the names of `Usage`, `quality` and `cost`.
            rename: our name for a column, by the frame's.
            models: those wanted, in order; by default all, in the order they appear.
            prices: price of each model, used where there is neither `cost` nor `own_cost`.
            cost: what an answer costs then: "price", "seconds", or a callable of model and answer.
            on_missing: "raise", or "drop" the queries that some model has not answered.
            labels: where quality comes from, in words.

        Raises:
            DataError: a column is missing or unknown, or a cell is missing or given twice.
            UnknownPriceError: an answer has no cost, and it cannot be priced.
        """
        from cascade_engine.data.files import pandas_frames as _frames  # noqa: PLC0415  it builds data sets

        options = {"models": models, "on_missing": on_missing, "labels": labels}
        return _frames.from_pandas(frame, rename or {}, Charge(prices or {}, cost), **options)


def labelled(table: Unlabelled, labels: Labels) -> CascadeDataset:
    """A table with its labels, on the rows that have them."""
    rows = range(len(table.queries)) if labels.rows is None else labels.rows
    cost = np.asarray(table.cost, dtype=float)
    return CascadeDataset(
        table.models,
        [table.queries[i] for i in rows],
        [table.answers[i] for i in rows],
        labels.quality,
        cost[list(rows)],
        **{
            name: [column[i] for i in rows]
            for name, column in table.columns.items()
            if column is not None
        },
        labels=labels.source,
        label_cost=labels.cost,
    )
