"""Expectation of the maximum of Gaussians, for every subset or every prefix of the models at once.

Independent ones by closed forms and quadrature, see `_gaussians`. Correlated ones by one fixed set
of low-discrepancy points that all sets share, so that the values are monotone and submodular
exactly and the same in every process.
"""

from __future__ import annotations

from functools import lru_cache
from math import pi, sqrt
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine._gaussians import prefix_values, subset_values
from cascade_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cascade_engine._arrays import BoolArray, FloatArray, IntArray

__all__ = [
    "check_covariance",
    "expected_excess",
    "expected_max_prefixes",
    "expected_max_prefixes_correlated",
    "expected_max_subsets",
    "expected_max_subsets_correlated",
    "expected_max_two",
]

_DENSITY = 1 / sqrt(2 * pi)
#: A variance left over that is so small a share of the variance is rounding.
_LEFT_OVER = 1e-12
#: How far correlations may be from symmetric, and their eigenvalues below 0.
_TOLERANCE = 1e-8
#: Sampled values held at once, so that they stay in the processor's cache.
_CHUNK = 1 << 17


def expected_excess(mean: FloatArray, sd: FloatArray, level: FloatArray | float) -> FloatArray:
    """E[(q - level)^+] of Gaussians: s phi(z) - (level - m) (1 - Phi(z)), z = (level - m) / s.

    Args:
        mean: means, any shape.
        sd: standard deviations, at least 0, of a shape that broadcasts with `mean`; 0 is exact.
        level: finite levels, likewise.

    Returns:
        What is expected above each level, in the unit of the means. Never negative.
    """
    return expected_max_two(np.subtract(mean, level), sd, 0.0, 0.0)


def expected_max_two(
    mean1: FloatArray,
    sd1: FloatArray | float,
    mean2: FloatArray | float,
    sd2: FloatArray | float,
    cov: FloatArray | float = 0.0,
) -> FloatArray:
    """E[max] of two jointly Gaussian values (C. E. Clark, Operations Research 9, 1961, 145-162).

    Args:
        mean1: means of the first, any shape; the other arguments broadcast with it.
        sd1: standard deviations of the first, at least 0.
        mean2: means of the second.
        sd2: standard deviations of the second, at least 0.
        cov: covariance of the two, at most `sd1 * sd2` in size.

    Returns:
        The expectation; the plain maximum where the difference of the two has no spread.
    """
    from scipy.special import ndtr  # noqa: PLC0415  kept out of the import of the package

    # Not sd1^2 + sd2^2 - 2 cov: where the two move together that would be a root of rounding.
    variance = np.square(np.subtract(sd1, sd2)) + 2 * (np.multiply(sd1, sd2) - cov)
    theta = np.sqrt(np.maximum(variance, 0.0))
    gap = np.abs(np.subtract(mean1, mean2))
    # Far apart, or without spread, z is so large that nothing is left of either term.
    z = np.minimum(gap, theta * 40) / np.maximum(theta, 1e-300)
    z = np.where(theta > 0, z, 40.0)
    above = theta * np.exp(z * z * -0.5) * _DENSITY - gap * ndtr(-z)
    return np.asarray(np.maximum(mean1, mean2) + np.maximum(above, 0.0))


def expected_max_subsets(
    mean: FloatArray, sd: FloatArray, held: FloatArray, members: BoolArray
) -> FloatArray:
    """E[max(held, the members of S)] for every subset S of the k models, independent Gaussians.

    Args:
        mean: means, shape (n, k).
        sd: standard deviations, shape (n, k), at least 0.
        held: a value already certain, shape (n,); -inf where there is none.
        members: which models count, shape (n, k); the others add nothing to any subset.

    Returns:
        Shape (n, 2^k); bit i of a column's number says whether model i is in S. Where nothing is
        held, the empty set and sets without members have the value -inf. Errors are about 1e-12
        of a query's largest standard deviation. A query's values do not depend on the others.
    """
    n, k = mean.shape
    out = np.empty((n, 1 << k))
    for rows, m, holds in _groups(2 * members.sum(axis=1) + (held > -np.inf)):
        columns = _columns(members[rows], m)
        values = subset_values(
            _at(mean[rows], columns), _at(sd[rows], columns), held[rows] if holds else None
        )
        out[rows] = values.T if columns is None else _spread_subsets(values.T, members[rows])
    return out


def expected_max_prefixes(
    mean: FloatArray, sd: FloatArray, held: FloatArray, members: BoolArray
) -> FloatArray:
    """E[max(held, the members among the first j models)] for j = 0..k; shape (n, k + 1).

    Arguments as for `expected_max_subsets`. Where nothing is held and a prefix has no member, its
    value is -inf.
    """
    n, k = mean.shape
    out = np.empty((n, k + 1))
    for rows, m, holds in _groups(2 * members.sum(axis=1) + (held > -np.inf)):
        columns = _columns(members[rows], m)
        values = prefix_values(
            _at(mean[rows], columns), _at(sd[rows], columns), held[rows] if holds else None
        )
        out[rows] = values.T if columns is None else _spread_prefixes(values.T, members[rows])
    return out


def expected_max_subsets_correlated(
    mean: FloatArray, cov: FloatArray, held: FloatArray, members: BoolArray
) -> FloatArray:
    """E[max(held, the members of S)] for every subset S of the k models, jointly Gaussian.

    The average over fixed points: those of a Sobol sequence and their mirror images, made to have
    mean 0 and covariance 1 exactly. All sets share them, so that a larger set is never worth less
    and a model never adds more to a larger set.

    Args:
        mean: means, shape (n, k).
        cov: covariances, shape (n, k, k), symmetric and positive semidefinite; singular ones and
            variances of 0 are fine. See `check_covariance`.
        held: a value already certain, shape (n,); -inf where there is none.
        members: which models count, shape (n, k); the others add nothing to any subset.

    Returns:
        Shape (n, 2^k), as for `expected_max_subsets`. Errors are within 2e-3 of a query's largest
        standard deviation for up to 11 models.
    """
    n, k = mean.shape
    out = np.empty((n, 1 << k))
    for rows, m, _ in _groups(2 * members.sum(axis=1)):
        columns = _columns(members[rows], m)
        means, covs = _at(mean[rows], columns), _matrices(cov[rows], columns)
        values = _averages(means, covs, held[rows], subsets=True)
        out[rows] = values if columns is None else _spread_subsets(values, members[rows])
    return out


def expected_max_prefixes_correlated(
    mean: FloatArray, cov: FloatArray, held: FloatArray, members: BoolArray
) -> FloatArray:
    """E[max(held, the members among the first j models)] for j = 0..k; shape (n, k + 1).

    Arguments and errors as for `expected_max_subsets_correlated`.
    """
    n, k = mean.shape
    out = np.empty((n, k + 1))
    for rows, m, _ in _groups(2 * members.sum(axis=1)):
        columns = _columns(members[rows], m)
        means, covs = _at(mean[rows], columns), _matrices(cov[rows], columns)
        values = _averages(means, covs, held[rows], subsets=False)
        out[rows] = values if columns is None else _spread_prefixes(values, members[rows])
    return out


def check_covariance(what: str, cov: object) -> FloatArray:
    """`cov` as covariance matrices, symmetric to the last bit; one, (k, k), or many, (n, k, k).

    Args:
        what: what to call it in errors.
        cov: one matrix or a stack of them.

    Raises:
        DataError: it is not square, not finite, not symmetric, or not positive semidefinite.
    """
    try:
        given = np.asarray(cov, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be a table of numbers: {error}") from error
    if given.ndim not in {2, 3} or given.shape[-1] != given.shape[-2] or not given.shape[-1]:
        raise DataError(
            f"{what} must be square, models x models, or a stack of such, not of shape "
            f"{given.shape}"
        )
    _reject(what, given, ~np.isfinite(given), "every entry must be a finite number")
    variance = np.diagonal(given, axis1=-2, axis2=-1)
    diagonal = np.eye(given.shape[-1], dtype=bool)
    _reject(what, given, (given < 0) & diagonal, "a variance is at least 0")
    sd = np.sqrt(variance)
    unit = sd[..., :, None] * sd[..., None, :]
    mirrored = np.swapaxes(given, -1, -2)
    _reject(
        what,
        given,
        np.abs(given - mirrored) > _TOLERANCE * unit,
        "the matrix must be symmetric: pass (cov + its transpose) / 2",
    )
    _reject(
        what,
        given,
        np.abs(given) > (1 + _TOLERANCE) * unit,
        "a covariance is at most the product of the two standard deviations in size",
    )
    symmetric = (given + mirrored) / 2
    lowest = np.linalg.eigvalsh(symmetric / np.where(unit > 0, unit, 1.0)).min(axis=-1)
    if lowest.min() < -_TOLERANCE:
        where = "" if given.ndim == 2 else f"[{lowest.argmin()}]"  # noqa: PLR2004
        raise DataError(
            f"{what}{where} is no covariance: its correlations have the eigenvalue "
            f"{lowest.min():.3g} < 0. Estimate all entries from the same rows, as `numpy.cov` "
            "does, or raise the variances until none is negative"
        )
    return np.asarray(symmetric)


def _reject(what: str, given: FloatArray, bad: BoolArray, rule: str) -> None:
    if bad.any():
        at = tuple(np.argwhere(bad)[0].tolist())
        raise DataError(f"{what}{list(at)} is {given[at]:g}: {rule} ({bad.sum()} entries break it)")


def _groups(key: IntArray) -> Iterator[tuple[IntArray | slice, int, bool]]:
    """Rows with the same key, 2 x members + whether something is held: rows, members, holding."""
    if len(key) and (key == key[0]).all():
        yield slice(None), int(key[0]) >> 1, bool(key[0] & 1)
        return
    for one in np.unique(key).tolist():
        yield np.flatnonzero(key == one), one >> 1, bool(one & 1)


def _columns(members: BoolArray, m: int) -> IntArray | None:
    """The m members of each row, in their order, shape (n, m); None where all are members."""
    if m == members.shape[1]:
        return None
    return np.argsort(~members, axis=1, kind="stable")[:, :m]


def _at(table: FloatArray, columns: IntArray | None) -> FloatArray:
    return table if columns is None else np.take_along_axis(table, columns, axis=1)


def _matrices(cov: FloatArray, columns: IntArray | None) -> FloatArray:
    if columns is None:
        return cov
    rows = np.arange(len(cov))[:, None, None]
    return cov[rows, columns[:, :, None], columns[:, None, :]]


def _spread_subsets(values: FloatArray, members: BoolArray) -> FloatArray:
    """Values of the m members' subsets, (n, 2^m), as those of all models' subsets, (n, 2^k)."""
    bit = np.where(members, 1 << np.maximum(np.cumsum(members, axis=1) - 1, 0), 0)
    number = np.zeros((len(members), 1), dtype=np.intp)
    for i in range(members.shape[1]):
        number = np.concatenate([number, number | bit[:, i, None]], axis=1)
    return np.take_along_axis(values, number, axis=1)


def _spread_prefixes(values: FloatArray, members: BoolArray) -> FloatArray:
    """Values of the m members' prefixes, (n, m + 1), as those of all models', (n, k + 1)."""
    number = np.zeros((len(members), members.shape[1] + 1), dtype=np.intp)
    np.cumsum(members, axis=1, out=number[:, 1:])
    return np.take_along_axis(values, number, axis=1)


def _averages(mean: FloatArray, cov: FloatArray, held: FloatArray, *, subsets: bool) -> FloatArray:
    """Averages of the maxima of every subset, (n, 2^m), or of every prefix, (n, m + 1)."""
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
            drawn = np.einsum("rij,jt->irt", root[rows], points[:, first : first + columns])
            drawn += centred[:, rows]
            best = np.empty((sets, *drawn.shape[1:]))
            best[0] = base[rows]
            for i in range(m):
                new = slice(1 << i, 2 << i) if subsets else slice(i + 1, i + 2)
                old = slice(0, 1 << i) if subsets else slice(i, i + 1)
                np.maximum(best[old], drawn[i], out=best[new])
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
    drawn = qmc.Sobol(m, scramble=False).fast_forward(half).random(half)
    points = ndtri(np.ascontiguousarray(drawn.T))
    for i in range(m):
        for j in range(i):
            points[i] -= (points[i] * points[j]).mean() * points[j]
        points[i] /= np.sqrt(np.square(points[i]).mean())
    both = np.concatenate([points, -points], axis=1)
    both.flags.writeable = False
    return both
