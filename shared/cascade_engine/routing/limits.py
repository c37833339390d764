"""What limits one query: the models that may run, a hard cap on its cost, a lambda of its own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cascade_engine.core.checks import is_number
from cascade_engine.errors import ConfigurationError, InfeasibleBudgetError, UnknownPriceError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

__all__ = ["Cap", "check_lam", "excluded_models"]


def excluded_models(models: Sequence[str], only: Collection[str] | None) -> list[bool]:
    """Which of the k models may not run, because `only` does not name them.

    Raises:
        ConfigurationError: `only` is empty, or names an unknown model.
    """
    if only is None:
        return [False] * len(models)
    allowed = set(only)
    if not allowed or not allowed <= set(models):
        raise ConfigurationError(
            f"models that may run must be some of {models}, not {sorted(allowed)}"
        )
    return [model not in allowed for model in models]


class Cap:
    """What may be spent on one query, and what is left of it.

    Args:
        limit: the most that it may cost; None for no cap.
        models: names of the k models.
        expected: expected cost of each on the query; NaN where unknown.
        excluded: which of the models may not run.

    Raises:
        UnknownPriceError: a model that may run has no known price.
        InfeasibleBudgetError: every model that may run is expected to cost more than `limit`.
    """

    def __init__(
        self,
        limit: float | None,
        models: Sequence[str],
        expected: Sequence[float],
        excluded: Sequence[bool],
    ) -> None:
        self._limit = limit
        self._expected: dict[str, float] = {}
        if limit is not None:
            self._expected = dict(zip(models, expected, strict=True))
            allowed = zip(self._expected.items(), excluded, strict=True)
            _check(limit, dict(item for item, out in allowed if not out))

    @property
    def is_set(self) -> bool:
        """Whether there is a cap."""
        return self._limit is not None

    def left(self, costs: Iterable[tuple[str, float | None]], advice: float) -> float | None:
        """What is left, None without a cap; a call of unknown cost counts as expected.

        Args:
            costs: the model and the cost of each call that was answered or failed.
            advice: what was spent on advice.
        """
        if self._limit is None:
            return None
        spent = sum(self._expected[m] if c is None else c for m, c in costs)
        return max(0.0, float(self._limit - spent - advice))


def _check(limit: float, expected: Mapping[str, float]) -> None:
    unknown = [model for model, cost in expected.items() if math.isnan(cost)]
    if unknown:
        raise UnknownPriceError(
            f"a cost limit needs every model's price, and that of {unknown} is unknown: pass "
            "prices={name: Price(input=..., output=...)}, or fit on data with costs"
        )
    cheapest = min(expected, key=lambda model: expected[model])
    if not expected[cheapest] <= limit:
        raise InfeasibleBudgetError(
            f"no model is expected to cost as little as {limit:g} on this query: "
            f"{cheapest!r}, the cheapest, costs {expected[cheapest]:g}"
        )


def check_lam(lam: float, budget: float | None, *, fitted: bool) -> None:
    """Refuses a lambda that is none, or that has nothing to weigh or a budget beside it.

    Raises:
        ConfigurationError: `lam` is no number >= 0, or is given before a fit or with a budget.
    """
    if not is_number(lam) or not lam >= 0:
        raise ConfigurationError(f"lam must be a number >= 0, not {lam!r}")
    if not fitted:
        raise ConfigurationError(
            f"lam={lam!r} is a trade-off between estimates, and there are none before fit: "
            "call fit first, or give a budget"
        )
    if budget is not None:
        raise ConfigurationError(
            f"lam={lam!r} and budget={budget!r} contradict each other: a budget is turned into "
            "a lambda; give one of them"
        )
