"""The fields that a cascade has in every framework, and the router that is built from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# The frameworks' models are pydantic's, which reads the types of fields at run time.
from cascade_engine.core.prices import Price  # noqa: TC001
from cascade_engine.errors import ConfigurationError
from cascade_engine.estimators.base import CostEstimator, QualityEstimator  # noqa: TC001
from cascade_engine.routing.router import CascadeRouter
from cascade_engine.strategies import DEFAULT_STRATEGY
from cascade_engine.strategies.base import Strategy  # noqa: TC001

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from cascade_engine.routing.advisers import Adviser

__all__ = ["ROUTER_FIELDS", "CascadeFields", "build_router", "cannot_assign"]


class CascadeFields:
    """The fields of a cascade beside its children: a mix-in, before the framework's own class.

    Pydantic takes the annotations of plain classes for fields too, and copies their defaults. What
    the router was built from cannot be assigned later.

    Attributes:
        prices: price by model, in USD per million tokens.
        cost: what a call costs: "price", from tokens and prices; "seconds", its latency; or a
            callable of the model's name and the `Answer`.
        max_expected_cost: budget per query, met in expectation once fitted; before that no single
            query is expected to cost more. None for the best quality at any cost.
        max_cost: hard cap on any one query: no model runs that is expected to exceed what is left.
        strategy: the name of one, or a `Strategy`.
        quality_estimator: `CombinedEstimator()` by default.
        cost_estimator: `PoissonCostEstimator()` by default.
        priors: expected quality of each model before any fit, weak to strong.
        seed: of the coin that mixes two policies to meet a budget exactly.
        clamp_budget: whether a budget below the cheapest policy's cost takes that policy and warns,
            once fitted; otherwise it raises.
        judge: a chat model that scores drafts once the cascade is fitted, or a pair
            `(ChatJudge(...), chat model)`.
        llm_router: a chat model that predicts from the query alone who will answer well, or a pair
            `(ChatRouter(...), chat model)`.
        samples: how many further answers are asked of which child, by its name.
        shadow: the child whose answers users get while the cascade plays along for the record.
    """

    prices: dict[str, Price] = {}  # noqa: RUF012  pydantic copies it
    cost: Any = "price"
    max_expected_cost: float | None = None
    max_cost: float | None = None
    strategy: str | Strategy = DEFAULT_STRATEGY
    quality_estimator: QualityEstimator | None = None
    cost_estimator: CostEstimator | None = None
    priors: list[float] | None = None
    seed: int = 0
    clamp_budget: bool = False
    judge: Any = None
    llm_router: Any = None
    samples: Any = None
    shadow: str | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ROUTER_FIELDS:
            raise cannot_assign(name)
        super().__setattr__(name, value)


#: What the router is built from; `max_cost` and `shadow` are read with each call.
ROUTER_FIELDS = frozenset(
    {"models", "llms", *CascadeFields.__annotations__} - {"max_cost", "shadow"}
)


def cannot_assign(name: str) -> ConfigurationError:
    """The error for assigning a field of `ROUTER_FIELDS`: the router would not hear of it."""
    budget = "take with_budget(...), or give max_expected_cost with the call"
    other = "build another cascade"
    return ConfigurationError(
        f"{name} cannot be assigned once the cascade is built: "
        f"{budget if name == 'max_expected_cost' else other}"
    )


def build_router(
    fields: Any, models: Collection[str], advisers: Iterable[Adviser]
) -> CascadeRouter:
    """The router of a cascade with such fields.

    Args:
        fields: the model that has them.
        models: names of its children.
        advisers: what its judge and its LLM router ask.

    Raises:
        ConfigurationError: a field's value cannot be.
    """
    if fields.max_cost is not None and not fields.max_cost >= 0:
        raise ConfigurationError(f"max_cost must be a number >= 0, not {fields.max_cost}")
    if fields.shadow is not None and fields.shadow not in models:
        raise ConfigurationError(
            f"shadow={fields.shadow!r} is none of the children: name the one that is to answer "
            f"while the cascade plays along: {list(models)}"
        )
    return CascadeRouter(
        list(models),
        strategy=fields.strategy,
        quality=fields.quality_estimator,
        cost=fields.cost_estimator,
        prices=fields.prices,
        charge=fields.cost,
        budget=fields.max_expected_cost,
        priors=fields.priors,
        seed=fields.seed,
        clamp_budget=fields.clamp_budget,
        advisers=list(advisers),
        samples=fields.samples,
    )
