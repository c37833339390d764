"""Intervals by drawing the queries anew."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cascade_engine import Answer, CascadeDataset, ConfigurationError
from cascade_engine.evaluation.bootstrap import Bootstrap, Interval, units_of


def alone(n):
    return np.arange(n)


def test_the_first_row_is_the_data_and_the_others_are_resamples():
    table = np.random.default_rng(0).random((40, 3))
    means = Bootstrap(alone(40), replications=500).means(table)
    assert means.shape == (501, 3)
    assert means[0] == pytest.approx(table.mean(axis=0))
    assert means[1:].mean(axis=0) == pytest.approx(table.mean(axis=0), abs=0.02)
    assert means[1:].std(axis=0) == pytest.approx(table.std(axis=0) / math.sqrt(40), rel=0.1)


def test_all_is_measured_in_the_same_resamples():
    first, second = np.random.default_rng(1).random((2, 30, 1))
    bootstrap = Bootstrap(alone(30), seed=3)
    apart = bootstrap.means(first) - bootstrap.means(second)
    assert apart == pytest.approx(bootstrap.means(first - second))
    again = Bootstrap(alone(30), seed=3).means(first)
    assert np.array_equal(again, bootstrap.means(first))
    assert not np.array_equal(again, Bootstrap(alone(30), seed=4).means(first))


def test_large_tables_are_taken_in_parts(monkeypatch):
    table = np.random.default_rng(2).random((25, 2))
    whole = Bootstrap(alone(25), replications=20).means(table)
    monkeypatch.setattr("cascade_engine.evaluation.bootstrap._CHUNK", 60)
    assert Bootstrap(alone(25), replications=20).means(table) == pytest.approx(whole)


@pytest.mark.parametrize(("level", "least", "most"), [(0.95, 0.92, 0.98), (0.5, 0.43, 0.57)])
def test_an_interval_covers_the_truth_as_often_as_it_says(level, least, most):
    rng = np.random.default_rng(5)
    covered = 0
    for trial in range(400):
        sample = rng.exponential(size=(60, 1))
        bootstrap = Bootstrap(alone(60), replications=200, seed=trial, level=level)
        found = bootstrap.interval(bootstrap.means(sample)[:, 0])
        covered += found.low <= 1 <= found.high
    assert least - 0.02 <= covered / 400 <= most


def test_what_belongs_together_is_drawn_together():
    rng = np.random.default_rng(6)
    per_user = rng.random(20)
    table = np.repeat(per_user, 10)[:, None]
    users = np.repeat(np.arange(20), 10)
    together = Bootstrap(users, replications=2000).means(table)[1:]
    apart = Bootstrap(alone(200), replications=2000).means(table)[1:]
    assert together.std() == pytest.approx(per_user.std() / math.sqrt(20), rel=0.1)
    assert together.std() > 2.5 * apart.std()


def test_units_are_texts_and_groups():
    answers = [[Answer("a")]] * 5
    texts = ["same", "other", "same", "third", "fourth"]
    data = CascadeDataset(["m"], texts, answers, np.ones((5, 1)), np.ones((5, 1)))
    a, b, c, d, e = units_of(data)
    assert a == c
    assert len({a, b, d, e}) == 4
    data.groups = [1, 2, None, 2, None]
    a, b, c, d, e = units_of(data)
    assert (a, b) == (c, d)
    assert len({a, b, e}) == 3


def test_units_of_unequal_size_count_by_their_queries():
    table = np.array([[0.0], [1.0], [1.0], [1.0]])
    means = Bootstrap(np.array([0, 1, 1, 1]), replications=300).means(table)
    assert means[0, 0] == 0.75
    assert set(np.round(means[1:, 0], 6)) == {0.0, 0.75, 1.0}


def test_where_there_is_no_value_there_is_no_bound():
    bootstrap = Bootstrap(alone(10), replications=100)
    values = np.append(0.5, np.linspace(0, 1, 100))
    assert bootstrap.interval(values).low == pytest.approx(0.02, abs=0.011)
    values[-10:] = np.inf
    found = bootstrap.interval(values)
    assert found.value == 0.5
    assert found.high is None
    values[:] = np.nan
    assert bootstrap.interval(values) == Interval(None, None, None)
    assert bootstrap.interval(np.full(101, -np.inf)) == Interval(None, None, None)


def test_one_unit_gives_no_interval():
    one = Bootstrap(np.zeros(7, dtype=int), replications=5)
    assert one.interval(one.means(np.ones((7, 1)))[:, 0]) == Interval(1.0, None, None)


def test_an_interval_in_words():
    assert str(Interval(0.5, 0.25, None)) == "0.500 [0.250, -]"
    assert f"{Interval(0.5, 0.25, 1.0):.0%}" == "50% [25%, 100%]"
    assert f"{Interval(None, None, None):.3f}" == "never"
    assert Interval(0.5, 0.1, 1.0).is_above_zero
    assert not Interval(0.5, 0.0, 1.0).is_above_zero
    assert not Interval(0.5, None, 1.0).is_above_zero


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"replications": 0}, "at least 1, not 0"),
        ({"replications": 2.5}, "not 2.5"),
        ({"level": 1}, "between 0 and 1"),
        ({"level": 95}, "not 95"),
        ({"level": "high"}, "not 'high'"),
    ],
)
def test_options_that_cannot_be_are_refused(options, words):
    with pytest.raises(ConfigurationError, match=words):
        Bootstrap(alone(3), **options)
