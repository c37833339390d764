"""A router learned from pairwise wins."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from scipy.optimize import minimize

from cascade_engine import ConfigurationError, DataError, NotFittedError
from cascade_engine.estimators.preferences import Preference, PreferenceEstimator, bradley_terry
from tests.ex_ante import Counting, asked, graded, topics


def duels(data, topic):
    """On sums the first model wins two in three and on poems the second; every fifth is a tie."""
    records = []
    for i, (query, t) in enumerate(zip(data.queries, topic, strict=True)):
        winner, loser = ("maths", "poet") if (t == 0) == (i % 3 != 0) else ("poet", "maths")
        records.append(Preference(query.text, winner, loser, i % 5 == 0))
    return records


def win_probability(estimator, queries):
    """Probability that model i is better than model j on each query, shape (n, k, k)."""
    strengths = estimator._strengths(queries)
    return 1 / (1 + np.exp(strengths[:, None, :] - strengths[:, :, None]))


@pytest.fixture(scope="module")
def fitted():
    elsewhere, topic = topics(300, seed=1)
    return PreferenceEstimator(duels(elsewhere, topic)).fit(topics(120, seed=2)[0])


def test_who_wins_depends_on_the_query(fitted):
    wins = win_probability(fitted, asked("add sum plus number please", "poem rhyme verse please"))
    assert wins.shape == (2, 2, 2)
    assert wins[0, 0, 1] > 0.51
    assert wins[1, 0, 1] < 0.49
    assert wins + wins.transpose(0, 2, 1) == pytest.approx(np.ones((2, 2, 2)))
    data, topic = topics(100, seed=3)
    p = fitted.predict(data.queries)
    assert ((p[:, 0] > p[:, 1]) == (topic == 0)).mean() > 0.8
    assert np.abs(p - data.quality).mean() < 0.4


def test_far_from_every_win_the_strengths_are_those_of_all():
    data, topic = topics(60)
    records = [("add number", "maths", "poet")] * 30 + [("add number", "poet", "maths")] * 10
    fitted = PreferenceEstimator(records).fit(data)
    assert win_probability(fitted, asked("zeppelin"))[0, 0, 1] == pytest.approx(0.75, abs=0.01)
    assert fitted.strengths_[0] - fitted.strengths_[1] == pytest.approx(np.log(3), abs=0.01)
    flat = PreferenceEstimator(duels(data, topic), gamma=1).fit(data)
    wins = win_probability(flat, data.queries)
    assert wins == pytest.approx(np.tile(wins[0], (60, 1, 1)))


def test_a_tie_is_half_a_win_for_each():
    data, _ = topics(30)
    texts = [q.text for q in data.queries]
    ties = [Preference(t, "maths", "poet", tie=True) for t in texts]
    both = [Preference(t, *pair) for t in texts for pair in (("maths", "poet"), ("poet", "maths"))]
    for records in (ties, both):
        wins = win_probability(PreferenceEstimator(records).fit(data), data.queries)
        assert wins == pytest.approx(np.full((30, 2, 2), 0.5))
    lost = [Preference(t, "maths", "poet") for t in texts]
    mixed = PreferenceEstimator(ties + lost).fit(data).strengths_
    assert np.diff(mixed)[0] == pytest.approx(-np.log(3), abs=0.01)


def test_other_models_help_and_models_without_preferences_are_unknown():
    data = graded([f"text {i}" for i in range(20)], np.ones((20, 3)) * [0.5, 0.7, 1], list("abc"))
    records = [("text", "b", "other")] * 9 + [("text", "other", "b")] * 3
    records += [("text", "other", "a")] * 9 + [("text", "a", "other")] * 3
    fitted = PreferenceEstimator(records).fit(data)
    assert np.diff(fitted.strengths_[:2])[0] == pytest.approx(2 * np.log(3), abs=0.1)
    p, wins = fitted.predict(asked("text")), win_probability(fitted, asked("text"))
    assert np.isfinite(p[0, :2]).all()
    assert np.isnan(p[0, 2])
    assert wins[0, 1, 0] > 0.85
    assert np.isnan(wins[0, 2]).all()
    assert np.isnan(wins[0, :, 2]).all()
    with pytest.raises(ConfigurationError, match=r"about \['x', 'y'\], and none about \['a', 'b'"):
        PreferenceEstimator([("q", "x", "y")]).fit(data)


def test_what_is_preferred_on_a_held_query_is_not_used_for_it():
    """Wins that are labels: who uses a row's own knows its quality."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdefghijkl"), 5)) for _ in range(80)]
    good = rng.integers(0, 2, 80)
    data = graded(texts, np.column_stack([good, 1 - good]), ["x", "y"])
    records = [
        (text, *(("x", "y") if g else ("y", "x")))
        for text, g in zip(texts, good, strict=True)
        for _ in range(5)
    ]
    cross = PreferenceEstimator(records).cross_predict(data, np.arange(80) % 4)
    assert np.corrcoef(cross[:, 0], good)[0, 1] < 0.25
    told = win_probability(PreferenceEstimator(records).fit(data), data.queries)[:, 0, 1]
    assert np.corrcoef(told, good)[0, 1] > 0.8


def test_a_better_rank_never_counts_against_a_model():
    """Graded data that contradict the preferences make them worthless, and not reversed."""
    data, topic = topics(100)
    against = graded(data.queries, 1 - data.quality, data.models)
    p = PreferenceEstimator(duels(data, topic)).fit(against).predict(data.queries)
    assert p == pytest.approx(np.tile(p[0], (100, 1)))


def test_bradley_terry_finds_the_mode():
    rng = np.random.default_rng(0)
    wins = rng.exponential(size=(6, 4, 4)) * [[[1]], [[0]], [[1e3]], [[1]], [[1]], [[1e-3]]]
    wins[3, 0] = 1e4  # the first wins them all
    wins[4, :, 1] = 0
    wins[:, range(4), range(4)] = 0
    centre, prior = np.array([-8.0, 0, 1, 9]), 0.5
    found = bradley_terry(wins, centre, prior)

    def slope(s, w):
        p = 1 / (1 + np.exp(-(s[:, None] - s[None])))
        return (w - (w + w.T) * p).sum(axis=1) - prior * (s - centre)

    def loss(s, w):
        return (w * np.logaddexp(0, s[None] - s[:, None])).sum() + prior / 2 * (
            (s - centre) @ (s - centre)
        )

    for s, w in zip(found, wins, strict=True):
        assert slope(s, w) == pytest.approx(np.zeros(4), abs=1e-5 * (1 + w.sum()))
        best = minimize(loss, centre, args=(w,), jac=lambda s, w: -slope(s, w)).fun
        assert loss(s, w) <= best + 1e-6 * abs(best)
    assert found[1] == pytest.approx(centre)


def test_texts_are_embedded_once():
    embed = Counting()
    data, topic = topics(40)
    estimator = PreferenceEstimator(duels(data, topic), embed)
    estimator.cross_predict(data, np.arange(40) % 4)
    copy.deepcopy(estimator).fit(data).predict(data.queries)
    assert len(embed.texts) == len(set(embed.texts)) == 40


def test_edge_cases(fitted):
    assert fitted.predict([]).shape == (0, 2)
    assert win_probability(fitted, []).shape == (0, 2, 2)
    assert np.isfinite(fitted.predict(asked("", "zeppelin"))).all()
    one = PreferenceEstimator([("q", "maths", "poet")]).fit(
        graded(["q"], [[1, 0]], ["maths", "poet"])
    )
    assert one.predict(asked("q")) == pytest.approx(np.array([[2 / 3, 1 / 3]]))
    alone = PreferenceEstimator([("q", "m0", "z")]).fit(graded(["q", "r"], [[1], [0]]))
    assert alone.predict(asked("q")) == pytest.approx(np.array([[0.5]]))


def test_records_may_be_mappings():
    data, _ = topics(20)
    as_mapping = PreferenceEstimator(
        [{"query": "q", "winner": "poet", "loser": "maths", "tie": False}]
    )
    assert as_mapping.preferences == (Preference("q", "poet", "maths"),)
    assert np.diff(as_mapping.fit(data).strengths_)[0] > 0


@pytest.mark.parametrize(
    "record",
    [
        ("q", "a"),
        ("q", "a", "b", True, 1),
        ("q", "a", 3),
        (None, "a", "b"),
        ("q", "a", "b", "tie"),
        "qab",
        None,
        {"query": "q", "winner": "a"},
    ],
)
def test_a_record_that_is_none_is_refused(record):
    with pytest.raises(DataError, match=r"preference 1 must be \(query text, winner, loser\)"):
        PreferenceEstimator([("q", "a", "b"), record])


def test_what_cannot_work_is_refused():
    with pytest.raises(DataError, match="no preferences given"):
        PreferenceEstimator([])
    with pytest.raises(DataError, match="preference 0 is of 'a' over itself"):
        PreferenceEstimator([("q", "a", "a")])
    for bad in (0.5, float("inf"), float("nan")):
        with pytest.raises(ConfigurationError, match="gamma must be a finite number of at least 1"):
            PreferenceEstimator([("q", "a", "b")], gamma=bad)
    with pytest.raises(NotFittedError, match="PreferenceEstimator has not been fitted"):
        PreferenceEstimator([("q", "a", "b")]).predict(asked("q"))
