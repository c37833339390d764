"""Strategies: what to run next and whose answer to return, given what is believed; one file each.

`STRATEGIES` is the table by which routers find them by name. `base` says what a strategy is and
how a new one is written; `frontier` has the cost-quality frontier that a fit finds, and the policy
on it that a budget buys. The paper's three are `routing` (Theorem 1), `cascading` (Theorem 2) and
`cascade_routing` (Theorem 3); beyond it `reservation_index` plans by Weitzman's rule, and
`fitted_value_iteration`, the default, by values learned from data. `threshold_cascade`,
`random_mixing` and `single_model` are baselines. Their numerics are in `gaussian` (E[max],
reservation values) and `supermodels` (the best set of models).
"""

from cascade_engine.errors import ConfigurationError
from cascade_engine.strategies.base import (
    STOP,
    ListedStrategy,
    Options,
    Piece,
    Strategy,
    TuningData,
)
from cascade_engine.strategies.cascade_routing import CascadeRouting
from cascade_engine.strategies.cascading import Cascading
from cascade_engine.strategies.escalation import Escalating
from cascade_engine.strategies.fitted_value_iteration import FittedValueIteration
from cascade_engine.strategies.frontier import Frontier, Policy
from cascade_engine.strategies.random_mixing import RandomMixing
from cascade_engine.strategies.reservation_index import ReservationIndex
from cascade_engine.strategies.routing import Routing
from cascade_engine.strategies.single import SingleModel
from cascade_engine.strategies.threshold import ThresholdCascade

__all__ = [
    "DEFAULT_STRATEGY",
    "STOP",
    "STRATEGIES",
    "CascadeRouting",
    "Cascading",
    "Escalating",
    "FittedValueIteration",
    "Frontier",
    "ListedStrategy",
    "Options",
    "Piece",
    "Policy",
    "RandomMixing",
    "ReservationIndex",
    "Routing",
    "SingleModel",
    "Strategy",
    "ThresholdCascade",
    "TuningData",
    "find_strategy",
]

STRATEGIES: dict[str, type[Strategy]] = {
    cls.name: cls
    for cls in (
        FittedValueIteration,
        CascadeRouting,
        Cascading,
        Routing,
        ReservationIndex,
        ThresholdCascade,
        RandomMixing,
        SingleModel,
    )
}


#: The strategy that measured best wherever strategies differed.
DEFAULT_STRATEGY = FittedValueIteration.name


def find_strategy(strategy: str | Strategy) -> Strategy:
    """A strategy by its name; a `Strategy` is returned as it is.

    Raises:
        ConfigurationError: no strategy has that name.
    """
    if isinstance(strategy, Strategy):
        return strategy
    if strategy not in STRATEGIES:
        raise ConfigurationError(
            f"unknown strategy {strategy!r}: choose one of {sorted(STRATEGIES)} or pass a Strategy"
        )
    return STRATEGIES[strategy]()
