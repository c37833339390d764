"""The reservation index: the optimal order of search, beyond the paper."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.core.arrays import highest
from cascade_engine.storage.registry import persistent
from cascade_engine.strategies.base import STOP, Piece
from cascade_engine.strategies.escalation import Escalating
from cascade_engine.strategies.gaussian.expected_max import expected_excess
from cascade_engine.strategies.gaussian.reservation import one_decision, reservation_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.estimators import Estimates

__all__ = ["ReservationIndex"]

#: The smallest number above 0.
_LEAST = 5e-324


@persistent("ReservationIndex", fields=("max_depth", "per_step", "factors_"))
class ReservationIndex(Escalating):
    """Runs the model of the highest reservation value while that exceeds the best answer held.

    A model's reservation value is the quality at which asking it is just worth lambda times its
    cost. With independent beliefs no policy does better, supermodels included (Weitzman 1979,
    'Optimal Search for the Best Alternative', Econometrica 47): it plans for what each answer will
    teach, where a supermodel is weighed as if all its members had to be paid for. It looks at one
    model at a time, so k may be in the hundreds. The values are worked out anew after every answer.
    Where the models' qualities are correlated it is a heuristic, a good one if the estimates of the
    models not run take account of the answers held.
    """

    name = "reservation_index"

    def decide(
        self, estimates: Estimates, run: BoolArray, available: BoolArray, lam: FloatArray
    ) -> IntArray:
        """The model of the highest reservation value, the cheapest of ties, or `STOP`."""
        price = lam[:, None] * estimates.cost
        index = reservation_values(estimates.quality, estimates.sd, price)
        # Models x queries: what follows runs along the queries, of which there are many.
        open_ = np.ascontiguousarray(self.within_depth(run, available).T)
        index = np.where(open_, index.T, -np.inf)
        best = index.max(axis=0)
        tied = open_ & (index == best)
        if (tied.sum(axis=0) > 1).any():
            cost = np.where(tied, estimates.cost.T, np.inf)
            tied &= cost == cost.min(axis=0)
        first = np.where(tied, np.arange(len(index))[:, None], len(index)).min(axis=0)
        held = np.where(run, estimates.quality, -np.inf).T.max(axis=0) if run.any() else -np.inf
        return np.where(best > held, first, STOP)

    def pieces_on(
        self,
        grid: FloatArray,
        estimates: Estimates,
        run: BoolArray,
        available: BoolArray,
        spans: tuple[IntArray, IntArray],
    ) -> Iterator[Piece]:
        """As `Strategy.pieces_on`, with a short cut where something is held.

        A reservation value exceeds the value held exactly where E[(q - held)^+] > lambda cost. So
        it stops where lambda is at least E[(q - held)^+] / cost for every model, which is read off
        without a decision; and so is what runs where but one model is left.
        """
        if not run.any() or type(self).decide is not ReservationIndex.decide:
            yield from super().pieces_on(grid, estimates, run, available, spans)
            return
        first, last = spans
        open_ = self.within_depth(run, available)
        held = highest(np.where(run, estimates.quality, -np.inf))
        gain = expected_excess(estimates.quality, estimates.sd, held[:, None])
        with np.errstate(divide="ignore", invalid="ignore"):
            worth = np.where(gain > 0, gain / estimates.cost, 0.0)
        # What is free and uncertain is always worth it; any gain is where lambda is 0.
        uncertain = np.where(estimates.cost > 0, np.maximum(worth, _LEAST), np.inf)
        worth = highest(np.where(open_, np.where(estimates.sd > 0, uncertain, worth), 0.0))
        begin = len(grid) - np.searchsorted(grid[::-1], worth, side="left")
        begin = np.clip(begin, first, last)
        rows = np.arange(len(run))
        yield Piece(rows, np.full(len(run), STOP), first, begin)
        alone = open_.sum(axis=1) == 1
        yield Piece(rows[alone], open_[alone].argmax(axis=1), begin[alone], last[alone])
        more = np.flatnonzero(~alone & (begin < last))
        rest = super().pieces_on(
            grid, estimates.at(more), run[more], open_[more], (begin[more], last[more])
        )
        for piece in rest:
            yield replace(piece, rows=more[piece.rows])

    def decide_one(
        self,
        quality: Sequence[float],
        sd: Sequence[float],
        cost: Sequence[float],
        *,
        run: Sequence[bool],
        available: Sequence[bool],
        lam: float,
    ) -> int:
        """The same in plain Python: a few microseconds for a few models."""
        if type(self).decide is not ReservationIndex.decide:
            return super().decide_one(quality, sd, cost, run=run, available=available, lam=lam)
        if self.max_depth is None or sum(run) < self.max_depth:
            return one_decision()(quality, sd, cost, run, available, lam)
        return STOP
