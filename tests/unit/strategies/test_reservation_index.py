"""The reservation index: its values by a root finder, its decisions by dynamic programming."""

from __future__ import annotations

from itertools import product
from unittest.mock import patch

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import norm

from cascade_engine import Beliefs, simulate
from cascade_engine.estimators import Estimates
from cascade_engine.strategies import STOP, CascadeRouting, ReservationIndex, reservation_index
from cascade_engine.strategies.gaussian.reservation import (
    one_reservation_value,
    reservation_values,
)
from tests.helpers import decide, fresh
from tests.oracle import discrete_reservation_value


def log_excess(z):
    """log of E[(x - z)^+] of a standard Gaussian, by quadrature of the tail."""
    if z < -6:
        return np.log(norm.pdf(z) - z * norm.sf(z))
    t, w = np.polynomial.laguerre.laggauss(60)
    scale = 1 / (1 + max(z, 0.0))
    x = z + t * scale
    return (
        np.log((w * np.exp(t) * norm.sf(x) * scale).sum())
        if z > 0
        else np.log(norm.pdf(z) - z * norm.sf(z))
    )


def root(mean, sd, price):
    """The reservation value by bisection."""
    wanted = np.log(price / sd)
    return mean + sd * brentq(lambda z: log_excess(z) - wanted, -20, 12, xtol=1e-13)


@pytest.mark.parametrize("ratio", np.geomspace(1e-18, 19, 41))
@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (0.6, 0.2), (-3.0, 1e-4)])
def test_values_match_a_root_finder(ratio, mean, sd):
    expected = root(mean, sd, ratio * sd)
    found = reservation_values(np.array([mean]), np.array([sd]), np.array([ratio * sd]))[0]
    # Where the tail decides, psi itself is known to a few digits less.
    assert abs(found - expected) <= 2e-9 * sd + 1e-15
    assert one_reservation_value()(mean, sd, ratio * sd) == pytest.approx(
        found, rel=1e-14, abs=1e-15
    )


def test_at_a_value_asking_is_just_worth_its_price():
    rng = np.random.default_rng(0)
    mean, sd, price = rng.normal(size=500), 10 ** rng.uniform(-3, 2, 500), None
    price = sd * 10 ** rng.uniform(-8, 1, 500)
    z = (reservation_values(mean, sd, price) - mean) / sd
    assert sd * (norm.pdf(z) - z * ndtr(-z)) == pytest.approx(price, rel=1e-7)


@pytest.mark.parametrize(
    ("mean", "sd", "price", "expected"),
    [
        (0.4, 0.0, 0.1, 0.4 - 0.1),  # certain
        (0.4, 0.0, 0.0, 0.4),
        (0.4, 0.2, 0.0, np.inf),  # free
        (0.4, 0.2, 1e9, 0.4 - 1e9),  # hopeless
        (0.4, 0.2, 1.7, 0.4 - 1.7),
        (-7.0, 1e-300, 5.0, -12.0),
        (1e8, 1.0, 20.0, 1e8 - 20.0),
    ],
)
def test_values_at_the_edges(mean, sd, price, expected):
    table = np.array([[mean, 0.5]]), np.array([[sd, 0.1]]), np.array([[price, 0.01]])
    assert reservation_values(*table)[0, 0] == expected
    assert one_reservation_value()(mean, sd, price) == expected


def test_values_fall_with_the_price_and_rise_with_the_spread():
    price = np.geomspace(1e-25, 1e3, 4001)
    values = reservation_values(np.full(4001, 0.5), np.full(4001, 0.3), price)
    assert (np.diff(values) <= 0).all()
    assert (np.diff(values[price > 1e-19]) < 0).all()
    spread = np.geomspace(1e-9, 1e3, 4001)
    values = reservation_values(np.full(4001, 0.5), spread, np.full(4001, 0.01))
    assert (np.diff(values) >= -2e-9 * spread[1:]).all()


def test_values_of_arrays_are_those_of_single_numbers():
    rng = np.random.default_rng(1)
    mean, sd = rng.normal(size=2000), rng.choice([0, 1e-8, 0.1, 3.0], 2000)
    price = rng.choice([0.0, 1e-30, 1e-9, 0.01, 2.0, 1e6], 2000)
    found = reservation_values(mean, sd, price)
    value = one_reservation_value()
    singly = [value(*row) for row in zip(mean, sd, price, strict=True)]
    assert found == pytest.approx(np.array(singly), rel=1e-14, abs=1e-15)


@pytest.mark.parametrize("seed", range(20))
def test_discrete_values_match_a_root_finder(seed):
    rng = np.random.default_rng(seed)
    m = int(rng.integers(1, 6))
    values, chances = rng.uniform(0, 1, m).round(1), rng.dirichlet(np.ones(m))
    for price in (1e-6, 0.01, 0.1, 0.5, 3.0):

        def over(sigma, price=price):
            return (chances * np.maximum(values - sigma, 0)).sum() - price

        expected = brentq(over, -10, 2, xtol=1e-14)
        assert discrete_reservation_value(values, chances, price) == pytest.approx(
            expected, abs=1e-9
        )


def test_a_value_that_never_comes_counts_for_nothing():
    found = discrete_reservation_value(np.array([9.0, 1.0, 0.0]), np.array([0, 0.5, 0.5]), 0.25)
    assert found == 0.5


class Discrete(ReservationIndex):
    """The index for qualities that take few values: `kinds` are pairs (values, chances)."""

    def __init__(self, kinds):
        super().__init__()
        self.kinds = kinds

    def decide(self, estimates, run, available, lam):
        def values(mean, sd, price):
            rows = (zip(self.kinds, row, strict=True) for row in price)
            return np.array(
                [[discrete_reservation_value(*kind, p) for kind, p in row] for row in rows]
            )

        with patch.object(reservation_index, "reservation_values", values):
            return super().decide(estimates, run, available, lam)


def optimum(kinds, price, left, held):
    """Net value of the best adaptive search from here on, by dynamic programming."""
    best = held
    for i in left:
        rest = left - {i}
        after = sum(
            p * optimum(kinds, price, rest, max(held, v)) for v, p in zip(*kinds[i], strict=True)
        )
        best = max(best, after - price[i])
    return best


def played(strategy, cost, lam, quality, run):
    """Net value of the strategy's decisions, over all that may be answered."""
    action = decide(strategy, (quality, np.zeros(len(cost)), cost), (run, ~run), lam)
    if action == STOP:
        return quality[run].max()
    assert not run[action]
    now = run.copy()
    now[action] = True
    total = -lam * cost[action]
    for value, chance in zip(*strategy.kinds[action], strict=True):
        then = quality.copy()
        then[action] = value
        total += chance * played(strategy, cost, lam, then, now)
    return total


@pytest.mark.parametrize("seed", range(12))
def test_it_is_optimal_for_independent_discrete_qualities(seed):
    rng = np.random.default_rng(seed)
    k = 2 + seed % 3
    kinds = []
    for _ in range(k):
        m = int(rng.integers(2, 5 if k < 4 else 4))
        kinds.append((rng.uniform(0, 1, m), rng.dirichlet(np.ones(m))))
    cost = rng.uniform(0.05, 1, k)
    means = np.array([v @ p for v, p in kinds])
    for lam in (0.01, 0.1, 0.3, 1.0):
        best = optimum(kinds, lam * cost, frozenset(range(k)), -np.inf)
        found = played(Discrete(kinds), cost, lam, means, np.zeros(k, bool))
        assert found == pytest.approx(best, abs=1e-10)


LEVELS = np.linspace(-1.5, 2.5, 401)


def after_answer(mean, sd, table):
    """What is expected once a Gaussian has answered, for every level held; `table` by level."""
    fine = np.linspace(-8, 8, 641)
    chance = norm.pdf(fine) / norm.pdf(fine).sum()
    return np.array(
        [(chance * np.interp(np.maximum(h, mean + sd * fine), LEVELS, table)).sum() for h in LEVELS]
    )


def gaussian_values(mean, sd, cost, lam, strategy):
    """Net value by level held and set left: of the best search, and of the strategy's decisions."""
    k = len(mean)
    best, mine = {(): LEVELS}, {(): LEVELS}
    for left in sorted((tuple(np.flatnonzero(s)) for s in product([0, 1], repeat=k)), key=len)[1:]:
        asked = {}
        for i in left:
            rest = tuple(j for j in left if j != i)
            for which, table in (("best", best), ("mine", mine)):
                asked[which, i] = after_answer(mean[i], sd[i], table[rest]) - lam * cost[i]
        best[left] = np.max([LEVELS, *(asked["best", i] for i in left)], axis=0)
        # An imaginary model at the end holds the level.
        n, held = len(LEVELS), np.ones((len(LEVELS), 1))
        estimates = Estimates(
            np.hstack([np.tile(mean, (n, 1)), LEVELS[:, None]]),
            np.hstack([np.tile(sd, (n, 1)), 0 * held]),
            np.hstack([np.tile(cost, (n, 1)), held]),
        )
        run, free = np.zeros((2, n, k + 1), bool)
        run[:, k], free[:, list(left)] = True, True
        action = strategy.decide(estimates, run, free, np.full(n, lam))
        mine[left] = np.where(action == STOP, LEVELS, 0.0)
        for i in left:
            mine[left] += np.where(action == i, asked["mine", i], 0.0)
    return best[tuple(range(k))], mine[tuple(range(k))]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lam", [0.02, 0.1])
def test_it_is_optimal_for_independent_gaussians(seed, lam):
    rng = np.random.default_rng(seed)
    mean, sd, cost = rng.uniform(0.2, 0.7, 3), rng.uniform(0.05, 0.3, 3), rng.uniform(0.2, 1.5, 3)
    best, mine = gaussian_values(mean, sd, cost, lam, ReservationIndex())
    inside = (LEVELS > -0.5) & (LEVELS < 1.5)
    assert np.abs(best - mine)[inside].max() < 1e-3
    assert (best >= mine - 1e-12).all()
    # It is more than the supermodel rule makes of the same state somewhere, or as much.
    _, supermodels = gaussian_values(mean, sd, cost, lam, CascadeRouting())
    assert (supermodels <= best + 1e-12).all()
    assert (mine - supermodels)[inside].min() > -1e-3


@pytest.mark.parametrize("lam", [0.01, 0.05, 0.15])
def test_in_the_long_run_it_earns_no_less_than_supermodels(lam):
    rng = np.random.default_rng(4)
    n, k = 20_000, 4
    before, sd = rng.uniform(0.2, 0.7, (n, k)), rng.uniform(0.05, 0.4, (n, k))
    cost = rng.uniform(0.1, 1.5, (n, k))
    after = before + sd * rng.standard_normal((n, k))
    beliefs, truth = Beliefs(before, after, cost=cost, sd=sd), {"quality": after, "cost": cost}
    index, rule = (
        simulate(s, beliefs, lam, **truth) for s in ("reservation_index", "cascade_routing")
    )
    more = (index.quality - lam * index.cost) - (rule.quality - lam * rule.cost)
    assert more.mean() > -2 * more.std() / np.sqrt(n)
    assert (index.run != rule.run).any()


def test_it_takes_hundreds_of_models():
    k, rng = 300, np.random.default_rng(0)
    quality, sd, cost = rng.uniform(0, 1, k), rng.uniform(0, 0.3, k), rng.uniform(0.1, 2, k)
    for lam in (0.001, 0.1, 3.0):
        action = decide(ReservationIndex(), (quality, sd, cost), fresh(k), lam)
        assert action == np.argmax(reservation_values(quality, sd, lam * cost))
    run = np.isin(np.arange(k), [3, 7])
    known = np.where(run, 5.0, quality), np.where(run, 0, sd), cost
    assert decide(ReservationIndex(), known, (run, ~run), 0.1) == STOP


def test_of_free_models_the_first_is_asked_and_then_the_others():
    quality, sd, cost = np.array([0.5, 0.6, 0.4]), np.array([0.1, 0.1, 0.0]), np.zeros(3)
    assert decide(ReservationIndex(), (quality, sd, cost), fresh(3), 0.5) == 0
    run = np.array([True, False, False])
    assert decide(ReservationIndex(), (quality, sd * ~run, cost), (run, ~run), 0.5) == 1
    run = np.array([True, True, False])
    assert decide(ReservationIndex(), (quality, sd * ~run, cost), (run, ~run), 0.5) == STOP
