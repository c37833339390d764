"""The contract of labellers, which say how good answers are: from a table of answers to labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine.core.records import Answer, Query

__all__ = ["AnswerTable", "Labeller", "Labels"]


@dataclass(frozen=True, slots=True)
class AnswerTable:
    """The answers of k models to n queries, complete, and not labelled yet.

    Attributes:
        models: names of the models.
        queries: the queries.
        answers: n rows of k answers.
        cost: n rows of k costs.
        columns: further columns of the rows, by name, as `CascadeDataset` takes them.
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
        """The name of each row: its id, or its question."""
        return list(self.columns.get("ids") or [query.text for query in self.queries])


@dataclass(frozen=True, slots=True)
class Labels:
    """How good the answers of some rows are.

    Attributes:
        quality: array of shape (rows, k), or nested lists, in [0, 1].
        source: where it comes from, in words.
        cost: what labelling cost.
        rows: numbers of the rows that are labelled; None for all.
    """

    quality: Any
    source: str
    cost: float = 0.0
    rows: Sequence[int] | None = None


class Labeller(ABC):
    """A source of quality: a grader, agreement, people's feedback, or a judge."""

    @abstractmethod
    def label(self, table: AnswerTable) -> Labels:
        """Labels a table."""

    async def alabel(self, table: AnswerTable) -> Labels:
        """`label`, without blocking the event loop where labelling waits for other services."""
        return self.label(table)
