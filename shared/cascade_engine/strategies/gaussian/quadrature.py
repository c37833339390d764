"""Nodes and weights of the Gauss-Legendre quadrature of products of Gaussian CDFs.

E[max(held, S)] = L + the integral from L on of (1 - the product over S of the CDFs). A CDF bends
only within some standard deviations of its mean, its *span*: before it is 0, behind it is 1. One
fixed grid fails when the standard deviations differ. So each query's range is cut into *panels*,
none longer than the narrowest Gaussian alive there allows, with a few nodes in each.

There are two accuracies. `rule`, `spans_of`, `edges_of` and `panel_cdfs` serve values that are good
to 1e-12. Where only a decision hangs on the values, `cdfs_on_grids` and `cdfs_of_one` give coarser
nodes that any set of a query's models can use: whatever the nodes are, no weight is negative, and
as a function of the set the sum is monotone and submodular exactly.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cascade_engine.core.arrays import FloatArray

#: Beyond so many standard deviations a Gaussian is over: what is cut off is worth less than 1e-13.
_TAIL = 7.1
#: A panel's greatest length, as a share of the span of the narrowest Gaussian alive in it.
REACH = 3.56 / _TAIL / 2
#: Below these shares of the largest standard deviation, and of the whole range, spread is rounding.
_NO_SPREAD, _ROUNDING = 1e-30, 1e-15
#: The largest standard deviation counts as at least this share of the range of the means.
_LEAST_SCALE = 1e-12
#: How far off E[max] may be where only decisions hang on it, in largest standard deviations; then
#: the tail, the reach and the nodes of a panel there.
NODES_ERROR = 1e-6
_SHORT_TAIL, _LONG_REACH, _FEW_NODES = 6.0, 5.0, 12
#: So few Gaussians of a single query are walked through in plain Python.
_FEW = 12


def cdfs_on_grids(
    mean: FloatArray, sd: FloatArray, held: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Nodes that serve any set S of a query's k models.

    E[max(held, S)] = lower + the sum of weights x (1 - product over S of the CDFs), good to about
    1e-7 of the largest standard deviation.

    Args:
        mean: means, shape (n, k).
        sd: standard deviations, shape (n, k), at least 0.
        held: a value already certain, shape (n,); -inf for none, and then S must not be empty.

    Returns:
        The lower ends, (n,); the weights, (n, t); the CDFs at the nodes, (n, k, t). Queries that
        need fewer nodes than others have nodes of no weight.
    """
    from scipy.special import ndtr  # noqa: PLC0415

    holds = held > -np.inf
    items = np.concatenate([mean.T, np.where(holds, held, mean[:, 0])[None]])
    centred, spread, top, scale = units(items, sd.T)
    lower = np.where(holds, centred[-1], -np.inf)
    begin, end = spans_of(centred[:-1], spread, _SHORT_TAIL)
    reach = np.where(end > begin, spread * _LONG_REACH, 0.0)
    edges = edges_of(begin, end, reach, lower)
    nodes, weights = _legendre(_FEW_NODES)
    length = np.diff(edges, axis=1)[:, :, None]
    n = len(mean)
    points = (edges[:, :-1, None] + length * nodes).reshape(n, 1, -1)
    cdf = ndtr((points - centred[:-1].T[:, :, None]) / spread.T[:, :, None])
    weight = (length * weights).reshape(n, -1) * scale[:, None]
    return edges[:, 0] * scale + top, weight, cdf


def cdfs_of_one(
    mean: FloatArray, sd: FloatArray, held: float
) -> tuple[float, FloatArray, FloatArray]:
    """`cdfs_on_grids` for one query, mean and sd (k,): the lower end, weights (t,), CDFs (k, t)."""
    from scipy.special import ndtr  # noqa: PLC0415

    spans = []
    least = 1e-12 * max(float(sd.max()), _LEAST_SCALE * (1 + float(np.abs(mean).max())))
    for m, s in zip(mean.tolist(), sd.tolist(), strict=True):
        width = s * _SHORT_TAIL if s > least else 0.0
        spans.append((m - width, m + width, s * _LONG_REACH if width else 0.0))
    lower = held if held > -np.inf else min(begin for begin, _, _ in spans)
    last = max(lower, *(end for _, end, _ in spans))
    edges = np.array(_edges_of_one(spans, lower, last))
    nodes, weights = _legendre(_FEW_NODES)
    length = (edges[1:] - edges[:-1])[:, None]
    points = (edges[:-1, None] + length * nodes).ravel()
    cdf = ndtr((points - mean[:, None]) / np.maximum(sd, least)[:, None])
    return lower, (length * weights).ravel(), cdf


def units(
    items: FloatArray, sd: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Means and sds, (m, n), in units of the largest sd from the greatest mean; greatest, unit."""
    top = items.max(axis=0)
    scale = np.maximum(sd.max(axis=0), (top - items.min(axis=0)) * _LEAST_SCALE)
    scale[scale == 0] = 1.0
    return (items - top) / scale, np.maximum(sd / scale, _NO_SPREAD), top, scale


@lru_cache(maxsize=4)
def _legendre(nodes: int) -> tuple[FloatArray, FloatArray]:
    points, weights = np.polynomial.legendre.leggauss(nodes)
    return (points + 1) / 2, weights / 2


def rule(m: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights on [0, 1]. The product of many CDFs is steeper than any of them."""
    return _legendre(16 if m <= 5 else 20)  # noqa: PLR2004


def spans_of(
    mean: FloatArray, sd: FloatArray, tail: float = _TAIL
) -> tuple[FloatArray, FloatArray]:
    """Where each Gaussian begins and ends; one without spread is a step and does both at once."""
    width = np.where(sd > _ROUNDING * (1 - mean.min(axis=0)), sd * tail, 0.0)
    return mean - width, mean + width


def edges_of(
    begin: FloatArray, end: FloatArray, reach: FloatArray, held: FloatArray | None
) -> FloatArray:
    """Edges of the panels to integrate on, shape (n, panels + 1), the last repeated as needed.

    From the lower end on, a panel goes as far as each Gaussian not yet over lets it: to where that
    Gaussian begins, or its `reach`, a few of its standard deviations on. So a step lies on an edge.
    What lies below a value held is left out.
    """
    lower = begin.min(axis=0)
    if held is not None:
        lower = np.maximum(lower, held)
    last = np.maximum(end.max(axis=0), lower)
    if begin.size <= _FEW and begin.shape[1] == 1:
        spans = np.concatenate([begin, end, reach], axis=1).tolist()
        return np.array([_edges_of_one(spans, lower.item(), last.item())])
    edges = [lower]
    while len(edges) == 1 or (edges[-1] < last).any():
        edge = edges[-1]
        reached = np.where(edge < end, np.maximum(edge + reach, begin), np.inf).min(axis=0)
        edges.append(np.minimum(reached, last))
    return np.array(edges).T


def _edges_of_one(
    spans: list[tuple[float, float, float]], lower: float, last: float
) -> list[float]:
    """`edges_of` of one query in plain Python, where arrays cost more than the work they do."""
    edges = [edge := lower]
    while edge < last or len(edges) == 1:
        reached = [max(edge + reach, begin) for begin, end, reach in spans if edge < end]
        edge = min(reached, default=last)
        edge = min(edge, last)
        edges.append(edge)
    return edges


def panel_cdfs(
    points: FloatArray, panels: tuple[FloatArray, FloatArray], *gaussians: FloatArray
) -> FloatArray:
    """CDFs at the points, (panels, t), of Gaussians given for each panel, (m, panels).

    They are evaluated only on panels within the Gaussian's span: it is 0 before and 1 after.
    """
    from scipy.special import ndtr  # noqa: PLC0415

    (left, right), (mean, sd, begin, end) = panels, gaussians
    over = left >= end
    out = np.empty((*mean.shape, points.shape[1]))
    out[...] = over[:, :, None]
    which, panel = np.nonzero((right > begin) & ~over)
    inside = (points[panel] - mean[which, panel, None]) / sd[which, panel, None]
    out[which, panel] = ndtr(inside)
    return out
