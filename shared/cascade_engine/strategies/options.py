"""The options in a state, and which of them is best at which lambda.

An option has a value and a price, neither of which depends on lambda; at lambda it is worth value -
lambda x price. Those that are best at some lambda are the upper hull of the points (price, value),
and the slopes of the hull's edges are the lambdas at which the choice changes. So one walk along
the hull decides a state at all lambdas, and no search for lambda is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.core.arrays import highest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cascade_engine.core.arrays import FloatArray, IntArray, NumberArray

__all__ = ["STOP", "TIE", "Options", "Piece", "hull_pieces"]

#: The action of running no further model.
STOP = -1
#: Values that differ by less, relative to 1 + their size, are ties: the cheaper option wins.
TIE = 1e-12


@dataclass(frozen=True, slots=True)
class Options:
    """What may be done in the states of n queries, whatever lambda is; every array is (n, m).

    Attributes:
        value: expected quality of the answer in the end, should the option be taken; -inf where it
            is not open.
        price: expected cost still to be paid for it.
        action: the model to run first, or `STOP`.
    """

    value: FloatArray
    price: FloatArray
    action: IntArray

    def __len__(self) -> int:
        return len(self.action)


@dataclass(frozen=True, slots=True)
class Piece:
    """Queries whose choice is one and the same over an interval of lambda; each array is (m,).

    Attributes:
        rows: which of the queries.
        action: what is done.
        low: lower end of the interval; on a grid the number of its first lambda.
        high: upper end; on a grid the number behind its last lambda.
    """

    rows: IntArray
    action: IntArray
    low: NumberArray
    high: NumberArray


def hull_pieces(options: Options, low: FloatArray, high: FloatArray) -> Iterator[Piece]:
    """Walks down each query's upper hull, from the option that is best at `high` to that at `low`.

    Options of value -inf are not open. The n hulls are walked together, an edge at a time.
    """
    value, price = options.value, options.price
    lowered = value - TIE * (1 + np.abs(value))  # what another option must beat
    rows = np.arange(len(options))
    at = _best_at(value, price, high)
    top = high
    while len(rows):
        number = np.arange(len(rows))
        extra = price - price[number, at][:, None]
        gain = lowered - value[number, at][:, None]
        slope = np.divide(gain, extra, out=np.full(extra.shape, -np.inf), where=extra > 0)
        following = slope.argmax(axis=1)
        edge = np.minimum(np.maximum(slope[number, following], low), top)
        wide = edge < top
        yield Piece(rows[wide], options.action[rows[wide], at[wide]], edge[wide], top[wide])
        further = np.flatnonzero(edge > low)
        rows, at, top, low = rows[further], following[further], edge[further], low[further]
        value, price, lowered = value[further], price[further], lowered[further]


def _best_at(value: FloatArray, price: FloatArray, lam: FloatArray) -> IntArray:
    """Column of the best option at lambda, the cheapest of ties; at infinity of the cheapest."""
    price = np.where(np.isneginf(value), np.inf, price)
    finite = np.where(np.isinf(lam), 0.0, lam)[:, None]
    worth = value - finite * np.where(np.isinf(price), 0.0, price)
    cheapest = price <= -highest(-price)[:, None]
    worth = np.where(cheapest | ~np.isinf(lam)[:, None], worth, -np.inf)
    best = highest(worth)[:, None]
    tied = worth >= best - TIE * (1 + np.abs(best))
    return np.asarray(np.where(tied, price, np.inf).argmin(axis=1))
