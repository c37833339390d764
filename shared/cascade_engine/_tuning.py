"""The cost-quality frontier of a strategy, and the policy on it that a budget buys."""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.errors import ConfigurationError, InfeasibleBudgetError

if TYPE_CHECKING:
    from cascade_engine._arrays import FloatArray
    from cascade_engine._simulation import Simulation

__all__ = ["Frontier", "Policy", "coin", "sweep"]

_ROUNDING = 1e-12
_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Policy:
    """A mixture of two lambdas of a strategy.

    Attributes:
        cheap: the lambda that costs less, the higher.
        dear: the lambda that costs more.
        gamma: probability of `cheap`, as in Theorem 1: B = gamma B- + (1 - gamma) B+.
        cost: expected cost per query on the fitting data.
        quality: expected quality on the fitting data.
    """

    cheap: float
    dear: float
    gamma: float
    cost: float
    quality: float

    def lam(self, toss: float) -> float:
        """Lambda for a query whose coin shows `toss` in [0, 1)."""
        return self.cheap if toss < self.gamma else self.dear


@dataclass(frozen=True, slots=True)
class Frontier:
    """Mean cost and quality of a strategy on the fitting data, at every lambda that matters.

    It ends at the best policy: what costs more and gave less on data that the estimates had not
    seen is not worth having at any budget.

    Attributes:
        lambdas: from the cheapest policy to the best, falling, shape (s,).
        cost: mean cost, increasing, shape (s,).
        quality: mean quality, shape (s,).
    """

    lambdas: FloatArray
    cost: FloatArray
    quality: FloatArray

    def at(self, budget: float) -> Policy:
        """The policy whose expected cost is the budget, or the best where that costs less.

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
            lam = float(self.lambdas[i])
            return Policy(lam, lam, 0.0, float(self.cost[i]), float(self.quality[i]))
        low, high = above - 1, above
        gamma = float((self.cost[high] - budget) / (self.cost[high] - self.cost[low]))
        return Policy(
            cheap=float(self.lambdas[low]),
            dear=float(self.lambdas[high]),
            gamma=gamma,
            cost=gamma * float(self.cost[low]) + (1 - gamma) * float(self.cost[high]),
            quality=gamma * float(self.quality[low]) + (1 - gamma) * float(self.quality[high]),
        )


def check_budget(budget: float) -> None:
    """Refuses a budget that is no amount; infinity is one."""
    if math.isnan(budget) or budget < 0:
        raise ConfigurationError(f"a budget must be a number >= 0, not {budget}")


def sweep(simulation: Simulation) -> Frontier:
    """The whole frontier of a strategy: every policy that some lambda makes, exactly.

    Each query's run is followed once for all lambdas: in every state the options' hull splits the
    interval of lambdas that lead there. What comes out is, for each query, cost and quality as step
    functions of lambda; the frontier is their mean.
    """
    ends = simulation.sweep()
    edges = np.unique(np.concatenate([ends.low, ends.high]))[::-1]
    cost = _steps(edges, ends.low, ends.high, ends.cost) / simulation.queries
    quality = _steps(edges, ends.low, ends.high, ends.quality) / simulation.queries
    lam = _between(edges[1:], edges[:-1])
    start = int(cost.argmin())
    end = start + int(quality[start:].argmax()) + 1
    lam, cost, quality = lam[start:end], cost[start:end], quality[start:end]
    # Where a lower lambda costs no more than a higher one, nothing is bought: it is left out.
    before = np.concatenate([[-np.inf], np.maximum.accumulate(cost)[:-1]])
    kept = cost > before + _ROUNDING * np.abs(cost)
    return Frontier(lam[kept], cost[kept], quality[kept])


def _steps(edges: FloatArray, low: FloatArray, high: FloatArray, amount: FloatArray) -> FloatArray:
    """Sum of the step functions `amount` on (low, high), between falling edges."""
    change = np.zeros(len(edges))
    rising = edges[::-1]
    last = len(edges) - 1
    np.add.at(change, last - np.searchsorted(rising, high), amount)
    np.add.at(change, last - np.searchsorted(rising, low), -amount)
    return np.cumsum(change)[:-1]


def _between(low: FloatArray, high: FloatArray) -> FloatArray:
    """A lambda inside each interval; the ends may be 0 and infinity."""
    from_zero, to_infinity = low <= 0, np.isinf(high)
    inside = np.sqrt(np.where(from_zero, 1.0, low)) * np.sqrt(np.where(to_infinity, 1.0, high))
    inside = np.where(to_infinity, 2 * np.where(from_zero, 1.0, low), inside)
    return np.where(from_zero, np.where(to_infinity, 0.0, high / 2), inside)


def coin(text: str, seed: int) -> float:
    """A number in [0, 1) that depends on the text alone: the same in every process."""
    digest = blake2b(
        text.encode("utf-8", "surrogatepass"), digest_size=8, salt=_salt(seed)
    ).digest()
    return int.from_bytes(digest, "big") / 2**64


def _salt(seed: int) -> bytes:
    return (seed % 2**64).to_bytes(8, "big")
