"""The engine of cascade-routing: choose among language models per query, within a budget.

It decides; it never calls a model. `CascadeRouter.fit` learns from a `CascadeDataset`, a `Session`
says what to run for one query and takes what came of it, and `drive` or `adrive` does the running
with a function of the caller's. Adapters: `langchain_cascade`, `llamaindex_cascade`.

What most programs need is here. The rest is in the ten packages, from the top down: `evaluation`
(is it good, does it pay, has it drifted), `routing` (one query, and the router), `tuning`
(strategies on arrays), `strategies` (what to run next), `estimators` (how good an answer is, or
will be), `data` (what models answered), `answers` (reading what they wrote), `core` (the seam) and
`storage` (what is kept on disk); `plugin` is what the adapters share. Beside them are `errors`,
`datasets` and `local`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from cascade_engine._version import __version__
from cascade_engine.core import (
    Answer,
    Call,
    Decision,
    Price,
    Query,
    ToolCall,
    Trace,
    Usage,
    explain,
)
from cascade_engine.data import (
    CascadeDataset,
    Collection,
    LoggedTrace,
    TraceLog,
    acollect,
    collect,
    read_traces,
)
from cascade_engine.errors import (
    AllModelsFailedError,
    BudgetWarning,
    CascadeError,
    ConfigurationError,
    DataError,
    InfeasibleBudgetError,
    NotFittedError,
)
from cascade_engine.estimators import (
    Agreement,
    CallableSignal,
    CombinedEstimator,
    CostEstimator,
    EmbeddingEstimator,
    GaussianCombiner,
    LogprobSignal,
    NeighbourEstimator,
    PoissonCostEstimator,
    QualityEstimator,
    QuerySignalEstimator,
    RuleEstimator,
    StructureSignal,
    TextEstimator,
)
from cascade_engine.evaluation import (
    Evaluation,
    does_it_pay,
    drift,
    evaluate,
    judge_report,
    learning_curve,
)
from cascade_engine.routing import (
    CascadeRouter,
    ChatJudge,
    ChatRouter,
    Session,
    adrive,
    advise,
    attempt,
    drive,
)
from cascade_engine.storage import persistent
from cascade_engine.strategies import STRATEGIES, Frontier, Policy, Strategy
from cascade_engine.tuning import Beliefs, simulate, tune

__all__ = [
    "STRATEGIES",
    "Agreement",
    "AllModelsFailedError",
    "Answer",
    "Beliefs",
    "BudgetWarning",
    "Call",
    "CallableSignal",
    "CascadeDataset",
    "CascadeError",
    "CascadeRouter",
    "ChatJudge",
    "ChatRouter",
    "Collection",
    "CombinedEstimator",
    "ConfigurationError",
    "CostEstimator",
    "DataError",
    "Decision",
    "EmbeddingEstimator",
    "Evaluation",
    "Frontier",
    "GaussianCombiner",
    "InfeasibleBudgetError",
    "LoggedTrace",
    "LogprobSignal",
    "NeighbourEstimator",
    "NotFittedError",
    "PoissonCostEstimator",
    "Policy",
    "Price",
    "QualityEstimator",
    "Query",
    "QuerySignalEstimator",
    "RuleEstimator",
    "Session",
    "Strategy",
    "StructureSignal",
    "TextEstimator",
    "ToolCall",
    "Trace",
    "TraceLog",
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
    "persistent",
    "read_traces",
    "simulate",
    "tune",
]

#: Names that could be imported from here before the packages had faces of their own.
_MOVED = {
    "core": ("Advice", "Failure"),
    "data": ("Judge", "Judgement"),
    "errors": (
        "DataWarning",
        "InvalidAnswerError",
        "LoggedError",
        "PersistenceError",
        "SessionStateError",
        "StreamClosedError",
        "UnknownPriceError",
    ),
    "estimators": (
        "AnswerSignal",
        "CallableEstimator",
        "ConsistencySignal",
        "EffortSignal",
        "ExAnteEstimator",
        "ExampleEstimator",
        "LinearCostEstimator",
        "LogprobEstimator",
        "Preference",
        "PreferenceEstimator",
        "PriorEstimator",
        "RecordedSignal",
        "TokenCostEstimator",
    ),
    "evaluation": (
        "Drift",
        "FeatureDrift",
        "LearningCurve",
        "LearningPoint",
        "Payoff",
        "Payoffs",
        "Point",
        "Reliability",
        "measure_reliability",
    ),
    "routing": ("FittingSummary",),
    "strategies": ("DEFAULT_STRATEGY",),
    "tuning": ("Outcome", "Tuned"),
}


#: Modules that had these names before, and that could be reached without an import of their own.
_FORMER_MODULES = ("advisers", "extraction", "graders", "payloads", "structure")


def __getattr__(name: str) -> Any:
    """A name that lives in its package's face now."""
    if name == "summarize":
        return CascadeRouter.summarize  # called with a router and data, as before
    if name in _FORMER_MODULES:
        return import_module(f"cascade_engine.{name}")
    for package, names in _MOVED.items():
        if name in names:
            return getattr(import_module(f"cascade_engine.{package}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *(name for names in _MOVED.values() for name in names)})
