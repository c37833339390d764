"""One model's recorded answers by question, from which an adapter's replayed model answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cascade_engine.errors import DataError

if TYPE_CHECKING:
    from cascade_engine.core.records import Answer
    from cascade_engine.data.dataset import CascadeDataset

__all__ = ["Recording"]


class Recording:
    """The answers of one model in a data set.

    Args:
        data: the data set.
        model: the name of the model.

    Raises:
        DataError: the data set has no such model.
    """

    def __init__(self, data: CascadeDataset, model: str) -> None:
        self._model = model
        column = data.select([model])
        self._answers = {
            query.text: row[0] for query, row in zip(column.queries, column.answers, strict=True)
        }

    def answer(self, question: str) -> Answer:
        """Looks up the answer to a question.

        Raises:
            DataError: the question is not recorded.
        """
        answer = self._answers.get(question)
        if answer is None:
            raise DataError(f"{self._model!r} has no recorded answer to {question[:80]!r}")
        return answer
