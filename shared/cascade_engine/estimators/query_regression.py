"""Quality by logistic regression on features of the query's text; the penalty is learned."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cascade_engine.errors import ConfigurationError
from cascade_engine.estimators.base import ExAnteEstimator, check_fitted
from cascade_engine.estimators.regression.logistic import (
    CONSTANT,
    MOST,
    expit,
    expit_one,
    fold_masks,
    group_folds,
    log_loss,
    logit,
    one_thread,
    solve_logistic,
)
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.core.records import Query
    from cascade_engine.data.dataset import CascadeDataset

#: Inverse penalties that are tried, scikit-learn's `C`.
STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
#: All columns of a shared space together are scaled to the variance of so many other features.
_SPACE_VARIANCE = 9.0


class TextFeatures(Protocol):
    """Features learned from texts alone.

    Attributes:
        space: the columns that are coordinates in one space, such as principal components, and
            share one scale: each scaled by itself, directions that are mere noise would grow to the
            size of those that matter. Any other feature has a scale of its own.
    """

    space: slice

    def fit(self, texts: Sequence[str]) -> Self:
        """Learns from n texts."""
        ...

    def transform(self, texts: Sequence[str]) -> FloatArray:
        """Features of each text, shape (n, d)."""
        ...


@dataclass(frozen=True, slots=True)
class Table:
    """The data of a regression.

    Attributes:
        features: shape (n, d).
        quality: shape (n, k).
        space: columns of the features that share a scale, see `TextFeatures`.
    """

    features: FloatArray
    quality: FloatArray
    space: slice

    def at(self, rows: BoolArray) -> Table:
        """Some of the rows."""
        return Table(self.features[rows], self.quality[rows], self.space)

    def scale(self) -> FloatArray:
        """What counts as one unit of each feature, shape (d,)."""
        variance = self.features.var(axis=0)
        variance[self.space] = variance[self.space].sum() / _SPACE_VARIANCE
        # As in `standards`, a column that is constant but for rounding is left as it is.
        size = np.abs(self.features).max(axis=0)
        return np.where(variance > (CONSTANT * (1 + size)) ** 2, np.sqrt(variance), 1.0)


@persistent("Regressions")
@dataclass(frozen=True, slots=True)
class Regressions:
    """k logistic regressions on the same d features, predicted at once.

    Like a `Logistic` they do not extrapolate; attributes as there, with `coef` of shape (d, k) and
    `intercept` of shape (k,).
    """

    low: FloatArray
    high: FloatArray
    coef: FloatArray
    intercept: FloatArray

    @classmethod
    def fit(cls, table: Table, strength: float) -> Regressions:
        """Fits one for each column of qualities; `strength` is scikit-learn's `C`."""
        mean, scale = table.features.mean(axis=0), table.scale()
        x = (table.features - mean) / scale
        fits = [_fit_one(x, labels, strength) for labels in table.quality.T]
        coef = np.stack([coef for coef, _ in fits], axis=1) / scale[:, None]
        intercept = np.array([constant for _, constant in fits]) - mean @ coef
        return cls(table.features.min(axis=0), table.features.max(axis=0), coef, intercept)

    def logit(self, features: FloatArray) -> FloatArray:
        """Log-odds of n rows of features, shape (n, k)."""
        return np.asarray(np.minimum(np.maximum(self._line(features), -MOST), MOST))

    def logit_one(self, features: FloatArray) -> list[float]:
        """Log-odds of one row of features, shape (d,): k plain numbers."""
        return [min(max(x, -MOST), MOST) for x in self._line(features).tolist()]

    def _line(self, features: FloatArray) -> FloatArray:
        within = np.minimum(np.maximum(features, self.low), self.high)
        return np.asarray(within @ self.coef + self.intercept)

    def loss(self, table: Table) -> float:
        """Log loss, summed over rows and averaged over models."""
        return log_loss(self.logit(table.features), table.quality) * len(table.quality)


def _fit_one(x: FloatArray, labels: FloatArray, strength: float) -> tuple[FloatArray, float]:
    if labels.max() <= 0 or labels.min() >= 1:
        # Nothing to separate: Laplace's rule of succession.
        return np.zeros(x.shape[1]), float(logit((labels.sum() + 1) / (len(labels) + 2)))
    if not x.any():
        return np.zeros(x.shape[1]), float(logit(labels.mean()))
    return solve_logistic(x, labels, strength)


def best_strength(table: Table, folds: IntArray, strengths: Sequence[float]) -> float:
    """The strength under which all k regressions together predict held-out labels best.

    The first, for the strongest penalty, where there is but one fold; and the first of equals.
    """
    loss = np.zeros(len(strengths))
    for rows in fold_masks(folds):
        if not rows.all():
            loss += [Regressions.fit(table.at(~rows), s).loss(table.at(rows)) for s in strengths]
    return strengths[int(loss.argmin())]


def nested_cross_validation(
    table: Table, folds: IntArray, strengths: Sequence[float]
) -> FloatArray:
    """Log-odds of each row by a fit on the other folds, its penalty chosen there too; (n, k).

    The penalty for a fold is chosen by cross-validation over the other folds. The fits for that
    leave out two folds, so each serves for both of them. Of two folds none is left to choose by,
    and the strongest penalty is taken; of one none is left to learn from, and all is NaN.
    """
    masks = fold_masks(folds)
    log_odds = np.full(table.quality.shape, np.nan)
    if len(masks) == 1:
        return log_odds
    loss = np.zeros((len(strengths), len(masks)))
    for i, j in combinations(range(len(masks)), 2) if len(masks) > 2 else ():  # noqa: PLR2004
        rest = table.at(~(masks[i] | masks[j]))
        for row, strength in zip(loss, strengths, strict=True):
            fit = Regressions.fit(rest, strength)
            row[i] += fit.loss(table.at(masks[j]))
            row[j] += fit.loss(table.at(masks[i]))
    for rows, best in zip(masks, loss.argmin(axis=0).tolist(), strict=True):
        fit = Regressions.fit(table.at(~rows), strengths[best])
        log_odds[rows] = fit.logit(table.features[rows])
    return log_odds


class RegressionEstimator(ExAnteEstimator):
    """One penalised logistic regression per model, on features learned from the texts.

    All models share one penalty, chosen by cross-validation: the one under which they together
    predict held-out labels best.

    Args:
        features: how texts become features; a copy of it is fitted.
        strengths: as for a `TextEstimator`, with the same errors, as are `folds` and `seed`.
        folds: of the cross-validation.
        seed: of the folds.
    """

    models_: tuple[str, ...]
    strength_: float

    def __init__(
        self, features: TextFeatures, *, strengths: Sequence[float], folds: int, seed: int
    ) -> None:
        if folds < 2:  # noqa: PLR2004
            raise ConfigurationError(f"cross-validation needs at least 2 folds, not {folds}")
        if not len(strengths) or not all(0 < s < np.inf for s in strengths):
            raise ConfigurationError(
                f"strengths must be finite numbers above 0, at least one, not {strengths!r}"
            )
        self.features = features
        self.strengths = tuple(sorted(float(s) for s in strengths))
        self.folds = folds
        self.seed = seed

    def fit(self, data: CascadeDataset) -> Self:
        """Learns from complete data and returns self."""
        texts = [query.text for query in data.queries]
        count = min(self.folds, len(set(texts)))
        with one_thread():
            learned, table = self._learn(data)
            folds = group_folds(texts, count, self.seed)
            self.strength_ = best_strength(table, folds, self.strengths)
            self._regressions = Regressions.fit(table, self.strength_)
        self._learned = learned
        self.models_ = data.models
        return self

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """Expected quality of each model's answer, shape (n, k)."""
        features = self._features(queries)
        return expit(self._regressions.logit(features))

    def predict_one(self, query: Query) -> list[float]:
        """`predict` for one query; the regressions take its row as it is."""
        if type(self).predict is not RegressionEstimator.predict:
            return super().predict_one(query)
        features = self._features([query])[0]
        return [expit_one(x) for x in self._regressions.logit_one(features)]

    def _features(self, queries: Sequence[Query]) -> FloatArray:
        check_fitted(self, "models_")
        return self._learned.transform([query.text for query in queries])

    def cross_predict(self, data: CascadeDataset, folds: IntArray) -> FloatArray:
        """As `ExAnteEstimator.cross_predict`, with features learned once: they see no labels."""
        with one_thread():
            _, table = self._learn(data)
            return expit(nested_cross_validation(table, folds, self.strengths))

    def _learn(self, data: CascadeDataset) -> tuple[TextFeatures, Table]:
        texts = [query.text for query in data.queries]
        learned = copy.deepcopy(self.features).fit(texts)
        return learned, Table(learned.transform(texts), data.quality, learned.space)
