"""The engine of cascade-routing: choose among language models per query, within a budget.

It decides; it never calls a model. `CascadeRouter.fit` learns from a `CascadeDataset`, a `Session`
says what to run for one query and is told what came of it, and `drive` or `adrive` does the
running with a function of the caller's. Adapters: `langchain_cascade`, `llamaindex_cascade`.
"""

from cascade_engine._version import __version__
from cascade_engine.core.explain import explain
from cascade_engine.core.prices import Price
from cascade_engine.core.records import Answer, Call, Query, ToolCall, Usage
from cascade_engine.core.trace import Advice, Decision, Failure, Trace
from cascade_engine.data.collection import Collection, acollect, collect
from cascade_engine.data.dataset import CascadeDataset
from cascade_engine.data.judge_labels import Judge, Judgement
from cascade_engine.data.traffic import LoggedTrace, TraceLog, read_traces
from cascade_engine.errors import (
    AllModelsFailedError,
    BudgetWarning,
    CascadeError,
    ConfigurationError,
    DataError,
    DataWarning,
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
from cascade_engine.evaluation.calibration import Reliability, measure_reliability
from cascade_engine.evaluation.drift import Drift, FeatureDrift, drift
from cascade_engine.evaluation.evaluate import evaluate
from cascade_engine.evaluation.judge_report import judge_report
from cascade_engine.evaluation.learning_curve import LearningCurve, LearningPoint, learning_curve
from cascade_engine.evaluation.payoff import Payoff, Payoffs, does_it_pay
from cascade_engine.evaluation.result import Evaluation, Point
from cascade_engine.routing.advisers import ChatJudge, ChatRouter
from cascade_engine.routing.drive import adrive, attempt, drive
from cascade_engine.routing.fit_summary import FittingSummary
from cascade_engine.routing.recorded_advice import advise
from cascade_engine.routing.router import CascadeRouter
from cascade_engine.routing.session import Session
from cascade_engine.storage.registry import persistent
from cascade_engine.strategies import DEFAULT_STRATEGY, STRATEGIES, Strategy
from cascade_engine.strategies.frontier import Frontier, Policy
from cascade_engine.tuning.beliefs import Beliefs
from cascade_engine.tuning.simulation import Outcome
from cascade_engine.tuning.tune import Tuned, simulate, tune

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
    "attempt",
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
    "tune",
]
