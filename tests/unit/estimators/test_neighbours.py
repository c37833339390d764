"""Quality of the nearest queries."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from cascade_engine import ConfigurationError, NotFittedError
from cascade_engine.datasets import load_everyday
from cascade_engine.estimators import neighbours
from cascade_engine.estimators.neighbours import NeighbourEstimator
from tests.ex_ante import Counting, asked, graded, letters, topics


def angles(texts):
    """An embedding on the unit circle, by degrees; two more points make the centre 0."""
    return [[np.cos(np.radians(float(t))), np.sin(np.radians(float(t)))] for t in texts]


CIRCLE = ["0", "90", "180", "270"]


@pytest.fixture
def setting(monkeypatch):
    """Fixes the power and the shrinkage that would be chosen."""

    def fix(power, shrink):
        monkeypatch.setattr(neighbours, "_POWERS", (power,))
        monkeypatch.setattr(neighbours, "_SHRINKS", (shrink,))

    return fix


def test_the_estimate_is_the_weighted_mean_shrunk_to_the_mean(setting):
    setting(2.0, 1.0)
    data = graded(CIRCLE, [[1, 0], [0, 0], [0, 1], [1, 1]])
    fitted = NeighbourEstimator(2, angles).fit(data)
    p = fitted.predict(asked("30"))
    near, far = np.cos(np.radians(30)) ** 2, np.cos(np.radians(60)) ** 2
    assert p == pytest.approx(np.array([[(near * 1 + far * 0 + 0.5) / 2, 0.5 / 2]]))
    assert fitted.k_ == 2


def test_opposites_and_unknown_texts_are_no_neighbours(setting):
    setting(1.0, 1.0)
    data = graded(CIRCLE, [[1], [0], [0], [0]])
    assert NeighbourEstimator(4, angles).fit(data).predict(asked("180"))[0, 0] == pytest.approx(
        (0 + 0.25) / 2
    )
    everyday, _ = topics(60)
    p = NeighbourEstimator().fit(everyday).predict(asked("zeppelin", ""))
    assert p == pytest.approx(np.tile(everyday.quality.mean(axis=0), (2, 1)))


def test_it_tells_good_answers_beforehand_and_in_cross_fitting():
    train, test = load_everyday("train"), load_everyday("test")
    fitted = NeighbourEstimator().fit(train)
    p, base = fitted.predict(test.queries), train.quality.mean(axis=0)
    cross = NeighbourEstimator().cross_predict(train, np.arange(len(train)) % 5)
    for table, found in ((test, p), (train, cross)):
        better = ((base - table.quality) ** 2).mean() - ((found - table.quality) ** 2).mean()
        assert better > 0.015


def test_no_row_is_its_own_neighbour_whatever_the_folds():
    """Labels are noise, every text is there twice: who looks at the copy knows the label."""
    rng = np.random.default_rng(0)
    once = [" ".join(rng.choice(list("abcdefghijklmnop"), 6)) for _ in range(90)]
    noise = rng.integers(0, 2, (90, 1)).astype(float)
    data = graded(once * 2, np.concatenate([noise, noise]))
    folds = np.concatenate([np.arange(90) % 3, (np.arange(90) // 3) % 3])
    for embed in (None, letters):
        cross = NeighbourEstimator(embed=embed).cross_predict(data, folds)
        assert np.isfinite(cross).all()
        assert np.corrcoef(cross[:, 0], data.quality[:, 0])[0, 1] < 0.2


def test_a_row_and_its_copies_are_left_out_where_the_setting_is_chosen():
    data, _ = topics(40)
    twice = graded([*data.queries, *data.queries], np.tile(data.quality, (2, 1)))
    memory = NeighbourEstimator().fit(twice)._memory
    for chosen, most in ((memory.text, 0.9999), (None, 1.0)):
        found = [near.max() for _, near, _ in memory.nearest(memory.vectors, 1, chosen)]
        assert max(found) <= most
    assert max(found) == 1.0


def test_where_only_copies_are_left_nothing_is_known():
    data = graded(["same"] * 4, [[0], [1], [1], [1]])
    assert np.isnan(NeighbourEstimator().cross_predict(data, np.array([0, 0, 1, 1]))).all()
    p = NeighbourEstimator(1).fit(data).predict(asked("same", "other"))
    assert p == pytest.approx(np.full((2, 1), 0.75))


def test_the_number_of_neighbours_is_chosen():
    rng = np.random.default_rng(1)
    texts = [f"{i}" for i in range(360)]
    sharp = graded(texts, (np.arange(360)[:, None] // 20) % 2)
    noisy = graded(texts, rng.integers(0, 2, (360, 1)))
    assert NeighbourEstimator(embed=angles).fit(sharp).k_ <= 10
    assert NeighbourEstimator(embed=angles).fit(noisy).k_ >= 40
    assert NeighbourEstimator(7, angles).fit(noisy).k_ == 7


@pytest.mark.parametrize("k", [1, 5, 1000])
def test_few_queries_and_many_neighbours(k):
    one = NeighbourEstimator(k).fit(graded(["a b c"], [[0.3, 1.0]]))
    assert one.predict(asked("a b c", "d")) == pytest.approx(np.tile([0.3, 1.0], (2, 1)))
    assert one.predict([]).shape == (0, 2)
    data, _ = topics(12)
    p = NeighbourEstimator(k).fit(data).predict(data.queries)
    assert ((p >= 0) & (p <= 1)).all()


def test_more_rows_than_a_block_are_compared(monkeypatch):
    data, _ = topics(100)
    p = NeighbourEstimator(9).fit(data).predict(data.queries)
    monkeypatch.setattr(neighbours, "_BLOCK", 7)
    assert NeighbourEstimator(9).fit(data).predict(data.queries) == pytest.approx(p)


def test_queries_are_embedded_once_and_the_function_is_not_copied():
    embed = Counting()
    estimator = NeighbourEstimator(embed=embed)
    data, _ = topics(40)
    estimator.cross_predict(data, np.arange(40) % 4)
    copy.deepcopy(estimator).fit(data).predict(data.queries)
    assert len(embed.texts) == len(set(embed.texts)) == 40


def test_what_cannot_work_is_refused():
    for bad in (0, -1, 2.5, "3"):
        with pytest.raises(ConfigurationError, match="k must be a whole number of at least 1"):
            NeighbourEstimator(bad)
    with pytest.raises(ConfigurationError, match="embed must be a function"):
        NeighbourEstimator(embed="a model")
    with pytest.raises(NotFittedError, match="NeighbourEstimator has not been fitted"):
        NeighbourEstimator().predict(asked("q"))
