"""Tests of two samples, one of them kept as its readings or as their quantiles.

Everywhere `kept` stands for the reference, rising; `fresh` are fresh readings; and `sizes` says how
many readings each rests on.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cascade_engine.core.arrays import FloatArray

__all__ = ["holm", "ks", "psi", "two_means", "two_proportions"]

_BINS = 10
#: A value that more than this share of the readings have is a bin of its own.
_ATOM = 0.05
_ROUNDING = 1e-9


def ks(kept: FloatArray, fresh: FloatArray, sizes: tuple[int, int]) -> float:
    """The Kolmogorov-Smirnov test, by its limiting distribution: cautious where there are ties."""
    from scipy.special import kolmogorov  # noqa: PLC0415  only who asks for it pays

    points = np.concatenate([kept, fresh])
    ours = np.searchsorted(np.sort(fresh), points, "right") / len(fresh)
    theirs = np.searchsorted(kept, points, "right") / len(kept)
    n, m = sizes
    return float(kolmogorov(math.sqrt(n * m / (n + m)) * np.abs(ours - theirs).max()))


def two_means(kept: FloatArray, fresh: FloatArray, sizes: tuple[int, int]) -> float:
    """The normal test of two means, of unequal variances."""
    error = math.sqrt(float(kept.var()) / sizes[0] + float(fresh.var()) / sizes[1])
    apart = abs(float(kept.mean()) - float(fresh.mean()))
    if error <= _ROUNDING:
        return 1.0 if apart <= _ROUNDING else 0.0
    return math.erfc(apart / error / math.sqrt(2))


def two_proportions(kept: FloatArray, fresh: FloatArray, sizes: tuple[int, int]) -> float:
    """The normal test with Yates's correction."""
    n, m = sizes
    one, other = float(kept.mean()), float(fresh.mean())
    both = (n * one + m * other) / (n + m)
    error = math.sqrt(both * (1 - both) * (1 / n + 1 / m))
    if error == 0:
        return 1.0
    apart = max(0.0, abs(one - other) - (1 / n + 1 / m) / 2)
    return math.erfc(apart / error / math.sqrt(2))


def psi(kept: FloatArray, fresh: FloatArray, sizes: tuple[int, int]) -> float:
    """Sum over bins of (fresh - reference) x log(fresh / reference), in shares of the readings."""
    cuts = _cuts(kept)
    shares = []
    for values, count in zip((kept, fresh), sizes, strict=True):
        share = np.bincount(np.searchsorted(cuts, values), minlength=len(cuts) + 1) / len(values)
        # Half a reading more in every bin: an empty one has no logarithm.
        shares.append((share * count + 0.5) / (count + 0.5 * len(share)))
    old, new = shares
    return float(((new - old) * np.log(new / old)).sum())


def _cuts(kept: FloatArray) -> FloatArray:
    """Bins of equally many readings; a value that many have is a bin of its own."""
    edges = np.unique(np.quantile(kept, np.linspace(0, 1, _BINS + 1)[1:-1]))
    atoms = edges[np.array([(kept == edge).mean() > _ATOM for edge in edges])]
    return np.unique(np.concatenate([edges, np.nextafter(atoms, -np.inf)]))


def holm(p_values: FloatArray) -> FloatArray:
    """Holm's step-down adjustment (1979), which keeps the probability of any false alarm."""
    order = np.argsort(p_values)
    steps = len(p_values) - np.arange(len(p_values))
    raised = np.minimum(np.maximum.accumulate(p_values[order] * steps), 1.0)
    adjusted = np.empty(len(p_values))
    adjusted[order] = raised
    return adjusted
