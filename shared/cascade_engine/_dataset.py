"""`CascadeDataset`: what every model answered to every query, how good it was, what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cascade_engine._arrays import FloatArray, check_names, check_table
from cascade_engine._costs import Charge
from cascade_engine._labels import Graded, Labels, Unlabelled, find_labeller
from cascade_engine._splitting import split_rows
from cascade_engine._types import Answer, Query
from cascade_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cascade_engine._costs import Price
    from cascade_engine.graders import Grader

__all__ = ["COLUMNS", "CascadeDataset", "check_labels", "labelled"]

#: What a row may have besides its query and its answers.
COLUMNS = ("references", "ids", "groups", "metadata", "samples")


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
        self.queries = [q if isinstance(q, Query) else Query(q) for q in queries]
        if not self.queries:
            raise DataError("no queries given: a data set needs at least one")
        self.answers = [list(row) for row in answers]
        self._check_rows("answers", self.answers)
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
        self.labels = labels
        self.label_cost = float(label_cost)

    def _column(self, name: str, column: Sequence[Any] | None) -> list[Any] | None:
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
        seen: set[str] = set()
        for name in self.ids:
            if not isinstance(name, str):
                raise DataError(f"an id must be text, not {name!r}")
            if name in seen:
                raise DataError(f"the id {name!r} is given twice: ids must be distinct")
            seen.add(name)

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

    def __len__(self) -> int:
        return len(self.queries)

    def __repr__(self) -> str:
        return f"CascadeDataset({len(self)} queries x {len(self.models)} models)"

    @property
    def columns(self) -> dict[str, Any]:
        """What the rows have besides queries and answers: those of `COLUMNS` that are given."""
        found = {name: getattr(self, name) for name in COLUMNS}
        return {name: column for name, column in found.items() if column is not None}

    @property
    def seconds(self) -> FloatArray:
        """Latency of each answer, shape (n, k); NaN where it is unknown."""
        return np.array(
            [[np.nan if a.seconds is None else a.seconds for a in row] for row in self.answers],
            dtype=float,
        )

    def take(self, rows: Sequence[int] | np.ndarray) -> CascadeDataset:
        """The same models on some of the queries: row numbers, or a boolean mask."""
        picked = np.arange(len(self))[np.asarray(rows)]
        columns: dict[str, Any] = {n: [c[i] for i in picked] for n, c in self.columns.items()}
        return CascadeDataset(
            self.models,
            [self.queries[i] for i in picked],
            [self.answers[i] for i in picked],
            self.quality[picked],
            self.cost[picked],
            **columns,
            **self._provenance(),
        )

    def select(self, models: Sequence[str]) -> CascadeDataset:
        """The same queries for some of the models, in the order given.

        Raises:
            DataError: a model is not in the data.
        """
        unknown = [name for name in models if name not in self.models]
        if unknown:
            raise DataError(f"no such models in the data: {unknown}; it has {list(self.models)}")
        places = [self.models.index(name) for name in models]
        columns = self.columns
        if self.samples is not None:
            columns["samples"] = [[row[i] for i in places] for row in self.samples]
        return CascadeDataset(
            models,
            self.queries,
            [[row[i] for i in places] for row in self.answers],
            self.quality[:, places],
            self.cost[:, places],
            **columns,
            **self._provenance(),
        )

    def split(self, fractions: Sequence[float], *, seed: int = 0) -> tuple[CascadeDataset, ...]:
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

    def concat(self, *others: CascadeDataset) -> CascadeDataset:
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
        return CascadeDataset(
            self.models,
            [query for part in parts for query in part.queries],
            [row for part in parts for row in part.answers],
            np.concatenate([part.quality for part in parts]),
            np.concatenate([part.cost for part in parts]),
            **{name: [x for part in parts for x in part.columns[name]] for name in self.columns},
            labels=", ".join(sources) or None,
            label_cost=sum(part.label_cost for part in parts),
        )

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
                  `strongest` names another; or `agreement=similar`, with `similar(a, b)` in [0, 1].
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

    def _provenance(self) -> dict[str, Any]:
        return {"labels": self.labels, "label_cost": self.label_cost}

    def save(self, path: str | Path) -> None:
        """Writes the data, all of it or nothing.

        Args:
            path: `*.parquet` writes Parquet (the extra `data`), anything else JSONL: a line on the
                data set, and a line for each query.

        Raises:
            DataError: a reference, a group or metadata holds what cannot be written.
            ImportError: Parquet is asked for and `pyarrow` is not installed.
        """
        from cascade_engine import _formats  # noqa: PLC0415  it builds data sets

        _formats.save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> CascadeDataset:
        """Reads what `save` wrote.

        Raises:
            DataError: it is damaged, incomplete or of a version that is not known.
        """
        from cascade_engine import _formats  # noqa: PLC0415  it builds data sets

        return _formats.load(Path(path))

    def to_pandas(self, *, wide: bool = False) -> Any:
        """A frame with a row for each query and model, or with `wide` for each query.

        Raises:
            ImportError: `pandas` is not installed (the extra `data`).
        """
        from cascade_engine import _frames  # noqa: PLC0415  it builds data sets

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
        from cascade_engine import _frames  # noqa: PLC0415  it builds data sets

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
