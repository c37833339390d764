"""Laws of E[max] that pruning, hulls and decisions rest on."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_engine.strategies.gaussian.expected_max import (
    expected_max_prefixes,
    expected_max_subsets,
)

laws = settings(max_examples=50)

qualities = st.floats(-1, 2).map(lambda x: round(x, 6))
spreads = st.one_of(st.just(0.0), st.floats(-6, 0).map(lambda x: 10.0**x))
holds = st.one_of(st.just(-np.inf), qualities)


def subsets_correlated(mean, cov, held, members):
    """E[max] of all subsets; the standard deviations are those of the covariance."""
    sd = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    return expected_max_subsets(mean, sd, held, members, cov=cov)


def prefixes_correlated(mean, cov, held, members):
    """The same of all prefixes."""
    sd = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    return expected_max_prefixes(mean, sd, held, members, cov=cov)


@st.composite
def problems(draw, most=5):
    """Means, standard deviations and a held value of one query."""
    k = draw(st.integers(1, most))
    mean = draw(st.lists(qualities, min_size=k, max_size=k))
    sd = draw(st.lists(spreads, min_size=k, max_size=k))
    return np.array([mean]), np.array([sd]), np.array([draw(holds)])


def subsets(mean, sd, held):
    return expected_max_subsets(mean, sd, held, np.ones(mean.shape, bool))[0]


def with_one_more(k):
    """Pairs (S, S + i) as column numbers, and i."""
    for s in range(1 << k):
        for i in range(k):
            if not s >> i & 1:
                yield s, s | 1 << i, i


@laws
@given(problems())
def test_a_larger_set_is_worth_no_less(problem):
    values = subsets(*problem)
    for smaller, larger, _ in with_one_more(problem[0].shape[1]):
        assert values[larger] >= values[smaller] - 1e-12


@laws
@given(problems())
def test_a_model_adds_less_to_a_larger_set(problem):
    values = subsets(*problem)
    k = problem[0].shape[1]
    for s, with_i, i in with_one_more(k):
        for t in range(s, 1 << k):
            if t & s == s and not t >> i & 1 and np.isfinite(values[s]):
                gained, later = values[with_i] - values[s], values[t | 1 << i] - values[t]
                assert gained >= later - 1e-12


@laws
@given(problems())
def test_it_lies_between_the_greatest_mean_and_the_sum_of_the_hopes(problem):
    mean, sd, held = problem
    values = subsets(*problem)
    for s in range(1, len(values)):
        members = [i for i in range(mean.shape[1]) if s >> i & 1]
        least = max(held[0], mean[0, members].max())
        assert least - 1e-9 <= values[s] <= least + 0.4 * sd[0, members].sum() + 1e-9


@laws
@given(problems(), st.floats(-50, 50))
def test_adding_a_constant_adds_the_constant(problem, shift):
    mean, sd, held = problem
    moved = subsets(mean + shift, sd, held + shift)
    assert moved == pytest.approx(subsets(mean, sd, held) + shift, abs=1e-9)


@laws
@given(problems(), st.floats(0.01, 100))
def test_scaling_everything_scales_it(problem, factor):
    mean, sd, held = problem
    scaled = subsets(mean * factor, sd * factor, held * factor)
    assert scaled == pytest.approx(subsets(mean, sd, held) * factor, abs=1e-9 * max(1, factor))


@laws
@given(problems(most=3))
def test_the_order_of_the_models_does_not_matter(problem):
    mean, sd, held = problem
    k = mean.shape[1]
    values = subsets(mean, sd, held)
    for order in permutations(range(k)):
        moved = subsets(mean[:, order], sd[:, order], held)
        for s in range(1 << k):
            there = sum(1 << j for j, i in enumerate(order) if s >> i & 1)
            assert moved[there] == pytest.approx(values[s], abs=1e-12)


@laws
@given(problems(), st.floats(1, 5), st.integers(0, 3))
def test_more_spread_is_worth_no_less(problem, factor, which):
    mean, sd, held = problem
    wider = sd.copy()
    wider[0, which % sd.shape[1]] *= factor
    assert (subsets(mean, wider, held) >= subsets(mean, sd, held) - 1e-7 * wider.max()).all()


@laws
@given(problems(), qualities)
def test_holding_more_is_worth_no_less_and_at_most_as_much_more(problem, more):
    mean, sd, held = problem
    higher = np.maximum(held, more)
    before, after = subsets(mean, sd, held), subsets(mean, sd, higher)
    assert (after >= np.maximum(before, higher) - 1e-7 * max(1e-3, sd.max())).all()
    if np.isfinite(held[0]):
        assert (after - before <= higher - held + 1e-7 * max(1e-3, sd.max())).all()


@laws
@given(problems())
def test_prefixes_rise_and_end_with_the_whole_set(problem):
    mean, sd, held = problem
    members = np.ones(mean.shape, bool)
    prefixes = expected_max_prefixes(mean, sd, held, members)[0]
    assert (np.diff(prefixes[np.isfinite(prefixes)]) >= -1e-12).all()
    assert prefixes[-1] == pytest.approx(subsets(mean, sd, held)[-1], abs=1e-12)


@st.composite
def correlated(draw):
    """Means, a covariance that may be singular, and a held value of one query."""
    mean, sd, held = draw(problems(most=4))
    k = mean.shape[1]
    loads = st.lists(st.integers(-3, 3), min_size=k, max_size=k)
    factors = np.array(draw(st.lists(loads, min_size=1, max_size=3)), dtype=float)
    cov = factors.T @ factors / 10 + np.diag(draw(st.sampled_from([0.0, 1.0])) * sd[0] ** 2)
    return mean, cov[None], held


@laws
@given(correlated())
def test_of_correlated_models_a_larger_set_is_worth_no_less_and_adds_less(problem):
    mean, cov, held = problem
    k = mean.shape[1]
    values = subsets_correlated(mean, cov, held, np.ones(mean.shape, bool))[0]
    for s, with_i, i in with_one_more(k):
        assert values[with_i] >= values[s] - 1e-14
        for t in range(s, 1 << k):
            if t & s == s and not t >> i & 1 and np.isfinite(values[s]):
                gained, later = values[with_i] - values[s], values[t | 1 << i] - values[t]
                assert gained >= later - 1e-13


@laws
@given(correlated())
def test_prefixes_of_correlated_models_are_the_subsets_of_the_first(problem):
    mean, cov, held = problem
    everyone = np.ones(mean.shape, bool)
    prefixes = prefixes_correlated(mean, cov, held, everyone)[0]
    values = subsets_correlated(mean, cov, held, everyone)[0]
    assert prefixes == pytest.approx(
        values[[(1 << j) - 1 for j in range(len(prefixes))]], abs=1e-13
    )
