"""Learning from the children of a framework's model."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cascade_engine.errors import NotFittedError
from cascade_engine.evaluation.evaluate import beside_mixing, evaluate
from cascade_engine.plugin.training_data import TrainingData

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine.evaluation.result import Evaluation
    from cascade_engine.plugin.training_data import Children
    from cascade_engine.routing.router import CascadeRouter

__all__ = ["Learner"]


@dataclass(frozen=True, slots=True)
class Learner:
    """Learns from the answers of a model's children; questions are whatever they are asked.

    Arguments and errors are those of the methods of `CascadeModel`, which call it.

    Attributes:
        router: what is to learn.
        children: how the children are asked.
    """

    router: CascadeRouter
    children: Children

    def fit(
        self, questions: Any, references: Sequence[Any] | None, options: Mapping[str, Any]
    ) -> CascadeRouter:
        """The router, fitted; the one that was there is left as it is."""
        return self.router.refit(self._data(questions, references, options).dataset())

    async def afit(
        self, questions: Any, references: Sequence[Any] | None, options: Mapping[str, Any]
    ) -> CascadeRouter:
        """The same, without blocking the event loop."""
        data = await self._data(questions, references, options).adataset()
        return await asyncio.to_thread(self.router.refit, data)

    def evaluate(
        self, questions: Any, references: Sequence[Any] | None, options: Mapping[str, Any]
    ) -> Evaluation:
        """The router beside random mixing and each child alone."""
        if not self.router.is_fitted:
            raise NotFittedError("evaluate needs a fitted cascade: call fit first")
        data = self._data(questions, references, options).dataset()
        return evaluate(beside_mixing(self.router), data)

    def _data(
        self, questions: Any, references: Sequence[Any] | None, options: Mapping[str, Any]
    ) -> TrainingData:
        return TrainingData(questions, references, options, self.children)
