"""The best set of at most so many models, for one query, by branch and bound.

By submodularity a model that gains nothing when no other open one is in does not belong to the best
set (Lemma 1 of Dekoninck et al., ICML 2025); that, and the best of all levels at which sets can be
bounded, keeps the tree small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.strategies.supermodels.branching import NONE, TIE

if TYPE_CHECKING:
    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.strategies.supermodels.relaxation import Nodes

__all__ = ["cheapest_of_limited"]


@dataclass(slots=True)
class _Node:
    """Sets that contain `inside` and, beyond it, only models that are `open`."""

    inside: list[int]
    open: list[int]
    bound: float = np.inf


def cheapest_of_limited(of: Nodes, room: int, value: float) -> int:
    """The cheapest member of the best set of at most `room` candidates.

    Args:
        of: the candidates.
        room: the most models in a set.
        value: a worth that some set is known to reach.

    Returns:
        A candidate's number; `NONE` where no set is worth more than `value`.
    """
    best: list[int] = []
    waiting = [_Node([], list(range(len(of.price))))]
    while waiting:
        node = waiting.pop()
        if node.bound <= value + TIE:
            continue
        worth = of.worth(node.inside) if node.inside or not of.must_run else -np.inf
        if worth > value + TIE:
            value, best = worth, node.inside
        spare = room - len(node.inside)
        if not node.open or not spare:
            continue
        _reduce(of, node, spare)
        if node.open and node.bound > value + TIE:
            branch, *rest = node.open
            waiting.append(_Node(node.inside, rest, node.bound))
            waiting.append(_Node([*node.inside, branch], rest, node.bound))
    first = of.cheapest(best)
    return NONE if first is None else first


def _reduce(of: Nodes, node: _Node, spare: int) -> None:
    """Leaves out what gains nothing, puts first what gains most, and bounds what is left.

    For any level h, E[max] is at most the integral of 1 up to h, and from there on that of
    (1 - F) + F (sum of the 1 - F_i added), with F the product of the models inside.
    """
    product = of.cdf[node.inside].prod(axis=0)
    beyond = of.weights * product * (1 - of.cdf[node.open])
    gains = _from_the_end(beyond) - of.price[node.open][:, None]
    rest = _from_the_end((of.weights * (1 - product))[None])[0]
    below = np.cumsum(of.weights) - of.weights
    added = np.sort(np.maximum(gains, 0.0), axis=0)[::-1][:spare].sum(axis=0)
    bound = of.lower + float((below + rest + added).min()) - float(of.price[node.inside].sum())
    node.bound = min(node.bound, bound)
    first = gains[:, 0]
    order = np.argsort(-first, kind="stable")
    # Somebody must answer: with nothing held nobody is left out for costing too much.
    free = of.must_run and not node.inside
    node.open = [node.open[i] for i in order if free or first[i] > TIE]


def _from_the_end(values: FloatArray) -> FloatArray:
    return np.asarray(np.cumsum(values[:, ::-1], axis=1)[:, ::-1])
