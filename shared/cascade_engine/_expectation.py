"""Expectation of the maximum of independent Gaussians, for every subset or every prefix at once.

E[max] = L + integral from L of (1 - product of the CDFs), with L the best value already held, or a
point below which no mass is left. The integral is taken by Gauss-Legendre quadrature on panels
whose edges follow each Gaussian's own scale: one fixed grid fails when the scales differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cascade_engine._arrays import BoolArray, FloatArray

_EDGES = np.array([-5.5, -2.2, -0.8, 0.8, 2.2, 5.5])
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_TAIL = 6.5
#: A deterministic value is a Gaussian this narrow: its step falls inside a panel of its own.
_NARROW = 1e-12
_CHUNK = 4_000_000


@dataclass(frozen=True, slots=True)
class _Grid:
    lower: FloatArray  # (n,)
    weights: FloatArray  # (n, t)
    cdf: FloatArray  # (n, k, t); 1 where a model is no member


def _grid(mean: FloatArray, sd: FloatArray, held: FloatArray, members: BoolArray) -> _Grid:
    from scipy.special import ndtr  # noqa: PLC0415  kept out of the import of the package

    scale = np.maximum(sd, _NARROW)
    low = np.where(members, mean - _TAIL * scale, np.inf).min(axis=1)
    high = np.where(members, mean + _TAIL * scale, -np.inf).max(axis=1)
    lower = np.where(np.isfinite(held), held, np.where(np.isfinite(low), low, 0.0))
    upper = np.maximum(lower, high)
    edges = (mean[:, :, None] + scale[:, :, None] * _EDGES).reshape(len(mean), -1)
    edges = np.concatenate([edges, lower[:, None], upper[:, None]], axis=1)
    edges = np.sort(np.clip(edges, lower[:, None], upper[:, None]), axis=1)
    half = np.diff(edges, axis=1)[:, :, None] / 2
    middle = (edges[:, :-1, None] + edges[:, 1:, None]) / 2
    points = (middle + half * _NODES).reshape(len(mean), -1)
    weights = (half * _WEIGHTS).reshape(len(mean), -1)
    cdf = ndtr((points[:, None, :] - mean[:, :, None]) / scale[:, :, None])
    return _Grid(lower, weights, np.where(members[:, :, None], cdf, 1.0))


def expected_max_subsets(
    mean: FloatArray, sd: FloatArray, held: FloatArray, members: BoolArray
) -> FloatArray:
    """E[max(held, the members of S)] for every subset S of the k models.

    Args:
        mean: means, shape (n, k).
        sd: standard deviations, shape (n, k).
        held: a value already certain, shape (n,); -inf where there is none.
        members: which models count, shape (n, k); the others add nothing to any subset.

    Returns:
        Shape (n, 2^k); bit i of a column's number says whether model i is in S. Where nothing is
        held, the empty set and sets without members have the value -inf.
    """
    n, k = mean.shape
    out = np.empty((n, 1 << k))
    step = max(1, _CHUNK // ((1 << k) * (6 * k + 1) * len(_NODES)))
    for rows in _slices(n, step):
        grid = _grid(mean[rows], sd[rows], held[rows], members[rows])
        product = np.ones((len(grid.lower), 1 << k, grid.weights.shape[1]))
        for i in range(k):
            bit = 1 << i
            product[:, bit : 2 * bit] = product[:, :bit] * grid.cdf[:, None, i]
        value = grid.lower[:, None] + np.einsum("nt,nst->ns", grid.weights, 1 - product)
        out[rows] = value
    bits = (np.arange(1 << k)[:, None] >> np.arange(k)) & 1
    nothing = ~((members.astype(int) @ bits.T) > 0)
    return np.where(nothing, held[:, None], out)


def expected_max_prefixes(
    mean: FloatArray, sd: FloatArray, held: FloatArray, members: BoolArray
) -> FloatArray:
    """E[max(held, the members among the first j models)] for j = 0..k; shape (n, k + 1).

    Arguments as for `expected_max_subsets`. Where nothing is held and a prefix has no member, its
    value is -inf.
    """
    n, k = mean.shape
    out = np.empty((n, k + 1))
    step = max(1, _CHUNK // ((k + 1) * (6 * k + 1) * len(_NODES)))
    for rows in _slices(n, step):
        grid = _grid(mean[rows], sd[rows], held[rows], members[rows])
        product = np.cumprod(grid.cdf, axis=1)
        out[rows, 1:] = grid.lower[:, None] + np.einsum("nt,njt->nj", grid.weights, 1 - product)
    counted = np.concatenate([np.zeros((n, 1), bool), np.cumsum(members, axis=1) > 0], axis=1)
    out[:, 0] = held
    return np.where(counted, out, held[:, None])


def _slices(n: int, step: int) -> Iterator[slice]:
    for start in range(0, n, step):
        yield slice(start, min(n, start + step))
