"""E[max] of independent Gaussians: closed forms for up to three of them, quadrature for more.

Of two there is Clark's form (C. E. Clark, Operations Research 9, 1961), of three one with Owen's T
function; a value held counts as one of them, without spread. The maximum of more has as its CDF the
product of theirs, so that E[max] = L + the integral from L on of (1 - the product of the CDFs), for
any L below all of them, or for the value held. That is taken by Gauss-Legendre quadrature on panels
(`quadrature`), for all sets on the same nodes. It is good to about 1e-12 of the largest standard
deviation, so that closed forms and integrals together stay monotone and submodular to rounding.

Which sets are needed depends on how many models there are, not on the queries: a `_Plan` says once
which pairs, triples and larger sets a family of sets consists of, and all n queries are computed
along it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import pi, sqrt
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from cascade_engine.strategies.gaussian.quadrature import (
    REACH,
    edges_of,
    panel_cdfs,
    rule,
    spans_of,
    units,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from cascade_engine.core.arrays import FloatArray, IntArray

    Products: TypeAlias = Callable[[FloatArray], FloatArray]

#: Products of CDFs held at once, so that they stay in the processor's cache.
_CHUNK = 120_000
#: Sets of up to so many items have closed forms.
_EXACT = 3
_DENSITY = 1 / sqrt(2 * pi)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which pairs, triples and larger sets of items a family of sets needs.

    Items are the m members and, where something is held, the held value as item m.
    """

    sets: int  # how many values in all
    singles: IntArray  # the sets of one item: the first members, or the held value alone
    first: IntArray  # (p,) items of each pair
    second: IntArray  # (p,)
    pairs: IntArray  # those of the p pairs that are sets
    pair_sets: IntArray
    sides: IntArray  # (3 t,) the pairs of each triple
    third: IntArray  # (3 t,) the item of the triple that is not in the pair
    triples: IntArray  # (3, t) items
    triple_sets: IntArray
    rest: IntArray  # the sets of more than three items


def _plan(sets: list[tuple[int, ...]]) -> _Plan:
    """The plan for sets of items, each in ascending order."""

    def of_size(size: int) -> list[int]:
        return [number for number, items in enumerate(sets) if len(items) == size]

    triples = [sets[number] for number in of_size(3)]
    sides = [pair for items in triples for pair in combinations(items, 2)]
    pairs = sorted({*(sets[number] for number in of_size(2)), *sides})
    third = [c for a, b, c in triples for c in (c, b, a)]
    return _Plan(
        len(sets),
        np.array(sorted(of_size(1), key=sets.__getitem__), dtype=np.intp),
        np.array([a for a, _ in pairs], dtype=np.intp),
        np.array([b for _, b in pairs], dtype=np.intp),
        np.array([pairs.index(sets[number]) for number in of_size(2)], dtype=np.intp),
        np.array(of_size(2), dtype=np.intp),
        np.array([pairs.index(pair) for pair in sides], dtype=np.intp),
        np.array(third, dtype=np.intp),
        np.array(triples, dtype=np.intp).reshape(-1, 3).T,
        np.array(of_size(3), dtype=np.intp),
        np.array([i for i, s in enumerate(sets) if len(s) > _EXACT], dtype=np.intp),
    )


@lru_cache(maxsize=64)
def _subsets_plan(m: int, holds: bool) -> _Plan:  # noqa: FBT001  a key of the cache
    held = (m,) if holds else ()
    return _plan([(*(i for i in range(m) if s >> i & 1), *held) for s in range(1 << m)])


@lru_cache(maxsize=256)
def _prefixes_plan(m: int, holds: bool) -> _Plan:  # noqa: FBT001
    held = (m,) if holds else ()
    return _plan([(*range(j), *held) for j in range(m + 1)])


def subset_values(mean: FloatArray, sd: FloatArray, held: FloatArray | None) -> FloatArray:
    """E[max] of every subset of the m models and the value held, if any.

    Args:
        mean: means, shape (n, m).
        sd: standard deviations, shape (n, m), at least 0.
        held: what all queries hold, finite, shape (n,); None where they hold nothing.

    Returns:
        Shape (2^m, n). The empty set is worth what is held, -inf if nothing is.
    """
    return _values(_subsets_plan(mean.shape[1], held is not None), mean, sd, held, subset_products)


def prefix_values(mean: FloatArray, sd: FloatArray, held: FloatArray | None) -> FloatArray:
    """E[max] of every prefix, shape (m + 1, n); arguments as for `subset_values`."""
    return _values(
        _prefixes_plan(mean.shape[1], held is not None), mean, sd, held, _prefix_products
    )


def _values(
    plan: _Plan, mean: FloatArray, sd: FloatArray, held: FloatArray | None, products: Products
) -> FloatArray:
    """The values of a plan's sets, (sets, n)."""
    out = np.full((plan.sets, len(mean)), -np.inf)
    items, sd, m = mean.T, sd.T, mean.shape[1]
    if held is not None:
        items = np.concatenate([items, held[None]])
        sd = np.concatenate([sd, np.zeros((1, len(held)))])
    if plan.sets > 1:
        centred, spread, top, scale = units(items, sd)
        _closed_forms(plan, centred, spread, out)
        if len(plan.rest):
            lower = None if held is None else centred[-1]
            out[plan.rest] = _integrals(plan, centred[:m], spread[:m], lower, products)
        out *= scale
        out += top
    out[plan.singles] = items[: len(plan.singles)] if held is None else held
    return out


def _closed_forms(plan: _Plan, mean: FloatArray, sd: FloatArray, out: FloatArray) -> None:
    """Fills in the sets of two and three items.

    Of three, by Stein's lemma: E[max] = max of the means + the sum over the pairs i, j of
    theta phi(z) Phi(b) - |d| (Q(z) / 2 + T(z, b / z)), d and theta the mean and standard deviation
    of the difference, z = |d| / theta, b the standardised lead of the pair over the third item
    where the two are equal, Q = 1 - Phi and T the function of D. B. Owen (Annals of Mathematical
    Statistics 27, 1956). With a third item far below T = Q / 2, which leaves Clark's form.
    """
    from scipy.special import ndtr, owens_t  # noqa: PLC0415

    var = sd * sd
    first, second = mean.take(plan.first, axis=0), mean.take(plan.second, axis=0)
    var1, var2 = var.take(plan.first, axis=0), var.take(plan.second, axis=0)
    theta = np.sqrt(var1 + var2)
    gap = np.abs(first - second)
    z = gap / theta
    tail = ndtr(-z)
    density = theta * np.exp(z * z * -0.5) * _DENSITY
    two = np.maximum(first, second) + (density - gap * tail)
    out[plan.pair_sets] = two.take(plan.pairs, axis=0)
    if not len(plan.triple_sets):
        return
    sides, third = plan.sides, mean.take(plan.third, axis=0)
    var1, var2 = var1.take(sides, axis=0), var2.take(sides, axis=0)
    lead = var2 * (first.take(sides, axis=0) - third)
    lead = lead + var1 * (second.take(sides, axis=0) - third)
    root = np.sqrt(var1 * var2 + (var1 + var2) * var.take(plan.third, axis=0))
    lead /= theta.take(sides, axis=0) * root
    z = z.take(sides, axis=0)
    # Without a gap the second term is 0, whatever T is.
    wedge = owens_t(z, lead / np.maximum(z, 1e-200)) + 0.5 * tail.take(sides, axis=0)
    terms = density.take(sides, axis=0) * ndtr(lead) - gap.take(sides, axis=0) * wedge
    greatest = mean.take(plan.triples, axis=0).max(axis=0)
    out[plan.triple_sets] = greatest + (terms[0::3] + terms[1::3] + terms[2::3])


def _integrals(
    plan: _Plan, mean: FloatArray, sd: FloatArray, held: FloatArray | None, products: Products
) -> FloatArray:
    """The sets of more than three items by quadrature, (sets, n); means and sds are (m, n)."""
    nodes, weights = rule(len(mean))
    begin, end = spans_of(mean, sd)
    edges = edges_of(begin, end, (end - begin) * REACH, held)
    kept = edges[:, 1:] > edges[:, :-1]
    kept[:, 0] = True  # each row keeps one, for the sake of `reduceat`
    count, left, right = kept.sum(axis=1), edges[:, :-1][kept], edges[:, 1:][kept]
    length = right - left
    gaussians = [np.repeat(table, count, axis=1) for table in (mean, sd, begin, end)]
    parts = np.empty((len(plan.rest), len(left)))
    step = max(1, _CHUNK // (plan.sets * len(nodes)))
    for start in range(0, len(left), step):
        panels = slice(start, start + step)
        points = left[panels, None] + length[panels, None] * nodes
        ends = left[panels], right[panels]
        cdf = panel_cdfs(points, ends, *(table[:, panels] for table in gaussians))
        product = products(cdf).take(plan.rest, axis=0)
        np.einsum("spt,t->sp", product, weights, out=parts[:, panels])
    parts = (1 - parts) * length
    return edges[:, 0] + np.add.reduceat(parts, np.cumsum(count) - count, axis=1)


def subset_products(factors: FloatArray) -> FloatArray:
    """Products over every subset of the m factors, (m, ...) to (2^m, ...), by doubling."""
    out = np.empty((1 << len(factors), *factors.shape[1:]))
    out[0] = 1.0
    for i, factor in enumerate(factors):
        np.multiply(out[: 1 << i], factor, out=out[1 << i : 2 << i])
    return out


def _prefix_products(factors: FloatArray) -> FloatArray:
    """Products over every prefix of the m factors, (m, ...) to (m + 1, ...)."""
    out = np.empty((len(factors) + 1, *factors.shape[1:]))
    out[0] = 1.0
    np.cumprod(factors, axis=0, out=out[1:])
    return out
