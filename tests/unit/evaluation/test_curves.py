"""Areas, qualities and costs read off cost-quality curves: cases worked out by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from cascade_engine.evaluation.bootstrap import Bootstrap, units_of
from cascade_engine.evaluation.curves import (
    Curve,
    PolicyResults,
    ResampledCurves,
    budget_grid,
    mixing_corners,
    play,
)
from tests import by_word
from tests.helpers import world


def line(cost, quality, start=(math.inf, math.nan)):
    one = np.array([start], dtype=float)
    rows = (np.array([row], dtype=float) for row in (cost, quality))
    return Curve.through(*rows, (one[:, 0], one[:, 1]))


def read(method, *numbers):
    return float(method(*(np.array([x], dtype=float) for x in numbers))[0])


CASES = {
    "a straight line": (line([1, 3], [0.2, 0.8]), 0.5),
    "flat after its end": (line([1, 2], [0.2, 0.8]), (0.5 + 0.8) / 2),
    "one point": (line([1], [0.6]), 0.6),
    "points in any order": (line([3, 1, 2], [1.0, 0.0, 0.2]), (0.1 + 0.6) / 2),
    "no upper hull": (line([1, 2, 3], [0.5, 0.3, 0.5]), 0.4),
    "beyond the range on both sides": (line([0, 4], [0.0, 0.8]), 0.4),
    "all below the range": (line([0.1, 0.5], [0.3, 0.4]), 0.4),
    "from the cheapest model": (line([2, 3], [0.6, 0.6], (1, 0.2)), (0.4 + 0.6) / 2),
    "all above the range": (line([5], [1.0], (1, 0.2)), 0.4),
    "two at one cost": (line([1, 2, 2, 3], [0.0, 0.0, 1.0, 1.0]), 0.5),
}


@pytest.mark.parametrize(("curve", "area"), CASES.values(), ids=CASES)
def test_areas_by_hand(curve, area):
    assert read(curve.area, 1, 3) == pytest.approx(area)


def test_without_width_an_area_is_the_quality_there():
    assert read(line([1, 3], [0.2, 0.8]).area, 2, 2) == pytest.approx(0.5)
    assert read(line([0, 0], [0.2, 0.8]).area, 0, 0) == pytest.approx(0.8)


def test_qualities_by_hand():
    curve = line([1, 2, 2, 4], [0.0, 0.2, 0.6, 1.0])
    wanted = {0.5: 0.0, 1: 0.0, 1.5: 0.1, 2: 0.6, 3: 0.8, 4: 1.0, 9: 1.0, math.inf: 1.0}
    for cost, quality in wanted.items():
        assert read(curve.at, cost) == pytest.approx(quality)


def test_costs_of_a_quality_by_hand():
    curve = line([1, 2, 3, 5], [0.2, 0.6, 0.4, 0.8])
    wanted = {0.1: 1.0, 0.2: 1.0, 0.4: 1.5, 0.6: 2.0, 0.7: 4.5, 0.8: 5.0, 0.9: math.inf}
    for quality, cost in wanted.items():
        assert read(curve.reaches, quality) == pytest.approx(cost)


def test_samples_do_not_mix():
    both = Curve.through(
        np.array([[1.0, 3.0], [3.0, 1.0]]),
        np.array([[0.0, 1.0], [0.0, 1.0]]),
        (np.array([1.0, 1.0]), np.array([0.0, 0.0])),
    )
    assert both.area(np.ones(2), np.full(2, 3.0)) == pytest.approx([0.5, 0.5])
    assert both.at(np.array([1.0, 1.0])) == pytest.approx([0.0, 1.0])
    assert both.reaches(np.array([0.5, 0.5])) == pytest.approx([2.0, 1.0])


def sample(cost, quality, plays):
    """Two models of constant cost and quality on three queries."""
    data = world(3, 2).data()
    data.cost, data.quality = np.tile(cost, (3, 1)), np.tile(quality, (3, 1))
    plays = {
        name: PolicyResults(*(np.tile(np.array(row, float), (3, 1)) for row in curve))
        for name, curve in plays.items()
    }
    return ResampledCurves(plays, data, Bootstrap(units_of(data), replications=10))


def test_parity_by_hand():
    found = sample(
        (1.0, 4.0),
        (0.4, 0.8),
        {
            "half": ([1, 3], [0.4, 1.2]),
            "dear": ([1, 6], [0.4, 0.8]),
            "worse": ([1, 4], [0.4, 0.79]),
            "late": ([3], [0.9]),
            "none": ([], []),
        },
    )
    assert found.best == 1
    assert found.parity("half") == pytest.approx(0.5)
    assert found.parity("dear") == pytest.approx(1.5)
    assert np.isinf(found.parity("worse")).all()
    # From the cheapest model, (1, 0.4), to (3, 0.9): 0.8 is reached at 2.6.
    assert found.parity("late") == pytest.approx(0.65)
    assert np.isnan(found.parity("none")).all()
    assert np.isnan(found.area("none")).all()


def test_where_nothing_can_be_bought_there_is_no_quality():
    found = sample((1.0, 4.0), (0.4, 0.8), {"a": ([2, 4], [0.6, 0.8])})
    assert np.isnan(found.at("a", np.full(11, 0.9))).all()
    assert found.at("a", np.full(11, 1.0)) == pytest.approx(0.4)


def test_a_free_best_model_is_matched_only_for_free():
    free = sample((0.0, 1.0), (0.8, 0.4), {"a": ([0, 1], [0.8, 0.9]), "b": ([0, 1], [0.7, 0.9])})
    assert free.best == 0
    assert free.parity("a") == pytest.approx(1.0)
    assert np.isinf(free.parity("b")).all()


def test_of_equals_the_cheapest_is_best():
    assert sample((4.0, 1.0), (0.5, 0.5), {}).best == 1


@pytest.mark.parametrize(
    ("cost", "quality", "corners"),
    [
        ((1, 2, 3), (0.25, 0.5, 0.75), [0, 2]),
        ((1, 2, 3), (0.2, 0.5, 0.6), [0, 1, 2]),
        ((1, 2, 3), (0.6, 0.5, 0.4), [0]),
        ((3, 2, 1), (0.6, 0.7, 0.2), [2, 1]),
        ((1, 1, 2), (0.2, 0.3, 0.4), [1, 2]),
        ((0, 0), (0.5, 0.5), [0]),
        ((1, 2, 3, 4), (0.1, 0.2, 0.25, 0.9), [0, 3]),
    ],
)
def test_corners_of_mixing_by_hand(cost, quality, corners):
    assert mixing_corners(np.array(cost), np.array(quality)).tolist() == corners


def test_budgets_end_without_limit():
    assert budget_grid(np.array([1.0, 4.0]), 3) == pytest.approx([1.0, 2.0, 4.0, math.inf])
    assert budget_grid(np.array([0.0, 4.0]), 2) == pytest.approx([4e-6, 4.0, math.inf])
    assert budget_grid(np.array([3.0]), 9) == pytest.approx([3.0, math.inf])
    assert budget_grid(np.zeros(2), 9) == [0.0]


def test_below_its_cheapest_policy_a_router_plays_that_one():
    router, data = by_word.router().fit(by_word.make(60, 1)), by_word.make(30, 2)
    played = play(router, data, [0.0, router.frontier_.cost[0], math.inf])
    assert played.cost.shape == (30, 3)
    assert np.array_equal(played.cost[:, 0], played.cost[:, 1])
    assert np.array_equal(played.quality[:, 2], router.replay(data).quality)


def drawn(rng, n):
    """Two models, and two routers of three policies each, on n queries drawn at random."""
    hard = rng.random((n, 1))
    cost = np.array([1.0, 5.0]) * rng.uniform(0.5, 1.5, (n, 2))
    quality = (rng.random((n, 2)) > hard * np.array([0.9, 0.4])).astype(float)
    plays = {}
    for name, threshold in (("ours", [0.8, 0.5, 0.2]), ("theirs", [0.9, 0.6, 0.4])):
        noise = 0.0 if name == "ours" else 0.5 * rng.normal(size=(n, 1))
        dear = (hard + noise > threshold).astype(np.intp)
        rows = np.arange(n)[:, None]
        plays[name] = PolicyResults(cost[rows, dear], quality[rows, dear])
    return cost, quality, plays


def test_intervals_of_curves_cover_the_truth():
    def measured(n, seed, replications):
        cost, quality, plays = drawn(np.random.default_rng(seed), n)
        data = SimpleNamespace(cost=cost, quality=quality)
        bootstrap = Bootstrap(np.arange(n), replications=replications, seed=seed)
        made = ResampledCurves(plays, data, bootstrap)
        apart = made.area("ours") - made.area("theirs")
        at = made.at("ours", np.full(len(apart), 3.0))
        return [made.interval(x) for x in (made.area("ours"), apart, at)]

    truth = [interval.value for interval in measured(400_000, 0, 1)]
    found = [measured(120, seed, 200) for seed in range(1, 301)]
    for i, wanted in enumerate(truth):
        covered = np.mean([one[i].low <= wanted <= one[i].high for one in found])
        assert 0.91 <= covered <= 0.98
