"""What strategies say of a whole interval, or a grid, of lambdas is what they decide at each."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest

from cascade_engine import STRATEGIES
from cascade_engine.estimators import Estimates
from cascade_engine.strategies import (
    CascadeRouting,
    Cascading,
    ListedStrategy,
    Options,
    ReservationIndex,
)
from tests.helpers import tuned

N, K = 40, 3
DEEP = [kind(max_depth=d) for kind in (Cascading, CascadeRouting, ReservationIndex) for d in (1, 2)]
EVERY = [tuned(STRATEGIES[name](), 7, K) for name in sorted(STRATEGIES)] + DEEP
LISTED = [strategy for strategy in EVERY if isinstance(strategy, ListedStrategy)]
#: Falling, and 0 at the end, as a frontier has it.
GRID = np.append(np.geomspace(50, 1e-6, 90), 0.0)


def label(strategy):
    depth = getattr(strategy, "max_depth", None)
    return strategy.name if depth is None else f"{strategy.name}-{depth}"


every = pytest.mark.parametrize("strategy", EVERY, ids=label)
listed = pytest.mark.parametrize("strategy", LISTED, ids=label)
runs = pytest.mark.parametrize("run", [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 1, 1]])


def situation(run, seed=7):
    """N queries in one state, some with models free, certain, or out of the question."""
    rng = np.random.default_rng(seed)
    run = np.broadcast_to(np.array(run, bool), (N, K))
    spread = rng.uniform(0, 0.4, (N, K)) * (rng.random((N, K)) < 0.85)
    cost = rng.uniform(0.05, 1, (N, K)) * (rng.random((N, K)) < 0.9)
    quality = rng.random((N, K)) - 9.0 * (rng.random((N, K)) < 0.1)
    return Estimates(quality, np.where(run, 0, spread), cost), run, ~run


@listed
@runs
def test_pieces_say_what_is_picked_at_every_lambda(strategy, run):
    estimates, run, available = situation(run)
    options = strategy.options(estimates, run, available)
    rng = np.random.default_rng(1)
    low, high = rng.uniform(0, 0.2, N), np.where(rng.random(N) < 0.5, np.inf, 2.0)
    covered = [[] for _ in range(N)]
    for piece in strategy.pieces(options, low, high):
        inside = np.minimum((piece.low + piece.high) / 2, piece.low + 1)
        at = estimates.at(piece.rows), run[piece.rows], available[piece.rows]
        here = Options(*(getattr(options, f.name)[piece.rows] for f in fields(Options)))
        assert (strategy.pick(here, inside) == piece.action).all()
        # Sets of equal worth at every lambda need not be the same, but what is decided is.
        assert (strategy.decide(*at, inside) == piece.action).all()
        for row, bottom, top in zip(piece.rows, piece.low, piece.high, strict=True):
            covered[row].append((bottom, top))
    for row, spans in enumerate(covered):
        ends = sorted(spans)
        assert [ends[0][0], ends[-1][1]] == [low[row], high[row]]
        assert all(a[1] == b[0] for a, b in pairwise(ends))


@every
@runs
@pytest.mark.parametrize("whole", [True, False])
def test_a_grid_is_decided_as_each_of_its_lambdas(strategy, run, whole):
    estimates, run, available = situation(run)
    rng = np.random.default_rng(2)
    first = np.zeros(N, int) if whole else rng.integers(0, 60, N)
    last = np.full(N, len(GRID)) if whole else first + rng.integers(0, 30, N)
    said = np.full((N, len(GRID)), -9)
    for piece in strategy.pieces_on(GRID, estimates, run, available, (first, last)):
        for row, action, low, high in zip(
            piece.rows, piece.action, piece.low, piece.high, strict=True
        ):
            assert (said[row, low:high] == -9).all()
            said[row, low:high] = action
    for number, lam in enumerate(GRID):
        inside = (first <= number) & (number < last)
        decided = strategy.decide(estimates, run, available, np.full(N, lam))
        assert said[inside, number].tolist() == decided[inside].tolist()
        assert (said[~inside, number] == -9).all()


@every
def test_a_decision_by_numbers_is_that_by_arrays(strategy):
    rng = np.random.default_rng(3)
    marks = rng.integers(0, 3, (N, K))
    run, available = marks == 0, marks == 1
    for seed in range(4):
        estimates, _, _ = situation([0] * K, seed)
        spread = np.where(run, 0, estimates.sd)
        estimates = Estimates(estimates.quality, spread, estimates.cost)
        for lam in (0.0, 1e-3, 0.05, 0.5, 1e6):
            together = strategy.decide(estimates, run, available, np.full(N, lam))
            for i in range(N):
                tables = (estimates.quality, estimates.sd, estimates.cost)
                quality, sd, cost = (table[i].tolist() for table in tables)
                alone = strategy.decide_one(
                    quality,
                    sd,
                    cost,
                    run=run[i].tolist(),
                    available=available[i].tolist(),
                    lam=lam,
                )
                assert alone == together[i]


def test_which_strategies_list_their_options():
    lists = {name: STRATEGIES[name]().lists_options(6) for name in STRATEGIES}
    assert lists == {
        name: name not in {"reservation_index", "fitted_value_iteration"} for name in STRATEGIES
    }
    assert not CascadeRouting().lists_options(7)
    assert Cascading().lists_options(300)
