"""E[max] of correlated Gaussians: averages over one fixed set of low-discrepancy points.

There is no closed form for more than three, and a quadrature would need a dimension for each model.
So the maximum is averaged over points that stand for the joint distribution: those of a Sobol
sequence and their mirror images, made to have mean 0 and covariance 1 exactly, then given the
covariance by its Cholesky root. All sets of models share the points. On every single point the
maximum is monotone and submodular in the set, and therefore the averages are so too, exactly: a
larger set is never worth less, and a model never adds more to a larger set. Points drawn anew for
each set, or few and scrambled ones, lose that, and with it Lemma 1. The points depend on nothing
but the number of models: values are the same in every process.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.errors import DataError

if TYPE_CHECKING:
    from cascade_engine.core.arrays import BoolArray, FloatArray

#: A variance left over that is so small a share of the variance is rounding.
_LEFT_OVER = 1e-12
#: How far correlations may be from symmetric, and their eigenvalues below 0.
_TOLERANCE = 1e-8
#: The most numbers in an array of values, so that it stays in the processor's cache.
_CHUNK = 1 << 17


def check_covariance(what: str, cov: object) -> FloatArray:
    """Checks covariance matrices, and makes them symmetric to the last bit.

    Args:
        what: what to call them in errors.
        cov: one matrix, (k, k), or a stack of them, (n, k, k).

    Returns:
        An array of the same shape.

    Raises:
        DataError: it is not square, not finite, not symmetric, or not positive semidefinite.
    """
    try:
        table = np.asarray(cov, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be a table of numbers: {error}") from error
    if table.ndim not in {2, 3} or table.shape[-1] != table.shape[-2] or not table.shape[-1]:
        raise DataError(
            f"{what} must be square, models x models, or a stack of such, not of shape "
            f"{table.shape}"
        )
    _reject(what, table, ~np.isfinite(table), "every entry must be a finite number")
    variance = np.diagonal(table, axis1=-2, axis2=-1)
    diagonal = np.eye(table.shape[-1], dtype=bool)
    _reject(what, table, (table < 0) & diagonal, "a variance is at least 0")
    sd = np.sqrt(variance)
    unit = sd[..., :, None] * sd[..., None, :]
    mirrored = np.swapaxes(table, -1, -2)
    _reject(
        what,
        table,
        np.abs(table - mirrored) > _TOLERANCE * unit,
        "the matrix must be symmetric: pass (cov + its transpose) / 2",
    )
    _reject(
        what,
        table,
        np.abs(table) > (1 + _TOLERANCE) * unit,
        "a covariance is at most the product of the two standard deviations in size",
    )
    symmetric = (table + mirrored) / 2
    lowest = np.linalg.eigvalsh(symmetric / np.where(unit > 0, unit, 1.0)).min(axis=-1)
    if lowest.min() < -_TOLERANCE:
        where = "" if table.ndim == 2 else f"[{lowest.argmin()}]"  # noqa: PLR2004
        raise DataError(
            f"{what}{where} is no covariance: its correlations have the eigenvalue "
            f"{lowest.min():.3g} < 0. Estimate all entries from the same rows, as `numpy.cov` "
            "does, or raise the variances until none is negative"
        )
    return np.asarray(symmetric)


def _reject(what: str, table: FloatArray, bad: BoolArray, rule: str) -> None:
    if bad.any():
        at = tuple(np.argwhere(bad)[0].tolist())
        raise DataError(f"{what}{list(at)} is {table[at]:g}: {rule} ({bad.sum()} entries break it)")


def averages(mean: FloatArray, cov: FloatArray, held: FloatArray, *, subsets: bool) -> FloatArray:
    """E[max(held, S)] for every subset S of the m models, (n, 2^m), or every prefix, (n, m + 1).

    Args:
        mean: means, shape (n, m).
        cov: covariances, shape (n, m, m).
        held: a value already certain, shape (n,); -inf for none, and then the empty set's value.
        subsets: whether of every subset or of every prefix.
    """
    n, m = mean.shape
    sets = 1 << m if subsets else m + 1
    root, points = _roots(cov), _points(m)
    # From the greatest value on: a sum of what is far above the rest would lose the rest.
    top = np.maximum(held, mean.max(axis=1, initial=-np.inf))
    top = np.where(top > -np.inf, top, 0.0)
    centred, base = (mean - top[:, None]).T[:, :, None], (held - top)[:, None]
    total = np.zeros((sets, n))
    columns = min(points.shape[1], max(64, _CHUNK // sets))
    step = max(1, _CHUNK // (sets * columns))
    for start in range(0, n, step):
        rows = slice(start, start + step)
        for first in range(0, points.shape[1], columns):
            # Summed by hand: a matrix product's rounding may depend on the number of threads.
            values = np.einsum("rij,jt->irt", root[rows], points[:, first : first + columns])
            values += centred[:, rows]
            # By doubling: each set is an earlier one and a model more.
            best = np.empty((sets, *values.shape[1:]))
            best[0] = base[rows]
            for i in range(m):
                new = slice(1 << i, 2 << i) if subsets else slice(i + 1, i + 2)
                old = slice(0, 1 << i) if subsets else slice(i, i + 1)
                np.maximum(best[old], values[i], out=best[new])
            total[:, rows] += best.sum(axis=2)
    out = np.asarray(total.T / points.shape[1] + top[:, None])
    out[:, 0] = held
    return out


def _roots(cov: FloatArray) -> FloatArray:
    """Matrices L with L L' = cov, (n, m, m): Cholesky's, the largest variance left over first.

    The order puts most of the spread on the first, best distributed, coordinates of the points.
    """
    left, root = cov.copy(), np.zeros(cov.shape)
    rows, least = np.arange(len(cov)), _LEFT_OVER * np.diagonal(cov, axis1=1, axis2=2)
    for step in range(cov.shape[1]):
        variance = np.diagonal(left, axis1=1, axis2=2)
        variance = np.where(variance > least, variance, 0.0)
        pivot = variance.argmax(axis=1)
        largest = variance[rows, pivot][:, None]
        divisor = np.sqrt(np.where(largest > 0, largest, np.inf))
        column = left[rows, :, pivot] / divisor
        root[:, :, step] = column
        left -= column[:, :, None] * column[:, None, :]
    return root


@lru_cache(maxsize=32)
def _points(m: int) -> FloatArray:
    """Points that stand for m independent standard Gaussians, shape (m, points)."""
    from scipy.special import ndtri  # noqa: PLC0415
    from scipy.stats import qmc  # noqa: PLC0415

    if m == 0:
        return np.zeros((0, 1))
    half = 2048 if m <= 3 else 4096 if m <= 8 else 8192  # noqa: PLR2004
    # Without scrambling, and without the first half, which contains the origin.
    uniform = qmc.Sobol(m, scramble=False).fast_forward(half).random(half)
    points = ndtri(np.ascontiguousarray(uniform.T))
    # Gram-Schmidt: uncorrelated and of variance 1; the mirror images make the mean 0.
    for i in range(m):
        for j in range(i):
            points[i] -= (points[i] * points[j]).mean() * points[j]
        points[i] /= np.sqrt(np.square(points[i]).mean())
    mirrored = np.concatenate([points, -points], axis=1)
    mirrored.flags.writeable = False
    return mirrored
