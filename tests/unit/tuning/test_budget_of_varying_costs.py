"""Budgets where the cost of a model varies widely from query to query, and nobody sees why."""

from __future__ import annotations

import numpy as np
import pytest

from cascade_engine import Answer, CascadeDataset, CascadeRouter

#: Share of a budget that spending on other queries may be off, on average over nine of them. By
#: what is expected of queries seen it is .18 over, by what is expected of others .18 under.
ROOM = 0.12


def varying(n, seed):
    """Three models whose costs are lognormal, their log with a standard deviation of 1.2."""
    rng = np.random.default_rng(seed)
    words = np.array([f"word{i}" for i in range(300)])
    queries = [" ".join(rng.choice(words, 12)) for _ in range(n)]
    skill = rng.normal(size=n)
    quality = np.column_stack(
        [rng.random(n) < 1 / (1 + np.exp(-skill - easy)) for easy in (0.0, 0.8, 1.6)]
    )
    sure = np.where(quality, rng.beta(8, 2, (n, 3)), rng.beta(4, 3, (n, 3)))
    cost = np.array([1.0, 4.0, 20.0]) * rng.lognormal(-0.72, 1.2, (n, 3))
    answers = [
        [Answer(f"{i}", logprobs=(float(np.log(p)),) * 3) for p in row]
        for i, row in enumerate(sure)
    ]
    models = ["small", "middle", "large"]
    return CascadeDataset(models, queries, answers, quality.astype(float), cost)


@pytest.mark.slow
def test_a_budget_is_met():
    over = []
    for seed in (1, 2, 3):
        train, test = varying(200, seed), varying(2000, 100 + seed)
        router = CascadeRouter(train.models).fit(train)
        cheapest, *_, dearest = train.cost.mean(axis=0)
        for share in (0.15, 0.4, 0.7):
            budget = cheapest + share * (dearest - cheapest)
            over.append(router.with_budget(budget).replay(test).mean_cost / budget - 1)
    assert abs(np.mean(over)) <= ROOM, over
