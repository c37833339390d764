"""What the log-probability estimator learns, and what it must not."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import rankdata

from cascade_engine import (
    Answer,
    CascadeDataset,
    ConfigurationError,
    DataError,
    NotFittedError,
    Query,
)
from cascade_engine.errors import PersistenceError
from cascade_engine.estimators import LogprobEstimator
from cascade_engine.estimators.regression.logistic import fit_logistic, group_folds
from cascade_engine.storage.json_objects import Decoder


@pytest.fixture(scope="module")
def train(make_data):
    return make_data(500, 3, 21)


@pytest.fixture(scope="module")
def test(make_data):
    return make_data(2500, 3, 22)


@pytest.fixture(scope="module")
def fitted(train):
    return LogprobEstimator().fit(train)


@pytest.fixture(scope="module")
def evidence(fitted, test):
    return fitted.read(test)


def with_quality(data, quality):
    return CascadeDataset(data.models, data.queries, data.answers, quality, data.cost)


def runs(data, *models):
    run = np.zeros(data.quality.shape, bool)
    run[:, list(models)] = True
    return run


def log_loss(estimate, label):
    return -np.mean(label * np.log(estimate) + (1 - label) * np.log(1 - estimate))


def auc(score, label):
    """Chance that a good answer scores above a bad one."""
    good = label > 0
    ranks, n = rankdata(score), good.sum()
    return (ranks[good].sum() - n * (n + 1) / 2) / (n * (len(label) - n))


def calibration_error(estimate, label, bins=10):
    """Mean distance of promise from truth over bins of as many rows each."""
    order = np.argsort(estimate)
    pairs = zip(
        np.array_split(estimate[order], bins), np.array_split(label[order], bins), strict=True
    )
    return np.mean([abs(promised.mean() - true.mean()) for promised, true in pairs])


def test_answers_tell_more_than_queries_and_queries_more_than_nothing(fitted, evidence, test):
    before, _ = fitted.estimate(evidence, runs(test))
    after, _ = fitted.estimate(evidence, runs(test, 0, 1, 2))
    for i, label in enumerate(test.quality.T):
        rate = np.full(len(label), label.mean())
        assert log_loss(before[:, i], label) < log_loss(rate, label) - 0.01
        assert log_loss(after[:, i], label) < 0.8 * log_loss(before[:, i], label)


@pytest.mark.parametrize("models", [(0,), (1,), (0, 1)])
def test_one_models_answer_tells_of_the_others(models, fitted, evidence, test):
    before, _ = fitted.estimate(evidence, runs(test))
    after, _ = fitted.estimate(evidence, runs(test, *models))
    for i in set(range(3)) - set(models):
        label = test.quality[:, i]
        assert log_loss(after[:, i], label) < log_loss(before[:, i], label) - 0.003


@pytest.mark.parametrize("models", [(), (0,), (1, 2), (0, 1, 2)])
def test_estimates_are_calibrated_on_unseen_queries(models, fitted, evidence, test):
    estimate, _ = fitted.estimate(evidence, runs(test, *models))
    for i, label in enumerate(test.quality.T):
        assert calibration_error(estimate[:, i], label) < 0.08
    assert calibration_error(estimate.ravel(), test.quality.ravel()) < 0.05


def test_the_spread_foretells_how_far_the_estimate_will_move(fitted, evidence, test):
    for models in ((), (0,), (0, 1)):
        before, sd = fitted.estimate(evidence, runs(test, *models))
        assert (sd[:, list(models)] == 0).all()
        for i in set(range(3)) - set(models):
            after, _ = fitted.estimate(evidence, runs(test, *models, i))
            moved = np.sqrt(np.mean((after[:, i] - before[:, i]) ** 2))
            assert np.sqrt(np.mean(sd[:, i] ** 2)) == pytest.approx(moved, rel=0.15)


@pytest.mark.slow
def test_labels_of_pure_noise_leave_no_trace_in_cross_fitted_estimates(make_data):
    before, after = [], []
    for seed in range(6):
        data = make_data(150, 3, seed)
        noise = with_quality(data, np.random.default_rng(seed).integers(0, 2, (150, 3)))
        estimator = LogprobEstimator(seed=seed).fit(noise)
        for store, models in ((before, ()), (after, (0, 1, 2))):
            estimate, _ = estimator.estimate(estimator.cross_evidence(), runs(noise, *models))
            store += [auc(estimate[:, i], noise.quality[:, i]) for i in range(3)]
    assert np.mean(before) == pytest.approx(0.5, abs=0.03)
    assert np.mean(after) == pytest.approx(0.5, abs=0.06)


def test_cross_fitted_estimates_have_not_seen_the_labels(fitted, train):
    out_of_fold, _ = fitted.estimate(fitted.cross_evidence(), runs(train))
    in_sample, _ = fitted.estimate(fitted.read(train), runs(train))
    assert log_loss(in_sample, train.quality) < log_loss(out_of_fold, train.quality) - 0.02


def test_cross_fitted_estimates_are_as_good_as_those_of_unseen_queries(
    fitted, evidence, train, test
):
    for models in ((), (0, 1, 2)):
        out_of_fold, _ = fitted.estimate(fitted.cross_evidence(), runs(train, *models))
        held_out, _ = fitted.estimate(evidence, runs(test, *models))
        promised = log_loss(out_of_fold, train.quality)
        assert promised == pytest.approx(log_loss(held_out, test.quality), rel=0.15)


def test_only_answers_of_models_run_are_looked_at(fitted, test):
    some = test.take(range(20))
    everything = fitted.read(some)
    for marks in product([False, True], repeat=3):
        run = np.tile(marks, (20, 1))
        only = fitted.begin(some.queries)
        for i in np.flatnonzero(marks):
            fitted.observe(only, i, [row[i] for row in some.answers])
        for ours, theirs in zip(
            fitted.estimate(everything, run), fitted.estimate(only, run), strict=True
        ):
            assert (ours == theirs).all()


def test_rows_in_different_states_are_estimated_as_if_alone(fitted, test):
    some = test.take(range(40))
    run = np.random.default_rng(3).random((40, 3)) < 0.5
    together = fitted.estimate(fitted.read(some), run)
    for row in range(40):
        alone = fitted.estimate(fitted.read(some.take([row])), run[[row]])
        for ours, theirs in zip(together, alone, strict=True):
            assert ours[row] == pytest.approx(theirs[0], abs=1e-12)


def one(estimator, logprobs, **more):
    """The estimate of the first model's answer to one query."""
    found = estimator.begin([Query("plain ban bel cud dip fan gos 77?")])
    estimator.observe(found, 0, [Answer("w w w w", logprobs, finish_reason="stop", **more)])
    return estimator.estimate(found, np.array([[True, False, False]]))[0][0, 0]


@pytest.mark.parametrize("unknown", [None, (), (np.nan, -0.1), np.array([])])
def test_unknown_logprobs_are_neither_confident_nor_unconfident(unknown, fitted):
    sure, unsure = one(fitted, (-0.01,) * 6), one(fitted, (-0.6, -2.5, -0.9, -0.1, -0.4, -3.0))
    assert unsure + 0.1 < one(fitted, unknown) < sure - 0.02
    assert one(fitted, unknown) == one(fitted, None)


def test_where_half_the_logprobs_are_missing_the_rest_still_tell(train, test):
    rng = np.random.default_rng(0)

    def thinned(data):
        answers = [
            [Answer(a.text, a.logprobs if rng.random() < 0.5 else None) for a in row]
            for row in data.answers
        ]
        return CascadeDataset(data.models, data.queries, answers, data.quality, data.cost)

    data = thinned(test)
    estimator = LogprobEstimator().fit(thinned(train))
    everyone = runs(data, 0, 1, 2)
    estimate, _ = estimator.estimate(estimator.read(data), everyone)
    known = np.array([[a.logprobs is not None for a in row] for row in data.answers])
    for mask in (known, ~known):
        assert calibration_error(estimate[mask], data.quality[mask]) < 0.05
    assert auc(estimate[known], data.quality[known]) > auc(estimate[~known], data.quality[~known])


def test_an_answer_without_logprobs_is_judged_as_well_as_the_query(fitted, test):
    answers = [[Answer(a.text, None, finish_reason="stop") for a in row] for row in test.answers]
    silent = CascadeDataset(test.models, test.queries, answers, test.quality, test.cost)
    evidence = fitted.read(silent)
    before, _ = fitted.estimate(evidence, runs(silent))
    after, _ = fitted.estimate(evidence, runs(silent, 0, 1, 2))
    for i, label in enumerate(test.quality.T):
        assert log_loss(after[:, i], label) < log_loss(before[:, i], label) + 0.01


@pytest.mark.parametrize("text", ["", "?", "Übersetze: 1,2,3", "x" * 200_000, "1" * 999, "\ud800"])
def test_a_query_unlike_any_seen_is_not_judged_with_certainty(text, fitted):
    estimate, _ = fitted.estimate(fitted.begin([Query(text)]), np.zeros((1, 3), bool))
    assert (estimate > 0.02).all()
    assert (estimate < 0.99).all()


def test_no_fit_extrapolates():
    features = np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])
    line = fit_logistic(features, np.array([0.0, 0.0, 1.0, 1.0]))
    beyond = np.array([[-100.0, 5.0], [0.0, 4.0], [3.0, 5.0], [1e9, 5e9]])
    assert line.logit(beyond) == pytest.approx(line.logit(features[[0, 0, 3, 3]]))
    assert line.logit(features)[3] > 1


@pytest.mark.parametrize("extreme", [(-np.inf, -0.1), (7.0, 0.0), (-1e308,) * 3, (-0.1,) * 50_000])
def test_extreme_logprobs_give_an_estimate_all_the_same(extreme, fitted):
    assert 0 < one(fitted, extreme) < 1


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_labels_all_alike_give_a_constant_short_of_certainty(label, train):
    data = with_quality(train.take(range(60)), np.full((60, 3), label))
    estimator = LogprobEstimator().fit(data)
    for models in ((), (0,), (0, 1, 2)):
        estimate, sd = estimator.estimate(estimator.read(data), runs(data, *models))
        assert np.ptp(estimate) < 0.02
        assert abs(estimate - label).max() < 0.05
        assert (estimate != label).all()
        assert sd.max() < 0.1


def test_fractional_labels_count_as_shares_of_both_outcomes(train):
    data = train.take(range(60))
    halves = with_quality(data, np.full((60, 3), 0.5))
    estimator = LogprobEstimator().fit(halves)
    estimate, _ = estimator.estimate(estimator.read(halves), runs(halves, 0, 1))
    assert estimate == pytest.approx(0.5, abs=1e-6)
    features = np.linspace(-1, 1, 40)[:, None]
    graded = np.linspace(0.2, 0.8, 40)
    copies = np.concatenate([np.arange(10) < round(10 * share) for share in graded.round(1)])
    soft = fit_logistic(features, graded.round(1), strength=1.0)
    hard = fit_logistic(np.repeat(features, 10, axis=0), copies.astype(float), strength=0.1)
    assert soft.logit(features) == pytest.approx(hard.logit(features), abs=1e-3)


def test_duplicates_of_a_query_share_a_fold(train):
    groups = [f"q{i * i % 29}" for i in range(100)]  # 15 of them
    folds = group_folds(groups, 5, seed=3)
    fold_of = dict(zip(groups, folds, strict=True))
    assert folds.tolist() == [fold_of[group] for group in groups]
    assert sorted(set(folds)) == [0, 1, 2, 3, 4]
    assert len(set(group_folds(groups, 99, seed=3))) == 15
    twice = train.take([*range(60), *reversed(range(60))])
    cross = LogprobEstimator().fit(twice).cross_evidence()
    assert cross.seen.ante[:60] == pytest.approx(cross.seen.ante[:59:-1], abs=1e-12)


def test_what_cannot_be_learned_from_is_refused(train):
    with pytest.raises(DataError, match="9 distinct queries"):
        LogprobEstimator().fit(train.take([*range(9), *range(9)]))
    for folds in (1, 0, -5, 2.5):
        with pytest.raises(ConfigurationError, match=f"at least 2 folds, not {folds}"):
            LogprobEstimator(folds=folds)
    fresh = LogprobEstimator()
    for use in (fresh.cross_evidence, lambda: fresh.begin([Query("q")])):
        with pytest.raises(NotFittedError, match="call fit first"):
            use()


def test_more_than_five_models_are_learned_from_a_sample_of_run_sets(make_data):
    data = make_data(80, 7, 3)
    estimator = LogprobEstimator(folds=3).fit(data)
    before, sd = estimator.estimate(estimator.read(data), runs(data, 0, 3))
    assert ((before > 0) & (before < 1)).all()
    assert (sd[:, [0, 3]] == 0).all()
    assert (sd[:, [1, 2, 4, 5, 6]] > 0).all()


@pytest.mark.parametrize("correlated", [False, True])
def test_a_state_from_when_estimates_could_be_correlated_is_upgraded_or_refused(correlated):
    node = {
        "$class": "CombinedEstimator",
        "version": 1,
        "state": {
            "before": [],
            "signals": [],
            "agreement": None,
            "correlated": correlated,
            "folds": 5,
            "seed": 0,
        },
    }
    if correlated:
        with pytest.raises(PersistenceError, match="which is no more: fit the router again"):
            Decoder([]).decode(node)
    else:
        assert Decoder([]).decode(node).folds == 5
