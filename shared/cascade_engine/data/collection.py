"""`Collection`: what models answered to queries, complete or not, before it is labelled."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cascade_engine.core.checks import check_names
from cascade_engine.core.prices import Charge
from cascade_engine.core.queries import query_key
from cascade_engine.core.records import Answer, Query
from cascade_engine.data.collecting._cells import Cell, answers_each, cells_of
from cascade_engine.data.collecting.journal import CallFailure, read_journal
from cascade_engine.data.dataset import CascadeDataset, labelled
from cascade_engine.data.labels import Unlabelled, find_labeller
from cascade_engine.errors import ConfigurationError, DataError, DataWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from os import PathLike

    from cascade_engine.core.prices import Price
    from cascade_engine.data.traces.trace_line import LoggedTrace

__all__ = ["Collection", "Missing"]


class Missing(NamedTuple):
    """An answer that is not there.

    Attributes:
        row: the number of the query.
        model: who did not answer.
        sample: which of several answers.
        why: the error of a call that failed, or None where nobody asked.
    """

    row: int
    model: str
    sample: int
    why: str | None


class Collection:
    """The answers of k models to n queries, some of which may be missing.

    Args:
        models: names of the models, the columns.
        queries: the queries, the rows; the same query may be in several rows.
        results: what came of each call.
        keys: what tells two queries apart, one a row; by default their content.
        samples: how many answers of each model to each query make it complete; a number, or one for
            each model.
        ids: names of the rows.
        charge: what a call costs.
        stopped: why collecting ended early, in words; None where it did not.
        errors: the errors themselves, of calls that failed just now.
        feedback: people's scores by what they are on, each by (id, model).
        known: what was known before anybody was asked; results of its cells were not paid for.
        is_traffic: whether who answered depends on the query, as it does in live traffic.

    Raises:
        ConfigurationError: no model names, or two the same.
        DataError: there is no query, or not as many keys or ids.
    """

    def __init__(
        self,
        models: Sequence[str],
        queries: Sequence[Query],
        results: Mapping[Cell, Answer | CallFailure],
        *,
        keys: Sequence[str] | None = None,
        samples: int | Mapping[str, int] = 1,
        ids: Sequence[str] | None = None,
        charge: Charge | None = None,
        stopped: str | None = None,
        errors: Mapping[Cell, BaseException] | None = None,
        feedback: Mapping[str, Mapping[tuple[str, str], float]] | None = None,
        known: Collection | None = None,
        is_traffic: bool = False,
    ) -> None:
        self.models = check_names(models)
        self.queries = list(queries)
        if not self.queries:
            raise DataError("no queries given: a collection needs at least one")
        self.keys = [query_key(q) for q in self.queries] if keys is None else list(keys)
        self.ids = None if ids is None else list(ids)
        for name, given in (("keys", self.keys), ("ids", self.ids)):
            if given is not None and len(given) != len(self.queries):
                raise DataError(f"{len(given)} {name} for {len(self.queries)} queries")
        self.samples = answers_each(self.models, samples)
        self.stopped = stopped
        self.feedback = {what: dict(scores) for what, scores in (feedback or {}).items()}
        before = {} if known is None else known.results
        self.results: dict[Cell, Answer | CallFailure] = cells_of(
            [*before.items(), *results.items()]
        )
        self.is_traffic: bool = is_traffic or (known is not None and known.is_traffic)
        self._paid = [cell for cell, result in results.items() if isinstance(result, Answer)]
        self._charge = charge or Charge({})
        self._errors = errors or {}

    @classmethod
    def from_journal(
        cls,
        path: str | Path,
        *,
        models: Sequence[str] | None = None,
        samples: int | Mapping[str, int] = 1,
        prices: Mapping[str, Price] | None = None,
        charge: Literal["price", "seconds"] | Callable[[str, Answer], float] = "price",
    ) -> Collection:
        """Everything that a journal holds, one row for each query in it.

        Args:
            path: the journal, whether or not a process is still writing to it.
            models: those wanted, in order; by default all, in the order of the journal.
            samples: as in `collect`.
            prices: as in `collect`.
            charge: as in `collect`.

        Raises:
            DataError: there is no such journal, or it is damaged.
        """
        recorded = read_journal(Path(path)) if Path(path).exists() else None
        if recorded is None:
            raise DataError(f"{path} holds no journal: collect(..., path=...) writes one")
        return cls(
            models or recorded.models,
            list(recorded.queries.values()),
            cells_of((Cell(e.key, e.model, e.sample), e.result) for e in recorded.entries),
            keys=list(recorded.queries),
            samples=samples,
            charge=Charge(prices or {}, charge),
        )

    @classmethod
    def from_traces(
        cls,
        traces: str | PathLike[str] | Iterable[LoggedTrace],
        *,
        models: Sequence[str] | None = None,
        samples: int | Mapping[str, int] = 1,
        prices: Mapping[str, Price] | None = None,
        charge: Literal["price", "seconds"] | Callable[[str, Answer], float] = "price",
    ) -> Collection:
        """What live traffic has answered already, one row for each query in it.

        Of each query only the models that ran have answers, the latest where it was asked several
        times. Ask the others by `collect(models, collection.queries, known=collection)`.

        Rows that are complete as they are are the queries that a cascade escalated: harder than
        the rest. Fitted on these alone (`on_missing="drop"`, which warns), a router would take
        every model for worse than it is, and the first ones most.

        Args:
            traces: the path of a log that a `TraceLog` writes, or what `read_traces` read.
            models: those wanted, in order; by default all, in the order of the cascade.
            samples: as in `collect`.
            prices: as in `collect`.
            charge: as in `collect`.

        Raises:
            DataError: there is no such log, it is damaged, it is empty, or it has no texts.
        """
        from cascade_engine.data.traces.traffic import read_traffic  # noqa: PLC0415  it knows this class

        traffic = read_traffic(traces)
        return cls(
            models or traffic.models,
            list(traffic.queries.values()),
            traffic.results,
            keys=list(traffic.queries),
            samples=samples,
            charge=Charge(prices or {}, charge),
            is_traffic=True,
        )

    def __len__(self) -> int:
        return len(self.queries)

    def __repr__(self) -> str:
        missing = len(self.missing())
        state = f"{missing} answers missing" if missing else "complete"
        return f"Collection({len(self)} queries x {len(self.models)} models, {state})"

    def answers(self, row: int, model: str) -> list[Answer]:
        """What a model answered to a query, in the order of the samples."""
        found = (
            self.results.get(Cell(self.keys[row], model, s)) for s in range(self.samples[model])
        )
        return [result for result in found if isinstance(result, Answer)]

    def missing(self) -> list[Missing]:
        """The answers that are not there, in the order of the rows."""
        return [
            Missing(row, model, sample, _why(result))
            for row, key in enumerate(self.keys)
            for model in self.models
            for sample in range(self.samples[model])
            if not isinstance(result := self.results.get(Cell(key, model, sample)), Answer)
        ]

    @property
    def cost(self) -> float:
        """What the answers cost, duplicates once.

        Those whose cost is unknown count nothing, nor do those that were known beforehand.
        """
        wanted = {
            Cell(key, model, sample)
            for key in self.keys
            for model in self.models
            for sample in range(self.samples[model])
        }
        found = ((c.model, self.results[c]) for c in self._paid if c in wanted)
        return sum(self._charge(m, r) or 0.0 for m, r in found if isinstance(r, Answer))

    def dataset(
        self,
        *,
        references: Sequence[Any] | None = None,
        ids: Sequence[str] | None = None,
        groups: Sequence[Any] | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
        on_missing: Literal["raise", "drop"] = "raise",
        **labels: Any,
    ) -> CascadeDataset:
        """Labels and prices the answers.

        Args:
            references: the right answers, one per query.
            ids: names of the rows.
            groups: what rows belong together, so that no split parts them.
            metadata: anything else about each query.
            on_missing: "raise", or "drop" the queries that some model has not answered. On live
                traffic that warns: see `from_traces`.
            **labels: where quality comes from: `grade`, `judge`, `agreement` or `feedback`, as in
                `CascadeDataset.label`. With references alone, a comparison that suits their kind.

        Raises:
            DataError: answers are missing; it says which, and why.
            ConfigurationError: nothing says which answers are good, or several things do.
            UnknownPriceError: an answer has no cost, and it cannot be priced.
        """
        labeller = find_labeller(references, **labels)
        table = self._table(on_missing, references, ids, groups, metadata)
        return labelled(table, labeller.label(table))

    async def adataset(
        self,
        *,
        references: Sequence[Any] | None = None,
        ids: Sequence[str] | None = None,
        groups: Sequence[Any] | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
        on_missing: Literal["raise", "drop"] = "raise",
        **labels: Any,
    ) -> CascadeDataset:
        """`dataset`, with a judge that may be asynchronous."""
        labeller = find_labeller(references, **labels)
        table = self._table(on_missing, references, ids, groups, metadata)
        return labelled(table, await labeller.alabel(table))

    def _table(
        self,
        on_missing: str,
        references: Sequence[Any] | None,
        ids: Sequence[str] | None,
        groups: Sequence[Any] | None,
        metadata: Sequence[Mapping[str, Any]] | None,
    ) -> Unlabelled:
        if on_missing not in ("raise", "drop"):
            raise ConfigurationError(f'on_missing must be "raise" or "drop", not {on_missing!r}')
        missing = self.missing()
        if missing and on_missing == "raise":
            self._refuse(missing)
        holes = {one.row for one in missing}
        rows = [row for row in range(len(self)) if row not in holes]
        if not rows:
            self._refuse(missing)
        if holes and self.is_traffic:
            warnings.warn(
                f"{len(rows)} of {len(self)} logged queries are complete, and they do not stand "
                "for the rest: the cascade escalated them. Have the missing answers collected",
                DataWarning,
                stacklevel=3,
            )
        cells = [[self.answers(row, model) for model in self.models] for row in rows]
        answers = [[cell[0] for cell in row] for row in cells]
        given = {
            "references": references,
            "ids": self.ids if ids is None else ids,
            "groups": groups,
            "metadata": metadata,
        }
        return Unlabelled(
            self.models,
            [self.queries[row] for row in rows],
            answers,
            [[self._charge.required(m, a) for m, a in zip(self.models, r)] for r in answers],  # noqa: B905  as many
            {
                **{name: self._picked(name, column, rows) for name, column in given.items()},
                "samples": [[c[1:] for c in r] for r in cells]
                if max(self.samples.values()) > 1
                else None,
            },
        )

    def _picked(self, name: str, column: Sequence[Any] | None, rows: Sequence[int]) -> Any:
        if column is None:
            return None
        if len(column) != len(self):
            raise DataError(f"{len(column)} {name} for {len(self)} queries: give one for each")
        return [column[row] for row in rows]

    def _refuse(self, missing: Sequence[Missing]) -> None:
        first = next((one for one in missing if one.why), missing[0])
        question = self.queries[first.row].text[:80]
        counts = Counter(one.model for one in missing)
        total = len(self) * sum(self.samples.values())
        listed = ", ".join(f"{count} of {model!r}" for model, count in counts.items())
        what = (
            f"model {first.model!r} failed on the question {question!r}: {first.why}"
            if first.why
            else f"model {first.model!r} has not answered the question {question!r}"
        )
        raise DataError(
            f"{what}\n{len(missing)} of {total} answers are missing ({listed})"
            + (f"; {self.stopped}" if self.stopped else "")
            + '. Collect again, or pass on_missing="drop" to go on with the complete rows'
        ) from self._errors.get(Cell(self.keys[first.row], first.model, first.sample))


def _why(result: Answer | CallFailure | None) -> str | None:
    return result.error if isinstance(result, CallFailure) else None
