"""Cost estimators: from recorded costs, or from tokens and prices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.errors import NotFittedError
from cascade_engine.estimators._base import CostEstimator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine._arrays import FloatArray
    from cascade_engine._costs import Price
    from cascade_engine._dataset import CascadeDataset
    from cascade_engine._types import Query

__all__ = ["LinearCostEstimator", "TokenCostEstimator"]


class LinearCostEstimator(CostEstimator):
    """Recorded costs as a linear function of the query's length, one per model.

    Longer prompts cost more input tokens, at a price per token: a line is the right shape, and
    its intercept is the average cost of the answer. Slopes are never negative.
    """

    def fit(self, data: CascadeDataset) -> LinearCostEstimator:
        """Least squares per model."""
        length = _lengths(data.queries)
        centred = length - length.mean()
        spread = float(centred @ centred)
        slope = centred @ data.cost / spread if spread > 0 else np.zeros(len(data.models))
        self.slope_ = np.maximum(slope, 0.0)
        self.intercept_ = data.cost.mean(axis=0) - self.slope_ * length.mean()
        self.lowest_ = data.cost.min(axis=0)
        return self

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """Expected cost, never below the lowest recorded; shape (n, k)."""
        if not hasattr(self, "slope_"):
            raise NotFittedError("LinearCostEstimator has not been fitted: call fit first")
        line = self.intercept_ + np.outer(_lengths(queries), self.slope_)
        return np.asarray(np.maximum(line, self.lowest_))


class TokenCostEstimator(CostEstimator):
    """Prices times expected tokens, for when no cost has been recorded yet.

    Args:
        models: names of the models.
        prices: price by model; a model without one has an unknown cost (NaN).
        output_tokens: expected length of an answer; `fit` replaces it, per model, by the mean
            recorded.
        characters_per_token: of the prompts; about 4 in English.
    """

    def __init__(
        self,
        models: Sequence[str],
        prices: Mapping[str, Price],
        *,
        output_tokens: float = 256.0,
        characters_per_token: float = 4.0,
    ) -> None:
        self.models = tuple(models)
        self.prices = dict(prices)
        self.output_tokens = np.full(len(self.models), output_tokens)
        self.characters_per_token = characters_per_token

    def fit(self, data: CascadeDataset) -> TokenCostEstimator:
        """Learns the mean length of each model's answers, where tokens were recorded."""
        for i in range(len(self.models)):
            seen = [row[i].usage.output_tokens for row in data.answers if row[i].usage]  # type: ignore[union-attr]
            if seen:
                self.output_tokens[i] = np.mean(seen)
        return self

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """Expected cost, shape (n, k)."""
        tokens = _lengths(queries) / self.characters_per_token
        nan = float("nan")
        price = [self.prices.get(name) for name in self.models]
        per_input = np.array([p.input if p else nan for p in price]) / 1e6
        per_output = np.array([p.output if p else nan for p in price]) / 1e6
        return np.asarray(np.outer(tokens, per_input) + self.output_tokens * per_output)


def _lengths(queries: Sequence[Query]) -> FloatArray:
    return np.array([query.length for query in queries], dtype=float)
