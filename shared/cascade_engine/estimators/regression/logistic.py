"""Penalised logistic regression for labels in [0, 1], predicted in plain numpy."""

from __future__ import annotations

import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cascade_engine.core.arrays import FloatArray, IntArray

#: No estimate is ever more certain than this: a log-odds of about 6.9.
CERTAINTY = 1e-3
_CONSTANT = 1e-9
_TALL = 20
#: Estimates of the label are to be trusted: the square of this times less is their penalty.
_FREE = 10.0


@persistent("Logistic")
@dataclass(frozen=True)
class Logistic:
    """A fitted model: log-odds = intercept + coef . x.

    It does not extrapolate: a feature outside what was seen counts as the nearest seen.
    """

    low: FloatArray
    high: FloatArray
    coef: FloatArray
    intercept: float

    def logit(self, features: FloatArray) -> FloatArray:
        """Log-odds of each row of features (n, d)."""
        seen = np.minimum(np.maximum(features, self.low), self.high)
        log_odds = seen @ self.coef + self.intercept
        return np.asarray(np.minimum(np.maximum(log_odds, -MOST), MOST))

    def logit_one(self, features: Sequence[float]) -> float:
        """The same for one row, d plain numbers."""
        total = self.intercept
        for x, (low, high, slope) in zip(features, self._terms, strict=True):
            seen = low if x < low else high if x > high else x  # noqa: FURB136  four times as fast
            total += slope * seen
        return min(max(total, -MOST), MOST)

    @cached_property
    def _terms(self) -> list[tuple[float, float, float]]:
        return [*zip(self.low.tolist(), self.high.tolist(), self.coef.tolist(), strict=True)]


def logit(probability: FloatArray | float) -> FloatArray:
    """Log-odds of probabilities, kept away from 0 and 1 by `CERTAINTY`."""
    p = np.clip(probability, CERTAINTY, 1 - CERTAINTY)
    return np.asarray(np.log(p / (1 - p)))


def logit_one(probability: float) -> float:
    """The same for one plain number."""
    p = probability
    if p < CERTAINTY:
        p = CERTAINTY
    elif p > 1 - CERTAINTY:
        p = 1 - CERTAINTY
    return math.log(p / (1 - p))


#: No log-odds are ever further from 0.
MOST = -logit_one(0.0)


def expit(log_odds: FloatArray) -> FloatArray:
    """Probabilities of log-odds."""
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def expit_one(log_odds: float) -> float:
    """The same for one plain number."""
    return 1 / (1 + math.exp(-log_odds))


def standards(features: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and scale of each column of features (n, d); both of shape (d,).

    A column that is constant but for rounding carries nothing: scaled up it would carry noise.
    """
    mean, spread = features.mean(axis=0), features.std(axis=0)
    return mean, np.where(spread > _CONSTANT * (1 + np.abs(mean)), spread, 1.0)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keeps the linear algebra on one thread.

    Problems this small only lose by sharing: on a busy machine threads waiting for each other make
    a fit ten times slower. It also keeps the last digit the same whatever the machine.
    """
    import sklearn.linear_model  # noqa: F401, PLC0415  loads the libraries that are to be limited
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    with threadpool_limits(limits=1):
        yield


def fit_logistic(
    features: FloatArray, labels: FloatArray, *, strength: float = 1.0, rising: int = 0
) -> Logistic:
    """Fits labels in [0, 1]; a fractional label counts as both outcomes, weighted.

    Args:
        features: array of shape (n, d).
        labels: array of shape (n,) in [0, 1].
        strength: inverse of the penalty, scikit-learn's `C`.
        rising: so many of the first features are out-of-fold estimates of the label and may not
            count against it. Estimates that know nothing lean against the labels they have not seen
            (a fold rich in good answers leaves the other folds poor), and a falling slope would
            read that back. They are hardly penalised.

    When all labels are 0 or all are 1 there is nothing to separate: the fit is a constant,
    shrunk from certainty by Laplace's rule of succession.
    """
    n = len(labels)
    low, high = features.min(axis=0), features.max(axis=0)
    mean, scale = standards(features)
    scale[:rising] /= _FREE
    constant = (labels.sum() + 1) / (n + 2)
    if labels.max() <= 0 or labels.min() >= 1:
        zeros = np.zeros(features.shape[1])
        return Logistic(low, high, zeros, logit_one(constant))
    x = (features - mean) / scale
    coef, intercept = _solve(x, labels, strength)
    while (falling := np.flatnonzero(coef[:rising] < 0)).size:
        x[:, falling] = 0.0
        coef, intercept = _solve(x, labels, strength)
    coef = coef / scale
    return Logistic(low, high, coef, intercept - float(mean @ coef))


def _solve(x: FloatArray, labels: FloatArray, strength: float) -> tuple[FloatArray, float]:
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415  only a fit pays for it
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    weight = None
    if ((labels > 0) & (labels < 1)).any():
        x, weight = np.concatenate([x, x]), np.concatenate([labels, 1 - labels])
        labels = np.repeat([1.0, 0.0], len(labels))
        x, labels, weight = x[weight > 0], labels[weight > 0], weight[weight > 0]
    # With far more rows than features a few Newton steps do.
    solver = "newton-cholesky" if len(x) > _TALL * x.shape[1] else "lbfgs"
    model = LogisticRegression(C=strength, max_iter=1000, solver=solver)
    with warnings.catch_warnings():
        # Where it starts at the solution Newton's method says that it found nothing better.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, labels, sample_weight=weight)
    coef, intercept = np.asarray(model.coef_), np.asarray(model.intercept_)
    return coef[0], float(intercept[0])


def cross_logit(
    features: FloatArray,
    labels: FloatArray,
    folds: IntArray,
    *,
    strength: float = 1.0,
    rising: int = 0,
) -> FloatArray:
    """Log-odds of each row, from a model fitted on the other folds."""
    out = np.empty(len(labels))
    for fold in np.unique(folds):
        held = folds == fold
        model = fit_logistic(features[~held], labels[~held], strength=strength, rising=rising)
        out[held] = model.logit(features[held])
    return out


def log_loss(log_odds: FloatArray, labels: FloatArray) -> float:
    """Mean cross-entropy of labels in [0, 1]."""
    return float(np.mean(np.logaddexp(0, log_odds) - labels * log_odds))


def group_folds(groups: list[str], count: int, seed: int) -> IntArray:
    """A fold for each row; rows of one group share a fold, so that no duplicate leaks."""
    order: dict[str, int] = {}
    for group in groups:
        order.setdefault(group, len(order))
    rng = np.random.default_rng(seed)
    fold_of = rng.permutation(np.arange(len(order)) % count)
    return np.asarray([fold_of[order[group]] for group in groups], dtype=np.intp)
