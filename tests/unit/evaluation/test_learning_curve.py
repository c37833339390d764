"""How many labelled queries are enough."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cascade_engine import ConfigurationError, DataError
from cascade_engine.evaluation.learning_curve import learning_curve
from tests import by_word


class Slow(by_word.WordEstimator):
    """Begins to learn only from 100 queries on."""

    def fit(self, data):
        self.fits = [*getattr(self, "fits", []), len(data)]
        super().fit(data)
        if len(data) < 100:
            self.sums = dict.fromkeys(self.sums, 0 * self.mean)
            self.counts = dict.fromkeys(self.counts, 0)
            self._cross[0][:] = self.mean
            self._cross[1][:] = self.mean
        return self

    def observe(self, evidence, model, answers):
        evidence[1][:, model] = evidence[0][:, model]


@pytest.fixture(scope="module")
def data():
    return by_word.make(400, 1)


def slow(**options):
    router = by_word.router(**options)
    router.quality = Slow()
    return router


@pytest.mark.parametrize("held_out", [False, True])
def test_an_estimator_that_learns_late_wants_more(data, held_out):
    test = by_word.make(400, 2) if held_out else None
    found = learning_curve(slow(), data, sizes=[40, 80, 160], test=test)
    assert [point.size for point in found.points] == [40, 80, 160]
    assert found.still_pays
    assert found.enough is None
    assert found.verdict.startswith("More data still pays: from 80 to 160 labelled queries")
    assert found.points[1].behind.is_above_zero
    assert found.points[2].auc.value > found.points[1].auc.value + 0.02
    assert found.queries == 400


def test_one_that_has_learned_has_enough(data):
    # With four kinds of queries there is little more to learn after a hundred.
    found = learning_curve(slow(), data, sizes=[40, 120, 320], tolerance=0.02)
    assert found.enough == 120
    assert not found.still_pays
    assert found.verdict.startswith(
        "120 labelled queries are enough: 320 raise the area by no more"
    )
    assert found.points[0].behind.low > 0.01


def test_what_cannot_be_told_is_not_told(data):
    found = learning_curve(by_word.router(), data.take(range(60)), sizes=[24, 48], tolerance=0.0)
    assert (found.enough, found.still_pays) == (None, False)
    assert "on 60 queries it cannot be told whether more would help" in found.verdict


def test_the_greatest_size_is_behind_by_nothing(data):
    found = learning_curve(by_word.router(), data)
    assert [point.size for point in found.points] == [40, 80, 160, 320]
    last = found.points[-1].behind
    assert (last.value, last.low, last.high) == (0, 0, 0)
    for point in found.points:
        wanted = found.points[-1].auc.value - point.auc.value
        assert point.behind.value == pytest.approx(wanted)


def test_quality_and_cost_are_those_at_the_budget(data):
    budget = float(data.cost.mean())
    test = by_word.make(200, 3)
    found = learning_curve(by_word.router(budget=budget), data, sizes=[200, 400], test=test)
    outcome = by_word.router(budget=budget).fit(data).replay(test)
    assert found.points[-1].quality.value == pytest.approx(outcome.mean_quality)
    assert found.points[-1].cost.value == pytest.approx(outcome.mean_cost)


def test_smaller_parts_are_in_larger_ones_and_never_see_what_is_judged(data):
    fitted = []

    class Watching(by_word.WordEstimator):
        def fit(self, data):
            self.texts = {query.text for query in data.queries}
            fitted.append(self.texts)
            return super().fit(data)

        def read(self, data):
            assert self.texts.isdisjoint(query.text for query in data.queries)
            return super().read(data)

        def fitted_evidence(self, data):
            return super().read(data)

    router = by_word.router()
    router.quality = Watching()
    learning_curve(router, data, sizes=[50, 100], folds=3)
    assert [len(texts) for texts in fitted] == [50] * 3 + [100] * 3
    for small, large in zip(fitted[:3], fitted[3:], strict=True):
        assert small < large
    assert fitted[0] != fitted[1]
    fitted.clear()
    learning_curve(router, data, sizes=[50, 400], folds=3, test=by_word.make(50, 4))
    # All of the data can be drawn in one way only.
    assert [len(texts) for texts in fitted] == [50] * 3 + [400]


def test_the_record_and_the_table(data):
    found = learning_curve(by_word.router(), data, sizes=[50, 100])
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [point["size"] for point in record["points"]] == [50, 100]
    assert record["verdict"] == found.verdict
    lines = found.table().splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["50", "100"]
    assert str(found) == f"{found.table()}\n{found.verdict}"


def test_it_follows_from_the_seed(data):
    first, again, other = (
        learning_curve(by_word.router(), data, sizes=[30, 60], seed=s).to_dict() for s in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("sizes", [[0, 50], [50, 1000], [2.5, 50], [np.nan, 3]])
def test_sizes_that_cannot_be_are_refused(data, sizes):
    with pytest.raises(ConfigurationError, match="whole numbers from 1 to 320"):
        learning_curve(by_word.router(), data, sizes=sizes)


def test_what_cannot_be_compared_is_refused(data):
    with pytest.raises(DataError, match=r"only one size to look at, \[50\]"):
        learning_curve(by_word.router(), data, sizes=[50, 50])
    with pytest.raises(DataError, match="only one size"):
        learning_curve(by_word.router(), data.take(range(30)))
    with pytest.raises(ConfigurationError, match="tolerance must be"):
        learning_curve(by_word.router(), data, tolerance=-1)
    with pytest.raises(DataError, match="the router on"):
        learning_curve(by_word.router(), data, test=data.select(["small"]))
