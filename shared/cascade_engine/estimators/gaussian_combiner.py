"""Estimates before and after answers, of all models, combined into one Gaussian belief."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.core.arrays import patterns
from cascade_engine.core.checks import check_shape, check_table
from cascade_engine.errors import DataError, NotFittedError
from cascade_engine.estimators.base import Estimates
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from typing_extensions import Self

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray

__all__ = ["CombinedBeliefs", "GaussianCombiner"]

#: The share of the variance that estimates explain is kept at least this far from 0 and 1.
_LEAST = 1e-4


@persistent("GaussianCombiner", fitted=("mean_", "covariance_", "share_before_", "share_after_"))
class GaussianCombiner:
    """Combines estimates before and after answers, of all models, into beliefs about each model.

    An estimate made after an answer does not simply replace the one made before: that would throw
    evidence away. Both are taken as noisy measurements of the same quality, and the other models'
    estimates as measurements of qualities that correlate with it. With quality distributed as
    N(mean, covariance) over the models and independent normal noise, the belief once a set of
    models has answered is the Gaussian posterior. It moves the estimates of all models, and gives
    the spread of the change that a further answer will bring.

    Few numbers are learned, all pooled over the models: the share of the quality's variance that
    the estimates explain, before and after an answer, and one correlation of the qualities. The
    correlation is multiplied by (1 - share)^2, with the share after an answer: the nearer an answer
    comes to settling a quality that is 0 or 1, the more a Gaussian would overrate what it says of
    other models.

    Attributes:
        mean_: mean quality of each model, shape (k,).
        covariance_: of the qualities, shape (k, k).
        share_before_: share of the variance that estimates before an answer explain.
        share_after_: share of the variance that estimates after an answer explain.
    """

    mean_: FloatArray
    covariance_: FloatArray
    share_before_: float
    share_after_: float

    def fit(self, before: object, after: object, quality: object) -> Self:
        """Learns from n queries.

        Args:
            before: calibrated estimates before each model has answered, shape (n, k): where an
                estimate is q the mean quality is q.
            after: calibrated estimates once it has answered, by its answer alone, shape (n, k).
            quality: true quality, shape (n, k).

        Raises:
            DataError: a shape is wrong or a number not finite, or there are fewer than two queries.
        """
        shape = check_shape("before", before)
        if shape[0] == 1:
            raise DataError("one query is too few to learn from: give at least two")
        prior, post = check_table("before", before, shape), check_table("after", after, shape)
        labels = check_table("quality", quality, shape)
        # Calibrated estimates have the labels' mean, and less noise.
        self.mean_ = prior.mean(axis=0)
        variance = np.maximum(labels.var(axis=0), _LEAST)
        self.share_before_ = _share(prior, variance)
        self.share_after_ = _share(post, variance)
        rho = _correlation(labels) * (1 - self.share_after_) ** 2
        spread = np.sqrt(variance)
        self.covariance_ = rho * np.outer(spread, spread)
        np.fill_diagonal(self.covariance_, variance)
        return self

    def beliefs(self, before: object, after: object, *, cost: object) -> CombinedBeliefs:
        """Beliefs about other queries.

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
        costs = check_table("cost", cost, shape)
        if costs.min() < 0:
            raise DataError(f"a cost is negative: {costs.min():g}")
        return CombinedBeliefs(
            self, check_table("before", before, shape), check_table("after", after, shape), costs
        )


class CombinedBeliefs:
    """Beliefs about n queries and k models in any state; made by `GaussianCombiner.beliefs`."""

    def __init__(
        self, combiner: GaussianCombiner, before: FloatArray, after: FloatArray, cost: FloatArray
    ) -> None:
        self._combiner = combiner
        self._cost = cost
        variance = np.diag(combiner.covariance_)
        # A calibrated estimate is mean + share x (measurement - mean), where share is that of the
        # variance explained: so this is the precision of the measurement,
        shares = combiner.share_before_, combiner.share_after_
        self._precision_before, self._precision_after = (s / (1 - s) / variance for s in shares)
        # and this the measurement, less the mean, times its precision.
        self._before = (before - combiner.mean_) / shares[0] * self._precision_before
        self._after = (after - combiner.mean_) / shares[1] * self._precision_after
        self._posteriors: dict[bytes, tuple[FloatArray, FloatArray]] = {}

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
            change = np.einsum("mi,ij->mj", evidence[here], posterior)
            quality[here] = self._combiner.mean_ + change
        return Estimates(quality, sd, self._cost[rows])

    def _posterior(self, run: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Covariance of the qualities, (k, k), and `Estimates.sd`, (k,), after some answers."""
        key = run.tobytes()
        if key not in self._posteriors:
            precision = self._precision_before + np.where(run, self._precision_after, 0.0)
            prior = self._combiner.covariance_
            inner = np.eye(len(run)) + precision[:, None] * prior
            posterior = np.linalg.solve(inner.T, prior.T).T
            left = np.diag(posterior)
            sd = np.where(run, 0.0, left / np.sqrt(left + 1 / self._precision_after))
            self._posteriors[key] = (np.asarray(posterior), np.asarray(sd))
        return self._posteriors[key]


def _share(estimates: FloatArray, variance: FloatArray) -> float:
    """Share of the variance of quality that calibrated estimates explain, over all models."""
    share = float((estimates.var(axis=0) / variance).mean())
    return min(max(share, _LEAST), 1 - _LEAST)


def _correlation(quality: FloatArray) -> float:
    """Mean correlation of the qualities of two models, at least 0."""
    varying = quality[:, quality.std(axis=0) > 0]
    k = varying.shape[1]
    if k < 2:  # noqa: PLR2004
        return 0.0
    return max(0.0, float((np.corrcoef(varying.T).sum() - k) / (k * (k - 1))))
