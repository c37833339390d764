"""What sessions decide by: a router's estimators and strategy, asked about one query.

A router has two deciders: one from its fit, and before any fit the rule of `unfitted_decider`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cascade_engine.core.trace import Decision
from cascade_engine.estimators import PriorEstimator, TokenCostEstimator
from cascade_engine.storage.registry import persistent
from cascade_engine.strategies import ThresholdCascade

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine.core.prices import Charge, Price
    from cascade_engine.core.records import Call
    from cascade_engine.estimators import CostEstimator, Following, QualityEstimator
    from cascade_engine.routing.live_advice import AdvicePlan
    from cascade_engine.strategies import Strategy

__all__ = ["UNFITTED_THRESHOLD", "Decider", "QueryEstimates", "unfitted_decider"]

#: Before any fit, an answer is accepted at this geometric mean token probability.
UNFITTED_THRESHOLD = 0.9


class QueryEstimates(NamedTuple):
    """`Estimates` of one query, as plain numbers: one for each of the k models."""

    quality: Sequence[float]
    sd: Sequence[float]
    cost: Sequence[float]


@persistent("Decider")
@dataclass(frozen=True, slots=True)
class Decider:
    """Everything a session decides by; shared by all sessions of a router, never changed.

    Attributes:
        models: names of the k models.
        quality: estimates how good answers are.
        cost: estimates what calls cost.
        strategy: decides on these estimates.
        charge: what a call did cost.
        fitted: whether the estimators learned from data.
        advising: whom to ask for advice, and what that should cost; None where nobody is asked.
    """

    models: tuple[str, ...]
    quality: QualityEstimator
    cost: CostEstimator
    strategy: Strategy
    charge: Charge
    fitted: bool
    advising: AdvicePlan | None = None

    @property
    def rule(self) -> str:
        """Name of what decides, for a sentence."""
        if self.fitted:
            return f"by {self.strategy.name}"
        return "by the conservative log-probability rule (not fitted)"

    def estimates(
        self, following: Following, run: Sequence[bool], cost: Sequence[float]
    ) -> QueryEstimates:
        """Estimates of a query once the models in `run` have answered.

        Args:
            following: the estimator's view of the query and its answers.
            run: which of the k models have answered.
            cost: expected cost of each model, without advice.
        """
        quality, sd = following.estimate(run)
        if self.advising is not None:
            cost = (self.advising.surcharge(self.strategy) + np.array(cost)).tolist()
        return QueryEstimates(quality, sd, cost)

    def action(
        self, estimates: QueryEstimates, run: Sequence[bool], available: Sequence[bool], lam: float
    ) -> int:
        """The column of the model that the strategy runs next, or `STOP`.

        Args:
            estimates: of the query as it stands.
            run: which of the k models have answered.
            available: which may still run.
            lam: before any answer; see `Strategy.factor`.
        """
        lam *= self.strategy.factor(sum(run))
        return self.strategy.decide_one(*estimates, run=run, available=available, lam=lam)

    def record(
        self, estimates: QueryEstimates, after: tuple[str, ...], call: Call | None, reason: str
    ) -> Decision:
        """The decision to make a call, or to stop, as traces keep it."""
        quality, sd, cost = estimates
        costs = [None if math.isnan(c) else c for c in cost]
        return Decision(
            after=after,
            quality=dict(zip(self.models, quality, strict=True)),
            sd=dict(zip(self.models, sd, strict=True)),
            cost=dict(zip(self.models, costs, strict=True)),
            action=call.model if call else None,
            final=bool(call and call.final),
            reason=reason,
        )


def unfitted_decider(
    models: tuple[str, ...],
    priors: Sequence[float] | None,
    prices: Mapping[str, Price],
    charge: Charge,
) -> Decider:
    """What decides before any fit: the models in order, until one answer is sure enough.

    An answer is taken from a geometric mean token probability of `UNFITTED_THRESHOLD` upwards; the
    session's lambda is 1 - `UNFITTED_THRESHOLD`. An answer without log-probs is as good as its
    model's prior says.

    Args:
        models: names, in the order in which they run.
        priors: expected quality of each, or None for the default.
        prices: what calls are expected to cost; empty where calls are not charged by prices.
        charge: what a call did cost.
    """
    return Decider(
        models,
        PriorEstimator(len(models), priors),
        TokenCostEstimator(models, prices),
        ThresholdCascade(),
        charge,
        fitted=False,
    )
