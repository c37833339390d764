"""What limits one query: the models that may run, and a hard cap on its cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cascade_engine.errors import ConfigurationError, InfeasibleBudgetError, UnknownPriceError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

__all__ = ["Cap", "barred"]


def barred(models: Sequence[str], only: Collection[str] | None) -> list[bool]:
    """Which of the k models may not run from the start.

    Raises:
        ConfigurationError: `only` is empty, or names a model that is not there.
    """
    if only is None:
        return [False] * len(models)
    wanted = set(only)
    unknown = sorted(wanted - set(models))
    if unknown or not wanted:
        raise ConfigurationError(
            f"models that may run must be some of {models}, not {sorted(wanted)}"
        )
    return [model not in wanted for model in models]


class Cap:
    """What may be spent on one query, and what is left of it.

    Args:
        limit: the most that it may cost; None for no cap.
        models: names of the k models.
        expected: what each is expected to cost on the query; NaN where unknown.
        barred: which may not run.

    Raises:
        UnknownPriceError: a model that may run has no known price.
        InfeasibleBudgetError: none that may run is expected to cost as little.
    """

    def __init__(
        self,
        limit: float | None,
        models: Sequence[str],
        expected: Sequence[float],
        barred: Sequence[bool],
    ) -> None:
        self._limit = limit
        self._expected: dict[str, float] = {}
        if limit is not None:
            self._expected = dict(zip(models, expected, strict=True))
            out = {model for model, no in zip(models, barred, strict=True) if no}
            _check(limit, {m: c for m, c in self._expected.items() if m not in out})

    @property
    def is_set(self) -> bool:
        """Whether there is a cap."""
        return self._limit is not None

    def left(self, costs: Iterable[tuple[str, float | None]], advice: float) -> float | None:
        """What is left, None without a cap; a call of unknown cost counts as expected.

        Args:
            costs: of each call that was answered, or failed, with its model.
            advice: spent on advice.
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
