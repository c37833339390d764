"""The best set of one query's candidates: listed where they are few, else settled and branched."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.strategies.gaussian.independent import subset_products
from cascade_engine.strategies.supermodels.relaxation import TIE, Nodes, Relaxed, settle_one

if TYPE_CHECKING:
    from cascade_engine.core.arrays import FloatArray

__all__ = ["LISTED", "NONE", "TIE", "cheapest_of_best"]

#: No model: nothing beats what is there.
NONE = -1
#: All sets of so many candidates are listed; and of so many open ones once the others are settled.
LISTED, _FEW = 9, 8


def cheapest_of_best(of: Nodes, room: int, value: float) -> int:
    """The cheapest member of the best set of all candidates.

    Args:
        of: the candidates.
        room: the most models in a set; fewer than the candidates only if these are few.
        value: a worth that some set is known to reach.

    Returns:
        A candidate's number; `NONE` where no set is worth more than `value`.
    """
    waiting = [Relaxed([], list(range(len(of.price))), value)]
    best: list[int] = []
    root = True
    while waiting:
        node = waiting.pop()
        node.value = value
        if len(node.open) > LISTED:
            node = settle_one(of, node, few=_FEW, early=root)
            known = of.cheapest((*node.inside, *node.open))
            if root and known is not None and known in node.inside:
                return known
            if node.reached is not None:
                value, best = node.value, node.reached
        root = False
        if node.half is not None and len(node.open) > LISTED:
            rest = [i for i in node.open if i != node.half]
            if node.bound > value + TIE:
                waiting.append(Relaxed(node.inside, rest, value))
                waiting.append(Relaxed([*node.inside, node.half], rest, value))
            continue
        members = _listed(of, node, room)
        worth = of.worth(members) if members or not of.must_run else -np.inf
        if worth > value - TIE:
            value, best = max(value, worth), members
    first = of.cheapest(best)
    return NONE if first is None else first


def _listed(of: Nodes, node: Relaxed, room: int) -> list[int]:
    """The best set that contains what is inside, by listing all sets of the open models."""
    cdf, price, cost = of.cdf[node.open], of.price[node.open], of.cost[node.open]
    weights = of.weights * of.cdf[node.inside].prod(axis=0)
    half = len(cdf) // 2
    lost = (subset_products(cdf[half:]) @ (subset_products(cdf[:half]) * weights).T).ravel()
    bits, sizes = _bits(len(cdf))
    lost += bits @ price
    if room < len(cdf):
        lost[sizes > room] = np.inf
    if of.must_run and not node.inside:
        lost[0] = np.inf
    number = int(lost.argmin())
    tied = np.flatnonzero(lost <= lost[number] + TIE)
    if len(tied) > 1:
        number = int(tied[(bits[tied] @ cost).argmin()])
    return [*node.inside, *(i for place, i in enumerate(node.open) if number >> place & 1)]


@cache
def _bits(count: int) -> tuple[FloatArray, FloatArray]:
    """Members of every set, shape (2^count, count), and how many they are."""
    bits = (np.arange(1 << count)[:, None] >> np.arange(count) & 1).astype(float)
    return bits, bits.sum(axis=1)
