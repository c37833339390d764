"""Intervals for what was measured on some queries: the queries are drawn anew, many times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.core.checks import generator, is_number, is_whole
from cascade_engine.data.splitting import clusters
from cascade_engine.errors import ConfigurationError

if TYPE_CHECKING:
    from cascade_engine.core.arrays import FloatArray, IntArray
    from cascade_engine.data.dataset import CascadeDataset

__all__ = ["Bootstrap", "Interval", "folded", "units_of"]

#: The most numbers in an array of resamples x queries while means are taken.
_CHUNK = 2_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A measured value, and between what bounds resamples of the queries put it.

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
        """Whether even the lower bound is."""
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
    """Resamples of n queries, with replacement; the same ones for whatever is asked of them.

    All that is measured is measured in the same resamples, so that differences are paired: what is
    easy or hard for all policies cancels out. Queries that belong together, of one text or one
    group of the data, are drawn together: they are no two pieces of evidence. Intervals are
    percentiles (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). They
    tell of the held-out queries at hand being these and not others; the fit they take as it is.

    Args:
        units: for each of the n queries the number of what is drawn as a whole, shape (n,).
        replications: how many resamples are drawn.
        seed: of the draws.
        level: of the intervals, between 0 and 1.
        widened: by what factor intervals are wider than the resamples say; see `folded`.

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
        widened: float = 1.0,
    ) -> None:
        if not is_whole(replications) or replications < 1:
            raise ConfigurationError(
                f"replications must be a whole number of at least 1, not {replications!r}"
            )
        if not is_number(level) or not 0 < level < 1:
            raise ConfigurationError(f"level must lie between 0 and 1, as 0.95 does, not {level!r}")
        self.level = level
        self._widened = widened
        self._units = units
        count = int(units.max()) + 1
        rng = generator(seed)
        # How often each is drawn is a small number: half the room that weights would take.
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
        """Means over the queries, (n, p) to (1 + replications, p): of all of them, then resamples.

        What makes a statistic of the rows makes its interval too; see `interval`.
        """
        return self._sums(table) / self._sizes

    def interval(self, values: FloatArray) -> Interval:
        """The interval of a statistic: its value, then that in every resample; (1 + r,).

        Infinity and NaN say that there is none; where they reach into the outer percentiles the
        bound there is None. So are both where all queries are one unit: nothing varies.
        """
        value = float(values[0]) if np.isfinite(values[0]) else None
        if self._counts.shape[1] == 1:
            return Interval(value, None, None)
        tail = (1 - self.level) / 2
        drawn = np.sort(np.where(np.isnan(values[1:]), np.inf, values[1:]))
        if value is not None:
            drawn = value + self._widened * (drawn - value)
        last = len(drawn) - 1
        low, high = drawn[math.floor(tail * last)], drawn[math.ceil((1 - tail) * last)]
        return Interval(value, *(float(x) if np.isfinite(x) else None for x in (low, high)))


def folded(folds: int) -> float:
    """By what factor an interval is wider where queries were judged fold by fold.

    Folds share most of their fitting queries, and each is fitted on the others' test queries: they
    are no independent trials. The variance grows by 1 + folds x test / train (Nadeau and Bengio,
    Inference for the Generalization Error, Machine Learning 52, 2003).
    """
    return math.sqrt(1 + folds / (folds - 1))


def units_of(data: CascadeDataset) -> IntArray:
    """For each query the number of its cluster, shape (n,): those of one text or group are one."""
    found = clusters([query.text for query in data.queries], getattr(data, "groups", None))
    units = np.empty(len(data), dtype=np.intp)
    for number, rows in enumerate(found):
        units[rows] = number
    return units
