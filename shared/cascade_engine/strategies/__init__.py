"""Strategies, one file each, and the table by which routers find them."""

from cascade_engine.errors import ConfigurationError
from cascade_engine.strategies._base import STOP, Options, Piece, Strategy, TuningData
from cascade_engine.strategies.cascade_routing import CascadeRouting
from cascade_engine.strategies.cascading import Cascading
from cascade_engine.strategies.mixing import RandomMixing
from cascade_engine.strategies.routing import Routing
from cascade_engine.strategies.threshold import ThresholdCascade

__all__ = [
    "STOP",
    "STRATEGIES",
    "CascadeRouting",
    "Cascading",
    "Options",
    "Piece",
    "RandomMixing",
    "Routing",
    "Strategy",
    "ThresholdCascade",
    "TuningData",
    "find_strategy",
]

STRATEGIES: dict[str, type[Strategy]] = {
    cls.name: cls for cls in (CascadeRouting, Cascading, Routing, ThresholdCascade, RandomMixing)
}


def find_strategy(strategy: str | Strategy, models: int = 1) -> Strategy:
    """A strategy by name, or the one given, once it can decide among so many models.

    Raises:
        ConfigurationError: no strategy has that name, or it takes fewer models.
    """
    if not isinstance(strategy, Strategy):
        if strategy not in STRATEGIES:
            raise ConfigurationError(
                f"unknown strategy {strategy!r}: choose one of {sorted(STRATEGIES)} or pass a "
                "Strategy"
            )
        strategy = STRATEGIES[strategy]()
    if strategy.most_models is not None and models > strategy.most_models:
        raise ConfigurationError(
            f"{strategy.name} takes at most {strategy.most_models} models, not {models}: use "
            "another strategy ('routing', 'cascading'), or fewer models"
        )
    return strategy
