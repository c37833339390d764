"""Whether estimates come true: cases worked out by hand, and against scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cascade_engine import ConfigurationError, DataError
from cascade_engine.evaluation.calibration import Calibration, measure_reliability


def test_two_bins_by_hand():
    found = measure_reliability([0.8, 0.2, 0.1, 0.9], [1, 0, 1, 1], bins=2)
    assert found.estimates == 4
    assert found.count.tolist() == [2, 2]
    assert found.estimate == pytest.approx([0.15, 0.85])
    assert found.quality == pytest.approx([0.5, 1.0])
    assert found.ece == pytest.approx((2 * 0.35 + 2 * 0.15) / 4)
    assert found.brier == pytest.approx((0.04 + 0.04 + 0.81 + 0.01) / 4)
    # Of the three good answers two are estimated above the bad one.
    assert found.roc_auc == pytest.approx(2 / 3)


def test_equal_estimates_share_a_bin():
    found = measure_reliability([0.5] * 30 + [0.9], [1, 0] * 15 + [1], bins=10)
    assert found.count.tolist() == [30, 1]
    assert found.ece == pytest.approx(0.1 / 31)
    constant = measure_reliability([0.5] * 8, [1, 0] * 4)
    assert constant.count.tolist() == [8]
    assert constant.ece == 0
    assert constant.roc_auc == 0.5


def test_bins_hold_equally_many():
    rng = np.random.default_rng(0)
    found = measure_reliability(rng.random(1000) ** 5, rng.integers(2, size=1000))
    assert found.count.tolist() == [100] * 10
    assert (np.diff(found.estimate) > 0).all()


@pytest.mark.parametrize("n", [200, 2000])
def test_what_is_calibrated_has_the_error_of_chance(n):
    rng = np.random.default_rng(1)
    ratios = []
    for _ in range(60):
        p = rng.random(n)
        found = measure_reliability(p, rng.random(n) < p)
        ratios.append(found.ece / found.ece_by_chance)
    assert np.mean(ratios) == pytest.approx(1, abs=0.06)
    off = measure_reliability(p**2, rng.random(n) < p)
    assert off.ece > 2 * off.ece_by_chance


def test_roc_auc_is_the_usual_one():
    rng = np.random.default_rng(2)
    estimate = rng.integers(20, size=300) / 20
    good = rng.random(300) < 0.2 + 0.6 * estimate
    assert measure_reliability(estimate, good).roc_auc == pytest.approx(
        roc_auc_score(good, estimate)
    )


def test_half_good_answers_count_half():
    estimate, quality = np.array([0.2, 0.6, 0.9]), np.array([0.0, 0.25, 1.0])
    wanted = roc_auc_score([0, 1, 0, 1], [0.2, 0.6, 0.6, 0.9], sample_weight=[1, 0.25, 0.75, 1])
    assert measure_reliability(estimate, quality).roc_auc == pytest.approx(wanted)


@pytest.mark.parametrize("quality", [[1, 1], [0, 0]])
def test_without_both_kinds_there_is_no_order(quality):
    found = measure_reliability([0.1, 0.9], quality)
    assert found.roc_auc is None
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["roc_auc"] is None


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(DataError, match="no estimates given"):
        measure_reliability([], [])
    with pytest.raises(DataError, match="quality must have shape"):
        measure_reliability([0.1, 0.2], [1])
    with pytest.raises(DataError, match="finite"):
        measure_reliability([0.1, float("nan")], [1, 0])
    with pytest.raises(ConfigurationError, match="at least 1, not 0"):
        measure_reliability([0.1], [1], bins=0)


def test_each_stage_is_measured_on_what_is_known_then(router, held_out):
    believed = Calibration(router.quality, held_out)
    stages = {(r.stage, r.model): r for r in believed.stages}
    assert len(stages) == 8
    evidence = router.quality.read(held_out)
    run = np.zeros(held_out.quality.shape, dtype=bool)
    before = router.quality.estimate(evidence, run)[0]
    run[:, 1] = True
    after = router.quality.estimate(evidence, run)[0]
    for stage, estimate in (("before", before), ("after", after)):
        wanted = np.mean((estimate[:, 1] - held_out.quality[:, 1]) ** 2)
        assert stages[stage, "model-1"].brier == pytest.approx(wanted)
    assert stages["before", None].estimates == held_out.quality.size
    assert stages["after", None].roc_auc > stages["before", None].roc_auc
    outcome = router.replay(held_out)
    returned = believed.returned(outcome)
    last = router.quality.estimate(evidence, outcome.run)[0]
    last = last[np.arange(len(last)), outcome.chosen]
    assert returned.brier == pytest.approx(np.mean((last - outcome.quality) ** 2))
    assert (returned.stage, returned.model, returned.estimates) == ("returned", None, 150)


@pytest.mark.parametrize("quality", [2, -1])
def test_quality_out_of_range_is_refused(quality):
    with pytest.raises(DataError, match=r"quality runs from .*: rescale it to \[0, 1\]"):
        measure_reliability([0.5, 0.5], [1, quality])
