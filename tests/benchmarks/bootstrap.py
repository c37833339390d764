"""Intervals for differences of areas: seeds are drawn anew, and queries within each seed.

Methods are paired: in every replication all see the same seeds and the same queries, so what is
easy or hard for all of them cancels out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Singles:
    """Mean cost and quality of each model alone, (replications, k)."""

    cost: np.ndarray
    quality: np.ndarray


def draws(rng: np.random.Generator, queries: int, replications: int) -> np.ndarray:
    """Weights of the queries in each replication, (replications, queries); a row adds to 1."""
    even = np.full(queries, 1 / queries)
    return rng.multinomial(queries, even, size=replications) / queries


def areas(cost: np.ndarray, quality: np.ndarray, singles: Singles) -> np.ndarray:
    """`simulated.area` of many curves at once.

    Args:
        cost: mean realised costs, (replications, budgets).
        quality: mean qualities, of that shape.
        singles: the models alone in the same replications.
    """
    low, high = singles.cost.min(axis=1), singles.cost.max(axis=1)
    order = np.lexsort((quality, cost), axis=1)
    x, y = np.take_along_axis(cost, order, axis=1), np.take_along_axis(quality, order, axis=1)
    # To the left straight from the worst model at the cheapest one's cost, to the right flat.
    outside = x[:, 0] > low
    first_x = np.where(outside, low, x[:, 0])
    first_y = np.where(outside, singles.quality.min(axis=1), y[:, 0])
    last_x = np.maximum(high, x[:, -1])
    x = np.column_stack([first_x, x, last_x])
    y = np.column_stack([first_y, y, y[:, -1]])
    left, right = np.clip((x[:, :-1], x[:, 1:]), low[:, None], high[:, None])
    width = np.diff(x, axis=1)
    slope = np.diff(y, axis=1) / np.where(width > 0, width, 1.0)
    middle = y[:, :-1] + slope * ((left + right) / 2 - x[:, :-1])
    return ((right - left) * middle).sum(axis=1) / (high - low)


def interval(
    rng: np.random.Generator, difference: np.ndarray, level: float = 0.95
) -> tuple[float, float]:
    """Of the mean over seeds of a difference, from its replications within each seed.

    Args:
        rng: draws the seeds.
        difference: (seeds, replications).
        level: of the interval.
    """
    seeds, replications = difference.shape
    drawn = rng.integers(seeds, size=(replications, seeds))
    # A seed drawn twice comes with two samples of its queries.
    which = rng.integers(replications, size=(replications, seeds))
    mean = difference[drawn, which].mean(axis=1)
    low, high = np.quantile(mean, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
