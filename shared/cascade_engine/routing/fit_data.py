"""What a fit learned on, as simulations need it: to tune strategies and trace their frontiers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.data.dataset import CascadeDataset
from cascade_engine.errors import DataError, UnknownPriceError
from cascade_engine.storage.registry import persistent
from cascade_engine.tuning.beliefs import EstimatedBeliefs
from cascade_engine.tuning.tune import tune_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.estimators import CostEstimator, QualityEstimator
    from cascade_engine.routing.live_advice import AdvicePlan
    from cascade_engine.strategies import Strategy
    from cascade_engine.tuning.simulation import AdviceCosts
    from cascade_engine.tuning.tune import Tuned

__all__ = ["FitData", "add_surcharge", "check_data", "out_of_fold_costs"]


@persistent("CascadeRouter.data")
@dataclass(frozen=True, slots=True)
class FitData:
    """Complete data with what is believed of it.

    Attributes:
        believe: estimates that have not seen a query's labels.
        later: estimates of the estimators that sessions use, which have seen them.
        quality: how good each answer was, shape (n, k).
        cost: what it cost, shape (n, k).
        advice: what advice on it cost; None where nobody is asked.
    """

    believe: EstimatedBeliefs
    later: EstimatedBeliefs
    quality: FloatArray
    cost: FloatArray
    advice: AdviceCosts | None = None

    @classmethod
    def of(
        cls,
        data: CascadeDataset,
        quality: QualityEstimator,
        cost: CostEstimator,
        expected: FloatArray,
        advice: AdviceCosts | None,
    ) -> FitData:
        """Collects what is believed of a data set.

        Args:
            data: the data.
            quality: the estimator of quality, fitted on the data.
            cost: the estimator of cost, fitted on the data.
            expected: its expected costs out of fold, by `out_of_fold_costs`.
            advice: what advice on the data cost.
        """
        # Out of fold: policies are tuned on estimates that have not seen their query's label.
        believe = EstimatedBeliefs(quality, quality.cross_evidence(), expected)
        # A fit that has seen a query leans towards its cost, and one by the others away from it, as
        # their mean does. Halfway between budgets are kept.
        halfway = (cost.predict(data.queries) + expected) / 2
        later = EstimatedBeliefs(quality, quality.fitted_evidence(data), halfway)
        return cls(believe, later, data.quality, data.cost, advice)

    def tune(self, strategy: Strategy, plan: AdvicePlan | None) -> Tuned:
        """The strategy as it is tuned on this data, and its frontier here.

        Args:
            strategy: the strategy.
            plan: whom its sessions ask for advice.
        """
        believe, later = (add_surcharge(b, plan, strategy) for b in (self.believe, self.later))
        return tune_on(strategy, believe, self.quality, self.cost, advice=self.advice, later=later)


def check_data(data: CascadeDataset, models: Sequence[str]) -> None:
    """Refuses what is no data set, and data on other models than a router's.

    Raises:
        DataError: `data` is no `CascadeDataset`, or its models are not these.
    """
    if not isinstance(data, CascadeDataset):
        raise DataError(f"the data must be a CascadeDataset, not {data!r:.80}")
    if data.models != models:
        raise DataError(
            f"the data is on models {data.models} and the router on {models}: use "
            "data.select(router.models), or build the router on the data's models"
        )


def out_of_fold_costs(cost: CostEstimator, data: CascadeDataset) -> FloatArray:
    """Expected costs by estimators that have not seen the query, shape (n, k).

    Raises:
        UnknownPriceError: the estimator knows no cost for a model.
    """
    expected = cost.cross_predict(data)
    if np.isnan(expected).any():
        columns = zip(data.models, expected.T, strict=True)
        unknown = [model for model, column in columns if np.isnan(column).any()]
        raise UnknownPriceError(
            f"the cost estimator knows no cost for {unknown}: give it their prices, or leave "
            "out `cost` to learn from the costs in the data"
        )
    return expected


def add_surcharge(
    beliefs: EstimatedBeliefs, plan: AdvicePlan | None, strategy: Strategy
) -> EstimatedBeliefs:
    """Beliefs that expect a strategy to pay for advice."""
    return beliefs if plan is None else beliefs.dearer(plan.surcharge(strategy))
