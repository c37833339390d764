"""The best set of one query's candidates, by branch and bound.

All sets of few candidates are listed. Of many, the relaxation settles what it can; of what it
leaves open the candidate nearest to one half is forced in and out, and both halves are settled
anew. Where the size of sets is limited the relaxation does not apply: there branches are bounded
by the best of all levels, as at the entrance (`batch`), but beside the models already inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.strategies.gaussian.independent import subset_products
from cascade_engine.strategies.supermodels.relaxation import NO_GAIN, Relaxation, settle_one

if TYPE_CHECKING:
    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.strategies.supermodels.relaxation import Candidates

#: All sets of so many candidates are listed; and of so many open ones once the others are settled.
_LISTED, _FEW = 9, 8


def cheapest_of_best(candidates: Candidates, room: int, value: float) -> int:
    """The cheapest member of the best set.

    Args:
        candidates: of one query.
        room: the most models in a set.
        value: a worth that some set is known to reach.

    Returns:
        A candidate's number; `NONE` where no set is worth more than `value`.
    """
    is_limited = len(candidates.price) > _LISTED and room < len(candidates.price)
    best = (_best_limited if is_limited else _best)(candidates, room, value)
    return candidates.cheapest(best)


def _best(candidates: Candidates, room: int, value: float) -> list[int]:
    """The best set, with room for all candidates or few of them; or its cheapest member alone."""
    waiting = [Relaxation([], list(range(len(candidates.price))), value)]
    best: list[int] = []
    is_root = True
    while waiting:
        node = waiting.pop()
        node.value = value
        if len(node.open) > _LISTED:
            node = settle_one(candidates, node, few=_FEW, early=is_root)
            first = candidates.cheapest((*node.inside, *node.open))
            if is_root and first in node.inside:
                return [first]
            if node.reached is not None:
                value, best = node.value, node.reached
        is_root = False
        if node.half is not None and len(node.open) > _LISTED:
            rest = [i for i in node.open if i != node.half]
            if node.bound > value + NO_GAIN:
                waiting.append(Relaxation(node.inside, rest, value))
                waiting.append(Relaxation([*node.inside, node.half], rest, value))
            continue
        members = _best_listed(candidates, node, room)
        worth = candidates.worth(members) if members or not candidates.must_run else -np.inf
        if worth > value - NO_GAIN:
            value, best = max(value, worth), members
    return best


def _best_listed(candidates: Candidates, node: Relaxation, room: int) -> list[int]:
    """The best set that contains what is inside, by listing all sets of the open models."""
    cdf, price = candidates.cdf[node.open], candidates.price[node.open]
    weights = candidates.weights * candidates.cdf[node.inside].prod(axis=0)
    half = len(cdf) // 2
    lost = (subset_products(cdf[half:]) @ (subset_products(cdf[:half]) * weights).T).ravel()
    bits, sizes = _bits(len(cdf))
    lost += bits @ price
    if room < len(cdf):
        lost[sizes > room] = np.inf
    if candidates.must_run and not node.inside:
        lost[0] = np.inf
    number = int(lost.argmin())
    tied = np.flatnonzero(lost <= lost[number] + NO_GAIN)
    if len(tied) > 1:
        number = int(tied[(bits[tied] @ candidates.cost[node.open]).argmin()])
    return [*node.inside, *(i for place, i in enumerate(node.open) if number >> place & 1)]


@cache
def _bits(count: int) -> tuple[FloatArray, FloatArray]:
    """Members of every set, shape (2^count, count), and how many they are."""
    bits = (np.arange(1 << count)[:, None] >> np.arange(count) & 1).astype(float)
    return bits, bits.sum(axis=1)


@dataclass(slots=True)
class _Branch:
    """Sets that contain `inside` and, beyond it, only models that are `open`."""

    inside: list[int]
    open: list[int]
    bound: float = np.inf


def _best_limited(candidates: Candidates, room: int, value: float) -> list[int]:
    """The best set of at most `room` candidates, if one is worth more than `value`."""
    best: list[int] = []
    waiting = [_Branch([], list(range(len(candidates.price))))]
    while waiting:
        node = waiting.pop()
        if node.bound <= value + NO_GAIN:
            continue
        is_set = node.inside or not candidates.must_run
        worth = candidates.worth(node.inside) if is_set else -np.inf
        if worth > value + NO_GAIN:
            value, best = worth, node.inside
        spare = room - len(node.inside)
        if not node.open or not spare:
            continue
        _reduce(candidates, node, spare)
        if node.open and node.bound > value + NO_GAIN:
            branch, *rest = node.open
            waiting.append(_Branch(node.inside, rest, node.bound))
            waiting.append(_Branch([*node.inside, branch], rest, node.bound))
    return best


def _reduce(candidates: Candidates, node: _Branch, spare: int) -> None:
    """Leaves out what gains nothing, puts first what gains most, and bounds what is left.

    A model that gains nothing while no other open one is in gains nothing beside any (Lemma 1). For
    any level h, E[max] is at most the integral of 1 up to h, and from there on that of (1 - F) + F
    (sum of the 1 - F_i added), with F the product of the models inside.
    """
    product = candidates.cdf[node.inside].prod(axis=0)
    beyond = candidates.weights * product * (1 - candidates.cdf[node.open])
    gains = _from_the_end(beyond) - candidates.price[node.open][:, None]
    rest = _from_the_end((candidates.weights * (1 - product))[None])[0]
    below = np.cumsum(candidates.weights) - candidates.weights
    added = np.sort(np.maximum(gains, 0.0), axis=0)[::-1][:spare].sum(axis=0)
    bound = candidates.lower + float((below + rest + added).min())
    node.bound = min(node.bound, bound - float(candidates.price[node.inside].sum()))
    first = gains[:, 0]
    order = np.argsort(-first, kind="stable")
    # Somebody must answer: with nothing held nobody is left out for costing too much.
    free = candidates.must_run and not node.inside
    node.open = [node.open[i] for i in order if free or first[i] > NO_GAIN]


def _from_the_end(values: FloatArray) -> FloatArray:
    return np.asarray(np.cumsum(values[:, ::-1], axis=1)[:, ::-1])
