"""Quality from the words and the shape of the query: the default router."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cascade_engine.estimators.features.query_text import QueryFeatures
from cascade_engine.estimators.query_regression import STRENGTHS, RegressionEstimator
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TextEstimator"]

_COMPONENTS = 128


@persistent(
    "TextEstimator",
    fields=("features", "strengths", "folds", "seed"),
    fitted=("models_", "strength_", "_regressions", "_learned"),
)
class TextEstimator(RegressionEstimator):
    """Logistic regression on how a query is written: its words, length, numbers, code.

    It needs no embedding, and predicts in about a tenth of a millisecond. There is one regression
    per model; all share one ridge penalty, chosen by cross-validation.

    Args:
        query_features: how texts become features; `QueryFeatures()` with 128 components by
            default. A copy of them is fitted.
        strengths: inverse penalties to choose from, scikit-learn's `C`.
        folds: of the cross-validation; fewer are used when there are fewer distinct queries.
        seed: of the folds and the randomised text projection.

    Raises:
        ConfigurationError: no strengths, one that is not a finite number above 0, or fewer than
            2 folds.

    Attributes:
        models_: names of the models, the columns.
        strength_: the strength chosen.
    """

    def __init__(
        self,
        *,
        query_features: QueryFeatures | None = None,
        strengths: Sequence[float] = STRENGTHS,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        features = query_features or QueryFeatures(components=_COMPONENTS, seed=seed)
        super().__init__(features, strengths=strengths, folds=folds, seed=seed)
