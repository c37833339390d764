"""The Gaussian combiner: textbook conditioning, what it learns, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from cascade_engine import GaussianCombiner, simulate, tune
from cascade_engine.errors import DataError, NotFittedError
from cascade_engine.estimators.gaussian_combiner import CombinedBeliefs

MEAN = np.array([0.4, 0.55, 0.8])
EARLY, LATE, RHO = 0.1, 0.3, 0.5


def gaussian_world(n, seed=0):
    """Qualities that are jointly Gaussian, and calibrated noisy looks at them."""
    rng = np.random.default_rng(seed)
    shared, own = rng.standard_normal((n, 1)), rng.standard_normal((n, 3))
    spread = np.array([0.5, 0.45, 0.4])
    quality = MEAN + spread * (np.sqrt(RHO) * shared + np.sqrt(1 - RHO) * own)
    looks = []
    for share in (EARLY, LATE):
        noise = spread * np.sqrt((1 - share) / share) * rng.standard_normal((n, 3))
        looks.append(MEAN + share * (quality - MEAN + noise))
    return quality, *looks


def posterior(combiner, before, after, run):
    """Mean and covariance by stacking all looks and conditioning once, as textbooks do."""
    prior, mean = combiner.covariance_, combiner.mean_
    variance = np.diag(prior)
    noise = variance * (1 - combiner.share_before_) / combiner.share_before_
    looks = [mean + (before - mean) / combiner.share_before_]
    picks, noises = [np.eye(3)], [noise]
    late = variance * (1 - combiner.share_after_) / combiner.share_after_
    looks.append((mean + (after - mean) / combiner.share_after_)[run])
    picks.append(np.eye(3)[run])
    noises.append(late[run])
    pick, seen = np.concatenate(picks), np.concatenate(looks)
    inside = pick @ prior @ pick.T + np.diag(np.concatenate(noises))
    gain = prior @ pick.T @ np.linalg.inv(inside)
    return mean + gain @ (seen - pick @ mean), prior - gain @ pick @ prior, late


@pytest.fixture(scope="module")
def fitted():
    quality, before, after = gaussian_world(20_000)
    return GaussianCombiner().fit(before, after, quality)


def test_it_learns_the_shares_the_means_and_the_correlation(fitted):
    assert fitted.mean_ == pytest.approx(MEAN, abs=0.01)
    assert fitted.share_before_ == pytest.approx(EARLY, rel=0.03)
    assert fitted.share_after_ == pytest.approx(LATE, rel=0.03)
    spread = np.sqrt(np.diag(fitted.covariance_))
    correlation = (fitted.covariance_ / np.outer(spread, spread))[0, 2]
    assert correlation == pytest.approx(RHO * (1 - LATE) ** 2, rel=0.05)


@pytest.mark.parametrize("run", [[], [0], [1, 2], [0, 1, 2]])
def test_beliefs_are_the_gaussian_posterior(fitted, run):
    _, before, after = gaussian_world(5, seed=3)
    beliefs = fitted.beliefs(before, after, cost=np.ones((5, 3)))
    mask = np.zeros((5, 3), dtype=bool)
    mask[:, run] = True
    found = beliefs(np.arange(5), mask)
    for row in range(5):
        mean, cov, noise = posterior(fitted, before[row], after[row], run)
        assert found.quality[row] == pytest.approx(mean, abs=1e-12)
        left = np.diag(cov)
        spread = np.where(mask[row], 0.0, left / np.sqrt(left + noise))
        assert found.sd[row] == pytest.approx(spread, abs=1e-12)


def test_beliefs_keep_their_promise_of_what_an_answer_changes(fitted):
    _, before, after = gaussian_world(50_000, seed=5)
    combiner = GaussianCombiner()
    combiner.__dict__.update(fitted.__dict__)
    spread = np.sqrt(np.diag(fitted.covariance_))
    combiner.covariance_ = RHO * np.outer(spread, spread)  # the true one, not the shrunken
    np.fill_diagonal(combiner.covariance_, spread**2)
    beliefs = combiner.beliefs(before, after, cost=np.ones(before.shape))
    rows, nobody = np.arange(len(before)), np.zeros(before.shape, dtype=bool)
    first = beliefs(rows, nobody)
    one = nobody.copy()
    one[:, 1] = True
    change = beliefs(rows, one).quality - first.quality
    assert change[:, 1].std() == pytest.approx(first.sd[0, 1], rel=0.02)
    assert change.mean(axis=0) == pytest.approx(0, abs=0.003)
    # A martingale: the change cannot be foretold from the estimate before.
    slope = np.polyfit(first.quality[:, 1], change[:, 1], 1)[0]
    assert slope == pytest.approx(0, abs=0.03)


def test_models_without_correlation_do_not_move_each_other():
    quality, before, after = gaussian_world(400)
    combiner = GaussianCombiner().fit(before, after, quality)
    combiner.covariance_ = np.diag(np.diag(combiner.covariance_))
    beliefs = combiner.beliefs(before, after, cost=np.ones(before.shape))
    rows = np.arange(400)
    one = np.zeros((400, 3), dtype=bool)
    first = beliefs(rows, one)
    one[:, 0] = True
    assert beliefs(rows, one).quality[:, 1:] == pytest.approx(first.quality[:, 1:], abs=1e-14)


@pytest.mark.parametrize("strategy", ["reservation_index", "cascade_routing", "cascading"])
def test_strategies_take_them_as_beliefs(strategy):
    quality, before, after = gaussian_world(600)
    cost = np.tile([0.01, 0.03, 0.2], (600, 1))
    combiner = GaussianCombiner().fit(before, after, quality)
    beliefs = combiner.beliefs(before, after, cost=cost)
    tuned = tune(strategy, beliefs, quality=quality, cost=cost)
    policy = tuned.frontier.at(0.1)
    outcome = simulate(tuned.strategy, beliefs, policy, quality=quality, cost=cost)
    assert outcome.mean_cost == pytest.approx(0.1, rel=0.1)
    assert outcome.mean_quality > 0.5 * (MEAN[0] + MEAN[2])


def test_constant_and_perfect_data_are_no_trouble():
    quality = np.tile([0.0, 1.0], (10, 1))
    combiner = GaussianCombiner().fit(quality, quality, quality)
    beliefs = combiner.beliefs(quality, quality, cost=[[1.0, 2.0]] * 10)
    found = beliefs(np.arange(10), np.zeros((10, 2), dtype=bool))
    assert found.quality == pytest.approx(quality)
    assert np.isfinite(found.sd).all()
    single = GaussianCombiner().fit([[0.2], [0.4]], [[0.1], [0.6]], [[0], [1]])
    assert single.beliefs([[0.3]], [[0.5]], cost=[[1.0]]).models == 1


def test_what_cannot_be_learned_from_is_refused():
    good = np.full((4, 2), 0.5)
    for bad in (np.full((4, 2), np.nan), np.full((4, 3), 0.5), [["a", "b"]] * 4):
        with pytest.raises(DataError, match="after"):
            GaussianCombiner().fit(good, bad, good)
    with pytest.raises(DataError, match="one query is too few"):
        GaussianCombiner().fit(good[:1], good[:1], good[:1])
    with pytest.raises(DataError, match=r"before must have shape \(queries, models\), not \(4,\)"):
        GaussianCombiner().fit(good[:, 0], good, good)
    with pytest.raises(NotFittedError, match="call fit first"):
        GaussianCombiner().beliefs(good, good, cost=good)
    fitted = GaussianCombiner().fit(good, good, good)
    with pytest.raises(DataError, match="a cost is negative: -1"):
        fitted.beliefs(good, good, cost=-2 * good)
    assert isinstance(fitted.beliefs(good, good, cost=good), CombinedBeliefs)
