"""What `collect` and `acollect` are called with: their arguments, as one record."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cascade_engine.core.checks import check_names, is_number, is_whole
from cascade_engine.core.prices import Charge
from cascade_engine.core.queries import as_queries, query_key
from cascade_engine.core.retrying import Retrying, is_temporary
from cascade_engine.data.collecting._cells import Cell, answers_each
from cascade_engine.data.collecting.journal import Journal
from cascade_engine.data.collecting.ledger import Ask, Work
from cascade_engine.data.collection import Collection
from cascade_engine.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from cascade_engine.core.prices import Price
    from cascade_engine.core.records import Answer, Query

__all__ = ["Job"]


@dataclass(frozen=True)
class Job:
    """Who is to be asked what, and how; every field is an argument of `collect`, and told there.

    Raises:
        ConfigurationError: no models, or an option that cannot be.
        DataError: no queries, or not as many keys or inputs.
    """

    models: Mapping[str, Callable[[Any], Answer | Awaitable[Answer]]]
    queries: Sequence[Query | str]
    _: KW_ONLY
    path: str | Path | None = None
    samples: int | Mapping[str, int] = 1
    max_concurrency: int = 8
    max_cost: float | None = None
    max_failures: int | None = None
    retries: int = 2
    retry_on: Callable[[BaseException], bool] = is_temporary
    prices: Mapping[str, Price] | None = None
    charge: Literal["price", "seconds"] | Callable[[str, Answer], float] = "price"
    settings: Any = None
    inputs: Sequence[Any] | None = None
    keys: Sequence[str] | None = None
    known: Collection | None = None
    progress: bool | Callable[[str], object] = True
    sleep: Callable[[float], Any] | None = None

    def __post_init__(self) -> None:
        _check_whole(1, max_concurrency=self.max_concurrency)
        _check_whole(0, retries=self.retries)
        _check_models(self.models)
        answers_each(list(self.models), self.samples)
        if not self._asked:
            raise DataError("no queries given: there is nothing to ask")
        for name, given in (("keys", self._known_by), ("inputs", self._inputs)):
            if len(given) != len(self._asked):
                raise DataError(f"{len(given)} {name} for {len(self._asked)} queries")
        if self.known is not None and not isinstance(self.known, Collection):
            raise ConfigurationError(
                f"known must be a Collection, not {type(self.known).__name__}: "
                "Collection.from_traces and Collection.from_journal make one"
            )
        _check_limits(max_cost=self.max_cost, max_failures=self.max_failures)

    @property
    def retrying(self) -> Retrying:
        """How often to try a call, and when."""
        return Retrying(self.retries, self.retry_on)

    @contextmanager
    def work(self) -> Iterator[Work]:
        """The calls to be made; while they are, nobody else writes to the journal."""
        charge = Charge(self.prices or {}, self.charge)
        with ExitStack() as stack:
            journal = None
            if self.path is not None:
                journal = stack.enter_context(
                    Journal(Path(self.path), list(self.models), self.settings)
                )
            work = Work(
                self._asks(),
                charge,
                journal,
                max_cost=self.max_cost,
                max_failures=self.max_failures,
                progress=self.progress,
                known={} if self.known is None else self.known.results,
            )
            stack.callback(work.end)
            yield work

    def collection(self, work: Work) -> Collection:
        """What came of it."""
        return Collection(
            list(self.models),
            self._asked,
            work.results,
            keys=self._known_by,
            samples=self.samples,
            charge=work.charge,
            stopped=work.stopped,
            errors=work.errors,
            known=self.known,
        )

    @cached_property
    def _asked(self) -> list[Query]:
        return as_queries(self.queries)

    @cached_property
    def _known_by(self) -> list[str]:
        return [query_key(q) for q in self._asked] if self.keys is None else list(self.keys)

    @cached_property
    def _inputs(self) -> Sequence[Any]:
        return self._asked if self.inputs is None else list(self.inputs)

    def _asks(self) -> list[Ask]:
        """Every call once, query by query: what a limit leaves is complete as far as it goes."""
        wanted = answers_each(list(self.models), self.samples)
        asks = {
            (cell := Cell(key, model, sample)): Ask(cell, query, given)
            for key, query, given in zip(self._known_by, self._asked, self._inputs, strict=True)
            for model in self.models
            for sample in range(wanted[model])
        }
        return list(asks.values())


def _check_models(models: Mapping[str, Any]) -> None:
    if not isinstance(models, Mapping):
        raise ConfigurationError(
            f"models must be a mapping of names to functions, not a {type(models).__name__}"
        )
    for name, model in models.items():
        if not callable(model):
            raise ConfigurationError(
                f"model {name!r} is a {type(model).__name__}: give a function of a Query to an "
                "Answer"
            )
    check_names(list(models))


def _check_whole(least: int, **options: Any) -> None:
    for name, value in options.items():
        if not is_whole(value) or value < least:
            raise ConfigurationError(f"{name} must be an integer >= {least}, not {value!r}")


def _check_limits(**limits: Any) -> None:
    for name, value in limits.items():
        if value is not None and not (is_number(value) and value >= 0):
            raise ConfigurationError(f"{name} must be a number >= 0, not {value!r}")
