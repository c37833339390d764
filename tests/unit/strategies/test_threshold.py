"""Corollary 1: where cascading is a cascade of thresholds, and which thresholds they are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from cascade_engine import Beliefs, simulate
from cascade_engine.strategies import STOP, Cascading
from tests.helpers import decide
from tests.oracle import Maxima

BEFORE = np.array([0.5, 0.55, 0.7])
SD = np.array([0.2, 0.15, 0.1])
COST = np.array([1.0, 2.0, 5.0])


def threshold(models, lam):
    """The held estimate below which to go on to the last of these models is worth their cost."""
    mean, sd, price = BEFORE[models], SD[models], lam * COST[models].sum()
    return brentq(lambda h: Maxima(mean, sd, h).of(range(len(models))) - h - price, -60, 20)


def thresholds(k, lam):
    """By the models that have answered: after the first, ..., after the last but one."""
    return [
        max(threshold(list(range(step, end)), lam) for end in range(step + 1, k + 1))
        for step in range(1, k)
    ]


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("lam", [0.002, 0.01, 0.05, 0.2])
def test_going_on_is_a_threshold_on_the_held_estimate(k, lam):
    for step, level in enumerate(thresholds(k, lam), start=1):
        run = np.arange(k) < step
        for where in (0, step - 1):
            actions = []
            for held in [
                level - 1,
                level - 0.1,
                level - 1e-7,
                level + 1e-7,
                level + 0.1,
                level + 1,
            ]:
                quality = np.where(run, level - 2, BEFORE[:k])
                quality[where] = held
                known = quality, np.where(run, 0, SD[:k]), COST[:k]
                actions.append(decide(Cascading(), known, (run, ~run), lam))
            assert actions == [step] * 3 + [STOP] * 3


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("lam", [0.002, 0.01, 0.05])
def test_cascading_is_then_a_cascade_of_thresholds(k, lam):
    """Played by hand: constant costs, and estimates of models not run that know no query."""
    rng = np.random.default_rng(k)
    n, levels = 400, thresholds(k, lam)
    after = BEFORE[:k] + SD[:k] * rng.standard_normal((n, k))
    before, cost = np.tile(BEFORE[:k], (n, 1)), np.tile(COST[:k], (n, 1))
    beliefs = Beliefs(before, after, cost=COST[:k], sd=SD[:k])
    outcome = simulate("cascading", beliefs, lam, quality=after, cost=cost)
    first = outcome.run[:, 0]
    assert first.all()  # else there would be nothing to hold
    for row in range(n):
        run, held = [0], after[row, 0]
        while len(run) < k and held < levels[len(run) - 1]:
            held = max(held, after[row, len(run)])
            run.append(len(run))
        assert np.flatnonzero(outcome.run[row]).tolist() == run
        assert outcome.quality[row] == held
    assert len(np.unique(outcome.run.sum(axis=1))) == k


def test_the_step_that_looks_ahead_waits_longer():
    """With a poor model next and a good one behind it, the threshold is that of both together."""
    lam = 0.02
    alone = threshold([1], lam)
    both = threshold([1, 2], lam)
    level = thresholds(3, lam)[0]
    assert level == max(alone, both)
    assert both != alone
    lost = [threshold([2], lam), thresholds(3, lam)[1]]
    assert lost[0] == lost[1]


def test_thresholds_fall_as_lambda_rises():
    table = np.array([thresholds(3, lam) for lam in (0.001, 0.01, 0.03, 0.1, 0.5)])
    assert (np.diff(table, axis=0) < 0).all()


def test_with_costs_that_depend_on_the_query_no_threshold_is_enough():
    """Two queries with one estimate, of which only that with the cheap next step goes on."""
    known = [0.6, 0.6], [0.0, 0.2]
    state = ([True, False], [False, True])
    assert decide(Cascading(), (*known, [1.0, 1.0]), state, 0.05) == 1
    assert decide(Cascading(), (*known, [1.0, 9.0]), state, 0.05) == STOP
