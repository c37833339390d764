"""Tables and curves on held-out data."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from cascade_engine import (
    DEFAULT_STRATEGY,
    CascadeDataset,
    CascadeRouter,
    ConfigurationError,
    DataError,
    NotFittedError,
    evaluate,
)


@pytest.fixture(scope="module")
def budget(data):
    return float(data.cost.mean(axis=0)[1])


@pytest.fixture(scope="module")
def routers(router, budget):
    at = router.with_budget(budget)
    return {name: at.with_strategy(name) for name in ("cascade_routing", "random_mixing")}


@pytest.fixture(scope="module")
def evaluation(routers, held_out):
    return evaluate(routers, held_out)


def test_each_model_alone_is_a_point(evaluation, held_out):
    assert evaluation.models == held_out.models
    assert evaluation.queries == len(held_out)
    for i, point in enumerate(evaluation.singles):
        assert (point.name, point.budget) == (held_out.models[i], None)
        assert point.cost == pytest.approx(held_out.cost[:, i].mean())
        assert point.quality == pytest.approx(held_out.quality[:, i].mean())
        share = point.quality
        error = math.sqrt(share * (1 - share) / len(held_out))
        assert point.quality_error == pytest.approx(error)
        assert point.shares.tolist() == np.eye(3)[i].tolist()


def test_each_router_is_replayed_at_its_budget(evaluation, routers, held_out, budget):
    assert [point.name for point in evaluation.at_budget] == list(routers)
    for point in evaluation.at_budget:
        outcome = routers[point.name].replay(held_out)
        assert point.budget == budget
        assert point.cost == outcome.mean_cost
        assert point.quality == outcome.mean_quality
        assert point.shares.tolist() == outcome.shares.tolist()


def test_curves_run_over_budgets_from_the_cheapest_to_the_dearest(evaluation, routers, held_out):
    means = held_out.cost.mean(axis=0)
    for name, curve in evaluation.curves.items():
        budgets = [point.budget for point in curve]
        assert budgets == sorted(budgets)
        assert budgets[-1] == pytest.approx(means.max())
        assert 30 <= len(curve) <= 33
        middle = curve[len(curve) // 2]
        replayed = routers[name].replay(held_out, budget=middle.budget)
        assert (middle.cost, middle.quality) == (replayed.mean_cost, replayed.mean_quality)


def test_cascade_routing_beats_a_random_mixture_here(evaluation):
    ours, random = evaluation.at_budget
    assert ours.quality > random.quality + 2 * random.quality_error / math.sqrt(2)
    assert ours.cost < 1.3 * random.cost


def test_budgets_that_cannot_be_met_are_left_out_of_a_curve(routers, held_out, budget):
    found = evaluate(routers, held_out, budgets=[2 * budget, 1e-9, budget])
    for curve in found.curves.values():
        assert [point.budget for point in curve] == [budget, 2 * budget]


def test_one_router_needs_no_name(router, held_out):
    found = evaluate(router, held_out, budgets=[1.0])
    assert list(found.curves) == [DEFAULT_STRATEGY]
    assert found.at_budget[0].budget is None


def test_the_table_has_a_line_for_each_policy(evaluation, held_out):
    head, rule, *lines = evaluation.table().splitlines()
    assert head.split() == ["policy", "quality", "+/-", "mean", "cost", *held_out.models]
    assert set(rule) == {"-"}
    names = [*held_out.models, "cascade_routing", "random_mixing"]
    assert [line.split()[0] for line in lines] == names
    first = evaluation.singles[0]
    assert lines[0].split()[1:] == [
        f"{first.quality:.3f}",
        f"{first.quality_error:.3f}",
        f"{first.cost:.3g}",
        "100%",
        "0%",
        "0%",
    ]
    assert len({len(line) for line in (head, rule, *lines)}) == 1


def test_short_and_long_names_stay_in_line(data):
    names = ["a", "b", "a-very-long-name-of-a-model"]
    renamed = CascadeDataset(names, data.queries, data.answers, data.quality, data.cost).take(
        range(40)
    )
    found = evaluate(CascadeRouter(names).fit(renamed), renamed, budgets=[1.0])
    lines = found.table().splitlines()
    assert "a-very..-model" in lines[0]
    assert len({len(line) for line in lines}) == 1
    single = renamed.select(["a"])
    found = evaluate({"r": CascadeRouter(["a"]).fit(single)}, single, budgets=[1.0])
    assert len({len(line) for line in found.table().splitlines()}) == 1


def test_the_record_is_plain_json(evaluation):
    record = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert record["models"] == list(evaluation.models)
    assert record["queries"] == 150
    assert record["singles"][2]["shares"] == [0, 0, 1]
    assert record["at_budget"][0]["name"] == "cascade_routing"
    curve = evaluation.curves["random_mixing"]
    assert [p["quality"] for p in record["curves"]["random_mixing"]] == [p.quality for p in curve]


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_curves_are_drawn(evaluation, tmp_path, ending):
    path = tmp_path / f"curve.{ending}"
    figure = evaluation.plot(path, unit="cents")
    start = path.read_bytes()[:5]
    assert start == {"png": b"\x89PNG\r", "svg": b"<?xml"}[ending]
    axes = figure.axes[0]
    assert axes.get_xlabel() == "mean cost, cents"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["cascade routing", "random mixing"]
    curve = evaluation.curves["cascade_routing"]
    assert axes.lines[0].get_ydata() == pytest.approx([point.quality for point in curve])


def test_without_matplotlib_the_remedy_is_named(evaluation, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"cascade-routing\[plots\]"):
        evaluation.plot()


def test_free_models_can_be_evaluated_and_drawn(data):
    free = CascadeDataset(data.models, data.queries, data.answers, data.quality, data.cost * 0)
    free = free.take(range(40))
    found = evaluate(CascadeRouter(free.models).fit(free), free)
    assert [point.cost for point in found.curves[DEFAULT_STRATEGY]] == [0.0]
    assert found.plot().axes


def test_what_cannot_be_evaluated_is_refused(router, held_out):
    with pytest.raises(ConfigurationError, match="no routers given"):
        evaluate({}, held_out)
    with pytest.raises(DataError, match="router 'mine' is on"):
        evaluate({"mine": router}, held_out.select(held_out.models[:2]))
    with pytest.raises(NotFittedError, match="call fit first"):
        evaluate(CascadeRouter(held_out.models), held_out)
    with pytest.raises(ConfigurationError, match="must be a number >= 0"):
        evaluate(router, held_out, budgets=[1.0, math.nan])
