"""Estimators of quality and cost, one file each."""

from cascade_engine.estimators._base import CostEstimator, Estimates, QualityEstimator
from cascade_engine.estimators.cost import LinearCostEstimator, TokenCostEstimator
from cascade_engine.estimators.logprob import LogprobEstimator
from cascade_engine.estimators.prior import PriorEstimator

__all__ = [
    "CostEstimator",
    "Estimates",
    "LinearCostEstimator",
    "LogprobEstimator",
    "PriorEstimator",
    "QualityEstimator",
    "TokenCostEstimator",
]
