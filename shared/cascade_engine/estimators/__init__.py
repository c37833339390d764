"""Estimators of quality and cost, one file each."""

from cascade_engine.estimators._base import CostEstimator, Estimates, QualityEstimator
from cascade_engine.estimators.combination import CombinedBeliefs, GaussianCombiner
from cascade_engine.estimators.cost import LinearCostEstimator, TokenCostEstimator
from cascade_engine.estimators.logprob import LogprobEstimator
from cascade_engine.estimators.prior import PriorEstimator

__all__ = [
    "CombinedBeliefs",
    "CostEstimator",
    "Estimates",
    "GaussianCombiner",
    "LinearCostEstimator",
    "LogprobEstimator",
    "PriorEstimator",
    "QualityEstimator",
    "TokenCostEstimator",
]
