"""The engine of cascade-routing: choose among language models per query, within a budget.

It decides; it never calls a model. `CascadeRouter.fit` learns from a `CascadeDataset`, a `Session`
says what to run for one query and is told what came of it, and `drive` or `adrive` does the
running with a function of the caller's. Adapters: `langchain_cascade`, `llamaindex_cascade`.
"""

from cascade_engine._batch import Tuned, simulate, tune
from cascade_engine._beliefs import Beliefs
from cascade_engine._collecting import acollect, collect
from cascade_engine._collection import Collection
from cascade_engine._costs import Price
from cascade_engine._dataset import CascadeDataset
from cascade_engine._drift import drift
from cascade_engine._drift_report import Drift, FeatureDrift
from cascade_engine._evaluated import Evaluation, Point
from cascade_engine._evaluation import evaluate
from cascade_engine._explain import explain
from cascade_engine._frontier import Frontier, Policy
from cascade_engine._labels import Judge, Judgement
from cascade_engine._learning import LearningCurve, LearningPoint, learning_curve
from cascade_engine._payoff import Payoff, Payoffs, does_it_pay
from cascade_engine._registry import persistent
from cascade_engine._reliability import Reliability, measure_reliability
from cascade_engine._router import CascadeRouter
from cascade_engine._session import Session, adrive, drive
from cascade_engine._simulation import Outcome
from cascade_engine._summary import FittingSummary, summarize
from cascade_engine._trace_log import LoggedTrace, TraceLog, read_traces
from cascade_engine._types import (
    Advice,
    Answer,
    Call,
    Decision,
    Failure,
    Query,
    ToolCall,
    Trace,
    Usage,
)
from cascade_engine._version import __version__
from cascade_engine.advisers import ChatJudge, ChatRouter, advise, judge_report
from cascade_engine.errors import (
    AllModelsFailedError,
    BudgetWarning,
    CascadeError,
    ConfigurationError,
    DataError,
    DataWarning,
    DraftAbandonedError,
    InfeasibleBudgetError,
    InvalidAnswerError,
    LoggedError,
    NotFittedError,
    PersistenceError,
    SessionStateError,
    StreamClosedError,
    UnknownPriceError,
)
from cascade_engine.estimators import (
    Agreement,
    AnswerSignal,
    CallableEstimator,
    CallableSignal,
    CombinedEstimator,
    ConsistencySignal,
    CostEstimator,
    DifferenceEstimator,
    EffortSignal,
    EmbeddingEstimator,
    ExampleEstimator,
    ExAnteEstimator,
    GaussianCombiner,
    LinearCostEstimator,
    LogprobEstimator,
    LogprobSignal,
    NeighbourEstimator,
    PoissonCostEstimator,
    Preference,
    PreferenceEstimator,
    PriorEstimator,
    QualityEstimator,
    QuerySignalEstimator,
    RecordedSignal,
    RuleEstimator,
    StructureSignal,
    TextEstimator,
    TokenCostEstimator,
)
from cascade_engine.strategies import DEFAULT_STRATEGY, STRATEGIES, Strategy

__all__ = [
    "DEFAULT_STRATEGY",
    "STRATEGIES",
    "Advice",
    "Agreement",
    "AllModelsFailedError",
    "Answer",
    "AnswerSignal",
    "Beliefs",
    "BudgetWarning",
    "Call",
    "CallableEstimator",
    "CallableSignal",
    "CascadeDataset",
    "CascadeError",
    "CascadeRouter",
    "ChatJudge",
    "ChatRouter",
    "Collection",
    "CombinedEstimator",
    "ConfigurationError",
    "ConsistencySignal",
    "CostEstimator",
    "DataError",
    "DataWarning",
    "Decision",
    "DifferenceEstimator",
    "DraftAbandonedError",
    "Drift",
    "EffortSignal",
    "EmbeddingEstimator",
    "Evaluation",
    "ExAnteEstimator",
    "ExampleEstimator",
    "Failure",
    "FeatureDrift",
    "FittingSummary",
    "Frontier",
    "GaussianCombiner",
    "InfeasibleBudgetError",
    "InvalidAnswerError",
    "Judge",
    "Judgement",
    "LearningCurve",
    "LearningPoint",
    "LinearCostEstimator",
    "LoggedError",
    "LoggedTrace",
    "LogprobEstimator",
    "LogprobSignal",
    "NeighbourEstimator",
    "NotFittedError",
    "Outcome",
    "Payoff",
    "Payoffs",
    "PersistenceError",
    "Point",
    "PoissonCostEstimator",
    "Policy",
    "Preference",
    "PreferenceEstimator",
    "Price",
    "PriorEstimator",
    "QualityEstimator",
    "Query",
    "QuerySignalEstimator",
    "RecordedSignal",
    "Reliability",
    "RuleEstimator",
    "Session",
    "SessionStateError",
    "Strategy",
    "StreamClosedError",
    "StructureSignal",
    "TextEstimator",
    "TokenCostEstimator",
    "ToolCall",
    "Trace",
    "TraceLog",
    "Tuned",
    "UnknownPriceError",
    "Usage",
    "__version__",
    "acollect",
    "adrive",
    "advise",
    "collect",
    "does_it_pay",
    "drift",
    "drive",
    "evaluate",
    "explain",
    "judge_report",
    "learning_curve",
    "measure_reliability",
    "persistent",
    "read_traces",
    "simulate",
    "summarize",
    "tune",
]
