"""The cost-quality frontier that a fit finds, and the policy on it that a budget buys."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.core.checks import is_number
from cascade_engine.errors import BudgetWarning, ConfigurationError, InfeasibleBudgetError
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray

__all__ = ["ROUNDING", "Frontier", "Policy", "check_budget", "coin", "rising"]

#: Differences that are rounding: of costs, relative to them; and of a budget from a policy's cost.
ROUNDING = 1e-12
_SLACK = 1e-9
#: Budgets at which the area under a frontier is taken.
_AREA = 513
#: The most by which estimates that have seen the labels are held to lower costs, as a share of
#: their range. On recorded answers it was .00 to .03 with 1,000 queries, and up to .09 with 100.
_LOWERED = 0.03


@persistent("Policy")
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


@persistent("Frontier")
@dataclass(frozen=True, slots=True)
class Frontier:
    """Mean cost and quality of a strategy on the fitting data, at every lambda that matters.

    It ends where spending more no longer helps: what costs more and gave less, by more than chance
    on data that the estimates had not seen, is not worth having at any budget.

    Attributes:
        lambdas: from the cheapest policy to the best, falling, shape (s,).
        cost: mean cost, increasing, shape (s,).
        quality: mean quality, shape (s,).
    """

    lambdas: FloatArray
    cost: FloatArray
    quality: FloatArray

    def spending(self, cost: FloatArray) -> Frontier:
        """The same policies at what they cost by the estimates that sessions go by.

        A frontier is traced by estimates of several fits, none of which has seen the query. Where
        many queries look alike (a verdict of yes or no, say) one fit decides all of them at one
        lambda, and several spread them over neighbouring ones: the costs between are in no
        policy's reach but by a mixture of what lies on both sides.

        Estimates that have seen the labels are surer of these queries than of others, which makes
        all policies but the first and the last look a little cheaper. What looks like it, a
        parabola through both ends, is taken out as far as it is small.

        Args:
            cost: mean cost at each lambda on the fitting data, shape (s,).
        """
        low, high = self.cost[0], self.cost[-1]
        if high <= low or np.allclose(cost, self.cost, rtol=_SLACK, atol=0.0):
            return self
        between = np.linspace(low, high, _AREA)
        missing = np.interp(between, self.cost, self.cost - cost)
        weight = _parabola(low, between, high)
        peak = min(max(float(missing @ weight / (weight @ weight)), 0.0), _LOWERED * (high - low))
        spent = cost + peak * np.maximum(_parabola(low, cost, high), 0.0)
        policies = _worth_having(spent)
        return Frontier(self.lambdas[policies], spent[policies], self.quality[policies])

    def area(self, low: float, high: float) -> float:
        """Mean quality over the budgets from `low` to `high`; at both ends the curve is flat."""
        budgets = np.linspace(low, high, _AREA)
        return float(np.interp(budgets, self.cost, self.quality).mean())

    def at(self, budget: float, *, clamp: bool = False) -> Policy:
        """The policy whose expected cost is the budget, or the best where that costs less.

        Args:
            budget: expected cost per query; infinity for the best policy.
            clamp: for a budget below the cheapest policy's cost, to take that policy and warn
                (`BudgetWarning`), not to raise.

        Raises:
            ConfigurationError: the budget is NaN or negative.
            InfeasibleBudgetError: even the cheapest policy costs more.
        """
        check_budget(budget)
        cheapest = float(self.cost[0])
        if budget < cheapest * (1 - _SLACK):
            problem = (
                f"a budget of {budget:g} per query is below the cheapest policy, which costs "
                f"{cheapest:g}"
            )
            if not clamp:
                raise InfeasibleBudgetError(f"{problem}: raise the budget or add a cheaper model")
            warnings.warn(f"{problem}: that policy is used", BudgetWarning, stacklevel=2)
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
    if not is_number(budget) or math.isnan(budget) or budget < 0:
        raise ConfigurationError(f"a budget must be a number >= 0, not {budget!r}")


def _worth_having(cost: FloatArray) -> IntArray:
    """Numbers of policies, the last of which is the best.

    What costs more than the best is left out, and what costs less than one of a higher lambda. Of
    those that cost the same it is one far from where that changes: other queries differ a little.
    """
    affordable = np.flatnonzero(cost <= cost[-1] * (1 + ROUNDING))
    most = np.maximum.accumulate(cost[affordable])
    dearest_yet = affordable[cost[affordable] >= most * (1 - ROUNDING)]
    first = np.flatnonzero(rising(cost[dearest_yet]))
    last = np.append(first[1:], len(dearest_yet)) - 1
    middle = (first + last) // 2
    middle[0], middle[-1] = first[0], last[-1]
    return np.asarray(dearest_yet[middle])


def _parabola(low: float, x: FloatArray, high: float) -> FloatArray:
    """0 at both ends, 1 in the middle."""
    share = (x - low) / (high - low)
    return np.asarray(4 * share * (1 - share))


def rising(cost: FloatArray) -> BoolArray:
    """Which policies cost more than all of higher lambda: the others buy nothing. Shape (s,)."""
    before = np.concatenate([[-np.inf], np.maximum.accumulate(cost)[:-1]])
    return np.asarray(cost > before + ROUNDING * np.abs(cost))


def coin(text: str, seed: int) -> float:
    """A number in [0, 1) that depends on text and seed alone: the same in every process."""
    salt = (seed % 2**64).to_bytes(8, "big")
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, salt=salt).digest()
    return int.from_bytes(digest, "big") / 2**64
