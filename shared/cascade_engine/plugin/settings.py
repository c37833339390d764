"""A router by the settings of an adapter's model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_engine.errors import ConfigurationError
from cascade_engine.plugin.shadow import check_shadow
from cascade_engine.routing.router import CascadeRouter

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from cascade_engine.routing.advisers import Adviser

__all__ = ["OF_ROUTER", "fixed", "router_by"]

#: What the router is built from, by the names of an adapter's fields.
OF_ROUTER = frozenset(
    {
        *("models", "llms", "prices", "cost", "max_expected_cost", "strategy", "priors", "seed"),
        *("quality_estimator", "cost_estimator", "clamp_budget", "judge", "llm_router"),
        "samples",
    }
)


def fixed(name: str) -> ConfigurationError:
    """The error for a field of `OF_ROUTER` that is assigned: the router would not hear of it."""
    budget = "take with_budget(...), or give max_expected_cost with the call"
    other = "build another cascade"
    return ConfigurationError(
        f"{name} cannot be assigned once the cascade is built: "
        f"{budget if name == 'max_expected_cost' else other}"
    )


def router_by(settings: Any, models: Collection[str], advisers: Iterable[Adviser]) -> CascadeRouter:
    """The router of an adapter's model, whose fields have the same names in every framework.

    Args:
        settings: the model.
        models: names of its children.
        advisers: what its judge and its LLM router ask.

    Raises:
        ConfigurationError: a field's value cannot be.
    """
    if settings.max_cost is not None and not settings.max_cost >= 0:
        raise ConfigurationError(f"max_cost must be a number >= 0, not {settings.max_cost}")
    check_shadow(settings.shadow, models)
    return CascadeRouter(
        list(models),
        strategy=settings.strategy,
        quality=settings.quality_estimator,
        cost=settings.cost_estimator,
        prices=settings.prices,
        charge=settings.cost,
        budget=settings.max_expected_cost,
        priors=settings.priors,
        seed=settings.seed,
        clamp_budget=settings.clamp_budget,
        advisers=list(advisers),
        samples=settings.samples,
    )
