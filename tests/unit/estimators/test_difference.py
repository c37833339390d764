"""The gain of a further model over the answer held, as one estimate."""

from __future__ import annotations

import numpy as np
import pytest

from cascade_engine import (
    CascadeRouter,
    ConfigurationError,
    DifferenceEstimator,
    NotFittedError,
    drive,
)
from tests.helpers import ArrayQuality, world

ONLY = np.array([[True, False, False]])


def test_it_learns_what_two_estimates_apart_cannot_know(make_data):
    # The second model is right exactly where the first is, as its own estimate does not tell.
    data = make_data(400, 3, 5)
    data.quality[:, 1] = data.quality[:, 0]
    held_out = make_data(300, 3, 6)
    held_out.quality[:, 1] = held_out.quality[:, 0]
    estimator = DifferenceEstimator().fit(data)
    run = np.repeat(ONLY, len(held_out), axis=0)
    evidence = estimator.read(held_out)
    quality, sd = estimator.estimate(evidence, run)
    base, base_sd = estimator._fitted_base.estimate(evidence.base, run)
    assert np.abs(quality[:, 1] - quality[:, 0]).mean() < 0.02
    assert np.abs(base[:, 1] - base[:, 0]).mean() > 0.02
    assert np.array_equal(quality[:, 0], base[:, 0])
    assert np.array_equal(sd, base_sd)
    true = held_out.quality[:, 2] - held_out.quality[:, 0]
    assert np.corrcoef(quality[:, 2] - quality[:, 0], true)[0, 1] > 0.2


def test_on_the_fitting_data_each_gain_is_by_a_fit_without_the_row(make_data):
    data = make_data(60, 3, 5)
    estimator = DifferenceEstimator().fit(data)
    run = np.repeat(ONLY, len(data), axis=0)
    crossed = estimator.cross_evidence()
    apart = estimator.estimate(crossed, run)[0][:, 1:]
    seen = type(crossed)(crossed.base, {})
    in_sample = estimator.estimate(seen, run)[0][:, 1:]
    true = data.quality[:, 1:]
    assert np.square(apart - true).mean() > np.square(in_sample - true).mean()


@pytest.mark.parametrize("strategy", ["cascade_routing", "cascading", "fitted_value_iteration"])
def test_sessions_decide_as_was_replayed_saved_or_not(data, held_out, strategy, tmp_path):
    router = CascadeRouter(data.models, strategy=strategy, quality=DifferenceEstimator()).fit(data)
    router.save(tmp_path / "router")
    again = CascadeRouter.load(tmp_path / "router")
    cost = router.frontier_.cost
    budget = float(0.5 * (cost[0] + cost[-1]))
    expected = router.replay(held_out, budget=budget)
    for row, query in enumerate(held_out.queries[:40]):
        answers = dict(zip(data.models, held_out.answers[row], strict=True))
        for one in (router, again):
            trace = drive(one.session(query, budget=budget), lambda call, a=answers: a[call.model])
            assert trace.chosen == data.models[expected.chosen[row]]
            assert trace.total_cost == pytest.approx(expected.cost[row])


def test_sets_are_bounded_and_more_answers_are_left_to_the_estimates_below():
    some = world(80, 4, 1)
    base = ArrayQuality(some.beliefs)
    estimator = DifferenceEstimator(base, max_answers=1).fit(some.data())
    assert sorted(estimator._states) == [(0,), (1,), (2,), (3,)]
    evidence = estimator.cross_evidence()
    two = np.repeat([[True, True, False, False]], 80, axis=0)
    assert np.array_equal(
        estimator.estimate(evidence, two)[0], base.estimate(base.cross_evidence(), two)[0]
    )
    assert len(DifferenceEstimator()._sets(40)) == 40
    assert len(DifferenceEstimator()._sets(14)) == 14 + 91
    assert DifferenceEstimator()._sets(1) == []


def test_bad_use_is_refused():
    with pytest.raises(ConfigurationError, match="max_answers must be an integer >= 1, not 0"):
        DifferenceEstimator(max_answers=0)
    with pytest.raises(NotFittedError, match="call fit first"):
        DifferenceEstimator().begin([])
