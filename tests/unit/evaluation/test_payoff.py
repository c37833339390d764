"""Whether data support a cascade: where they do, and where they do not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cascade_engine import CascadeDataset, ConfigurationError, DataError
from cascade_engine.evaluation.cross_validation import mix_and_play, splits
from cascade_engine.evaluation.payoff import does_it_pay
from cascade_engine.strategies import SingleModel
from tests import by_word


@pytest.fixture(scope="module")
def data():
    return by_word.make(600, 1)


@pytest.fixture(scope="module")
def budget(data):
    return float(data.cost.mean())


def test_where_words_tell_of_quality_it_pays(data, budget):
    router = by_word.router(budget=budget)
    found = does_it_pay(router, data)
    assert found.pays
    assert found.gain.is_above_zero
    assert found.queries == 600
    assert found.best == "large"
    assert found.reason.startswith(f"{router.strategy.name} pays: at ")
    assert f"the difference is {found.gain:+.3f}. " in found.reason
    assert str(found) == found.reason
    assert found.own.cost == pytest.approx(budget, rel=0.1)


def test_what_it_saves_is_said(data):
    found = does_it_pay(by_word.router(), data)
    assert 0.1 < found.saving.value < 0.6
    assert f"As good as large alone, it saves {found.saving:.0%} of that" in found.reason
    assert found.own.cost is None


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("at_a_budget", [True, False])
def test_where_nothing_tells_of_quality_it_does_not_pay(seed, at_a_budget):
    data = by_word.make(400, seed + 10, learnable=False)
    budget = float(data.cost.mean()) if at_a_budget else None
    router = by_word.router(budget=budget)
    found = does_it_pay(router, data)
    assert not found.pays
    assert "does not pay" in found.reason
    assert found.gain.low < 0


def test_intervals_from_folds_are_wider(data):
    """By the correction of Nadeau and Bengio: half again for five folds."""
    router = by_word.router()
    folded = does_it_pay(router, data, replications=300)
    two = does_it_pay(router, data, replications=300, folds=2)
    held = does_it_pay(router, by_word.make(600, 9), test=data, replications=300)
    widths = [found.gain.high - found.gain.low for found in (folded, two, held)]
    assert widths[0] / widths[2] == pytest.approx(1.5, rel=0.15)
    assert widths[1] > 1.05 * widths[0]


def test_a_dearer_model_that_is_no_better_does_not_pay():
    data = by_word.make(300, 2)
    quality = np.column_stack([np.ones(300), data.quality[:, 1]])
    easy = CascadeDataset(data.models, data.queries, data.answers, quality, data.cost)
    found = does_it_pay(by_word.router(), easy)
    assert not found.pays
    assert found.best == "small"
    assert found.saving.value == pytest.approx(0, abs=1e-9)
    assert "To be as good as small alone it costs no less" in found.reason


def test_worse_than_chance_is_called_so(data):
    class Upside(by_word.WordEstimator):
        """Takes easy for hard."""

        def estimate(self, evidence, run):
            quality, sd = super().estimate(evidence, run)
            return 1 - quality, sd

    router = by_word.router()
    router.quality = Upside()
    found = does_it_pay(router, data, strategies=["routing"])
    assert not found.by_strategy["routing"].pays
    assert "worse than not looking at the queries" in found.by_strategy["routing"].reason


def test_strategies_are_judged_side_by_side(data):
    found = does_it_pay(
        by_word.router(strategy="routing"),
        data,
        strategies=["random_mixing", "routing", "cascading"],
    )
    assert list(found.by_strategy) == ["routing", "random_mixing", "cascading"]
    assert found.own is found.by_strategy["routing"]
    assert not found.by_strategy["random_mixing"].pays
    assert found.by_strategy["random_mixing"].gain.value == pytest.approx(0, abs=0.02)
    lines = found.table().splitlines()
    assert [line.split()[0] for line in lines[2:]] == list(found.by_strategy)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["best"] == "large"


def test_no_query_is_judged_by_who_has_seen_it(data):
    seen = []

    class Watching(by_word.WordEstimator):
        def fit(self, data):
            self.texts = {query.text for query in data.queries}
            return super().fit(data)

        def read(self, data):
            texts = [query.text for query in data.queries]
            assert self.texts.isdisjoint(texts)
            seen.extend(texts)
            return super().read(data)

        def fitted_evidence(self, data):
            return super().read(data)

    router = by_word.router()
    router.quality = Watching()
    twice = data.take([*range(100), *range(50)])
    does_it_pay(router, twice, folds=4)
    assert sorted(seen) == sorted(query.text for query in twice.queries)
    seen.clear()
    found = does_it_pay(router, data.take(range(300)), test=data.take(range(300, 600)))
    assert len(seen) == found.queries == 300
    assert not router.is_fitted


def test_groups_stay_together(data):
    groups = [i // 30 for i in range(600)]
    grouped = CascadeDataset(
        data.models, data.queries, data.answers, data.quality, data.cost, groups=groups
    )
    split = splits(grouped, 4, 0)
    for train, test in split:
        assert {groups[i] for i in train}.isdisjoint({groups[i] for i in test})
    assert sorted(np.concatenate([test for _, test in split]).tolist()) == list(range(600))
    with pytest.raises(DataError, match="20 distinct queries, or groups of them"):
        splits(grouped, 21, 0)


def test_mixing_by_hand(data):
    some = data.take(range(20))
    low, high = some.cost.mean(axis=0)
    played = mix_and_play(some, some, [low / 2, (low + high) / 2, 2 * high])
    assert played.cost.mean(axis=0) == pytest.approx([low, (low + high) / 2, high])
    middle = some.quality.mean(axis=1)
    assert played.quality[:, 1] == pytest.approx(middle)


def test_a_budget_below_the_cheapest_policy_is_no_obstacle(data):
    found = does_it_pay(by_word.router(budget=1e-6), data)
    assert not found.pays
    assert found.own.cost == pytest.approx(data.cost[:, 0].mean())


def test_what_cannot_be_judged_is_refused(data):
    router = by_word.router()
    with pytest.raises(DataError, match="the router on"):
        does_it_pay(router, data.select(["small"]))
    with pytest.raises(DataError, match="the router on"):
        does_it_pay(router, data, test=data.select(["large", "small"]))
    with pytest.raises(ConfigurationError, match="at least 2, not 1"):
        does_it_pay(router, data, folds=1)
    with pytest.raises(DataError, match="cannot be split into 5 folds"):
        does_it_pay(router, data.take([1, 2, 3]))
    with pytest.raises(ConfigurationError, match="two strategies are named 'single_model'"):
        does_it_pay(router.with_strategy("single_model"), data, strategies=[SingleModel(0)])
    single = data.select(["small"])
    lonely = by_word.CascadeRouter(["small"], quality=by_word.WordEstimator())
    with pytest.raises(ConfigurationError, match="nothing to choose among"):
        does_it_pay(lonely, single)


def test_a_test_set_that_is_none_is_refused(data):
    with pytest.raises(DataError, match="the data must be a CascadeDataset, not 5"):
        does_it_pay(by_word.router(), data, test=5)


@pytest.mark.parametrize("quality", [0.0, 0.1, 0.7, 0.9, 1.0])
@pytest.mark.parametrize("at_a_budget", [True, False])
def test_where_all_answers_are_equally_good_it_is_level(data, quality, at_a_budget):
    some = data.take(range(120))
    flat = np.full(some.quality.shape, quality)
    level = CascadeDataset(some.models, some.queries, some.answers, flat, some.cost)
    budget = float(some.cost.mean()) if at_a_budget else None
    found = does_it_pay(by_word.router(budget=budget), level, replications=50)
    assert not found.pays
    assert (found.gain.value, found.gain.low, found.gain.high) == (0.0, 0.0, 0.0)
    assert "no more than chance" in found.reason
    assert "it costs no less" in found.reason
