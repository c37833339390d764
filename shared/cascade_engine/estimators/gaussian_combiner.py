"""Estimates before and after an answer, of all models, combined into one belief."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.core.arrays import patterns
from cascade_engine.core.checks import check_shape, check_table
from cascade_engine.errors import DataError, NotFittedError
from cascade_engine.estimators.contracts import Estimates
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from typing_extensions import Self

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray

__all__ = ["CombinedBeliefs", "GaussianCombiner"]

#: Shares of variance that estimates explain are kept this far from 0 and 1.
_LEAST = 1e-4


@persistent("GaussianCombiner", fitted=("mean_", "covariance_", "share_before_", "share_after_"))
class GaussianCombiner:
    """Combines what is known of all models into the belief about each.

    An estimate after an answer is not what the one before will become: replacing one by the other
    throws evidence away, and E[after | before] is not `before`. Both are taken as noisy looks at
    the same quality, as are the other models' as far as qualities correlate. With quality
    N(mean, covariance) over the models and independent normal noise, what is believed once a set
    of models has answered is the Gaussian posterior: estimates of all models move, and the spread
    of what an answer will change follows too.

    Few numbers are learned, all pooled over the models: how much of the quality's variance the
    estimates explain, and one correlation. That is multiplied by (1 - share)^2, with the share
    explained after an answer: the nearer answers come to settling a quality that is 0 or 1, the
    more a Gaussian would make of the other models'.

    Attributes:
        mean_: mean quality of each model, shape (k,).
        covariance_: of the qualities, shape (k, k).
        share_before_: share of the variance that estimates before an answer explain.
        share_after_: share that estimates after it explain.
    """

    mean_: FloatArray
    covariance_: FloatArray
    share_before_: float
    share_after_: float

    def fit(self, before: object, after: object, quality: object) -> Self:
        """Learns from n queries.

        Args:
            before: calibrated estimates before each model has answered, shape (n, k): the mean of
                the quality where an estimate says q is q.
            after: the same once it has answered, from its answer alone, shape (n, k).
            quality: true quality, shape (n, k).

        Raises:
            DataError: a shape is wrong or a number not finite, or there are fewer than two queries.
        """
        shape = check_shape("before", before)
        if shape[0] == 1:
            raise DataError("one query is too few to learn from: give at least two")
        early, late = check_table("before", before, shape), check_table("after", after, shape)
        true = check_table("quality", quality, shape)
        # What is calibrated has the right mean, and less noise in it than the labels have.
        self.mean_ = early.mean(axis=0)
        variance = np.maximum(true.var(axis=0), _LEAST)
        self.share_before_ = _share(early, variance)
        self.share_after_ = _share(late, variance)
        rho = _correlation(true) * (1 - self.share_after_) ** 2
        spread = np.sqrt(variance)
        self.covariance_ = rho * np.outer(spread, spread)
        np.fill_diagonal(self.covariance_, variance)
        return self

    def beliefs(self, before: object, after: object, *, cost: object) -> CombinedBeliefs:
        """What is believed about other queries.

        Args:
            before: as in `fit`, shape (n, k).
            after: as in `fit`, shape (n, k).
            cost: expected cost of running each model, shape (n, k), >= 0.

        Raises:
            NotFittedError: before `fit`.
            DataError: a shape is wrong, a number is not finite, or a cost is negative.
        """
        if not hasattr(self, "mean_"):
            raise NotFittedError("the combiner knows nothing yet: call fit first")
        shape = (check_shape("before", before)[0], len(self.mean_))
        paid = check_table("cost", cost, shape)
        if paid.min() < 0:
            raise DataError(f"a cost is negative: {paid.min():g}")
        return CombinedBeliefs(
            self, check_table("before", before, shape), check_table("after", after, shape), paid
        )


class CombinedBeliefs:
    """Beliefs about n queries and k models in any state; made by `GaussianCombiner.beliefs`."""

    def __init__(
        self, fitted: GaussianCombiner, before: FloatArray, after: FloatArray, cost: FloatArray
    ) -> None:
        self._fitted = fitted
        self._cost = cost
        variance = np.diag(fitted.covariance_)
        early, late = fitted.share_before_, fitted.share_after_
        # An estimate mean + share x (look - mean) is a look at the quality with this precision.
        self._early, self._late = (s / (1 - s) / variance for s in (early, late))
        self._before = (before - fitted.mean_) / early * self._early
        self._after = (after - fitted.mean_) / late * self._late
        self._known: dict[bytes, tuple[FloatArray, FloatArray]] = {}

    def __len__(self) -> int:
        return len(self._cost)

    @property
    def models(self) -> int:
        """Number of models, k."""
        return int(self._cost.shape[1])

    def __call__(self, rows: IntArray, run: BoolArray) -> Estimates:
        """Estimates for queries `rows`, (m,), once the models in `run`, (m, k), have answered."""
        quality, sd = np.empty(run.shape), np.empty(run.shape)
        evidence = self._before[rows] + np.where(run, self._after[rows], 0.0)
        for pattern, here in patterns(run):
            posterior, sd[here] = self._posterior(pattern)
            moved = np.einsum("mi,ij->mj", evidence[here], posterior)
            quality[here] = self._fitted.mean_ + moved
        return Estimates(quality, sd, self._cost[rows])

    def _posterior(self, run: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Covariance of the qualities given those looks; the spread of what the next one does."""
        key = run.tobytes()
        if key not in self._known:
            precision = self._early + np.where(run, self._late, 0.0)
            prior = self._fitted.covariance_
            inner = np.eye(len(run)) + precision[:, None] * prior
            posterior = np.linalg.solve(inner.T, prior.T).T
            left = np.diag(posterior)
            sd = np.where(run, 0.0, left / np.sqrt(left + 1 / self._late))
            self._known[key] = (np.asarray(posterior), np.asarray(sd))
        return self._known[key]


def _share(estimates: FloatArray, variance: FloatArray) -> float:
    """Share of the variance of quality that calibrated estimates explain, over all models."""
    share = float((estimates.var(axis=0) / variance).mean())
    return min(max(share, _LEAST), 1 - _LEAST)


def _correlation(quality: FloatArray) -> float:
    """Mean correlation of two models' quality, none below 0."""
    moving = quality[:, quality.std(axis=0) > 0]
    k = moving.shape[1]
    if k < 2:  # noqa: PLR2004
        return 0.0
    every = np.corrcoef(moving.T)
    return max(0.0, float((every.sum() - k) / (k * (k - 1))))
