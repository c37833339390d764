"""Estimators of quality and cost, and the signals they learn from; one file each."""

from cascade_engine.estimators.agreement import Agreement
from cascade_engine.estimators.answer_signals import (
    CallableSignal,
    EffortSignal,
    LogprobSignal,
    RecordedSignal,
    StructureSignal,
)
from cascade_engine.estimators.combined import CombinedEstimator
from cascade_engine.estimators.consistency import ConsistencySignal
from cascade_engine.estimators.contracts import (
    AnswerSignal,
    CostEstimator,
    Estimates,
    ExAnteEstimator,
    Following,
    QualityEstimator,
)
from cascade_engine.estimators.cost import (
    LinearCostEstimator,
    PoissonCostEstimator,
    TokenCostEstimator,
)
from cascade_engine.estimators.embedding import EmbeddingEstimator
from cascade_engine.estimators.examples import ExampleEstimator
from cascade_engine.estimators.gaussian_combiner import CombinedBeliefs, GaussianCombiner
from cascade_engine.estimators.logprob import LogprobEstimator
from cascade_engine.estimators.neighbours import NeighbourEstimator
from cascade_engine.estimators.preferences import Preference, PreferenceEstimator
from cascade_engine.estimators.prior import PriorEstimator
from cascade_engine.estimators.query_signals import CallableEstimator, QuerySignalEstimator
from cascade_engine.estimators.rules import RuleEstimator
from cascade_engine.estimators.text import TextEstimator

__all__ = [
    "Agreement",
    "AnswerSignal",
    "CallableEstimator",
    "CallableSignal",
    "CombinedBeliefs",
    "CombinedEstimator",
    "ConsistencySignal",
    "CostEstimator",
    "EffortSignal",
    "EmbeddingEstimator",
    "Estimates",
    "ExAnteEstimator",
    "ExampleEstimator",
    "Following",
    "GaussianCombiner",
    "LinearCostEstimator",
    "LogprobEstimator",
    "LogprobSignal",
    "NeighbourEstimator",
    "PoissonCostEstimator",
    "Preference",
    "PreferenceEstimator",
    "PriorEstimator",
    "QualityEstimator",
    "QuerySignalEstimator",
    "RecordedSignal",
    "RuleEstimator",
    "StructureSignal",
    "TextEstimator",
    "TokenCostEstimator",
]
