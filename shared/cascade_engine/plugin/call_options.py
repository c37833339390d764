"""What one call of a cascade may change: its limits, its trade-off, and who answers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any

from cascade_engine.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from cascade_engine.core.records import Query
    from cascade_engine.routing.router import CascadeRouter
    from cascade_engine.routing.session import Session

__all__ = ["OPTIONS", "SessionOpener", "check_options", "forced_child", "merged_options"]

_NUMBERS = ("max_expected_cost", "max_cost", "lam")
_LIMITS = ("max_expected_cost", "max_cost")
#: The options of a call, by name.
OPTIONS = (*_NUMBERS, "strategy", "model")
#: What says which child answers, or how that is decided: no two of a row can hold together.
_CONTRADICTIONS = (
    ("lam", "max_expected_cost", "lam is the trade-off that a budget would be turned into"),
    ("model", "lam", "with a model given there is nothing left to trade off"),
    ("model", "strategy", "with a model given there is nothing left to decide"),
    ("model", "max_expected_cost", "with a model given no budget can be aimed at"),
)


def check_options(
    values: Mapping[str, Any], models: Collection[str], *, called: Callable[[str], str] = str
) -> dict[str, Any]:
    """The options of a call that are among the values given.

    Args:
        values: by name; other names are left alone. None stands for no limit, and of any other
            option for none.
        models: names of the children.
        called: what the user calls an option, for errors.

    Raises:
        ConfigurationError: a value of the wrong kind, an unknown child, or two that cannot both
            hold.
    """
    options = {
        key: values[key]
        for key in OPTIONS
        if key in values and (values[key] is not None or key in _LIMITS)
    }
    for key, value in options.items():
        _check(key, value, called)
        if key in _NUMBERS and value is not None and type(value) not in {int, float}:
            options[key] = float(value)  # numpy's, say, which no JSON holds
    if "model" in options:
        _check_model(options["model"], models)
    for one, other, why in _CONTRADICTIONS:
        if options.get(one) is not None and options.get(other) is not None:
            raise ConfigurationError(
                f"{one}={options[one]!r} and {other}={options[other]!r} contradict each other: "
                f"{why}; give one of them"
            )
    return options


def merged_options(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    """Options within options: the inner hold, and undo those of the outer that contradict them."""
    undone = set()
    for one, other, _ in _CONTRADICTIONS:
        if inner.get(one) is not None:
            undone.add(other)
        if inner.get(other) is not None:
            undone.add(one)
    return {**{key: value for key, value in outer.items() if key not in undone}, **inner}


def forced_child(
    options: Mapping[str, Any], model: Any, models: Collection[str], *, called: str = "the options"
) -> str | None:
    """The child that has to answer, if any.

    Args:
        options: see `check_options`.
        model: the keyword `model` of the call.
        models: names of the children.
        called: where the options come from, for errors.

    Raises:
        ConfigurationError: it is no child, or contradicts the options.
    """
    if model is None:
        return options.get("model")
    _check_model(model, models)
    check_options({**options, "model": model}, models)
    if options.get("model") not in {None, model}:
        raise ConfigurationError(
            f"model={model!r} of the call and {options['model']!r} of {called} contradict each "
            "other: give one of them"
        )
    return str(model)


def _check(key: str, value: Any, called: Callable[[str], str]) -> None:
    if key in _NUMBERS:
        number = isinstance(value, Real) and not isinstance(value, bool)
        if value is None or (number and float(value) >= 0):
            return
        kind = "a number >= 0"
    else:
        if isinstance(value, str):
            return
        kind = "a name"
    raise ConfigurationError(f"{called(key)} must be {kind}, not {value!r}")


def _check_model(model: Any, models: Collection[str]) -> None:
    if model not in models:
        raise ConfigurationError(f"model={model!r} is none of the children: choose {list(models)}")


@dataclass
class SessionOpener:
    """Opens sessions for calls with options of their own.

    Attributes:
        variants: routers with the strategy of a call, each with the router it was made from.
    """

    variants: dict[str, tuple[CascadeRouter, CascadeRouter]] = field(default_factory=dict)

    def open(
        self,
        router: CascadeRouter,
        query: Query,
        options: Mapping[str, Any],
        *,
        max_cost: float | None = None,
        able: Collection[str] | None = None,
    ) -> Session:
        """A session for one call.

        Args:
            router: what decides.
            query: what is asked.
            options: of this call; see `check_options`.
            max_cost: hard cap where the call gives none.
            able: the models that can answer it, all by default.

        Raises:
            ConfigurationError: the model that has to answer is not able to.
        """
        model = options.get("model")
        if model is not None and able is not None and model not in able:
            raise ConfigurationError(
                f"model={model!r} cannot answer this call, which asks for tools or a form that it "
                f"does not support: choose {list(able)}"
            )
        router = self.with_call_strategy(router, options.get("strategy"))
        budget, lam = options.get("max_expected_cost"), options.get("lam")
        unlimited = "max_expected_cost" in options and budget is None and lam is None
        if router.budget is not None and (unlimited or model is not None):
            budget = math.inf  # a model that is given answers whatever it costs
        only = None if able is None or len(able) == len(router.models) else list(able)
        return router.session(
            query,
            budget=budget,
            max_cost=options.get("max_cost", max_cost),
            lam=lam,
            only=only if model is None else [model],
        )

    def with_call_strategy(self, router: CascadeRouter, strategy: str | None) -> CascadeRouter:
        """The router with the strategy of a call: tuned the first time, then kept."""
        if strategy is None or strategy == router.strategy.name:
            return router
        variant = self.variants.get(strategy)
        if variant is None or variant[0] is not router:
            variant = self.variants[strategy] = (router, router.with_strategy(strategy))
        return variant[1]
