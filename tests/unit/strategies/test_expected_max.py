"""E[max] against adaptive quadrature, closed forms and published constants."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import norm

from cascade_engine.strategies.gaussian import independent as _gaussians
from cascade_engine.strategies.gaussian.expected_max import (
    expected_excess,
    expected_max_prefixes,
    expected_max_subsets,
    expected_max_two,
)
from cascade_engine.strategies.gaussian.quadrature import cdfs_of_one, cdfs_on_grids

NOTHING = -np.inf
#: Expected greatest of n standard normals: Harter (1961), Biometrika 48.
OF_EQUALS = {1: 0.0, 2: 0.56418958, 3: 0.84628438, 4: 1.02937537, 5: 1.16296447, 8: 1.42360031}


def one(function, mean, sd, held=NOTHING, members=None):
    """A single query's row."""
    mean, sd = np.array([mean], dtype=float), np.array([sd], dtype=float)
    members = np.ones(mean.shape, bool) if members is None else np.array([members])
    return function(mean, sd, np.array([float(held)]), members)[0]


def subsets(k):
    return [[i for i in range(k) if number >> i & 1] for number in range(1 << k)]


def random_case(rng, k):
    """Quality-like numbers; standard deviations over five orders of magnitude."""
    mean = rng.uniform(0, 1, k)
    sd = 10 ** rng.uniform(-5, 0, k) / 2
    held = [NOTHING, rng.uniform(0, 1), -50.0][int(rng.integers(3))]
    return mean, sd, held


@pytest.mark.parametrize(("n", "expected"), OF_EQUALS.items())
def test_greatest_of_equals_matches_published_constants(n, expected):
    values = one(expected_max_subsets, [3.0] * n, [2.0] * n)
    assert values[-1] == pytest.approx(3 + 2 * expected, abs=2e-7)
    assert one(expected_max_prefixes, [3.0] * n, [2.0] * n)[-1] == pytest.approx(values[-1])


@pytest.mark.parametrize("ratio", [1.0, 0.3, 1e-2, 1e-4, 1e-7])
@pytest.mark.parametrize("gap", [-4.0, -0.5, 0.0, 0.01, 1.0, 30.0])
def test_two_match_clarks_closed_form(ratio, gap):
    first, second = ratio, 1.0
    theta = np.hypot(first, second)
    a = gap / theta
    clark = gap * norm.cdf(a) + theta * norm.pdf(a)
    assert one(expected_max_subsets, [gap, 0.0], [first, second])[3] == pytest.approx(
        clark, abs=1e-6
    )


@pytest.mark.parametrize("held", [-40.0, -6.0, -1.0, 0.0, 0.5, 3.0, 7.0, 1000.0])
def test_one_against_a_held_value_matches_the_closed_form(held):
    psi = norm.pdf(held) - held * norm.sf(held)
    values = one(expected_max_subsets, [0.0], [1.0], held)
    assert values == pytest.approx([held, held + psi], abs=1e-6)


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("seed", range(6))
def test_all_subsets_match_quadrature(k, seed, emax):
    mean, sd, held = random_case(np.random.default_rng([seed, k]), k)
    values = one(expected_max_subsets, mean, sd, held)
    for value, members in zip(values[1:], subsets(k)[1:], strict=True):
        expected = emax(mean[members], sd[members], held)
        assert abs(value - expected) <= 1e-6 * sd.max()


@pytest.mark.parametrize("seed", range(4))
def test_eight_models_match_quadrature(seed, emax):
    rng = np.random.default_rng(seed)
    mean, sd, held = random_case(rng, 8)
    values = one(expected_max_subsets, mean, sd, held)
    for number in [255, *rng.integers(1, 255, 5)]:
        members = subsets(8)[number]
        assert abs(values[number] - emax(mean[members], sd[members], held)) <= 1e-6 * sd.max()


def test_eight_equal_scales_match_quadrature(emax):
    mean, sd = np.linspace(0.2, 0.9, 8), np.full(8, 0.4)
    value = one(expected_max_subsets, mean, sd)[-1]
    assert abs(value - emax(mean, sd)) <= 1e-6 * 0.4


@pytest.mark.parametrize("seed", range(5))
def test_prefixes_are_the_subsets_of_the_first_models(seed):
    rng = np.random.default_rng(seed)
    mean, sd, held = random_case(rng, 5)
    members = rng.random(5) < 0.7
    of_subsets = one(expected_max_subsets, mean, sd, held, members)
    of_prefixes = one(expected_max_prefixes, mean, sd, held, members)
    assert of_prefixes == pytest.approx(of_subsets[[0, 1, 3, 7, 15, 31]], abs=1e-12)


def test_certain_values_give_the_plain_maximum():
    values = one(expected_max_subsets, [0.4, 0.7, 0.7], [0.0, 0.0, 0.0])
    assert values[1:] == pytest.approx([0.4, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7], abs=1e-8)


@pytest.mark.parametrize("certain", [-3.0, 0.45, 0.5, 0.9, 4.0])
def test_a_certain_member_counts_as_a_held_value(certain, emax):
    mean, sd = np.array([0.5, certain, 0.6]), np.array([0.2, 0.0, 0.01])
    values = one(expected_max_subsets, mean, sd)
    held = one(expected_max_subsets, mean, sd, certain, [True, False, True])
    assert values[[2, 3, 6, 7]] == pytest.approx(held[[0, 1, 4, 5]], abs=1e-8)
    assert values[7] == pytest.approx(emax(mean, sd), abs=2e-7)


def test_a_held_value_far_above_is_worth_itself():
    values = one(expected_max_subsets, [0.2, 0.5], [0.1, 0.3], 9.0)
    assert values.tolist() == [9.0] * 4


def test_a_held_value_far_below_changes_nothing():
    free = one(expected_max_subsets, [0.2, 0.5], [0.1, 0.3])
    assert one(expected_max_subsets, [0.2, 0.5], [0.1, 0.3], -100.0)[1:] == pytest.approx(
        free[1:], abs=1e-9
    )


@pytest.mark.parametrize("held", [NOTHING, 0.3])
@pytest.mark.parametrize("function", [expected_max_subsets, expected_max_prefixes])
def test_without_members_only_the_held_value_remains(function, held):
    values = one(function, [0.2, 0.5], [0.1, 0.3], held, [False, False])
    assert (values == held).all()


def test_the_empty_set_is_worth_the_held_value():
    assert one(expected_max_subsets, [0.2], [0.1])[0] == NOTHING
    assert one(expected_max_prefixes, [0.2], [0.1], 0.7)[0] == 0.7


def test_models_that_are_no_members_add_nothing():
    mean, sd = [0.2, 0.9, 0.5], [0.1, 0.4, 0.3]
    values = one(expected_max_subsets, mean, sd, 0.1, [True, False, True])
    without = one(expected_max_subsets, [0.2, 0.5], [0.1, 0.3], 0.1)
    assert values == pytest.approx(without[[0, 1, 0, 1, 2, 3, 2, 3]], abs=1e-7)
    assert (values[[2, 3, 6, 7]] == values[[0, 1, 4, 5]]).all()


def test_a_model_without_spread_adds_its_mean_alone():
    assert one(expected_max_subsets, [0.625], [0.0])[1] == pytest.approx(0.625, abs=1e-9)
    assert one(expected_max_prefixes, [0.625], [1e-4])[1] == pytest.approx(0.625, abs=1e-10)


@pytest.mark.parametrize("function", [expected_max_subsets, expected_max_prefixes])
def test_queries_do_not_touch_one_another(function, monkeypatch):
    rng = np.random.default_rng(0)
    mean, sd = rng.random((30, 6)), rng.random((30, 6)) ** 3
    held = np.where(rng.random(30) < 0.5, NOTHING, rng.random(30))
    members = rng.random((30, 6)) < 0.8
    together = function(mean, sd, held, members)
    alone = [function(mean[[i]], sd[[i]], held[[i]], members[[i]])[0] for i in range(30)]
    assert (together == np.array(alone)).all()
    monkeypatch.setattr(_gaussians, "_CHUNK", 7 * 8 * 19 * 8)
    assert (function(mean, sd, held, members) == together).all()


GAUSS = np.polynomial.legendre.leggauss(40)


def fine(mean, sd, held=NOTHING):
    """E[max] on 17 panels of 40 nodes for each Gaussian; those without spread count as held."""
    held = max([held, *mean[sd == 0]])
    mean, sd = mean[sd > 0], sd[sd > 0]
    lower = max([held, *([(mean - 8.5 * sd).min()] if len(mean) else [])])
    upper = max([lower, *(mean + 8.5 * sd)])
    edges = (mean[:, None] + sd[:, None] * np.linspace(-8.5, 8.5, 18)).ravel()
    edges = np.unique(np.clip([*edges, lower, upper], lower, upper))
    half = np.diff(edges)[:, None] / 2
    points = edges[:-1, None] + half * (1 + GAUSS[0])
    missing = 1 - ndtr((points[..., None] - mean) / sd).prod(axis=-1)
    return lower + (missing * GAUSS[1] * half).sum()


@pytest.mark.parametrize("orders", [0, 1, 3, 7])
@pytest.mark.parametrize("seed", range(6))
def test_errors_stay_below_a_billionth_of_the_largest_spread(seed, orders):
    rng = np.random.default_rng([seed, orders])
    k = int(rng.integers(3, 9))
    sd = 10 ** rng.uniform(-orders, 0, k)
    sd[rng.random(k) < 0.2] = 0
    sd[0] = 1
    mean = rng.normal(size=k) * rng.choice([0.0, 0.3, 1.0, 10.0])
    held = rng.choice([NOTHING, rng.normal(), -30.0])
    values = one(expected_max_subsets, mean, sd, held)
    for number in range(1, 1 << k, 1 if k < 6 else 11):
        members = subsets(k)[number]
        assert abs(values[number] - fine(mean[members], sd[members], held)) <= 1e-10


@pytest.mark.parametrize("held", [NOTHING, 0.2])
def test_a_million_samples_agree(held):
    mean, sd = np.array([0.1, 0.3, 0.2, 0.25]), np.array([0.5, 0.1, 0.3, 0.2])
    drawn = mean + sd * np.random.default_rng(0).standard_normal((1_000_000, 4))
    greatest = np.maximum(drawn.max(axis=1), held)
    error = greatest.std() / 1000
    assert abs(one(expected_max_subsets, mean, sd, held)[15] - greatest.mean()) <= 4 * error


@pytest.mark.parametrize("k", [4, 20, 100])
def test_many_models_match_fine_quadrature(k):
    rng = np.random.default_rng(k)
    mean, sd = rng.random(k), 10 ** rng.uniform(-2, 0, k)
    values = one(expected_max_prefixes, mean, sd)
    for j in (3, k // 2, k):
        assert abs(values[j] - fine(mean[:j], sd[:j])) <= 1e-9


@pytest.mark.parametrize("held", [NOTHING, -0.3, 5.0])
def test_the_nodes_of_decisions_give_every_set_to_a_ten_millionth(held):
    mean, sd = np.array([[0.1, 0.3, 0.2, 0.2]]), np.array([[0.5, 0.0, 0.3, 1e-7]])
    values = one(expected_max_subsets, mean[0], sd[0], held)
    lower, weights, cdf = (table[0] for table in cdfs_on_grids(mean, sd, np.array([held])))
    alone = cdfs_of_one(mean[0], sd[0], held)
    for bottom, weight, below in ((lower, weights, cdf), alone):
        assert (weight >= 0).all()
        for number in range(1, 16):
            product = below[subsets(4)[number]].prod(axis=0)
            value = bottom + (weight * (1 - product)).sum()
            assert value == pytest.approx(values[number], abs=2e-7 * 0.5)


def test_nothing_overflows():
    with np.errstate(all="raise", under="ignore"):
        assert one(expected_max_subsets, [0.2, 0.5], [0.1, 0.0], 1e300).tolist() == [1e300] * 4
        values = one(expected_max_subsets, [0.0, 1.0, 1.0, 1.0, 1.0], [1e-300, 0, 0, 1e-300, 0])
    assert values[[1, 2, 7, 31]].tolist() == [0, 1, 1, 1]
    assert expected_max_subsets(*np.zeros((2, 0, 3)), np.zeros(0), np.zeros((0, 3), bool)).size == 0


def test_the_excess_over_a_level():
    mean, sd, level = np.array([0.0, 1.0, 0.3, 0.3]), np.array([1.0, 2, 0, 0]), [0.5, -9, 0.1, 0.4]
    z = (np.array(level[:2]) - mean[:2]) / sd[:2]
    expected = sd[:2] * (norm.pdf(z) - z * norm.sf(z))
    values = expected_excess(mean, sd, np.array(level))
    assert values == pytest.approx([*expected, 0.3 - 0.1, 0.0], abs=1e-14)
    assert values[2:].tolist() == [0.3 - 0.1, 0.0]


@pytest.mark.parametrize("rho", [-1.0, -0.5, 0.0, 0.9, 1.0])
@pytest.mark.parametrize("gap", [-2.0, 0.0, 0.7])
def test_two_correlated_ones_match_quadrature_over_their_difference(rho, gap):
    first, second = 0.5, 1.5
    theta = np.sqrt(first**2 + second**2 - 2 * rho * first * second)
    points = gap + theta * np.linspace(-10, 10, 200_001)
    density = norm.pdf(np.linspace(-10, 10, 200_001)) * 1e-4
    value = expected_max_two(np.array([gap]), first, 0.0, second, rho * first * second)
    assert value[0] == pytest.approx((np.maximum(points, 0) * density).sum(), abs=1e-8)


def test_two_that_move_together_are_worth_the_greater():
    assert expected_max_two(np.array([0.1]), 0.3, 0.2, 0.3, 0.3 * 0.3)[0] == 0.2


HASH = """
import numpy as np, hashlib
from cascade_engine.strategies.gaussian import expected_max as e
rng = np.random.default_rng(0)
mean, sd, held = rng.random((40, 6)), rng.random((40, 6)) ** 3, np.full(40, -np.inf)
held[::2] = 0.4
members, root = rng.random((40, 6)) < 0.8, rng.random((40, 6, 4))
cov = np.einsum("nij,nkj->nik", root, root)
done = hashlib.sha256()
for spread in ({}, {"cov": cov}):
    for function in (e.expected_max_subsets, e.expected_max_prefixes):
        done.update(function(mean, sd, held, members, **spread).tobytes())
print(done.hexdigest())
"""


def test_neither_processes_nor_threads_change_a_bit(monkeypatch):
    seen = set()
    for threads in ("1", "2"):
        for library in ("OMP", "OPENBLAS", "MKL"):
            monkeypatch.setenv(f"{library}_NUM_THREADS", threads)
        done = subprocess.run([sys.executable, "-c", HASH], capture_output=True, check=True)
        seen.add(done.stdout)
    assert len(seen) == 1
