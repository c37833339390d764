"""Tables and curves on held-out data."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from cascade_engine import (
    Answer,
    CascadeDataset,
    CascadeRouter,
    ConfigurationError,
    CostEstimator,
    DataError,
    InfeasibleBudgetError,
    NotFittedError,
    evaluate,
)
from cascade_engine.evaluation.evaluate import beside_mixing
from cascade_engine.strategies import DEFAULT_STRATEGY
from tests import by_word


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
        spread = held_out.cost[:, i].std() / math.sqrt(len(held_out))
        assert point.cost_error == pytest.approx(spread)
        assert point.overspent is None


def test_each_router_is_replayed_at_its_budget(evaluation, routers, held_out, budget):
    assert [point.name for point in evaluation.at_budget] == list(routers)
    for point in evaluation.at_budget:
        outcome = routers[point.name].replay(held_out)
        assert point.budget == budget
        assert point.cost == outcome.mean_cost
        assert point.quality == outcome.mean_quality
        assert point.shares.tolist() == outcome.shares.tolist()
        assert point.overspent == pytest.approx(outcome.mean_cost / budget - 1)


def test_curves_run_over_budgets_from_the_cheapest_to_the_dearest(evaluation, routers, held_out):
    means = held_out.cost.mean(axis=0)
    for name, curve in evaluation.curves.items():
        budgets = [point.budget for point in curve]
        assert budgets == sorted(budgets)
        assert budgets[-2:] == pytest.approx([means.max(), math.inf])
        assert 30 <= len(curve) <= 34
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


def first_block(evaluation):
    return evaluation.table().split("\n\n")[0].splitlines()


def test_the_table_has_a_line_for_each_policy(evaluation, held_out):
    head, rule, *lines = first_block(evaluation)
    columns = ["policy", "quality", "+/-", "mean", "cost", "of", "budget", *held_out.models]
    assert head.split() == columns
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
    ours = evaluation.at_budget[0]
    assert lines[3].split()[4] == f"{ours.cost / ours.budget:.0%}"


def test_below_it_stands_what_each_curve_comes_to(evaluation):
    head, _, ours, random, *words = evaluation.table().split("\n\n")[1].splitlines()
    assert head.split()[:2] == ["curve", "area"]
    assert ours.split()[0] == "cascade_routing"
    assert f"{evaluation.auc('cascade_routing'):.3f}" in ours
    assert f"{evaluation.over_mixing('random_mixing'):+.3f}" in random
    assert "the cost of model-2's quality" in " ".join(words)
    assert str(evaluation) == evaluation.table()


def test_short_and_long_names_stay_in_line(data):
    names = ["a", "b", "a-very-long-name-of-a-model"]
    renamed = CascadeDataset(names, data.queries, data.answers, data.quality, data.cost).take(
        range(40)
    )
    found = evaluate(CascadeRouter(names).fit(renamed), renamed, budgets=[1.0])
    lines = first_block(found)
    assert "a-very..-model" in lines[0]
    assert len({len(line) for line in lines}) == 1
    single = renamed.select(["a"])
    found = evaluate({"r": CascadeRouter(["a"]).fit(single)}, single, budgets=[1.0])
    assert len({len(line) for line in first_block(found)}) == 1


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
    assert labels == ["cascade routing", "random mixing", "single models, mixed at random"]
    curve = evaluation.curves["cascade_routing"]
    assert axes.lines[0].get_ydata() == pytest.approx([point.quality for point in curve])


def test_the_reliability_diagram_is_drawn(evaluation, tmp_path):
    path = tmp_path / "calibration.png"
    before, after, returned = evaluation.plot_calibration(path).axes
    assert path.read_bytes()[:5] == b"\x89PNG\r"
    # The estimates before and after are shared by both routers, and drawn once.
    assert [len(axes.lines) for axes in (before, after, returned)] == [2, 2, 3]
    pooled = next(r for r in evaluation.calibration["cascade_routing"] if r.model is None)
    assert before.lines[1].get_ydata() == pytest.approx(pooled.quality)


def test_the_calibration_table_has_a_line_for_each_measure(evaluation):
    head, _, *lines = evaluation.calibration_table().splitlines()
    assert "ECE" in head
    stages = [line.split()[1:3] for line in lines]
    models = [*evaluation.models, "all"]
    both = [[stage, model] for stage in ("before", "after") for model in models]
    assert stages == [*both, ["returned", "all"], ["returned", "all"]]


def test_without_matplotlib_the_remedy_is_named(evaluation, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"cascade-routing\[plots\]"):
        evaluation.plot()
    with pytest.raises(ImportError, match=r"cascade-routing\[plots\]"):
        evaluation.plot_calibration()


def test_free_models_can_be_evaluated_and_drawn(data):
    free = CascadeDataset(data.models, data.queries, data.answers, data.quality, data.cost * 0)
    free = free.take(range(40))
    found = evaluate(CascadeRouter(free.models).fit(free), free)
    assert [point.cost for point in found.curves[DEFAULT_STRATEGY]] == [0.0]
    assert found.plot().axes
    assert found.auc(DEFAULT_STRATEGY).value == found.at_budget[0].quality
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_an_area_is_that_under_the_points(evaluation, held_out):
    means = held_out.cost.mean(axis=0)
    at = np.linspace(means.min(), means.max(), 100_001)
    for name, curve in evaluation.curves.items():
        cost, quality = zip(*sorted((p.cost, p.quality) for p in curve), strict=True)
        cheapest = evaluation.singles[0]
        cost, quality = [cheapest.cost, *cost], [cheapest.quality, *quality]
        wanted = np.interp(at, cost, quality).mean()
        found = evaluation.auc(name)
        assert found.value == pytest.approx(wanted, abs=1e-4)
        assert found.low < found.value < found.high


def test_a_known_curve_by_hand():
    """Half the queries are right at once, the other half only at the dearer model."""
    n = 40
    quality = np.column_stack([np.arange(n) % 2, np.ones(n)])
    texts = [f"{'right' if q else 'wrong'} {i}" for i, q in enumerate(quality[:, 0])]
    answers = [[Answer("x")] * 2] * n
    data = CascadeDataset(["small", "large"], texts, answers, quality, np.tile([1.0, 3.0], (n, 1)))
    found = evaluate(by_word.router(strategy="routing").fit(data), data)
    # From (1, 1/2) straight to (2, 1), then flat; mixing goes straight to (3, 1).
    assert found.auc("routing").value == pytest.approx(0.875, abs=0.01)
    assert found.over_mixing("routing").value == pytest.approx(0.125, abs=0.01)
    assert found.parity("routing").value == pytest.approx(2 / 3, abs=0.02)
    assert found.quality_at("routing").value == pytest.approx(1.0)
    assert found.quality_at("routing", 1.5).value == pytest.approx(0.75, abs=0.03)
    assert found.quality_at("routing", 0.9).value is None
    assert found.best == "large"


def test_random_mixing_is_the_line_of_mixing(evaluation):
    router = by_word.router(strategy="random_mixing").fit(by_word.make(1000, 1))
    found = evaluate(router, by_word.make(1000, 2)).over_mixing("random_mixing")
    assert found.low < 0 < found.high
    assert found.value == pytest.approx(0, abs=0.02)
    assert evaluation.over_mixing("cascade_routing").is_above_zero


def test_differences_are_paired(evaluation, budget):
    (found,) = evaluation.comparisons()
    assert (found.first, found.second) == ("random_mixing", "cascade_routing")
    back = evaluation.compare("cascade_routing", "random_mixing")
    ours, random = evaluation.auc("cascade_routing"), evaluation.auc("random_mixing")
    assert back.auc.value == pytest.approx(ours.value - random.value)
    assert back.auc.value == pytest.approx(-found.auc.value)
    assert back.auc.low == pytest.approx(-found.auc.high)
    assert back.auc.is_above_zero
    assert back.cost == pytest.approx(evaluation.singles[2].cost)
    apart = math.hypot(ours.high - ours.low, random.high - random.low)
    assert back.auc.high - back.auc.low < 0.8 * apart
    same = evaluation.compare("cascade_routing", "cascade_routing", budget)
    assert [same.auc.low, same.auc.high, same.quality.low, same.quality.high] == [0, 0, 0, 0]
    assert same.cost == budget
    early = evaluation.compare("cascade_routing", "random_mixing", budget).quality
    cascade, mixing = (evaluation.quality_at(name, budget) for name in evaluation.curves)
    assert early.value == pytest.approx(cascade.value - mixing.value)


def test_intervals_follow_from_the_seed(router, held_out):
    options = {"budgets": [0.001, 0.01], "replications": 200}
    first, again, other = (evaluate(router, held_out, seed=s, **options) for s in (1, 1, 2))
    assert first.auc(DEFAULT_STRATEGY) == again.auc(DEFAULT_STRATEGY)
    assert first.auc(DEFAULT_STRATEGY) != other.auc(DEFAULT_STRATEGY)
    narrow = evaluate(router, held_out, seed=1, level=0.5, **options).auc(DEFAULT_STRATEGY)
    wide = first.auc(DEFAULT_STRATEGY)
    assert wide.low < narrow.low < narrow.value == wide.value < narrow.high < wide.high


def test_who_answered_what(router, held_out, budget):
    kinds = [query.text.split()[0] for query in held_out.queries]
    at = router.with_budget(budget)
    found = evaluate({"mine": at}, held_out, by=kinds, budgets=[budget])
    shares = found.by_group["mine"]
    assert list(shares) == sorted(set(kinds))
    chosen = at.replay(held_out).chosen
    for kind, share in shares.items():
        of_kind = chosen[np.array(kinds) == kind]
        assert share.tolist() == [float((of_kind == i).mean()) for i in range(3)]
    assert found.to_dict()["by_group"]["mine"] == {k: s.tolist() for k, s in shares.items()}
    assert evaluate(at, held_out, budgets=[budget]).by_group == {}
    for labels in (["a"], "a" * len(held_out)):
        with pytest.raises(DataError, match="150 labels"):
            evaluate(at, held_out, by=labels)


def test_the_groups_of_the_data_are_labels_too():
    plain = by_word.make(40, 1)
    groups = [i // 4 for i in range(40)]
    data = CascadeDataset(
        plain.models, plain.queries, plain.answers, plain.quality, plain.cost, groups=groups
    )
    router = by_word.router().fit(by_word.make(60, 2))
    found = evaluate({"mine": router}, data)
    assert len(found.by_group["mine"]) == 10
    apart = evaluate({"mine": router}, plain)
    assert found.auc("mine").value == pytest.approx(apart.auc("mine").value)
    assert found.auc("mine").low != apart.auc("mine").low


def test_a_clamped_router_leaves_budgets_out_without_a_word(data, held_out):
    clamped = CascadeRouter(data.models, clamp_budget=True).fit(data)
    found = evaluate(clamped, held_out, budgets=[1e-9, 0.01])
    assert [point.budget for point in found.curves[DEFAULT_STRATEGY]] == [0.01]


def test_a_router_that_meets_no_budget_has_no_area(router, held_out):
    found = evaluate({"mine": router}, held_out, budgets=[1e-9])
    assert found.curves["mine"] == ()
    assert found.auc("mine").value is None
    assert found.parity("mine").value is None
    assert "never" in found.table()
    assert json.dumps(found.to_dict(), allow_nan=False)
    assert found.plot().axes


def test_one_model_and_one_query_are_enough(data):
    single = data.select(["model-0"])
    found = evaluate(CascadeRouter(["model-0"]).fit(single), single.take([0]))
    assert found.auc(DEFAULT_STRATEGY).value == single.quality[0, 0]
    assert found.auc(DEFAULT_STRATEGY).low is None
    assert found.parity(DEFAULT_STRATEGY).value == 1.0
    assert found.table()
    assert found.calibration_table()
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_random_mixing_stands_beside_a_router(router, budget, held_out):
    at = router.with_budget(budget)
    beside = beside_mixing(at)
    assert list(beside) == ["random_mixing", at.strategy.name]
    assert beside[at.strategy.name] is at
    assert beside["random_mixing"].policy_.cost == pytest.approx(budget)
    mixing = router.with_strategy("random_mixing")
    assert beside_mixing(mixing)["random_mixing"].policy_ == mixing.policy_


def test_a_router_stands_alone_where_mixing_would_cost_more():
    """Each of two models is free on one kind of question: only a router can do without money."""
    kinds = [["one", "two"][i % 2] for i in range(60)]
    data = CascadeDataset(
        ["a", "b"],
        [f"kind {kind}, number {i}" for i, kind in enumerate(kinds)],
        [[Answer("x")] * 2] * 60,
        [[1.0, 1.0]] * 60,
        [[0.0, 1.0] if kind == "one" else [1.0, 0.0] for kind in kinds],
    )

    class Knows(CostEstimator):
        def fit(self, data):
            return self

        def predict(self, queries):
            return np.array([[0.0, 1.0] if "one" in q.text else [1.0, 0.0] for q in queries])

    router = CascadeRouter(data.models, strategy="routing", cost=Knows(), budget=0.1).fit(data)
    with pytest.raises(InfeasibleBudgetError):
        router.with_strategy("random_mixing")
    assert list(beside_mixing(router)) == ["routing"]


def test_what_cannot_be_evaluated_is_refused(router, held_out):
    with pytest.raises(ConfigurationError, match="no routers given"):
        evaluate({}, held_out)
    with pytest.raises(ConfigurationError, match="or a mapping of names to routers, not \\["):
        evaluate([router], held_out)
    with pytest.raises(DataError, match="router 'mine': the data is on models"):
        evaluate({"mine": router}, held_out.select(held_out.models[:2]))
    with pytest.raises(NotFittedError, match="call fit first"):
        evaluate(CascadeRouter(held_out.models), held_out)
    with pytest.raises(ConfigurationError, match="must be a number >= 0"):
        evaluate(router, held_out, budgets=[1.0, math.nan])
    with pytest.raises(ConfigurationError, match="non-empty string, not ''"):
        evaluate({"": router}, held_out)
    with pytest.raises(ConfigurationError, match="replications"):
        evaluate(router, held_out, replications=0)
    with pytest.raises(ConfigurationError, match=r"seed must be a whole number .* not -1"):
        evaluate(router, held_out, budgets=[], replications=1, seed=-1)
    with pytest.raises(ConfigurationError, match="router 'mine' must be a CascadeRouter, not 5"):
        evaluate({"mine": 5}, held_out)
    with pytest.raises(DataError, match=r"the data must be a CascadeDataset, not \['q'\]"):
        evaluate(router, ["q"])


def test_who_was_not_evaluated_cannot_be_asked_about(evaluation):
    for ask in (evaluation.auc, evaluation.parity, evaluation.over_mixing, evaluation.quality_at):
        with pytest.raises(ConfigurationError, match="no router 'mine' was evaluated, only"):
            ask("mine")
    with pytest.raises(ConfigurationError, match="must be a number >= 0"):
        evaluation.quality_at("cascade_routing", -1)
