"""What sessions decide by: the estimators and the strategy of a router, asked about one query."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cascade_engine.core.trace import Decision
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.core.prices import Charge
    from cascade_engine.core.records import Call
    from cascade_engine.estimators import CostEstimator, Following, QualityEstimator
    from cascade_engine.routing.live_advice import Advising
    from cascade_engine.strategies import Strategy

__all__ = ["Believed", "Decider"]


class Believed(NamedTuple):
    """`Estimates` of one query: k plain numbers each."""

    quality: Sequence[float]
    sd: Sequence[float]
    cost: Sequence[float]


@persistent("Decider")
@dataclass(frozen=True, slots=True)
class Decider:
    """Everything a session decides by; shared by all sessions of a router, never changed."""

    models: tuple[str, ...]
    quality: QualityEstimator
    cost: CostEstimator
    strategy: Strategy
    charge: Charge
    fitted: bool
    advising: Advising | None = None

    @property
    def rule(self) -> str:
        """What decides, in words."""
        if self.fitted:
            return f"by {self.strategy.name}"
        return "by the conservative log-probability rule (not fitted)"

    def believed(
        self, following: Following, run: Sequence[bool], cost: Sequence[float]
    ) -> Believed:
        """What is believed of a query once `run` have answered.

        Args:
            following: the query and its answers, as the estimator sees them.
            run: which of the k models have answered.
            cost: what each is expected to cost, without advice.
        """
        quality, sd = following.estimate(run)
        if self.advising is not None:
            cost = (self.advising.surcharge(self.strategy) + np.array(cost)).tolist()
        return Believed(quality, sd, cost)

    def action(
        self, believed: Believed, run: Sequence[bool], available: Sequence[bool], lam: float
    ) -> int:
        """What the strategy does.

        Args:
            believed: in this state.
            run: which of the k models have answered.
            available: which may still run.
            lam: before any answer; see `Strategy.factor`.
        """
        lam *= self.strategy.factor(sum(run))
        return self.strategy.decide_one(*believed, run=run, available=available, lam=lam)

    def recorded(
        self, believed: Believed, after: tuple[str, ...], call: Call | None, reason: str
    ) -> Decision:
        """A decision to make a call, or to stop, as traces keep it."""
        quality, sd, cost = believed
        known = [None if math.isnan(c) else c for c in cost]
        return Decision(
            after=after,
            quality=dict(zip(self.models, quality, strict=True)),
            sd=dict(zip(self.models, sd, strict=True)),
            cost=dict(zip(self.models, known, strict=True)),
            action=call.model if call else None,
            final=bool(call and call.final),
            reason=reason,
        )
