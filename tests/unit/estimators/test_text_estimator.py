"""Quality from a query's words and shape."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cascade_engine import ConfigurationError, NotFittedError
from cascade_engine.datasets import load_everyday
from cascade_engine.estimators import query_regression as _regression
from cascade_engine.estimators.features.query_text import QueryFeatures
from cascade_engine.estimators.regression.logistic import group_folds
from cascade_engine.estimators.text import TextEstimator
from tests.ex_ante import asked, graded, topics


@pytest.fixture(scope="module")
def everyday():
    train, test = load_everyday("train"), load_everyday("test")
    return TextEstimator().fit(train), train, test


def loss(p, y):
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()


def test_it_tells_good_answers_beforehand(everyday):
    fitted, train, test = everyday
    p = fitted.predict(test.queries)
    base = np.broadcast_to(train.quality.mean(axis=0), p.shape)
    assert loss(p, test.quality) < loss(base, test.quality) - 0.05
    areas = [roc_auc_score(test.quality[:, i], p[:, i]) for i in range(3)]
    assert min(areas) > 0.65
    assert fitted.models_ == train.models
    assert fitted.strength_ in fitted.strengths


def test_cross_fitted_estimates_are_as_good_as_held_out_ones(everyday):
    _, train, test = everyday
    folds = group_folds([q.text for q in train.queries], 5, 0)
    cross = TextEstimator().cross_predict(train, folds)
    held_out = loss(everyday[0].predict(test.queries), test.quality)
    assert loss(cross, train.quality) == pytest.approx(held_out, abs=0.02)
    in_sample = loss(everyday[0].predict(train.queries), train.quality)
    assert in_sample < loss(cross, train.quality) - 0.02


def test_a_fold_is_predicted_as_by_a_fit_on_the_others(everyday):
    _, train, _ = everyday
    folds = np.arange(len(train)) % 3
    cross = TextEstimator(strengths=[0.1]).cross_predict(train, folds)
    held = folds == 1
    features = QueryFeatures(components=128).fit([q.text for q in train.queries])
    x = features.transform([q.text for q in train.queries])
    table = _regression.Table(x, train.quality, features.space)
    fit = _regression.Regressions.fit(table.at(~held), 0.1)
    assert np.log(cross / (1 - cross))[held] == pytest.approx(fit.logit(x[held]))


def test_directions_of_one_space_share_a_scale():
    rng = np.random.default_rng(0)
    signal, noise = rng.normal(size=200), 1e-3 * rng.normal(size=(200, 20))
    x = np.column_stack([signal, noise])
    labels = (signal + rng.normal(size=200) > 0).astype(float)[:, None]
    together = _regression.Table(x, labels, slice(0, None))
    assert together.scale() == pytest.approx(np.full(21, x.std() * np.sqrt(21) / 3), rel=0.05)
    apart = _regression.Table(x, labels, slice(0, 0))
    assert apart.scale() == pytest.approx(x.std(axis=0))
    fitted = [_regression.Regressions.fit(t, 1.0) for t in (together, apart)]
    spread = [(noise @ f.coef[1:]).std() / (signal * f.coef[0]).std() for f in fitted]
    assert spread[0] < spread[1] / 50


def test_the_penalty_of_a_fold_is_chosen_on_the_others():
    """Nested by hand: the shared fits of two left-out folds are what a plain search finds."""
    data, _ = topics(90)
    texts = [q.text for q in data.queries]
    features = QueryFeatures(components=8).fit(texts)
    table = _regression.Table(features.transform(texts), data.quality, features.space)
    folds, strengths = np.arange(90) % 3, (0.001, 0.1, 10.0)
    cross = _regression.nested_cross_validation(table, folds, strengths)
    for fold in range(3):
        rest = folds != fold
        best = _regression.best_strength(table.at(rest), folds[rest], strengths)
        fit = _regression.Regressions.fit(table.at(rest), best)
        assert cross[~rest] == pytest.approx(fit.logit(table.features[~rest]))


def test_more_signal_is_given_a_weaker_penalty():
    data, _ = topics(120)
    noise = graded(data.queries, np.random.default_rng(0).integers(0, 2, (120, 2)))
    strengths = (0.0001, 1.0)
    assert TextEstimator(strengths=strengths).fit(data).strength_ == 1.0
    assert TextEstimator(strengths=strengths).fit(noise).strength_ == 0.0001


def test_words_never_seen_and_empty_texts_are_no_obstacle(everyday):
    fitted = everyday[0]
    p = fitted.predict(asked("", " ", "zzxq wvvk", "?" * 5000, "\U0001f600\u4f60\u597d"))
    assert p.shape == (5, 3)
    assert ((p > 0) & (p < 1)).all()
    assert fitted.predict([]).shape == (0, 3)


def test_constant_labels_are_shrunk_from_certainty():
    texts = [f"question {i}" for i in range(18)]
    p = TextEstimator().fit(graded(texts, np.tile([0, 1], (18, 1)))).predict(asked("question"))
    assert p == pytest.approx(np.array([[1 / 20, 19 / 20]]))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_very_few_queries_give_an_estimate_near_the_mean(n):
    data = graded(["one two", "three", "one two"][:n], [[0.5], [0.25], [1.0]][:n])
    p = TextEstimator().fit(data).predict(asked("one two", "four"))
    assert ((p > 0.2) & (p < 0.9)).all()


def test_one_fold_leaves_nothing_to_learn_from():
    data, _ = topics(12)
    assert np.isnan(TextEstimator().cross_predict(data, np.zeros(12, dtype=int))).all()
    two = TextEstimator().cross_predict(data, np.arange(12) % 2)
    assert ((two > 0) & (two < 1)).all()


def test_a_fit_leaves_what_it_was_given_alone():
    data, _ = topics(60)
    features = QueryFeatures(components=4)
    first = TextEstimator(query_features=features)
    p = first.fit(data).predict(data.queries)
    TextEstimator(query_features=features).fit(topics(60, seed=5)[0])
    assert not hasattr(features, "vocabulary_")
    assert first.predict(data.queries) == pytest.approx(p)


def test_what_cannot_work_is_refused():
    with pytest.raises(ConfigurationError, match="at least 2 folds, not 1"):
        TextEstimator(folds=1)
    for bad in ([], [0.0], [-1.0], [float("inf")], [float("nan")]):
        with pytest.raises(ConfigurationError, match="strengths must be finite numbers above 0"):
            TextEstimator(strengths=bad)
    with pytest.raises(NotFittedError, match="TextEstimator has not been fitted"):
        TextEstimator().predict(asked("q"))


def test_a_prediction_is_quick_and_needs_no_scikit_learn(everyday, monkeypatch):
    fitted, _, test = everyday
    for name in [m for m in sys.modules if m.split(".")[0] in {"sklearn", "scipy"}]:
        monkeypatch.setitem(sys.modules, name, None)
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        for query in test.queries[:100]:
            fitted.predict([query])
        best = min(best, (time.process_time() - start) / 100)
    assert best < 600e-6  # four times the aim: machines differ
