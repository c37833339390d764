"""Strategies driven by arrays, without text, sessions or frameworks: `tune` and `simulate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cascade_engine.core.checks import check_table, is_number
from cascade_engine.errors import ConfigurationError, DataError
from cascade_engine.strategies import TuningData, find_strategy
from cascade_engine.strategies.frontier import Frontier, Policy
from cascade_engine.tuning.frontier_search import (
    costs_at,
    rehearsed_frontier,
    trace_frontier,
)
from cascade_engine.tuning.simulation import Outcome, Simulation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.estimators import CombinedBeliefs
    from cascade_engine.strategies import Strategy
    from cascade_engine.strategies.base import BeliefFunction
    from cascade_engine.tuning.beliefs import Beliefs
    from cascade_engine.tuning.simulation import AdviceCosts

__all__ = ["Tuned", "simulate", "tune", "tune_on"]


class Tuned(NamedTuple):
    """A strategy as a fit left it, and its cost-quality frontier on the fitting data."""

    strategy: Strategy
    frontier: Frontier


def tune(
    strategy: str | Strategy, beliefs: Beliefs | CombinedBeliefs, *, quality: object, cost: object
) -> Tuned:
    """Fits a strategy's whole cost-quality frontier to arrays.

    Args:
        strategy: by name, or a `Strategy`.
        beliefs: about n queries and k models; not from labels of these very queries, or the
            frontier promises too much.
        quality: true quality, shape (n, k).
        cost: true cost, shape (n, k), >= 0.

    Returns:
        The strategy to simulate or decide with, and the frontier; `frontier.at(budget)` is the
        policy that a budget buys.

    Raises:
        DataError: a shape is wrong, a number is not finite, or a cost is negative.
        ConfigurationError: an unknown strategy.
    """
    true = _truth(beliefs, quality, cost)
    return tune_on(find_strategy(strategy), beliefs, *true)


def tune_on(
    strategy: Strategy,
    believe: BeliefFunction,
    quality: FloatArray,
    cost: FloatArray,
    *,
    advice: AdviceCosts | None = None,
    later: BeliefFunction | None = None,
) -> Tuned:
    """`tune` on any belief function, with what a router adds to it.

    Args:
        strategy: what is tuned.
        believe: what is believed of the queries, by estimators that have not seen their labels.
        quality: true quality, shape (n, k).
        cost: true cost, shape (n, k).
        advice: what advice costs, where advisers are asked.
        later: what will be believed once the strategy is in use, if by other estimators, which may
            have seen the labels: the frontier's costs are then those of decisions by it.
    """

    def simulation(strategy: Strategy, believe: BeliefFunction) -> Simulation:
        return Simulation(strategy, believe, quality=quality, cost=cost, advice=advice)

    def frontier(strategy: Strategy) -> Frontier:
        return trace_frontier(simulation(strategy, believe))

    ready, rehearsal = strategy.learned(TuningData(quality, cost, frontier, believe))
    tuned = Tuned(ready, frontier(ready) if rehearsal is None else rehearsed_frontier(rehearsal))
    if later is None:
        return tuned
    costs = costs_at(simulation(tuned.strategy, later), tuned.frontier.lambdas)
    return tuned._replace(frontier=tuned.frontier.spending(costs))


def simulate(
    strategy: str | Strategy,
    beliefs: Beliefs | CombinedBeliefs,
    policy: Policy | float,
    *,
    quality: object,
    cost: object,
    ids: Sequence[str] | None = None,
    seed: int = 0,
) -> Outcome:
    """Plays a policy over complete data, all queries at once.

    Args:
        strategy: by name, or a `Strategy`; one that learns from data as `tune` returned it.
        beliefs: about n queries and k models.
        policy: from a frontier, or a lambda.
        quality: true quality, shape (n, k).
        cost: true cost, shape (n, k), >= 0.
        ids: of the queries: the coin between a policy's two lambdas depends on the id and the seed
            alone. By default the rows' numbers.
        seed: of that coin.

    Raises:
        DataError: a shape is wrong, a number is not finite, or a cost is negative.
        ConfigurationError: an unknown strategy, or a lambda that is not finite and >= 0.
    """
    quality, cost = _truth(beliefs, quality, cost)
    simulation = Simulation(find_strategy(strategy), beliefs, quality=quality, cost=cost)
    if isinstance(policy, Policy):
        names = [str(row) for row in range(len(beliefs))] if ids is None else ids
        if len(names) != len(beliefs):
            raise DataError(f"{len(names)} ids for {len(beliefs)} queries")
        return simulation.play_policy(policy, [str(name) for name in names], seed)
    if not (is_number(policy) and 0 <= policy < np.inf):
        raise ConfigurationError(f"lambda must be a finite number >= 0, not {policy!r}")
    return simulation.play(np.full(len(beliefs), float(policy)))


def _truth(
    beliefs: Beliefs | CombinedBeliefs, quality: object, cost: object
) -> tuple[FloatArray, FloatArray]:
    shape = (len(beliefs), beliefs.models)
    paid = check_table("cost", cost, shape)
    if paid.min() < 0:
        raise DataError(f"a cost is negative: {paid.min():g}")
    return check_table("quality", quality, shape), paid
