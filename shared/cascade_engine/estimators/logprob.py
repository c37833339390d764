"""Quality from the query's text and the answers' log-probabilities alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cascade_engine.estimators.answer_signals import LogprobSignal
from cascade_engine.estimators.combined import _STORED, CombinedEstimator
from cascade_engine.estimators.text import TextEstimator
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from cascade_engine.estimators.features.texts import QueryFeatures

__all__ = ["LogprobEstimator"]


@persistent("LogprobEstimator", **_STORED)
class LogprobEstimator(CombinedEstimator):
    """A `CombinedEstimator` that does not read what the answers say.

    For answers that cannot be compared: long, creative, or private to the caller.

    Args:
        folds: folds of the cross-fitting; fewer are used when there are fewer queries.
        seed: of the folds and the randomised text projection.
        query_features: how texts become features; `QueryFeatures()` by default.
    """

    def __init__(
        self, *, folds: int = 5, seed: int = 0, query_features: QueryFeatures | None = None
    ) -> None:
        text = TextEstimator(query_features=query_features, seed=seed)
        super().__init__(text, LogprobSignal(), folds=folds, seed=seed)
