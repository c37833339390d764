"""Whether estimates of quality come true: reliability diagrams and their summary numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cascade_engine.core.checks import check_table, is_whole
from cascade_engine.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cascade_engine.core.arrays import BoolArray, FloatArray
    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.estimators import QualityEstimator
    from cascade_engine.tuning.simulation import Outcome

__all__ = ["Calibration", "Reliability", "measure_reliability"]

Stage = Literal["before", "after", "returned"]


@dataclass(frozen=True, slots=True)
class Reliability:
    """How estimates of quality compare with the quality that came out.

    The bins hold equally many estimates each; equal estimates share a bin.

    Attributes:
        estimates: number of estimates.
        estimate: mean estimate in each bin, rising, shape (b,).
        quality: mean quality in each bin, shape (b,).
        count: estimates in each bin, shape (b,).
        ece: expected calibration error, the mean over the estimates of |estimate - quality| by
            bins (Naeini et al., AAAI 2015).
        ece_by_chance: what `ece` would be on so few queries if every bin were right on average;
            it is never 0.
        brier: mean squared difference of estimate and quality.
        roc_auc: probability that a good answer is estimated above a bad one, ties counting half.
            An answer of quality 0.7 counts as good with weight 0.7 and as bad with 0.3. None where
            all are good, or all are bad.
        stage: when the estimates were made: "before" any answer; "after" the model's own answer;
            "returned", of the answers that a router returned, once it had stopped.
        model: the model that was estimated; None for all together.
    """

    estimates: int
    estimate: FloatArray
    quality: FloatArray
    count: FloatArray
    ece: float
    ece_by_chance: float
    brier: float
    roc_auc: float | None
    stage: Stage | None = None
    model: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON-able values."""
        return {
            "stage": self.stage,
            "model": self.model,
            "estimates": self.estimates,
            "ece": self.ece,
            "ece_by_chance": self.ece_by_chance,
            "brier": self.brier,
            "roc_auc": self.roc_auc,
            "bins": [
                {"estimate": e, "quality": q, "count": int(c)}
                for e, q, c in zip(
                    self.estimate.tolist(), self.quality.tolist(), self.count, strict=True
                )
            ],
        }

    def cells(self) -> tuple[str, ...]:
        """Stage, model, number and measures, as words for a table."""
        return (
            self.stage or "",
            self.model or "all",
            str(self.estimates),
            f"{self.ece:.3f}",
            f"{self.ece_by_chance:.3f}",
            f"{self.brier:.3f}",
            "-" if self.roc_auc is None else f"{self.roc_auc:.3f}",
        )


def measure_reliability(
    estimate: object,
    quality: object,
    *,
    bins: int = 10,
    stage: Stage | None = None,
    model: str | None = None,
) -> Reliability:
    """Compares estimates with the actual quality.

    Args:
        estimate: expected qualities, m numbers.
        quality: actual qualities, m numbers in [0, 1].
        bins: the most bins.
        stage: for `Reliability.stage`.
        model: for `Reliability.model`.

    Raises:
        DataError: there are no numbers or not m of both, one is not finite, or a quality is outside
            [0, 1].
        ConfigurationError: fewer than one bin.
    """
    if not is_whole(bins) or bins < 1:
        raise ConfigurationError(f"bins must be a whole number of at least 1, not {bins!r}")
    count = np.asarray(estimate).size
    if not count:
        raise DataError("no estimates given: there is nothing to compare with the quality")
    expected = check_table("estimate", [estimate], (1, count))[0]
    true = check_table("quality", [quality], (1, count))[0]
    if true.min() < 0 or true.max() > 1:
        raise DataError(f"quality runs from {true.min():g} to {true.max():g}: rescale it to [0, 1]")
    bin_of = _bins(expected, bins)
    size = np.bincount(bin_of).astype(float)
    mean, actual = (np.bincount(bin_of, values) / size for values in (expected, true))
    error = true - expected
    # The variance of the errors in a bin. Were the bin right on average, its mean error would be
    # about normal with that variance over `size`, and E|x| = sqrt(2 / pi) sd of a normal x.
    spread = np.bincount(bin_of, error**2) / size - (actual - mean) ** 2
    chance = np.sqrt(2 / np.pi * np.maximum(spread, 0.0) / size)
    return Reliability(
        estimates=count,
        estimate=mean,
        quality=actual,
        count=size,
        ece=float((size * np.abs(mean - actual)).sum() / count),
        ece_by_chance=float((size * chance).sum() / count),
        brier=float((error**2).mean()),
        roc_auc=_roc_auc(expected, true),
        stage=stage,
        model=model,
    )


def _bins(values: FloatArray, count: int) -> np.ndarray[Any, Any]:
    """The number of each value's bin; bins that ties leave empty are not counted."""
    edges = np.quantile(values, np.linspace(0, 1, count + 1)[1:-1])
    return np.asarray(np.unique(np.searchsorted(edges, values, "left"), return_inverse=True)[1])


def _roc_auc(estimate: FloatArray, quality: FloatArray) -> float | None:
    """By ranks: the share of pairs, good and bad, that the estimates put in order."""
    good, bad = quality, 1.0 - quality
    if good.sum() <= 0 or bad.sum() <= 0:
        return None
    _, place = np.unique(estimate, return_inverse=True)
    up, down = np.bincount(place, good), np.bincount(place, bad)
    below = np.cumsum(down) - down / 2
    return float((up * below).sum() / (up.sum() * down.sum()))


class Calibration:
    """How an estimator's estimates of held-out data came true.

    Args:
        estimator: fitted, on other data.
        data: the held-out data.

    Attributes:
        stages: before and after each model's own answer, for each model and for all together.
    """

    def __init__(self, estimator: QualityEstimator, data: CascadeDataset) -> None:
        self._estimator = estimator
        self._evidence = estimator.read(data)
        nothing = np.zeros(data.quality.shape, dtype=bool)
        after = np.empty(data.quality.shape)
        for i in range(len(data.models)):
            alone = nothing.copy()
            alone[:, i] = True
            after[:, i] = self._estimate(alone)[:, i]
        before = self._estimate(nothing)
        self.stages = (*_by_model("before", before, data), *_by_model("after", after, data))

    def _estimate(self, run: BoolArray) -> FloatArray:
        return self._estimator.estimate(self._evidence, run)[0]

    def returned(self, outcome: Outcome) -> Reliability:
        """How a router's estimates of the answers that it returned came true."""
        estimates = self._estimate(outcome.run)
        returned = estimates[np.arange(len(estimates)), outcome.chosen]
        return measure_reliability(returned, outcome.quality, stage="returned")


def _by_model(stage: Stage, estimate: FloatArray, data: CascadeDataset) -> Iterator[Reliability]:
    for i, model in enumerate(data.models):
        yield measure_reliability(estimate[:, i], data.quality[:, i], stage=stage, model=model)
    yield measure_reliability(estimate.ravel(), data.quality.ravel(), stage=stage)
