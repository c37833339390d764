"""Penalised logistic regression for labels in [0, 1].

scikit-learn fits, and is imported only then; numpy, or plain Python for one row, predicts.
"""

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

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray

#: No estimate is ever more certain than this: a log-odds of about 6.9.
CERTAINTY = 1e-3
#: A column whose spread is less than this, relative to its mean, is constant but for rounding.
CONSTANT = 1e-9
#: With so many times more rows than features Newton's method is the faster solver.
_TALL = 20
#: The penalty of features that estimate the label is divided by the square of this.
_FREE = 10.0


@persistent("Logistic")
@dataclass(frozen=True)
class Logistic:
    """A fitted model: log-odds = intercept + coef . x.

    It does not extrapolate: a feature below `low` or above `high`, the range of the fitting data,
    counts as the end of that range.

    Attributes:
        low: lowest value of each of the d features, shape (d,).
        high: highest value, shape (d,).
        coef: slopes, shape (d,).
        intercept: log-odds where all features are 0.
    """

    low: FloatArray
    high: FloatArray
    coef: FloatArray
    intercept: float

    def logit(self, features: FloatArray) -> FloatArray:
        """Log-odds of each row of features of shape (n, d)."""
        within = np.minimum(np.maximum(features, self.low), self.high)
        log_odds = within @ self.coef + self.intercept
        return np.asarray(np.minimum(np.maximum(log_odds, -MOST), MOST))

    def logit_one(self, features: Sequence[float]) -> float:
        """`logit` of one row, d plain numbers."""
        total = self.intercept
        for x, (low, high, slope) in zip(features, self._terms, strict=True):
            # Four times as fast as `min` and `max`.
            total += slope * (low if x < low else high if x > high else x)  # noqa: FURB136
        return min(max(total, -MOST), MOST)

    @cached_property
    def _terms(self) -> list[tuple[float, float, float]]:
        return [*zip(self.low.tolist(), self.high.tolist(), self.coef.tolist(), strict=True)]


@persistent("Pooling.bank")
@dataclass(frozen=True)
class LogisticBank:
    """Logistic regressions for k models, each fitted without one of f - 1 folds and on all.

    Attributes as of a `Logistic`, of shape (f, k, d); the intercept of shape (f, k). Those that
    are fitted on all folds come last.
    """

    low: FloatArray
    high: FloatArray
    coef: FloatArray
    intercept: FloatArray

    @classmethod
    def of(cls, fits: Sequence[Sequence[Logistic]]) -> LogisticBank:
        """From f rows of k regressions."""
        names = ("low", "high", "coef", "intercept")
        return cls(*(np.array([[getattr(f, n) for f in row] for row in fits]) for n in names))

    def logit(self, fold: IntArray, models: Sequence[int], x: FloatArray) -> FloatArray:
        """Log-odds of shape (n, m), each row by its fold's regressions.

        Args:
            fold: of each row, shape (n,); -1 for the regressions that are fitted on all folds.
            models: columns of m models.
            x: their features, shape (n, m, d).
        """
        log_odds = np.empty(x.shape[:2])
        for number in np.unique(fold):
            rows = fold == number
            at = (number, list(models))
            within = np.minimum(np.maximum(x[rows], self.low[at]), self.high[at])
            log_odds[rows] = (within * self.coef[at]).sum(axis=2) + self.intercept[at]
        return np.minimum(np.maximum(log_odds, -MOST), MOST)

    @cached_property
    def last(self) -> list[Logistic]:
        """Each model's regression that is fitted on all folds."""
        arrays = (self.low[-1], self.high[-1], self.coef[-1], self.intercept[-1].tolist())
        return [Logistic(*model) for model in zip(*arrays, strict=True)]


def logit(probability: FloatArray | float) -> FloatArray:
    """Log-odds of probabilities, kept away from 0 and 1 by `CERTAINTY`."""
    p = np.clip(probability, CERTAINTY, 1 - CERTAINTY)
    return np.asarray(np.log(p / (1 - p)))


def logit_one(probability: float) -> float:
    """`logit` of one plain number."""
    p = probability
    if p < CERTAINTY:
        p = CERTAINTY
    elif p > 1 - CERTAINTY:
        p = 1 - CERTAINTY
    return math.log(p / (1 - p))


#: The largest size of log-odds, about 6.9.
MOST = -logit_one(0.0)


def expit(log_odds: FloatArray) -> FloatArray:
    """Probabilities of log-odds."""
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def expit_one(log_odds: float) -> float:
    """`expit` of one plain number."""
    return 1 / (1 + math.exp(-log_odds))


def standards(features: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and scale of each column of features (n, d); both of shape (d,).

    The scale is the standard deviation, or 1 for a column that is constant but for rounding: it
    says nothing, and scaled up it would be noise.
    """
    mean, spread = features.mean(axis=0), features.std(axis=0)
    return mean, np.where(spread > CONSTANT * (1 + np.abs(mean)), spread, 1.0)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keeps the linear algebra on one thread, and scikit-learn from checking what is known.

    Problems this small gain nothing from more threads; on a busy machine, threads that wait for
    each other make a fit ten times slower. One thread also keeps the last digit the same on every
    machine. A fit solves hundreds of small regressions on arrays of our own making, and checking
    their values and options again takes scikit-learn as long as solving them.
    """
    import sklearn.linear_model  # noqa: PLC0415  loads the libraries that are to be limited
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    unchecked = sklearn.config_context(assume_finite=True, skip_parameter_validation=True)
    with threadpool_limits(limits=1), unchecked:
        yield


def fit_logistic(
    features: FloatArray, labels: FloatArray, *, strength: float = 1.0, rising: int = 0
) -> Logistic:
    """Fits labels in [0, 1]; a fractional label counts as both outcomes, weighted.

    Where all labels are 0 or all are 1 there is nothing to separate: the fit is a constant, kept
    from certainty by Laplace's rule of succession.

    Args:
        features: array of shape (n, d).
        labels: array of shape (n,) in [0, 1].
        strength: inverse of the penalty, scikit-learn's `C`.
        rising: so many of the first features are out-of-fold estimates of the label. Their slopes
            may not be negative, and are hardly penalised. An estimate that knows nothing leans
            against the labels it has not seen (a fold rich in good answers leaves the other folds
            poor), and a negative slope would read the labels back from that.
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
    coef, intercept = solve_logistic(x, labels, strength)
    while (falling := np.flatnonzero(coef[:rising] < 0)).size:
        x[:, falling] = 0.0
        coef, intercept = solve_logistic(x, labels, strength)
    coef = coef / scale
    return Logistic(low, high, coef, intercept - float(mean @ coef))


def solve_logistic(x: FloatArray, labels: FloatArray, strength: float) -> tuple[FloatArray, float]:
    """Slopes and intercept for features that have been scaled; arguments as for `fit_logistic`."""
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415  only a fit pays for it
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    weight = None
    if ((labels > 0) & (labels < 1)).any():
        x, weight = np.concatenate([x, x]), np.concatenate([labels, 1 - labels])
        labels = np.repeat([1.0, 0.0], len(labels))
        x, labels, weight = x[weight > 0], labels[weight > 0], weight[weight > 0]
    solver = "newton-cholesky" if len(x) > _TALL * x.shape[1] else "lbfgs"
    model = LogisticRegression(C=strength, max_iter=1000, solver=solver)
    with warnings.catch_warnings():
        # Newton's method warns where it starts at the solution.
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
    """Log-odds of each row by a fit on the other folds, shape (n,); arguments as there."""
    log_odds = np.empty(len(labels))
    for rows in fold_masks(folds):
        model = fit_logistic(features[~rows], labels[~rows], strength=strength, rising=rising)
        log_odds[rows] = model.logit(features[rows])
    return log_odds


def log_loss(log_odds: FloatArray, labels: FloatArray) -> float:
    """Mean cross-entropy of labels in [0, 1]."""
    return float(np.mean(np.logaddexp(0, log_odds) - labels * log_odds))


def group_folds(groups: list[str], count: int, seed: int) -> IntArray:
    """The number of each row's fold; rows of one group share a fold, so that no duplicate leaks.

    Args:
        groups: of each row, such as the query's text.
        count: number of folds.
        seed: of the assignment of groups to folds.
    """
    numbers = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    rng = np.random.default_rng(seed)
    fold_of = rng.permutation(np.arange(len(numbers)) % count)
    return np.asarray([fold_of[numbers[group]] for group in groups], dtype=np.intp)


def fold_masks(folds: IntArray) -> list[BoolArray]:
    """For each fold the mask of its rows, each of shape (n,)."""
    return [folds == fold for fold in np.unique(folds)]
