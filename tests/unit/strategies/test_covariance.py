"""E[max] of correlated Gaussians against samples and closed forms; covariances refused."""

from __future__ import annotations

import numpy as np
import pytest

from cascade_engine.errors import DataError
from cascade_engine.strategies.gaussian.covariance import check_covariance
from cascade_engine.strategies.gaussian.expected_max import (
    expected_max_prefixes,
    expected_max_subsets,
    expected_max_two,
)

NOTHING = -np.inf


def subsets_correlated(mean, cov, held, members):
    """E[max] of all subsets; the standard deviations are those of the covariance."""
    sd = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    return expected_max_subsets(mean, sd, held, members, cov=cov)


def prefixes_correlated(mean, cov, held, members):
    """The same of all prefixes."""
    sd = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    return expected_max_prefixes(mean, sd, held, members, cov=cov)


def one(function, mean, cov, held=NOTHING, members=None):
    """A single query's row."""
    mean, cov = np.array([mean], dtype=float), np.array([cov], dtype=float)
    members = np.ones(mean.shape, bool) if members is None else np.array([members])
    return function(mean, cov, np.array([float(held)]), members)[0]


def equicorrelated(rho, sd):
    sd = np.asarray(sd, dtype=float)
    return (np.full((len(sd),) * 2, rho) + (1 - rho) * np.eye(len(sd))) * sd * sd[:, None]


def sampled(mean, cov):
    """A million antithetic draws, their first two moments set right."""
    rng = np.random.default_rng(0)
    half = rng.standard_normal((500_000, len(mean)))
    drawn = np.concatenate([half, -half])
    drawn = np.linalg.solve(np.linalg.cholesky(drawn.T @ drawn / len(drawn)), drawn.T)
    eigen, vectors = np.linalg.eigh(cov)
    return np.asarray(mean)[:, None] + (vectors * np.sqrt(np.maximum(eigen, 0))) @ drawn


CASES = [
    (np.zeros(2), equicorrelated(-0.3, [1, 1])),
    ([0.1, 0, 0.3], equicorrelated(-0.3, [1, 0.5, 0.05])),
    (np.linspace(0, 1, 5), equicorrelated(0.95, [1, 0.3, 1, 0.1, 0.6])),
    (np.zeros(8), equicorrelated(-0.1, np.ones(8))),
    (np.linspace(1, 0, 8), equicorrelated(0.5, np.geomspace(0.01, 1, 8))),
    (np.zeros(11), equicorrelated(0, np.ones(11))),
    (np.linspace(0, 0.6, 11), equicorrelated(0.6, np.geomspace(1, 0.1, 11))),
]


@pytest.mark.parametrize(("mean", "cov"), CASES)
def test_errors_stay_below_a_500th_of_the_largest_spread(mean, cov):
    k, unit = len(mean), np.sqrt(np.diagonal(cov).max())
    drawn = sampled(mean, cov)
    values = one(subsets_correlated, mean, cov)
    prefixes = one(prefixes_correlated, mean, cov)
    for number in {(1 << k) - 1, 3, 1 << k - 1, *range(1, 1 << k, (1 << k) // 4 + 1)}:
        members = [i for i in range(k) if number >> i & 1]
        assert abs(values[number] - drawn[members].max(axis=0).mean()) <= 2e-3 * unit
    assert prefixes[1:] == pytest.approx(values[[(2 << j) - 1 for j in range(k)]], abs=1e-12)


@pytest.mark.parametrize("rho", [-1.0, -0.3, 0.0, 0.7, 1.0])
def test_pairs_match_clark(rho):
    mean, sd = [0.2, 0.5], [0.3, 0.8]
    clark = expected_max_two(np.array([0.2]), 0.3, 0.5, 0.8, rho * 0.24)[0]
    values = one(subsets_correlated, mean, equicorrelated(rho, sd))
    assert values[1:3] == pytest.approx(mean, abs=1e-14)
    assert abs(values[3] - clark) <= 1e-3 * 0.8


@pytest.mark.parametrize("held", [NOTHING, 0.3])
def test_without_correlation_the_independent_values_come_back(held):
    mean, sd, members = [0.2, 0.5, 0.4, 0.1], [0.3, 0.1, 0.0, 0.6], [True, True, True, False]
    values = one(subsets_correlated, mean, equicorrelated(0, sd), held, members)
    exact = one(expected_max_subsets, mean, sd, held, members)
    assert np.abs(values[1:8] - exact[1:8]).max() <= 2e-3 * 0.6
    assert values[8] == exact[8] == held


def test_copies_of_one_model_are_worth_that_model():
    cov = equicorrelated(1.0, [0.4, 0.4, 0.4])
    values = one(subsets_correlated, [0.3] * 3, cov)
    assert values[1:] == pytest.approx([0.3] * 7, abs=1e-14)


def test_certain_values_give_the_plain_maximum():
    mean = [0.25, 0.5, 0.75]
    assert one(prefixes_correlated, mean, np.zeros((3, 3)), 0.5).tolist() == [
        0.5,
        0.5,
        0.5,
        0.75,
    ]


@pytest.mark.parametrize("function", [subsets_correlated, prefixes_correlated])
@pytest.mark.parametrize("held", [NOTHING, 0.3, 1e9])
def test_without_members_only_the_held_value_remains(function, held):
    assert (one(function, [0.2, 0.5], np.eye(2), held, [False, False]) == held).all()
    if held == 1e9:
        assert (one(function, [0.2, 0.5], np.eye(2), held) == held).all()


@pytest.mark.parametrize("function", [subsets_correlated, prefixes_correlated])
def test_queries_do_not_touch_one_another(function):
    rng = np.random.default_rng(0)
    mean, root = rng.random((30, 4)), rng.random((30, 4, 3))
    cov = np.einsum("nij,nkj->nik", root, root)
    held = np.where(rng.random(30) < 0.5, NOTHING, rng.random(30))
    members = rng.random((30, 4)) < 0.8
    together = function(mean, cov, held, members)
    alone = [function(*(a[[i]] for a in (mean, cov, held, members)))[0] for i in range(30)]
    assert (together == np.array(alone)).all()


def test_a_covariance_comes_back_symmetric():
    given = np.array([[1.0, 0.5], [0.5 + 1e-12, 1.0]])
    checked = check_covariance("cov", given)
    assert checked[0, 1] == checked[1, 0]
    assert check_covariance("cov", [given, np.zeros((2, 2))]).shape == (2, 2, 2)
    assert check_covariance("cov", equicorrelated(1.0, [0.3, 1e-4, 0])).shape == (3, 3)


@pytest.mark.parametrize(
    ("cov", "message"),
    [
        ("none", "must be a table of numbers"),
        ([[1.0, 0.0]], r"must be square.*\(1, 2\)"),
        (np.zeros((0, 0)), "must be square"),
        ([[1.0, np.nan], [0.0, 1.0]], r"cov\[0, 1\] is nan: every entry must be a finite"),
        ([[1.0, 0.0], [0.0, -0.5]], r"cov\[1, 1\] is -0.5: a variance is at least 0"),
        ([[1.0, 0.2], [0.3, 1.0]], r"cov\[0, 1\] is 0.2: the matrix must be symmetric"),
        ([[1.0, 2.0], [2.0, 1.0]], r"cov\[0, 1\] is 2: a covariance is at most"),
        ([[0.0, 0.1], [0.1, 1.0]], r"cov\[0, 1\] is 0.1: a covariance is at most"),
        ([np.eye(3), equicorrelated(-0.9, [1, 1, 1])], r"cov\[1\] is no covariance.*-0.8 < 0"),
    ],
)
def test_what_is_no_covariance_is_refused(cov, message):
    with pytest.raises(DataError, match=message):
        check_covariance("cov", cov)
