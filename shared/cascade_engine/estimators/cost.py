"""Cost estimators: from recorded costs, or from tokens and prices."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.errors import ConfigurationError, NotFittedError
from cascade_engine.estimators.contracts import CostEstimator
from cascade_engine.estimators.features.texts import QueryFeatures
from cascade_engine.estimators.regression.logistic import group_folds, one_thread, standards
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.core.prices import Price
    from cascade_engine.core.records import Query
    from cascade_engine.data.dataset import CascadeDataset

__all__ = ["LinearCostEstimator", "PoissonCostEstimator", "TokenCostEstimator"]

#: Costs estimated as lower than this share of the mean are not told apart.
_LEAST = 1e-2
#: Bounds the exponent, far beyond any ratio of costs, so that it cannot overflow.
_LARGEST_LOG = 50.0


@persistent("LinearCostEstimator", fitted=("slope_", "intercept_", "lowest_"))
class LinearCostEstimator(CostEstimator):
    """Recorded costs as a linear function of the query's length, one per model.

    Longer prompts cost more input tokens, at a price per token: a line is the right shape, and
    its intercept is the average cost of the answer. Slopes are never negative.
    """

    def fit(self, data: CascadeDataset) -> LinearCostEstimator:
        """Least squares per model."""
        self.slope_, self.intercept_, self.lowest_ = _line(_lengths(data.queries), data.cost)
        return self

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """Expected cost, never below the lowest recorded; shape (n, k)."""
        if not hasattr(self, "slope_"):
            raise NotFittedError("LinearCostEstimator has not been fitted: call fit first")
        line = self.intercept_ + np.outer(_lengths(queries), self.slope_)
        return np.asarray(np.maximum(line, self.lowest_))


@persistent(
    "PoissonCostEstimator",
    fields=("penalty", "folds", "seed", "query_features"),
    fitted=("_curve",),
)
class PoissonCostEstimator(CostEstimator):
    """Recorded costs as a line in the query's length times a factor that its words predict.

    The line is the cost of the prompt; the factor is how long an answer such a question gets. It
    is a Poisson regression with the line as exposure (`sklearn.linear_model.PoissonRegressor`):
    it is positive, and on the fitting data the mean of the estimates is the mean of the costs, on
    which budgets rest. A regression of log costs has neither property without a correction. Costs
    of any unit will do; prices and tokens need not be known.

    Estimates stay within the costs recorded. A query longer than any recorded costs what the
    longest would, times the rise of the line.

    Args:
        penalty: strength of the ridge penalty that keeps the factor near 1 on little data.
        folds: number of folds for `cross_predict`.
        seed: of the folds and the features.
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
        self._check_fitted()
        return self._curve(*self._read(queries))

    def predict_one(self, query: Query) -> list[float]:
        """The same for one query, in plain numbers where those are quicker."""
        self._check_fitted()
        _, features = self._read([query])
        return self._curve.one(float(query.length), features[0])

    def cross_predict(self, data: CascadeDataset) -> FloatArray:
        """Expected cost on the fitting data, each row by a fit that has not seen it; (n, k).

        The factor fits what it has seen better than what it has not.
        """
        self._check_fitted()
        texts = [query.text for query in data.queries]
        folds = group_folds(texts, min(self.folds, len(set(texts))), self.seed)
        length, features = self._read(data.queries)
        out = self._curve(length, features)
        with one_thread():
            for fold in np.unique(folds) if len(set(folds.tolist())) > 1 else ():
                held = folds == fold
                curve = _fit_curve(length[~held], features[~held], data.cost[~held], self.penalty)
                out[held] = curve(length[held], features[held])
        return out

    def _check_fitted(self) -> None:
        if not hasattr(self, "_curve"):
            raise NotFittedError("PoissonCostEstimator has not been fitted: call fit first")

    def _read(self, queries: Sequence[Query]) -> tuple[FloatArray, FloatArray]:
        """Lengths (n,), and features (n, d): those of the text, and the logarithm of the length."""
        length = _lengths(queries)
        words = self.query_features.transform([query.text for query in queries])
        return length, np.concatenate([words, np.log1p(length)[:, None]], axis=1)


@persistent("PoissonCostEstimator.curve")
@dataclass(frozen=True)
class _Curve:
    """A fitted line times a factor, for k models on d features."""

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
        """The same for one query, features of shape (d,)."""
        close = min(length, self.longest)
        costs = []
        for log_factor, line in zip(self.log_factor(features).tolist(), self._lines, strict=True):
            slope, intercept, floor, lowest, highest = line
            near = max(intercept + close * slope, floor)
            factor = math.exp(min(max(log_factor, -_LARGEST_LOG), _LARGEST_LOG))
            cost = min(max(near * factor, lowest), highest)
            longer = length != close
            costs.append(cost * max(intercept + length * slope, floor) / near if longer else cost)
        return costs

    @cached_property
    def _lines(self) -> list[tuple[float, ...]]:
        columns = (self.slope, self.intercept, self.floor, self.lowest, self.highest)
        return [*zip(*(column.tolist() for column in columns), strict=True)]

    def line(self, length: FloatArray) -> FloatArray:
        return np.maximum(self.intercept + np.outer(length, self.slope), self.floor)

    def log_factor(self, features: FloatArray) -> FloatArray:
        least, most = self.seen
        within = np.minimum(np.maximum(features, least), most)
        return np.asarray(within @ self.coef + self.constant)


def _fit_curve(
    length: FloatArray, features: FloatArray, cost: FloatArray, penalty: float
) -> _Curve:
    """Costs (n, k) of queries of these lengths (n,) and features (n, d)."""
    slope, intercept, lowest = _line(length, cost)
    average, k = cost.mean(axis=0), cost.shape[1]
    line = _Curve(
        slope=slope,
        intercept=intercept,
        lowest=lowest,
        highest=cost.max(axis=0),
        # Where all is free the line is 1 and the bounds make it 0.
        floor=np.where(average > 0, np.maximum(lowest, _LEAST * average), 1.0),
        longest=float(length.max()),
        seen=(features.min(axis=0), features.max(axis=0)),
        coef=np.zeros((features.shape[1], k)),
        constant=np.zeros(k),
    )
    mean, scale = standards(features)
    x, exposure = (features - mean) / scale, line.line(length)
    fits = [_fit_factor(x, cost[:, i], exposure[:, i], penalty) for i in range(k)]
    coef = np.column_stack([one for one, _ in fits]) / scale[:, None]
    return replace(line, coef=coef, constant=np.array([one for _, one in fits]) - mean @ coef)


def _fit_factor(
    x: FloatArray, cost: FloatArray, exposure: FloatArray, penalty: float
) -> tuple[FloatArray, float]:
    """Coefficients and constant of the log factor between the exposure and the costs."""
    if not cost.any():
        return np.zeros(x.shape[1]), 0.0
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415  only a fit pays for it
    from sklearn.linear_model import PoissonRegressor  # noqa: PLC0415

    model = PoissonRegressor(alpha=penalty / len(x), solver="newton-cholesky", max_iter=1000)
    with warnings.catch_warnings():
        # It warns where it starts at the solution, and where it goes on with another solver.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, cost / exposure, sample_weight=exposure / exposure.mean())
    return np.asarray(model.coef_), float(model.intercept_)


@persistent("TokenCostEstimator")
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


def _line(length: FloatArray, cost: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Slope >= 0 and intercept of the least-squares line, and the lowest cost; each (k,)."""
    centred = length - length.mean()
    spread = float(centred @ centred)
    slope = np.maximum(centred @ cost / spread, 0.0) if spread > 0 else np.zeros(cost.shape[1])
    return slope, cost.mean(axis=0) - slope * length.mean(), cost.min(axis=0)


def _lengths(queries: Sequence[Query]) -> FloatArray:
    return np.array([query.length for query in queries], dtype=float)
