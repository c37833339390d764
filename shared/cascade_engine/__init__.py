"""The engine of cascade-routing: choose among language models per query, within a budget.

It decides; it never calls a model. `CascadeRouter.fit` learns from a `CascadeDataset`, a `Session`
says what to run for one query and is told what came of it, and `drive` or `adrive` does the
running with a function of the caller's. Adapters: `langchain_cascade`, `llamaindex_cascade`.
"""

from cascade_engine._batch import Tuned, simulate, tune
from cascade_engine._beliefs import Beliefs
from cascade_engine._costs import Price
from cascade_engine._dataset import CascadeDataset
from cascade_engine._evaluation import Evaluation, evaluate
from cascade_engine._router import CascadeRouter
from cascade_engine._session import Session, adrive, drive
from cascade_engine._simulation import Outcome
from cascade_engine._tuning import Frontier, Policy
from cascade_engine._types import Answer, Call, Decision, Failure, Query, ToolCall, Trace, Usage
from cascade_engine._version import __version__
from cascade_engine.errors import (
    AllModelsFailedError,
    BudgetWarning,
    CascadeError,
    ConfigurationError,
    DataError,
    InfeasibleBudgetError,
    NotFittedError,
    SessionStateError,
    UnknownPriceError,
)
from cascade_engine.estimators import (
    CostEstimator,
    GaussianCombiner,
    LinearCostEstimator,
    LogprobEstimator,
    PriorEstimator,
    QualityEstimator,
    TokenCostEstimator,
)
from cascade_engine.strategies import DEFAULT_STRATEGY, STRATEGIES, Strategy

__all__ = [
    "DEFAULT_STRATEGY",
    "STRATEGIES",
    "AllModelsFailedError",
    "Answer",
    "Beliefs",
    "BudgetWarning",
    "Call",
    "CascadeDataset",
    "CascadeError",
    "CascadeRouter",
    "ConfigurationError",
    "CostEstimator",
    "DataError",
    "Decision",
    "Evaluation",
    "Failure",
    "Frontier",
    "GaussianCombiner",
    "InfeasibleBudgetError",
    "LinearCostEstimator",
    "LogprobEstimator",
    "NotFittedError",
    "Outcome",
    "Policy",
    "Price",
    "PriorEstimator",
    "QualityEstimator",
    "Query",
    "Session",
    "SessionStateError",
    "Strategy",
    "TokenCostEstimator",
    "ToolCall",
    "Trace",
    "Tuned",
    "UnknownPriceError",
    "Usage",
    "__version__",
    "adrive",
    "drive",
    "evaluate",
    "simulate",
    "tune",
]
