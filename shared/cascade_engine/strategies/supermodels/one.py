"""The best set of models for one query: `batch` in plain numbers and vectors.

A session decides one query at a time, and a table of one row costs more than the work on it: here
the bounds and pairs are plain Python, and numpy comes in where several candidates are left.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.strategies.gaussian.expected_max import excess_one
from cascade_engine.strategies.gaussian.quadrature import NODES_ERROR, cdfs_of_one
from cascade_engine.strategies.gaussian.reservation import one_reservation_value
from cascade_engine.strategies.supermodels.branch_and_bound import cheapest_of_best
from cascade_engine.strategies.supermodels.relaxation import NO_GAIN, NONE, Candidates

if TYPE_CHECKING:
    from collections.abc import Sequence


def best_first_model(
    mean: Sequence[float],
    sd: Sequence[float],
    cost: Sequence[float],
    members: Sequence[int],
    *,
    lam: float,
    held: float,
    room: int,
) -> int:
    """The cheapest model of the best set, as `best_first_models` has it; `NONE` for the empty set.

    Args:
        mean: expected quality, length k.
        sd: its standard deviation, length k.
        cost: of each model, length k.
        members: numbers of the models that may be in the set.
        lam: lambda.
        held: the best quality already held; -inf for none.
        room: the most models in a set.
    """
    nothing = held == -math.inf
    price = [lam * c for c in cost]
    if nothing:
        gain = {i: mean[i] - price[i] for i in members}
    else:
        gain = {i: excess_one(mean[i] - held, sd[i]) - price[i] for i in members}
        gain = {i: g for i, g in gain.items() if g > NO_GAIN}
    if not gain or room < 1:
        return NONE
    best = max(gain.values())
    first = min((i for i, g in gain.items() if g >= best - NO_GAIN), key=cost.__getitem__)
    if len(gain) == 1 or room == 1:
        return first
    value = best if nothing else held + best
    able = _hopeful(list(gain), (mean, sd, price), value)
    if len(able) < 2:  # noqa: PLR2004
        return first
    if len(able) == 2 and nothing:  # noqa: PLR2004
        return _better_pair(able, (mean, sd, cost, price), value, first)
    means, sds, costs, prices = (
        np.array([column[i] for i in able]) for column in (mean, sd, cost, price)
    )
    candidates = Candidates(*cdfs_of_one(means, sds, held), prices, costs, must_run=nothing)
    # The value comes from closed forms: on the nodes it may be a little less.
    reached = value - NODES_ERROR * float(sds.max())
    better = cheapest_of_best(candidates, min(room, len(able)), reached)
    return first if better == NONE else able[better]


def _hopeful(able: list[int], beliefs: tuple[Sequence[float], ...], value: float) -> list[int]:
    """Models that a best set may have, by the bound at the highest reservation value."""
    mean, sd, price = beliefs
    index = one_reservation_value()
    top = max(index(mean[i], sd[i], price[i]) for i in able)
    if math.isinf(top):
        return able
    return [i for i in able if top + excess_one(mean[i] - top, sd[i]) - price[i] >= value - NO_GAIN]


def _better_pair(
    able: list[int], beliefs: tuple[Sequence[float], ...], value: float, first: int
) -> int:
    """The cheaper of the two models if both together are worth more, else `first`."""
    mean, sd, cost, price = beliefs
    i, j = able
    over = mean[i] - mean[j]
    together = mean[j] + excess_one(over, math.hypot(sd[i], sd[j])) - price[i] - price[j]
    if together <= value + NO_GAIN:
        return first
    return i if cost[i] <= cost[j] else j
