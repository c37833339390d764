"""Tests of two samples: a reference, kept as its readings or as their quantiles, and a fresh one.

In every function `kept` is the reference, rising; `fresh` are fresh readings; and `sizes` are the
numbers of readings behind the two.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cascade_engine.core.arrays import FloatArray

__all__ = ["holm", "ks", "psi", "two_means", "two_proportions"]

_BINS = 10
#: A value shared by more than this share of the readings gets a bin of its own.
_ATOM = 0.05
_ROUNDING = 1e-9


def ks(kept: FloatArray, fresh: FloatArray, sizes: tuple[int, int]) -> float:
    """p-value of the Kolmogorov-Smirnov test, by its limiting distribution; large with ties."""
    from scipy.special import kolmogorov  # noqa: PLC0415  slow to import

    points = np.concatenate([kept, fresh])
    new = np.searchsorted(np.sort(fresh), points, "right") / len(fresh)
    old = np.searchsorted(kept, points, "right") / len(kept)
    n, m = sizes
    return float(kolmogorov(math.sqrt(n * m / (n + m)) * np.abs(new - old).max()))


def two_means(kept: FloatArray, fresh: FloatArray, sizes: tuple[int, int]) -> float:
    """p-value of the normal test of two means, with unequal variances."""
    error = math.sqrt(float(kept.var()) / sizes[0] + float(fresh.var()) / sizes[1])
    apart = abs(float(kept.mean()) - float(fresh.mean()))
    if error <= _ROUNDING:
        return 1.0 if apart <= _ROUNDING else 0.0
    return math.erfc(apart / error / math.sqrt(2))


def two_proportions(kept: FloatArray, fresh: FloatArray, sizes: tuple[int, int]) -> float:
    """p-value of the normal test of two proportions, with Yates's correction."""
    n, m = sizes
    one, other = float(kept.mean()), float(fresh.mean())
    both = (n * one + m * other) / (n + m)
    error = math.sqrt(both * (1 - both) * (1 / n + 1 / m))
    if error == 0:
        return 1.0
    apart = max(0.0, abs(one - other) - (1 / n + 1 / m) / 2)
    return math.erfc(apart / error / math.sqrt(2))


def psi(kept: FloatArray, fresh: FloatArray, sizes: tuple[int, int]) -> float:
    """Population stability index: sum over bins of (fresh - kept) log(fresh / kept), in shares."""
    cuts = _cuts(kept)
    shares = []
    for values, count in zip((kept, fresh), sizes, strict=True):
        share = np.bincount(np.searchsorted(cuts, values), minlength=len(cuts) + 1) / len(values)
        # Half a reading more in every bin, because an empty one has no logarithm.
        shares.append((share * count + 0.5) / (count + 0.5 * len(share)))
    old, new = shares
    return float(((new - old) * np.log(new / old)).sum())


def _cuts(kept: FloatArray) -> FloatArray:
    """Edges of bins with equally many readings; a frequent value gets a bin of its own."""
    edges = np.unique(np.quantile(kept, np.linspace(0, 1, _BINS + 1)[1:-1]))
    atoms = edges[np.array([(kept == edge).mean() > _ATOM for edge in edges])]
    return np.unique(np.concatenate([edges, np.nextafter(atoms, -np.inf)]))


def holm(p_values: FloatArray) -> FloatArray:
    """p-values adjusted by Holm (1979), which bounds the probability of any false alarm."""
    order = np.argsort(p_values)
    steps = len(p_values) - np.arange(len(p_values))
    raised = np.minimum(np.maximum.accumulate(p_values[order] * steps), 1.0)
    adjusted = np.empty(len(p_values))
    adjusted[order] = raised
    return adjusted
