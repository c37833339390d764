"""Cost estimators: from recorded costs, or from tokens and prices.

Costs may be in any unit, US dollars by default; lengths of queries are in characters.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.errors import ConfigurationError
from cascade_engine.estimators.base import CostEstimator, check_fitted
from cascade_engine.estimators.features.query_text import QueryFeatures
from cascade_engine.estimators.regression.logistic import (
    fold_masks,
    group_folds,
    one_thread,
    standards,
)
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.core.prices import Price
    from cascade_engine.core.records import Query
    from cascade_engine.data.dataset import CascadeDataset

__all__ = ["LinearCostEstimator", "PoissonCostEstimator", "TokenCostEstimator"]

#: The line of costs is at least this share of their mean, so that ratios to it stay bounded.
_LEAST = 1e-2
#: Bounds the logarithm of the factor, far beyond any ratio of costs, so that it cannot overflow.
_LARGEST_LOG = 50.0


@persistent("LinearCostEstimator", fitted=("slope_", "intercept_", "lowest_"))
class LinearCostEstimator(CostEstimator):
    """Recorded costs as a linear function of the query's length, one per model.

    Longer prompts have more input tokens, each at the same price: so the cost of the prompt is a
    line in its length, and the intercept is the average cost of the answer. Slopes are never
    negative.

    Attributes:
        slope_: cost per character of each model, shape (k,).
        intercept_: cost of an empty query, shape (k,).
        lowest_: lowest cost recorded, shape (k,).
    """

    def fit(self, data: CascadeDataset) -> LinearCostEstimator:
        """Least squares per model."""
        self.slope_, self.intercept_, self.lowest_ = _line(_lengths(data.queries), data.cost)
        return self

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """Expected cost, never below the lowest recorded; shape (n, k)."""
        check_fitted(self, "slope_")
        line = self.intercept_ + np.outer(_lengths(queries), self.slope_)
        return np.asarray(np.maximum(line, self.lowest_))


@persistent(
    "PoissonCostEstimator",
    fields=("penalty", "folds", "seed", "query_features"),
    fitted=("_curve",),
)
class PoissonCostEstimator(CostEstimator):
    """Recorded costs as a line in the query's length times a factor that its words predict.

    The line is the cost of the prompt; the factor says how long an answer such a question gets. It
    is a Poisson regression with the line as exposure (`sklearn.linear_model.PoissonRegressor`). So
    estimates are positive, and on the fitting data their mean is the mean of the costs, on which
    budgets rest; a regression of log costs would need a correction for that. Costs may be in any
    unit; prices and tokens need not be known.

    Estimates stay within the costs recorded. A query longer than any recorded costs what the
    longest would, times the rise of the line from there.

    Args:
        penalty: strength of the ridge penalty that keeps the factor near 1 on little data, > 0.
        folds: number of folds for `cross_predict`, at least 2.
        seed: of the folds and the features.

    Raises:
        ConfigurationError: a penalty or a number of folds outside its range.
    """

    def __init__(self, *, penalty: float = 20.0, folds: int = 5, seed: int = 0) -> None:
        if not (np.isfinite(penalty) and penalty > 0):
            raise ConfigurationError(f"penalty must be a finite number > 0, not {penalty}")
        if folds < 2:  # noqa: PLR2004
            raise ConfigurationError(f"folds must be at least 2, not {folds}")
        self.penalty = penalty
        self.folds = folds
        self.seed = seed
        self.query_features = QueryFeatures(seed=seed)

    def fit(self, data: CascadeDataset) -> PoissonCostEstimator:
        """Learns each model's line and factor."""
        texts = [query.text for query in data.queries]
        with one_thread():
            self.query_features.fit(texts)
            self._curve = _fit_curve(*self._read(data.queries), data.cost, self.penalty)
        return self

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """Expected cost, shape (n, k)."""
        check_fitted(self, "_curve")
        return self._curve(*self._read(queries))

    def predict_one(self, query: Query) -> list[float]:
        """`predict` for one query, in plain numbers where those are quicker."""
        if type(self).predict is not PoissonCostEstimator.predict:
            return super().predict_one(query)
        check_fitted(self, "_curve")
        _, features = self._read([query])
        return self._curve.one(float(query.length), features[0])

    def cross_predict(self, data: CascadeDataset) -> FloatArray:
        """Expected cost on the fitting data, each row by a fit that has not seen it; (n, k).

        The factor fits the queries that it has seen better than others.
        """
        check_fitted(self, "_curve")
        texts = [query.text for query in data.queries]
        folds = group_folds(texts, min(self.folds, len(set(texts))), self.seed)
        length, features = self._read(data.queries)
        cost = self._curve(length, features)
        with one_thread():
            for rows in fold_masks(folds):
                if not rows.all():
                    curve = _fit_curve(
                        length[~rows], features[~rows], data.cost[~rows], self.penalty
                    )
                    cost[rows] = curve(length[rows], features[rows])
        return cost

    def _read(self, queries: Sequence[Query]) -> tuple[FloatArray, FloatArray]:
        """Lengths, (n,), and features, (n, d): those of the text, and log length."""
        length = _lengths(queries)
        words = self.query_features.transform([query.text for query in queries])
        return length, np.concatenate([words, np.log1p(length)[:, None]], axis=1)


@persistent("PoissonCostEstimator.curve")
@dataclass(frozen=True)
class _Curve:
    """A fitted line times a factor, for k models on d features.

    Attributes:
        slope: of the line, shape (k,), >= 0.
        intercept: of the line, shape (k,).
        lowest: lowest cost recorded, shape (k,).
        highest: highest cost recorded, shape (k,).
        floor: the line is nowhere lower than this, shape (k,).
        longest: length of the longest query recorded.
        seen: lowest and highest value of each feature, both of shape (d,); the factor does not
            extrapolate beyond them.
        coef: of the logarithm of the factor, shape (d, k).
        constant: of the same, shape (k,).
    """

    slope: FloatArray
    intercept: FloatArray
    lowest: FloatArray
    highest: FloatArray
    floor: FloatArray
    longest: float
    seen: tuple[FloatArray, FloatArray]
    coef: FloatArray
    constant: FloatArray

    def __call__(self, length: FloatArray, features: FloatArray) -> FloatArray:
        """Expected cost of n queries, (n,) and (n, d) to (n, k)."""
        near = self.line(np.minimum(length, self.longest))
        log_factor = self.log_factor(features)
        factor = np.exp(np.minimum(np.maximum(log_factor, -_LARGEST_LOG), _LARGEST_LOG))
        cost = np.minimum(np.maximum(near * factor, self.lowest), self.highest)
        return np.asarray(cost * (self.line(length) / near))

    def one(self, length: float, features: FloatArray) -> list[float]:
        """Expected costs of one query, features of shape (d,), as k plain numbers."""
        within = min(length, self.longest)
        costs = []
        for log_factor, line in zip(self.log_factor(features).tolist(), self._lines, strict=True):
            slope, intercept, floor, lowest, highest = line
            near = max(intercept + within * slope, floor)
            factor = math.exp(min(max(log_factor, -_LARGEST_LOG), _LARGEST_LOG))
            cost = min(max(near * factor, lowest), highest)
            longer = length != within
            costs.append(cost * max(intercept + length * slope, floor) / near if longer else cost)
        return costs

    @cached_property
    def _lines(self) -> list[tuple[float, ...]]:
        columns = (self.slope, self.intercept, self.floor, self.lowest, self.highest)
        return [*zip(*(column.tolist() for column in columns), strict=True)]

    def line(self, length: FloatArray) -> FloatArray:
        """The line at lengths (n,), shape (n, k)."""
        return np.maximum(self.intercept + np.outer(length, self.slope), self.floor)

    def log_factor(self, features: FloatArray) -> FloatArray:
        """Logarithm of the factor at features (n, d), shape (n, k); or (d,) and (k,)."""
        lowest, highest = self.seen
        within = np.minimum(np.maximum(features, lowest), highest)
        return np.asarray(within @ self.coef + self.constant)


def _fit_curve(
    length: FloatArray, features: FloatArray, cost: FloatArray, penalty: float
) -> _Curve:
    """Fits the line and the factor to costs (n, k) of queries of lengths (n,), features (n, d)."""
    slope, intercept, lowest = _line(length, cost)
    average, k = cost.mean(axis=0), cost.shape[1]
    line = _Curve(
        slope=slope,
        intercept=intercept,
        lowest=lowest,
        highest=cost.max(axis=0),
        # The line of a free model is 1, to divide by; the bounds then make the estimate 0.
        floor=np.where(average > 0, np.maximum(lowest, _LEAST * average), 1.0),
        longest=float(length.max()),
        seen=(features.min(axis=0), features.max(axis=0)),
        coef=np.zeros((features.shape[1], k)),
        constant=np.zeros(k),
    )
    mean, scale = standards(features)
    x, exposure = (features - mean) / scale, line.line(length)
    fits = [_fit_factor(x, cost[:, i], exposure[:, i], penalty) for i in range(k)]
    coef = np.column_stack([slopes for slopes, _ in fits]) / scale[:, None]
    constant = np.array([constant for _, constant in fits]) - mean @ coef
    return replace(line, coef=coef, constant=constant)


def _fit_factor(
    x: FloatArray, cost: FloatArray, exposure: FloatArray, penalty: float
) -> tuple[FloatArray, float]:
    """Coefficients, (d,), and constant of the log factor between exposures and costs, (n,)."""
    if not cost.any():
        return np.zeros(x.shape[1]), 0.0
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415  only a fit pays for it
    from sklearn.linear_model import PoissonRegressor  # noqa: PLC0415

    model = PoissonRegressor(alpha=penalty / len(x), solver="newton-cholesky", max_iter=1000)
    with warnings.catch_warnings():
        # It warns where it starts at the solution, and where it falls back on another solver.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, cost / exposure, sample_weight=exposure / exposure.mean())
    return np.asarray(model.coef_), float(model.intercept_)


@persistent("TokenCostEstimator")
class TokenCostEstimator(CostEstimator):
    """Prices times expected tokens, for when no cost has been recorded yet.

    Args:
        models: names of the models.
        prices: price by model, in US dollars per million tokens; a model without one has an unknown
            cost (NaN).
        output_tokens: expected tokens of an answer; `fit` replaces it, per model, by the mean
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
        """Learns the mean tokens of each model's answers, where they were recorded."""
        for i in range(len(self.models)):
            usages = [row[i].usage for row in data.answers]
            tokens = [usage.output_tokens for usage in usages if usage]
            if tokens:
                self.output_tokens[i] = np.mean(tokens)
        return self

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """Expected cost, shape (n, k)."""
        tokens = _lengths(queries) / self.characters_per_token
        prices = [self.prices.get(name) for name in self.models]
        per_input = np.array([p.input if p else math.nan for p in prices]) / 1e6
        per_output = np.array([p.output if p else math.nan for p in prices]) / 1e6
        return np.asarray(np.outer(tokens, per_input) + self.output_tokens * per_output)


def _line(length: FloatArray, cost: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Slope >= 0 and intercept of the least-squares line, and the lowest cost, each (k,)."""
    centred = length - length.mean()
    spread = float(centred @ centred)
    slope = np.maximum(centred @ cost / spread, 0.0) if spread > 0 else np.zeros(cost.shape[1])
    return slope, cost.mean(axis=0) - slope * length.mean(), cost.min(axis=0)


def _lengths(queries: Sequence[Query]) -> FloatArray:
    return np.array([query.length for query in queries], dtype=float)
