"""Intervals by the bootstrap: what was measured on queries is measured on resamples of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.core.checks import generator, is_number, is_whole
from cascade_engine.data.splits import clusters
from cascade_engine.errors import ConfigurationError

if TYPE_CHECKING:
    from cascade_engine.core.arrays import FloatArray, IntArray
    from cascade_engine.data.dataset import CascadeDataset

__all__ = ["Bootstrap", "Interval", "units_of"]

#: The most numbers in an array of resamples x queries while means are taken.
_CHUNK = 2_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A measured value, with the bounds that resamples of the queries put on it.

    Attributes:
        value: as measured on the queries themselves; None where there is no such value.
        low: lower bound; None where the resamples give none.
        high: upper bound; None where the resamples give none.
    """

    value: float | None
    low: float | None
    high: float | None

    @property
    def is_above_zero(self) -> bool:
        """Whether even the lower bound is above zero."""
        return self.low is not None and self.low > 0

    def to_dict(self) -> dict[str, float | None]:
        """The same as plain JSON-able values."""
        return {"value": self.value, "low": self.low, "high": self.high}

    def __format__(self, spec: str) -> str:
        if self.value is None:
            return "never"
        bounds = ["-" if bound is None else format(bound, spec) for bound in (self.low, self.high)]
        return f"{format(self.value, spec)} [{bounds[0]}, {bounds[1]}]"

    def __str__(self) -> str:
        return format(self, ".3f")


class Bootstrap:
    """Resamples of n queries, with replacement.

    Everything is measured in the same resamples, so that differences are paired: queries that are
    easy or hard for all policies cancel out. Queries that belong together, of one text or one group
    of the data, are drawn together, for they are not two pieces of evidence. Intervals are
    percentiles (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). They
    cover the chance in which queries were held out, and not the chance in the fit.

    Args:
        units: for each of the n queries the number of the unit that it is drawn with, shape (n,).
        replications: number of resamples.
        seed: of the draws.
        level: of the intervals, between 0 and 1.
        folds: number of folds in which the queries were judged, each by a fit on the other folds;
            None where one fit judged them all. Folds share most of their fitting queries, and each
            is fitted on the others' test queries, so they are no independent trials. The variance
            grows by 1 + folds x test / train (Nadeau and Bengio, Inference for the Generalization
            Error, Machine Learning 52, 2003).

    Raises:
        ConfigurationError: no replications, or a level outside (0, 1).
    """

    def __init__(
        self,
        units: IntArray,
        *,
        replications: int = 1000,
        seed: int = 0,
        level: float = 0.95,
        folds: int | None = None,
    ) -> None:
        if not is_whole(replications) or replications < 1:
            raise ConfigurationError(
                f"replications must be a whole number of at least 1, not {replications!r}"
            )
        if not is_number(level) or not 0 < level < 1:
            raise ConfigurationError(f"level must lie between 0 and 1, as 0.95 does, not {level!r}")
        self.level = level
        self._width = 1.0 if folds is None else math.sqrt(1 + folds / (folds - 1))
        self._units = units
        count = int(units.max()) + 1
        rng = generator(seed)
        # How often a unit is drawn is a small number: half the memory that weights would take.
        self._counts = np.ones((1 + replications, count), dtype=np.uint32)
        for row in self._counts[1:]:
            row[:] = np.bincount(rng.integers(count, size=count), minlength=count)
        self._sizes = self._sums(np.ones((len(units), 1)))

    def _sums(self, table: FloatArray) -> FloatArray:
        """Sums over the queries, (n, p) to (1 + replications, p)."""
        totals = np.zeros((self._counts.shape[1], table.shape[1]))
        np.add.at(totals, self._units, table)
        step = max(1, _CHUNK // len(totals))
        starts = range(0, len(self._counts), step)
        return np.concatenate([self._counts[i : i + step] @ totals for i in starts])

    def means(self, table: FloatArray) -> FloatArray:
        """Means over the queries, then over each resample: (n, p) to (1 + replications, p).

        A statistic computed from each of these rows gets its interval from `interval`.
        """
        return self._sums(table) / self._sizes

    def interval(self, values: FloatArray) -> Interval:
        """The interval of a statistic.

        Args:
            values: the statistic of all queries, then of each resample, shape (1 + replications,).
                Infinity and NaN say that there is none.

        Returns:
            The interval. A bound is None where the resamples without the statistic reach into its
            percentile, and both are None where all queries are one unit, for nothing varies.
        """
        value = float(values[0]) if np.isfinite(values[0]) else None
        if self._counts.shape[1] == 1:
            return Interval(value, None, None)
        tail = (1 - self.level) / 2
        drawn = np.sort(np.where(np.isnan(values[1:]), np.inf, values[1:]))
        if value is not None:
            drawn = value + self._width * (drawn - value)
        last = len(drawn) - 1
        low, high = drawn[math.floor(tail * last)], drawn[math.ceil((1 - tail) * last)]
        return Interval(value, *(float(x) if np.isfinite(x) else None for x in (low, high)))


def units_of(data: CascadeDataset) -> IntArray:
    """For each query the number of its unit, shape (n,): queries of one text or group are one."""
    members = clusters([query.text for query in data.queries], getattr(data, "groups", None))
    units = np.empty(len(data), dtype=np.intp)
    for number, rows in enumerate(members):
        units[rows] = number
    return units
