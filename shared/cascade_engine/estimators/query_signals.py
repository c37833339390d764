"""Quality from outside: numbers recorded with the query, or what a function says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.core.checks import is_number
from cascade_engine.errors import ConfigurationError, DataError
from cascade_engine.estimators.static import (
    StaticEstimator,
    check_router,
    function_name,
    verdict_of,
    verdict_row,
)
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cascade_engine.core.records import Query

__all__ = ["CallableEstimator", "QuerySignalEstimator"]


@persistent("QuerySignalEstimator", fields=("names", "scale"), fitted=("models_",))
class QuerySignalEstimator(StaticEstimator):
    """Numbers recorded with the query: an LLM router's verdict, or any measurement.

    Args:
        names: which of `Query.signals` speaks for each model: a mapping of models to signals, or a
            pattern such as "router:{model}". Models left out of a mapping are unknown.
        scale: the lowest and the highest value that the signals can take.
        models: names of the models, for use before `fit`.

    Raises:
        ConfigurationError: the names are neither a mapping nor a pattern, a pattern does not say
            where the model's name goes, or the scale is not a range.
    """

    def __init__(
        self,
        names: Mapping[str, str] | str = "{model}",
        *,
        scale: tuple[float, float] = (0.0, 1.0),
        models: Sequence[str] | None = None,
    ) -> None:
        _check_names(names)
        low, high = scale
        if not -np.inf < low < high < np.inf:
            raise ConfigurationError(
                f"scale must be the lowest and the highest value, two finite numbers, not {scale}"
            )
        self.names = names if isinstance(names, str) else dict(names)
        self.scale = (float(low), float(high))
        super().__init__(models)

    def named(self) -> dict[str, Sequence[str]]:
        """The mapping's models."""
        return {} if isinstance(self.names, str) else {"QuerySignalEstimator": list(self.names)}

    def row(self, query: Query) -> list[float]:
        """The query's numbers, on the scale from 0 to 1.

        Raises:
            DataError: what is recorded is not a number, or off the scale.
        """
        signals: Mapping[str, Any] = getattr(query, "signals", None) or {}
        return [self._value(signals, self._name(model), query) for model in self.models_]

    def _name(self, model: str) -> str | None:
        if isinstance(self.names, str):
            return self.names.replace("{model}", model)
        return self.names.get(model)

    def _value(self, signals: Mapping[str, Any], name: str | None, query: Query) -> float:
        value = None if name is None else signals.get(name)
        if value is None:
            return float("nan")
        low, high = self.scale
        if not is_number(value) or value < low or value > high:
            raise DataError(
                f"the signal {name!r} of the query {query.text[:80]!r} is {value!r}, which is no "
                f"number from {low:g} to {high:g}: pass scale=(lowest, highest)"
            )
        return (float(value) - low) / (high - low)


def _check_names(names: object) -> None:
    if isinstance(names, str) and "{model}" not in names:
        raise ConfigurationError(
            f"the pattern {names!r} is the same for all models: put {{model}} in it, or give a "
            "mapping of models to signals"
        )
    if not isinstance(names, Mapping | str) or not names:
        raise ConfigurationError(f"names must map models to signals, not {names!r}")


@persistent("CallableEstimator", fields=("function",), fitted=("models_",))
class CallableEstimator(StaticEstimator):
    """Whatever a function says: a router of your own, or somebody else's.

    Args:
        function: takes a `Query` and returns a mapping of models to qualities in [0, 1], or one
            number for each model in order, or the name of the one to take (1, and 0 for the
            others), or None where it does not know.
        models: names of the models, for use before `fit`.

    Raises:
        ConfigurationError: it cannot be called, or is asynchronous.
    """

    def __init__(
        self, function: Callable[[Query], Any], *, models: Sequence[str] | None = None
    ) -> None:
        check_router(function)
        self.function = function
        super().__init__(models)

    def row(self, query: Query) -> list[float]:
        """What the function says of the query.

        Raises:
            DataError: it failed, or returned what is no verdict.
            ConfigurationError: it named a model that is not among the router's.
        """
        source = f"{function_name(self.function)}, of the query {query.text[:80]!r},"
        return verdict_row(verdict_of(self.function, query), self.models_, source)
