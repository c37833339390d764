"""Estimators of quality and cost, and the signals that they learn from; one file each.

A router goes by one `QualityEstimator` and one `CostEstimator`. By default the first is a
`CombinedEstimator`, which calibrates and weighs its parts: estimators that judge by the query alone
(`TextEstimator`, `NeighbourEstimator`, `RuleEstimator`, ...), signals read off an answer
(`LogprobSignal`, `StructureSignal`, ...) and the `Agreement` between answers. Before any fit it is
a `PriorEstimator`. `base` says how to write one of your own; `features` and `regression` hold
what they share.
"""

from cascade_engine.estimators.agreement import Agreement, ConsistencySignal
from cascade_engine.estimators.answer_signals import (
    CallableSignal,
    EffortSignal,
    LogprobSignal,
    RecordedSignal,
    StructureSignal,
)
from cascade_engine.estimators.base import (
    AnswerSignal,
    CostEstimator,
    Estimates,
    ExAnteEstimator,
    Following,
    QualityEstimator,
)
from cascade_engine.estimators.combined import CombinedEstimator, LogprobEstimator
from cascade_engine.estimators.cost import (
    LinearCostEstimator,
    PoissonCostEstimator,
    TokenCostEstimator,
)
from cascade_engine.estimators.embedding import EmbeddingEstimator
from cascade_engine.estimators.examples import ExampleEstimator
from cascade_engine.estimators.gaussian_combiner import CombinedBeliefs, GaussianCombiner
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
