"""The contract of whatever says how good answers are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine.core.records import Answer, Query

__all__ = ["Labeller", "Labels", "Unlabelled"]


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """A complete table of n queries x k models without quality.

    Attributes:
        models: names of the models.
        queries: the queries.
        answers: n rows of k answers.
        cost: n rows of k costs.
        columns: what else there is of each row, by name: see `CascadeDataset`.
    """

    models: tuple[str, ...]
    queries: Sequence[Query]
    answers: Sequence[Sequence[Answer]]
    cost: Any
    columns: Mapping[str, Sequence[Any] | None] = field(default_factory=dict)

    @property
    def references(self) -> Sequence[Any]:
        """The right answers; None for each where there are none."""
        return self.columns.get("references") or [None] * len(self.queries)

    @property
    def names(self) -> list[str]:
        """What each row is known by: its id, or its question."""
        return list(self.columns.get("ids") or [query.text for query in self.queries])


@dataclass(frozen=True, slots=True)
class Labels:
    """How good the answers of some rows are.

    Attributes:
        quality: array of shape (rows, k), or nested lists, in [0, 1].
        source: where it comes from, in words.
        cost: what labelling cost.
        rows: the rows labelled; None for all.
    """

    quality: Any
    source: str
    cost: float = 0.0
    rows: Sequence[int] | None = None


class Labeller(ABC):
    """Where quality comes from."""

    @abstractmethod
    def label(self, table: Unlabelled) -> Labels:
        """The labels of a table."""

    async def alabel(self, table: Unlabelled) -> Labels:
        """The same, without blocking the event loop where that takes other services."""
        return self.label(table)
