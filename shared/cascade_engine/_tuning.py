"""The cost-quality frontier of a strategy, and the policy on it that a budget buys."""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.errors import ConfigurationError, InfeasibleBudgetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cascade_engine._arrays import FloatArray
    from cascade_engine._simulation import Outcome
    from cascade_engine.strategies import Strategy

__all__ = ["Frontier", "Policy", "coin", "trace_frontier"]

_FINEST = 0.005
_MOST_SETTINGS = 160
_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Policy:
    """A mixture of two settings of a strategy.

    Attributes:
        cheap: the setting that costs less.
        dear: the setting that costs more.
        gamma: probability of `cheap`, as in Theorem 1: B = gamma B- + (1 - gamma) B+.
        cost: expected cost per query on the fitting data.
        quality: expected quality on the fitting data.
    """

    cheap: float
    dear: float
    gamma: float
    cost: float
    quality: float

    def setting(self, toss: float) -> float:
        """The setting for a query whose coin shows `toss` in [0, 1)."""
        return self.cheap if toss < self.gamma else self.dear


@dataclass(frozen=True, slots=True)
class Frontier:
    """Mean cost and quality of a strategy on the fitting data, at every setting that matters.

    Attributes:
        settings: from the cheapest policy to the dearest, shape (s,).
        cost: mean cost, increasing, shape (s,).
        quality: mean quality, shape (s,).
    """

    settings: FloatArray
    cost: FloatArray
    quality: FloatArray

    def at(self, budget: float) -> Policy:
        """The policy whose expected cost is the budget, or the dearest where that costs less.

        Raises:
            ConfigurationError: the budget is NaN or negative.
            InfeasibleBudgetError: even the cheapest policy costs more.
        """
        check_budget(budget)
        cheapest = float(self.cost[0])
        if budget < cheapest * (1 - _SLACK):
            raise InfeasibleBudgetError(
                f"a budget of {budget:g} per query is below the cheapest policy, which costs "
                f"{cheapest:g}: raise the budget or add a cheaper model"
            )
        above = int(np.searchsorted(self.cost, budget, side="right"))
        if above == len(self.cost) or above == 0:
            i = min(above, len(self.cost) - 1)
            setting = float(self.settings[i])
            return Policy(setting, setting, 0.0, float(self.cost[i]), float(self.quality[i]))
        low, high = above - 1, above
        gamma = float((self.cost[high] - budget) / (self.cost[high] - self.cost[low]))
        return Policy(
            cheap=float(self.settings[low]),
            dear=float(self.settings[high]),
            gamma=gamma,
            cost=gamma * float(self.cost[low]) + (1 - gamma) * float(self.cost[high]),
            quality=gamma * float(self.quality[low]) + (1 - gamma) * float(self.quality[high]),
        )


def check_budget(budget: float) -> None:
    """Refuses a budget that is no amount; infinity is one."""
    if math.isnan(budget) or budget < 0:
        raise ConfigurationError(f"a budget must be a number >= 0, not {budget}")


def trace_frontier(
    strategy: Strategy, settings: FloatArray, play: Callable[[float], Outcome]
) -> Frontier:
    """Simulates settings from the dearest to the cheapest, and between them where costs jump.

    Args:
        strategy: whose settings they are.
        settings: from the dearest policy to the cheapest.
        play: simulates one setting on the fitting data.
    """
    found = [_point(setting, play) for setting in settings.tolist()]
    spread = max(cost for _, cost, _ in found) - min(cost for _, cost, _ in found)
    stuck: set[float] = set()
    while len(found) < _MOST_SETTINGS:
        gaps = [(a[1] - b[1], i) for i, (a, b) in enumerate(pairwise(found)) if a[0] not in stuck]
        gap, i = max(gaps, default=(0.0, 0))
        if gap <= _FINEST * spread:
            break
        middle = strategy.between(found[i][0], found[i + 1][0])
        if middle is None or middle in (found[i][0], found[i + 1][0]):
            stuck.add(found[i][0])
            continue
        found.insert(i + 1, _point(middle, play))
    return _increasing(found[::-1])


def _point(setting: float, play: Callable[[float], Outcome]) -> tuple[float, float, float]:
    outcome = play(setting)
    return setting, outcome.mean_cost, outcome.mean_quality


def _increasing(points: list[tuple[float, float, float]]) -> Frontier:
    """Drops points that cost no more than a cheaper setting's: nothing is bought there."""
    kept: list[tuple[float, float, float]] = []
    for point in points:
        if kept and point[1] <= kept[-1][1]:
            if point[1] == kept[-1][1] and point[2] > kept[-1][2]:
                kept[-1] = point
            continue
        kept.append(point)
    table = np.array(kept)
    return Frontier(table[:, 0], table[:, 1], table[:, 2])


def coin(text: str, seed: int) -> float:
    """A number in [0, 1) that depends on the text alone: the same in every process."""
    digest = blake2b(
        text.encode("utf-8", "surrogatepass"), digest_size=8, salt=_salt(seed)
    ).digest()
    return int.from_bytes(digest, "big") / 2**64


def _salt(seed: int) -> bytes:
    return (seed % 2**64).to_bytes(8, "big")
