"""`collect`: what every model answers to every query; and the `Collection` that comes of it."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cascade_engine.core.checks import check_names
from cascade_engine.core.prices import Charge
from cascade_engine.core.queries import query_key
from cascade_engine.core.records import Answer, Query
from cascade_engine.core.retries import is_temporary
from cascade_engine.data.calls.job import Job, arun, run
from cascade_engine.data.calls.journal import (
    CallResult,
    Cell,
    latest_results,
    read_journal,
)
from cascade_engine.data.calls.ledger import samples_by_model
from cascade_engine.data.dataset import CascadeDataset, with_labels
from cascade_engine.data.label_sources import find_labeller
from cascade_engine.data.labeller import AnswerTable
from cascade_engine.data.traffic.call_log import read_traffic
from cascade_engine.errors import ConfigurationError, DataError, DataWarning

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from os import PathLike

    from cascade_engine.core.prices import Price
    from cascade_engine.data.calls.ledger import Ledger
    from cascade_engine.data.traffic.trace_line import LoggedTrace

__all__ = ["Collection", "Missing", "acollect", "collect"]


class Missing(NamedTuple):
    """An answer that a collection lacks.

    Attributes:
        row: the number of the query.
        model: the model that did not answer.
        sample: which of several answers, from 0.
        why: the error of a call that failed, or None where no call was made.
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
        keys: what tells two queries apart, one key for each row; by default a hash of their
            content.
        samples: how many answers of each model to each query make it complete; a number, or one for
            each model.
        ids: names of the rows.
        charge: what a call costs.
        stopped: why collecting ended early, in words; None where it did not.
        errors: the exceptions of calls that failed just now.
        feedback: people's scores by what is scored, such as "correctness", each by (id, model).
        known: an earlier collection, whose answers were not paid for again.
        is_traffic: whether it depends on the query which models answered, as in live traffic.

    Raises:
        ConfigurationError: no model names, or two the same.
        DataError: there is no query, or not as many keys or ids.
    """

    def __init__(
        self,
        models: Sequence[str],
        queries: Sequence[Query],
        results: Mapping[Cell, CallResult],
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
        for name, column in (("keys", self.keys), ("ids", self.ids)):
            if column is not None and len(column) != len(self.queries):
                raise DataError(f"{len(column)} {name} for {len(self.queries)} queries")
        self.samples = samples_by_model(self.models, samples)
        self.stopped = stopped
        self.feedback = {what: dict(scores) for what, scores in (feedback or {}).items()}
        earlier = {} if known is None else known.results
        self.results: dict[Cell, CallResult] = latest_results([*earlier.items(), *results.items()])
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
            models: the models to keep, in order; by default all, in the order of the journal.
            samples: as in `collect`.
            prices: as in `collect`.
            charge: as in `collect`.

        Raises:
            DataError: there is no such journal, or it is damaged.
        """
        log = read_journal(Path(path))
        if log is None:
            raise DataError(f"{path} holds no journal: collect(..., path=...) writes one")
        return cls(
            models or log.models,
            list(log.queries.values()),
            log.results,
            keys=list(log.queries),
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
            models: the models to keep, in order; by default all, in the order of the cascade.
            samples: as in `collect`.
            prices: as in `collect`.
            charge: as in `collect`.

        Raises:
            DataError: there is no such log, it is damaged, it is empty, or it has no texts.
        """
        log = read_traffic(traces)
        return cls(
            models or log.models,
            list(log.queries.values()),
            log.results,
            keys=list(log.queries),
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
        results = (
            self.results.get(Cell(self.keys[row], model, sample))
            for sample in range(self.samples[model])
        )
        return [result for result in results if isinstance(result, Answer)]

    def missing(self) -> list[Missing]:
        """The answers that it lacks, in the order of the rows."""
        return [
            Missing(row, model, sample, result.error if result else None)
            for row, key in enumerate(self.keys)
            for model in self.models
            for sample in range(self.samples[model])
            if not isinstance(result := self.results.get(Cell(key, model, sample)), Answer)
        ]

    @property
    def cost(self) -> float:
        """What the answers cost, each once though several rows share it.

        An unknown cost counts nothing, nor do answers that were known beforehand.
        """
        cells = {
            Cell(key, model, sample)
            for key in self.keys
            for model in self.models
            for sample in range(self.samples[model])
        }
        return sum(
            self._charge(cell.model, result) or 0.0
            for cell in self._paid
            if cell in cells and isinstance(result := self.results[cell], Answer)
        )

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
        columns = {"references": references, "ids": ids, "groups": groups, "metadata": metadata}
        table = self._table(on_missing, columns)
        return with_labels(table, labeller.label(table))

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
        columns = {"references": references, "ids": ids, "groups": groups, "metadata": metadata}
        table = self._table(on_missing, columns)
        return with_labels(table, await labeller.alabel(table))

    def _table(self, on_missing: str, columns: dict[str, Sequence[Any] | None]) -> AnswerTable:
        """The complete rows, with those of the given columns."""
        if on_missing not in ("raise", "drop"):
            raise ConfigurationError(f'on_missing must be "raise" or "drop", not {on_missing!r}')
        missing = self.missing()
        incomplete = {absent.row for absent in missing}
        rows = [row for row in range(len(self)) if row not in incomplete]
        if missing and (on_missing == "raise" or not rows):
            self._refuse(missing)
        if incomplete and self.is_traffic:
            warnings.warn(
                f"{len(rows)} of {len(self)} logged queries are complete, and they do not stand "
                "for the rest: the cascade escalated them. Have the missing answers collected",
                DataWarning,
                stacklevel=3,
            )
        for name, column in columns.items():
            if column is not None and len(column) != len(self):
                raise DataError(f"{len(column)} {name} for {len(self)} queries: give one for each")
        if columns["ids"] is None:
            columns["ids"] = self.ids
        picked = {
            name: None if column is None else [column[row] for row in rows]
            for name, column in columns.items()
        }
        cells = [[self.answers(row, model) for model in self.models] for row in rows]
        if max(self.samples.values()) > 1:
            picked["samples"] = [[cell[1:] for cell in row] for row in cells]
        answers = [[cell[0] for cell in row] for row in cells]
        costs = [
            [self._charge.required(*call) for call in zip(self.models, row, strict=True)]
            for row in answers
        ]
        return AnswerTable(self.models, [self.queries[row] for row in rows], answers, costs, picked)

    def _refuse(self, missing: Sequence[Missing]) -> None:
        first = next((absent for absent in missing if absent.why), missing[0])
        question = self.queries[first.row].text[:80]
        counts = Counter(absent.model for absent in missing)
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


def collect(
    models: Mapping[str, Callable[[Any], Answer | Awaitable[Answer]]],
    queries: Sequence[Query | str],
    *,
    path: str | Path | None = None,
    samples: int | Mapping[str, int] = 1,
    max_concurrency: int = 8,
    max_cost: float | None = None,
    max_failures: int | None = None,
    retries: int = 2,
    retry_on: Callable[[BaseException], bool] = is_temporary,
    prices: Mapping[str, Price] | None = None,
    charge: Literal["price", "seconds"] | Callable[[str, Answer], float] = "price",
    settings: Any = None,
    inputs: Sequence[Any] | None = None,
    keys: Sequence[str] | None = None,
    known: Collection | None = None,
    progress: bool | Callable[[str], object] = True,
    sleep: Callable[[float], Any] | None = None,
) -> Collection:
    """Asks every model every query, in threads, query by query.

    With a `path` each finished call is on disk, in a journal, before it counts. Killed at any
    moment, the same call goes on from there: nothing is lost and nothing is paid for twice, but
    for the calls that were in flight. Later calls may add queries, models or samples; a query that
    was edited is asked again. The same query in several rows is asked once. Calls that failed are
    in the journal too, and are tried again.

    Args:
        models: what asks each model, by its name: a function of a `Query` to an `Answer`. An
            answer without `seconds` gets the time the call took; its `payload` is not kept.
        queries: the n queries.
        path: the journal; None to keep everything in memory.
        samples: how many answers of each model to each query; a number, or one for each model.
        max_concurrency: calls in flight, of all models together.
        max_cost: stops before what was spent and what the calls in flight are expected to cost
            would exceed it; what the journal holds already counts. Until a model's first answer
            its calls go one at a time, and that one may exceed it.
        max_failures: stops once more than so many calls have failed; None never stops.
        retries: further tries of a call that raises an error worth it.
        retry_on: which errors are: `is_temporary` by default (lost connections, timeouts, rate
            limits, the server's own errors).
        prices: price of each model, used where an answer carries no cost of its own.
        charge: "price", tokens times prices; "seconds"; or a callable of model and answer.
        settings: what else the answers depend on, such as a temperature or a system prompt: a
            journal of other settings is refused.
        inputs: what the models are called with in place of the queries, one per query.
        keys: what tells queries apart, where inputs say more than the queries do.
        known: answers that are there already, from live traffic (`Collection.from_traces`) or from
            another collection: their calls are neither made nor paid for, and the journal is of
            the others alone.
        progress: True draws a line on a terminal; a callable is given the line; False.
        sleep: waits before another try; by default a wait that an interrupt ends.

    Returns:
        The answers, with what is missing and why; whether a limit stopped it is in `stopped`.

    Raises:
        ConfigurationError: no models, bad options, or a model that returned no `Answer`.
        DataError: no queries, or a journal that is in use or belongs to something else.
        UnknownPriceError: there is a cost limit, and the cost of an answer is unknown.
    """
    job = Job(**locals())  # every argument, under its own name
    return _collection(job, run(job))


async def acollect(
    models: Mapping[str, Callable[[Any], Answer | Awaitable[Answer]]],
    queries: Sequence[Query | str],
    *,
    path: str | Path | None = None,
    samples: int | Mapping[str, int] = 1,
    max_concurrency: int = 8,
    max_cost: float | None = None,
    max_failures: int | None = None,
    retries: int = 2,
    retry_on: Callable[[BaseException], bool] = is_temporary,
    prices: Mapping[str, Price] | None = None,
    charge: Literal["price", "seconds"] | Callable[[str, Answer], float] = "price",
    settings: Any = None,
    inputs: Sequence[Any] | None = None,
    keys: Sequence[str] | None = None,
    known: Collection | None = None,
    progress: bool | Callable[[str], object] = True,
    sleep: Callable[[float], Any] | None = None,
) -> Collection:
    """`collect`, in tasks: the models are coroutine functions; others are run in a thread.

    `sleep` is one too, `asyncio.sleep` by default.
    """
    job = Job(**locals())
    return _collection(job, await arun(job))


def _collection(job: Job, ledger: Ledger) -> Collection:
    return Collection(
        list(job.models),
        job.rows,
        ledger.results,
        keys=job.row_keys,
        samples=job.samples,
        charge=ledger.charge,
        stopped=ledger.stopped,
        errors=ledger.errors,
        known=job.known,
    )
