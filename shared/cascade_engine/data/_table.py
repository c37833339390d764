"""`CompleteTable`: what a data set is made of, and the data sets that are made of its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.core.checks import check_names, check_table
from cascade_engine.core.queries import as_queries
from cascade_engine.core.records import Answer, ToolCall, Usage
from cascade_engine.data.splitting import split_rows
from cascade_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self

    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.core.records import Query

__all__ = ["COLUMNS", "CompleteTable"]

#: What a row may have besides its query and its answers.
COLUMNS = ("references", "ids", "groups", "metadata", "samples")

#: How far rounding may take quality out of [0, 1].
_ROUNDING = 1e-9
#: What fields of an answer must be, where they are not None, and what to give in place of others.
_KINDS: dict[str, tuple[Any, str]] = {
    "usage": (Usage, "Usage(input_tokens, output_tokens)"),
    "finish_reason": (str, "a text"),
    "logprobs": ((tuple, list, np.ndarray), "a tuple of numbers"),
}


def _check_answers(what: str, rows: Sequence[Sequence[object]]) -> None:
    for number, row in enumerate(rows):
        for answer in row:
            if not isinstance(answer, Answer) or not isinstance(answer.text, str):
                raise DataError(
                    f"the {what} of query {number} must be of the kind Answer, with a text, not "
                    f"{answer!r:.80}"
                )
            _check_fields(f"the {what} of query {number}", answer)


def _check_fields(whose: str, answer: Answer) -> None:
    for name, (kind, word) in _KINDS.items():
        value = getattr(answer, name)
        if value is not None and not isinstance(value, kind):
            raise DataError(f"{whose} have {value!r:.80} for their {name}: give {word}, or None")
    if not all(isinstance(call, ToolCall) for call in answer.tool_calls):
        raise DataError(
            f"{whose} have {answer.tool_calls!r:.80} for their tool_calls: give a tuple of "
            "ToolCall(name, arguments)"
        )


class CompleteTable:
    """A complete table of queries x models: the rows and columns of a `CascadeDataset`.

    Arguments and errors are told there.
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
        _check_answers("answers", self.answers)
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
            _check_answers("samples", [[a for cell in row for a in cell] for row in self.samples])
        self.labels = labels
        self.label_cost = float(label_cost)

    def _column(self, name: str, column: Sequence[Any] | None) -> list[Any] | None:
        if isinstance(column, str):
            raise DataError(f"{name} must be a list, not the one text {column[:80]!r}")
        if column is not None and len(column) != len(self.queries):
            raise DataError(f"{len(column)} {name} for {len(self.queries)} queries")
        return None if column is None else list(column)

    def _rows(self, rows: Any) -> np.ndarray:
        wanted = np.asarray(rows)
        if not wanted.size:
            raise DataError("no rows are picked: a data set needs at least one query")
        return wanted

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

    def take(self, rows: Sequence[int] | np.ndarray) -> Self:
        """The same models on some of the queries: row numbers, or a boolean mask."""
        picked = np.arange(len(self))[self._rows(rows)]
        columns: dict[str, Any] = {n: [c[i] for i in picked] for n, c in self.columns.items()}
        return type(self)(
            self.models,
            [self.queries[i] for i in picked],
            [self.answers[i] for i in picked],
            self.quality[picked],
            self.cost[picked],
            **columns,
            **self._provenance(),
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
        columns = self.columns
        if self.samples is not None:
            columns["samples"] = [[row[i] for i in places] for row in self.samples]
        return type(self)(
            models,
            self.queries,
            [[row[i] for i in places] for row in self.answers],
            self.quality[:, places],
            self.cost[:, places],
            **columns,
            **self._provenance(),
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
        return type(self)(
            self.models,
            [query for part in parts for query in part.queries],
            [row for part in parts for row in part.answers],
            np.concatenate([part.quality for part in parts]),
            np.concatenate([part.cost for part in parts]),
            **{name: [x for part in parts for x in part.columns[name]] for name in self.columns},
            labels=", ".join(sources) or None,
            label_cost=sum(part.label_cost for part in parts),
        )

    def _provenance(self) -> dict[str, Any]:
        return {"labels": self.labels, "label_cost": self.label_cost}
