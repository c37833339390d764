"""`CascadeDataset`: what every model answered to every query, how good it was, what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cascade_engine.core.checks import check_answers, check_names, check_table
from cascade_engine.core.prices import Charge
from cascade_engine.core.queries import as_queries
from cascade_engine.data.files import jsonl, pandas_frames, parquet
from cascade_engine.data.files.jsonl import COLUMNS
from cascade_engine.data.label_sources import GraderLabeller, find_labeller
from cascade_engine.data.labeller import AnswerTable, Labels
from cascade_engine.data.splits import split_rows
from cascade_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType

    from typing_extensions import Self

    from cascade_engine.answers.graders import Grader
    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.core.prices import Price
    from cascade_engine.core.records import Answer, Query

__all__ = ["CascadeDataset", "with_labels"]

#: How far rounding may take quality out of [0, 1].
_ROUNDING = 1e-9


class CascadeDataset:
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

    def __init__(
        self,
        models: Sequence[str],
        queries: Sequence[Query | str],
        answers: Sequence[Sequence[Answer]],
        quality: object,
        cost: object,
        *,
        references: Sequence[object] | None = None,
        ids: Sequence[str] | None = None,
        groups: Sequence[object] | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
        samples: Sequence[Sequence[Sequence[Answer]]] | None = None,
        labels: str | None = None,
        label_cost: float = 0.0,
    ) -> None:
        self.models = check_names(models)
        self.queries = as_queries(queries)
        if not self.queries:
            raise DataError("no queries given: a data set needs at least one")
        self.answers = [list(row) for row in answers]
        self._check_rows("answers", self.answers)
        check_answers("answers", self.answers)
        shape = (len(self.queries), len(self.models))
        self.quality: FloatArray = check_table("quality", quality, shape)
        self.cost: FloatArray = check_table("cost", cost, shape)
        self._check_range()
        self.references = self._column("references", references)
        self.ids = self._column("ids", ids)
        self._check_ids()
        self.groups = self._column("groups", groups)
        self.metadata = self._column("metadata", metadata)
        self.samples: list[list[list[Answer]]] | None = None
        if samples is not None:
            self._check_rows("samples", samples)
            self.samples = [[list(cell) for cell in row] for row in samples]
            check_answers("samples", [[a for cell in row for a in cell] for row in self.samples])
        self.labels = labels
        self.label_cost = float(label_cost)

    def _column(self, name: str, column: Sequence[Any] | None) -> list[Any] | None:
        if isinstance(column, str):
            raise DataError(f"{name} must be a list, not the one text {column[:80]!r}")
        if column is not None and len(column) != len(self.queries):
            raise DataError(f"{len(column)} {name} for {len(self.queries)} queries")
        return None if column is None else list(column)

    def _check_rows(self, what: str, rows: Sequence[Sequence[object]]) -> None:
        if len(rows) != len(self.queries):
            raise DataError(f"{len(rows)} rows of {what} for {len(self.queries)} queries")
        for number, row in enumerate(rows):
            if len(row) != len(self.models):
                raise DataError(
                    f"query {number} has {len(row)} {what} for {len(self.models)} models: every "
                    "model must have answered every query"
                )

    def _check_ids(self) -> None:
        if self.ids is None:
            return
        earlier: set[str] = set()
        for name in self.ids:
            if not isinstance(name, str):
                raise DataError(f"an id must be text, not {name!r}")
            if name in earlier:
                raise DataError(f"the id {name!r} is given twice: ids must be distinct")
            earlier.add(name)

    def _check_range(self) -> None:
        low, high = self.quality.min(), self.quality.max()
        if low < -_ROUNDING or high > 1 + _ROUNDING:
            raise DataError(f"quality runs from {low:g} to {high:g}: rescale it to [0, 1]")
        if low < 0 or high > 1:  # a mean of scores, say
            self.quality = np.clip(self.quality, 0.0, 1.0)
        if self.cost.min() < 0:
            raise DataError(f"a cost is negative: {self.cost.min():g}")

    def __len__(self) -> int:
        return len(self.queries)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} queries x {len(self.models)} models)"

    @property
    def columns(self) -> dict[str, Any]:
        """What the rows have besides queries and answers, by name: references, ids, ..."""
        columns = {name: getattr(self, name) for name in COLUMNS}
        return {name: column for name, column in columns.items() if column is not None}

    @property
    def seconds(self) -> FloatArray:
        """Latency of each answer, shape (n, k); NaN where it is unknown."""
        return np.array(
            [[np.nan if a.seconds is None else a.seconds for a in row] for row in self.answers],
            dtype=float,
        )

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
        rows = as_queries(queries)
        reference_count = len(rows) if references is None else len(references)
        if not len(rows) == reference_count == len(answers):
            raise DataError(
                f"{len(rows)} queries, {len(answers)} rows of answers and {reference_count} "
                "references were given: there must be as many of each"
            )
        charge = Charge(prices or {}, cost)
        costs = [
            [charge.required(m, a) for m, a in zip(names, row, strict=False)] for row in answers
        ]
        table = AnswerTable(names, rows, answers, costs, {"references": references})
        source = "grader" if references is None else "references"
        return with_labels(table, GraderLabeller(grade, source).label(table))

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
                  `cascade_engine.answers.agreement` has it, and calls of tools must be the same;
                  or `agreement=similar`, with `similar(a, b)` in [0, 1], compares all that is said.
                - `feedback=scores`: people's, a mapping of (id, model) to truth values or numbers
                  in [0, 1], or records with "id", "model" and "score". Without ids the question's
                  text counts. Rows that lack some model's score are left out.

        Raises:
            ConfigurationError: no source is named, or several.
            DataError: a score is no number in [0, 1], the judge failed, or nothing is left.
        """
        table = self._answer_table()
        return with_labels(table, find_labeller(self.references, **labels).label(table))

    async def alabel(self, **labels: Any) -> CascadeDataset:
        """`label`, with a judge that may be asynchronous."""
        table = self._answer_table()
        return with_labels(table, await find_labeller(self.references, **labels).alabel(table))

    def _answer_table(self) -> AnswerTable:
        return AnswerTable(self.models, self.queries, self.answers, self.cost, self.columns)

    def take(self, rows: Sequence[int] | np.ndarray) -> Self:
        """The same models on some of the queries: row numbers, or a boolean mask.

        Raises:
            DataError: no rows are picked.
        """
        picked = np.asarray(rows)
        if not picked.size:
            raise DataError("no rows are picked: a data set needs at least one query")
        picked = np.arange(len(self))[picked]
        columns = {"queries": self.queries, "answers": self.answers, **self.columns}
        return self._changed(
            quality=self.quality[picked],
            cost=self.cost[picked],
            **{name: [column[row] for row in picked] for name, column in columns.items()},
        )

    def select(self, models: Sequence[str]) -> Self:
        """The same queries for some of the models, in the order given.

        Raises:
            DataError: a model is not in the data.
        """
        unknown = [name for name in models if name not in self.models]
        if unknown:
            raise DataError(f"no such models in the data: {unknown}; it has {list(self.models)}")
        places = [self.models.index(name) for name in models]
        tables: dict[str, Any] = {"answers": self.answers}
        if self.samples is not None:
            tables["samples"] = self.samples
        return self._changed(
            models=models,
            quality=self.quality[:, places],
            cost=self.cost[:, places],
            **{name: [[row[i] for i in places] for row in rows] for name, rows in tables.items()},
        )

    def split(self, fractions: Sequence[float], *, seed: int = 0) -> tuple[Self, ...]:
        """Parts of the data that share no question and no group, at random.

        Rows of the same group, or with the same text but for case and white space, stay together.

        Args:
            fractions: the share of each part, (0.8, 0.2) say; they add up to 1.
            seed: of the choice. The same data and seed give the same parts.

        Raises:
            ConfigurationError: the fractions are not positive, or do not add up to 1.
            DataError: there are fewer groups than parts.
        """
        texts = [query.text for query in self.queries]
        return tuple(self.take(rows) for rows in split_rows(texts, self.groups, fractions, seed))

    def concat(self, *others: Self) -> Self:
        """The rows of several data sets on the same models, in order.

        Raises:
            DataError: the models differ, an id is in two of them, or one has a column (references,
                ids, groups, metadata, samples) that another lacks.
        """
        parts = [self, *others]
        for other in others:
            if other.models != self.models:
                raise DataError(
                    f"the models differ: {list(self.models)} and {list(other.models)}; use select"
                )
            odd = self.columns.keys() ^ other.columns.keys()
            if odd:
                raise DataError(f"some of the data sets have {sorted(odd)} and some do not")
        sources = dict.fromkeys(part.labels for part in parts if part.labels)
        rows = {
            name: [value for part in parts for value in getattr(part, name)]
            for name in ("queries", "answers", *self.columns)
        }
        return self._changed(
            **rows,
            quality=np.concatenate([part.quality for part in parts]),
            cost=np.concatenate([part.cost for part in parts]),
            labels=", ".join(sources) or None,
            label_cost=sum(part.label_cost for part in parts),
        )

    def _arguments(self) -> dict[str, Any]:
        """The arguments that make this data set: what files hold, and changed copies begin with."""
        return {
            "models": self.models,
            "queries": self.queries,
            "answers": self.answers,
            "quality": self.quality,
            "cost": self.cost,
            **self.columns,
            "labels": self.labels,
            "label_cost": self.label_cost,
        }

    def _changed(self, **changes: Any) -> Self:
        """A data set of the same arguments but for these."""
        return type(self)(**{**self._arguments(), **changes})

    def save(self, path: str | Path) -> None:
        """Writes the data, all of it or nothing.

        Args:
            path: `*.parquet` writes Parquet (the extra `data`), anything else JSONL: a line on the
                data set, and a line for each query.

        Raises:
            DataError: a reference, a group or metadata holds what cannot be written.
            ImportError: Parquet is asked for and `pyarrow` is not installed.
        """
        _format_of(Path(path)).write(self._arguments(), Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            DataError: the file is damaged, incomplete, or of a version that is not known.
        """
        arguments = _format_of(Path(path)).read(Path(path))
        try:
            return cls(**arguments)
        except (TypeError, AttributeError) as error:
            raise DataError(f"{path} is damaged: {type(error).__name__}: {error}") from error

    def to_pandas(self, *, wide: bool = False) -> Any:
        """A frame with a row for each query and model, or with `wide` for each query.

        Raises:
            ImportError: `pandas` is not installed (the extra `data`).
        """
        return pandas_frames.to_pandas(self._arguments(), wide=wide)

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
    ) -> Self:
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
            models: the models to keep, in order; by default all, in the order they appear.
            prices: price of each model, used where there is neither `cost` nor `own_cost`.
            cost: what an answer costs then: "price", "seconds", or a callable of model and answer.
            on_missing: "raise", or "drop" the queries that some model has not answered.
            labels: where quality comes from, in words.

        Raises:
            DataError: a column is missing or unknown, or a cell is missing or given twice.
            UnknownPriceError: an answer has no cost, and it cannot be priced.
        """
        options = {"models": models, "on_missing": on_missing, "labels": labels}
        charge = Charge(prices or {}, cost)
        return cls(**pandas_frames.from_pandas(frame, rename or {}, charge, **options))


def _format_of(path: Path) -> ModuleType:
    """The module that reads and writes such files."""
    return parquet if path.suffix == ".parquet" else jsonl


def with_labels(table: AnswerTable, labels: Labels) -> CascadeDataset:
    """The data set of a table and its labels, of the rows that have labels."""
    rows = range(len(table.queries)) if labels.rows is None else labels.rows
    columns = {name: column for name, column in table.columns.items() if column is not None}
    columns |= {"queries": table.queries, "answers": table.answers}
    return CascadeDataset(
        models=table.models,
        quality=labels.quality,
        cost=np.asarray(table.cost, dtype=float)[list(rows)],
        **{name: [column[row] for row in rows] for name, column in columns.items()},
        labels=labels.source,
        label_cost=labels.cost,
    )
