"""Expectation of the maximum of Gaussian qualities: what a set of models is worth before its cost.

The quality of a supermodel is E[max over its members of q_i] (Dekoninck et al., ICML 2025, Section
4), an answer already held counting as a member without spread. Here it is computed

- for one Gaussian and a level, and for two Gaussians, in closed form;
- for all subsets, or all prefixes, of the k models at once: of independent qualities by closed
  forms and quadrature (`independent`), of correlated ones by averages over one set of points
  (`correlated`).

Either way the value of a set is monotone and submodular in the set, exactly or to rounding. Lemma 1
is sound on no other values.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cascade_engine.strategies.gaussian.covariance import averages
from cascade_engine.strategies.gaussian.independent import prefix_values, subset_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray

_ROOT_HALF, _DENSITY = math.sqrt(0.5), 1 / math.sqrt(2 * math.pi)


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


def excess_one(over: float, sd: float) -> float:
    """E[q^+] of one Gaussian q with mean `over`, in plain numbers."""
    if sd <= 0:
        return max(over, 0.0)
    z = over / sd
    return sd * _DENSITY * math.exp(-0.5 * z * z) + over * 0.5 * math.erfc(-z * _ROOT_HALF)


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
    mean: FloatArray,
    sd: FloatArray,
    held: FloatArray,
    members: BoolArray,
    *,
    cov: FloatArray | None = None,
) -> FloatArray:
    """E[max(held, the members of S)] for every subset S of the k models.

    Args:
        mean: means, shape (n, k).
        sd: standard deviations, shape (n, k), at least 0.
        held: a value already certain, shape (n,); -inf where there is none.
        members: which models count, shape (n, k); the others add nothing to any subset.
        cov: covariances of jointly Gaussian qualities, shape (n, k, k), in place of `sd`; symmetric
            and positive semidefinite, and may be singular. See `covariance.check_covariance`.

    Returns:
        Shape (n, 2^k); bit i of a column's number says whether model i is in S. Where nothing is
        held, the empty set and sets without members have the value -inf. Errors are about 1e-12
        of a query's largest standard deviation; with `cov` within 2e-3 for up to 11 models. A
        query's values do not depend on the others.
    """
    return _expected_max(_SUBSETS, mean, sd, held, members, cov)


def expected_max_prefixes(
    mean: FloatArray,
    sd: FloatArray,
    held: FloatArray,
    members: BoolArray,
    *,
    cov: FloatArray | None = None,
) -> FloatArray:
    """E[max(held, the members among the first j models)] for j = 0..k; shape (n, k + 1).

    Arguments and errors as for `expected_max_subsets`. Where nothing is held and a prefix has no
    member, its value is -inf.
    """
    return _expected_max(_PREFIXES, mean, sd, held, members, cov)


class _Family(NamedTuple):
    """All subsets, or all prefixes, of the models.

    Attributes:
        sets: how many there are of k models.
        independent: their values among m models without correlation, shape (sets, n).
        expand: from values of the members' sets to those of all models' sets.
        is_subsets: whether these are the subsets.
    """

    sets: Callable[[int], int]
    independent: Callable[[FloatArray, FloatArray, FloatArray | None], FloatArray]
    expand: Callable[[FloatArray, BoolArray], FloatArray]
    is_subsets: bool


def _expected_max(  # noqa: PLR0917
    family: _Family,
    mean: FloatArray,
    sd: FloatArray,
    held: FloatArray,
    members: BoolArray,
    cov: FloatArray | None,
) -> FloatArray:
    """Values of a family's sets, queries with equally many members at a time."""
    n, k = mean.shape
    out = np.empty((n, family.sets(k)))
    holding = (held > -np.inf) if cov is None else False
    for rows, m, holds in _groups(2 * members.sum(axis=1) + holding):
        columns = _columns(members[rows], m)
        means = _at(mean[rows], columns)
        if cov is None:
            spread = _at(sd[rows], columns)
            values = family.independent(means, spread, held[rows] if holds else None).T
        else:
            covs = _matrices(cov[rows], columns)
            values = averages(means, covs, held[rows], subsets=family.is_subsets)
        out[rows] = values if columns is None else family.expand(values, members[rows])
    return out


def _groups(key: IntArray) -> Iterator[tuple[IntArray | slice, int, bool]]:
    """Rows with the same key, 2 x members + whether something is held: rows, members, holding."""
    if len(key) and (key == key[0]).all():
        yield slice(None), int(key[0]) >> 1, bool(key[0] & 1)
        return
    for value in np.unique(key).tolist():
        yield np.flatnonzero(key == value), value >> 1, bool(value & 1)


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


def _expand_subsets(values: FloatArray, members: BoolArray) -> FloatArray:
    """Values of the m members' subsets, (n, 2^m), as those of all models' subsets, (n, 2^k)."""
    bit = np.where(members, 1 << np.maximum(np.cumsum(members, axis=1) - 1, 0), 0)
    number = np.zeros((len(members), 1), dtype=np.intp)
    for i in range(members.shape[1]):
        number = np.concatenate([number, number | bit[:, i, None]], axis=1)
    return np.take_along_axis(values, number, axis=1)


def _expand_prefixes(values: FloatArray, members: BoolArray) -> FloatArray:
    """Values of the m members' prefixes, (n, m + 1), as those of all models', (n, k + 1)."""
    number = np.zeros((len(members), members.shape[1] + 1), dtype=np.intp)
    np.cumsum(members, axis=1, out=number[:, 1:])
    return np.take_along_axis(values, number, axis=1)


_SUBSETS = _Family(lambda k: 1 << k, subset_values, _expand_subsets, is_subsets=True)
_PREFIXES = _Family(lambda k: k + 1, prefix_values, _expand_prefixes, is_subsets=False)
