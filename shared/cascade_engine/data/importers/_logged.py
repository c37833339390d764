"""Answers found in a log, on the way to a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cascade_engine.core.records import Answer
from cascade_engine.data.collecting._cells import Cell
from cascade_engine.data.collection import Collection
from cascade_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.core.prices import Charge
    from cascade_engine.core.records import Query
    from cascade_engine.data.collecting.journal import CallFailure

__all__ = ["LoggedRows"]


class LoggedRows:
    """Answers as they are found, on the way to a collection."""

    def __init__(self) -> None:
        self.queries: dict[str, Query] = {}
        self.models: dict[str, None] = {}
        self.results: dict[Cell, Answer | CallFailure] = {}
        self.ids: dict[str, str] = {}

    def add(self, key: str, query: Query, model: str, result: Answer | CallFailure) -> None:
        """One more answer of a model; a failure has a place only until an answer takes it."""
        self.queries.setdefault(key, query)
        self.models[model] = None
        sample = 0
        while isinstance(self.results.get(cell := Cell(key, model, sample)), Answer):
            sample += 1
        if isinstance(result, Answer) or sample == 0:
            self.results[cell] = result

    def collection(self, models: Sequence[str] | None, samples: int, charge: Charge) -> Collection:
        """What was found."""
        if not self.queries:
            raise DataError("there is no call of a model in what was given")
        # A log may use one name for several questions.
        named = len(set(self.ids.values())) == len(self.queries)
        return Collection(
            list(models or self.models),
            list(self.queries.values()),
            self.results,
            keys=list(self.queries),
            samples=samples,
            ids=[self.ids[key] for key in self.queries] if named else list(self.queries),
            charge=charge,
        )
