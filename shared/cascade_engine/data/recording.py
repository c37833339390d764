"""One model's recorded answers, by question: what an adapter's replayed model answers from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cascade_engine.errors import DataError

if TYPE_CHECKING:
    from cascade_engine.core.records import Answer
    from cascade_engine.data.dataset import CascadeDataset

__all__ = ["Recording"]


class Recording:
    """What a model once answered.

    Args:
        data: the recording.
        model: which of its models.

    Raises:
        DataError: the recording has no such model.
    """

    def __init__(self, data: CascadeDataset, model: str) -> None:
        self._model = model
        column = data.select([model])
        self._answers = {
            query.text: row[0] for query, row in zip(column.queries, column.answers, strict=True)
        }

    def answer(self, question: str) -> Answer:
        """The answer to a recorded question.

        Raises:
            DataError: it is not recorded.
        """
        found = self._answers.get(question)
        if found is None:
            raise DataError(f"{self._model!r} has no recorded answer to {question[:80]!r}")
        return found
