"""The relaxation and the branching, made to work where listing could: they agree with all sets."""

from __future__ import annotations

import numpy as np
import pytest

from cascade_engine.estimators import Estimates
from cascade_engine.strategies import CascadeRouting
from cascade_engine.strategies.supermodels import batch
from cascade_engine.strategies.supermodels import branch_and_bound as branching
from tests.oracle import ListedCascadeRouting


@pytest.fixture
def few_listed(monkeypatch):
    """Sets are listed of two models only: all else is settled or branched."""
    monkeypatch.setattr(branching, "_LISTED", 2)
    monkeypatch.setattr(branching, "_FEW", 1)
    monkeypatch.setattr(batch, "_LISTED", 2)


def instances(rng, n, k):
    """Queries with sets of every size worth running; in half of them a model has answered."""
    quality = rng.normal(0.6, 0.12, (n, k))
    sd = rng.uniform(0.05, 0.4, (n, k))
    cost = rng.lognormal(0, 1.0, (n, k))
    run = np.zeros((n, k), dtype=bool)
    run[: n // 2, 0] = True
    return Estimates(quality, np.where(run, 0.0, sd), cost), run


@pytest.mark.parametrize("k", [4, 6, 8])
@pytest.mark.parametrize("lam", [0.001, 0.005, 0.02, 0.06, 0.15])
def test_settling_and_branching_agree_with_all_sets(few_listed, k, lam):
    estimates, run = instances(np.random.default_rng(k), 150, k)
    lambdas = np.full(len(run), lam)
    every = ListedCascadeRouting().decide(estimates, run, ~run, lambdas)
    assert (CascadeRouting().decide(estimates, run, ~run, lambdas) == every).all()
    rows = zip(estimates.quality, estimates.sd, estimates.cost, run, every, strict=True)
    for quality, sd, cost, ran, expected in rows:
        found = CascadeRouting().decide_one(
            quality.tolist(),
            sd.tolist(),
            cost.tolist(),
            run=ran.tolist(),
            available=(~ran).tolist(),
            lam=lam,
        )
        assert found == expected


def priced(rng, n, k):
    """Many models much alike, dearer ones a little better: sets with several near rivals."""
    quality = np.linspace(0.45, 0.75, k) + rng.normal(0, 0.04, (n, k))
    sd = np.full((n, k), 0.16) + np.linspace(0, 0.04, k)
    tokens = 0.8 * rng.standard_normal((n, 1)) + 0.35 * rng.standard_normal((n, k))
    return Estimates(quality, sd, np.geomspace(5e-5, 3e-3, k) * np.exp(tokens))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("lam", [100.0, 300.0])
def test_single_and_batch_agree_among_many(seed, lam):
    estimates = priced(np.random.default_rng(seed), 300, 40)
    run = np.zeros(estimates.quality.shape, dtype=bool)
    batch = CascadeRouting().decide(estimates, run, ~run, np.full(len(run), lam))
    rows = zip(estimates.quality, estimates.sd, estimates.cost, batch, strict=True)
    for quality, sd, cost, expected in rows:
        given = quality.tolist(), sd.tolist(), cost.tolist()
        found = CascadeRouting().decide_one(
            *given, run=[False] * 40, available=[True] * 40, lam=lam
        )
        assert found == expected
