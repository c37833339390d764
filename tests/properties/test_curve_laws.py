"""Laws of curves, of intervals and of reliability, for any numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cascade_engine.evaluation.calibration import measure_reliability
from cascade_engine.evaluation.curves import Curve, mixing_corners

shares = st.floats(0, 1, allow_subnormal=False)
costs = st.floats(0.01, 100, allow_subnormal=False)


@st.composite
def curves(draw):
    """Points, and two models alone."""
    size = draw(st.integers(1, 8))
    cost = draw(arrays(float, (1, size), elements=costs))
    quality = draw(arrays(float, (1, size), elements=shares))
    start = draw(costs), draw(shares)
    return cost, quality, start


def line(cost, quality, start):
    return Curve.through(cost, quality, (np.array([start[0]]), np.array([start[1]])))


def ends(low, width):
    return np.array([low]), np.array([low + width])


@given(curves(), costs, st.floats(0, 50))
def test_an_area_is_a_mean_of_the_curve(curve, low, width):
    made = line(*curve)
    area = made.area(*ends(low, width))
    assert made.quality.min() - 1e-9 <= area[0] <= made.quality.max() + 1e-9


@given(curves(), costs, st.floats(0, 50), shares)
def test_better_answers_make_no_smaller_area(curve, low, width, more):
    cost, quality, start = curve
    before = line(cost, quality, start).area(*ends(low, width))
    after = line(cost, quality + more, start).area(*ends(low, width))
    assert after[0] >= before[0] - 1e-9


@given(curves(), costs, st.floats(0.1, 50), st.floats(0.1, 10))
def test_the_unit_of_cost_does_not_matter(curve, low, width, unit):
    cost, quality, start = curve
    once = line(cost, quality, start).area(*ends(low, width))
    again = line(cost * unit, quality, (start[0] * unit, start[1]))
    assert abs(again.area(*ends(low * unit, width * unit))[0] - once[0]) < 1e-6


@given(curves(), shares)
def test_where_a_quality_is_reached_it_is_there(curve, quality):
    made = line(*curve)
    cost = made.reaches(np.array([quality]))
    if np.isfinite(cost[0]):
        assert made.cost.min() - 1e-9 <= cost[0] <= made.cost.max() + 1e-9
        left = made.at(cost - 1e-9 * (1 + cost))[0]
        right = made.at(cost + 1e-9 * (1 + cost))[0]
        # At a jump it is there on one side.
        assert max(left, right, made.quality[0, made.cost[0] == cost[0]].max(initial=0)) >= (
            quality - 1e-6
        )
    else:
        assert made.quality.max() < quality


@given(arrays(float, st.integers(1, 7), elements=costs), st.data())
def test_no_model_is_above_the_line_of_mixing(cost, data):
    quality = data.draw(arrays(float, len(cost), elements=shares))
    corners = mixing_corners(cost, quality)
    assert (np.diff(cost[corners]) > 0).all()
    assert (np.diff(quality[corners]) > 0).all()
    assert cost[corners[0]] == cost.min()
    assert quality[corners[-1]] == quality.max()
    assert (quality <= np.interp(cost, cost[corners], quality[corners]) + 1e-9).all()


@given(st.integers(1, 60), st.integers(1, 12), st.data())
def test_reliability_adds_up(n, bins, data):
    estimate = data.draw(arrays(float, n, elements=shares))
    quality = data.draw(arrays(float, n, elements=shares))
    found = measure_reliability(estimate, quality, bins=bins)
    assert found.count.sum() == n
    assert len(found.count) <= bins
    assert (np.diff(found.estimate) > 0).all() or len(found.count) == 1
    assert abs((found.count * found.quality).sum() / n - quality.mean()) < 1e-9
    assert abs(estimate.mean() - quality.mean()) - 1e-9 <= found.ece <= 1
    assert found.ece**2 <= found.brier + 1e-9
    assert found.roc_auc is None or -1e-9 <= found.roc_auc <= 1 + 1e-9
