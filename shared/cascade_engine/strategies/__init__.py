"""Strategies, one file each, and the table by which routers find them."""

from cascade_engine.errors import ConfigurationError
from cascade_engine.strategies.cascade_routing import CascadeRouting
from cascade_engine.strategies.cascading import Cascading
from cascade_engine.strategies.contract import (
    STOP,
    ListedStrategy,
    Options,
    Piece,
    Strategy,
    TuningData,
)
from cascade_engine.strategies.fitted_value_iteration import FittedValueIteration
from cascade_engine.strategies.mixing import RandomMixing
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
    "FittedValueIteration",
    "ListedStrategy",
    "Options",
    "Piece",
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


#: The strategy that measures best where it is told apart from the others.
DEFAULT_STRATEGY = FittedValueIteration.name


def find_strategy(strategy: str | Strategy) -> Strategy:
    """A strategy by name, or the one given.

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
