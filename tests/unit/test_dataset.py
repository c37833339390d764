"""What complete data may look like, and how it is taken apart."""

from __future__ import annotations

import numpy as np
import pytest

from cascade_engine import (
    Answer,
    CascadeDataset,
    ConfigurationError,
    DataError,
    Price,
    Query,
    UnknownPriceError,
    Usage,
)

MODELS, QUERIES = ["a", "b"], ["one", "two", "three"]
ANSWERS = [[Answer(f"{q} by {m}") for m in MODELS] for q in QUERIES]
QUALITY = [[0.0, 1.0], [1.0, 1.0], [0.0, 0.5]]
COST = [[1.0, 5.0], [2.0, 6.0], [3.0, 7.0]]


def dataset(models=MODELS, queries=QUERIES, answers=ANSWERS, quality=QUALITY, cost=COST, **more):
    return CascadeDataset(models, queries, answers, quality, cost, **more)


def changed(table, value):
    return [[value, *table[0][1:]], *table[1:]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, None])
@pytest.mark.parametrize("name", ["quality", "cost"])
def test_every_number_must_be_there(name, bad):
    table = {"quality": QUALITY, "cost": COST}[name]
    with pytest.raises(DataError, match=rf"{name}\[0, 0\] is (nan|-?inf): every entry must be"):
        dataset(**{name: changed(table, bad)})


@pytest.mark.parametrize(("bad", "shown"), [(-0.1, "from -0.1 to 1"), (1.5, "from 0 to 1.5")])
def test_quality_must_lie_between_0_and_1(bad, shown):
    with pytest.raises(DataError, match=f"quality runs {shown}: rescale it"):
        dataset(quality=changed(QUALITY, bad))


def test_a_cost_must_not_be_negative():
    with pytest.raises(DataError, match="a cost is negative: -2"):
        dataset(cost=changed(COST, -2.0))
    assert dataset(cost=np.zeros((3, 2))).cost.sum() == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"queries": QUERIES[:2]}, "3 rows of answers for 2 queries"),
        ({"answers": ANSWERS[:2]}, "2 rows of answers for 3 queries"),
        ({"answers": [ANSWERS[0], ANSWERS[1][:1], ANSWERS[2]]}, "query 1 has 1 answers for 2"),
        ({"quality": QUALITY[:2]}, r"quality must have shape .* = \(3, 2\), not \(2, 2\)"),
        ({"cost": np.transpose(COST)}, r"cost must have shape .* = \(3, 2\), not \(2, 3\)"),
        ({"quality": [[0.0, 1.0], [1.0], [0.0]]}, "quality must be a table of numbers"),
        ({"cost": changed(COST, "free")}, "cost must be a table of numbers.*'free'"),
        ({"references": [1, 2]}, "2 references for 3 queries"),
        ({"queries": [], "answers": []}, "no queries given"),
    ],
)
def test_lengths_and_types_must_match(wrong, message):
    with pytest.raises(DataError, match=message):
        dataset(**wrong)


@pytest.mark.parametrize("models", [[], ["a", "a"], "ab"])
def test_models_must_be_distinct_names(models):
    with pytest.raises(ConfigurationError):
        dataset(models=models)


def test_rows_are_taken_by_number_or_by_mask():
    data = dataset(references=["x", "y", "z"])
    some = data.take([2, 0])
    assert [query.text for query in some.queries] == ["three", "one"]
    assert [row[1].text for row in some.answers] == ["three by b", "one by b"]
    assert some.quality.tolist() == [[0.0, 0.5], [0.0, 1.0]]
    assert some.cost.tolist() == [[3.0, 7.0], [1.0, 5.0]]
    assert some.references == ["z", "x"]
    masked = data.take(np.array([False, True, True]))
    assert masked.references == ["y", "z"]
    assert len(masked) == 2
    assert repr(masked) == "CascadeDataset(2 queries x 2 models)"


def test_models_are_selected_in_the_order_given():
    data = dataset(references=["x", "y", "z"]).select(["b", "a"])
    assert data.models == ("b", "a")
    assert data.quality[0].tolist() == [1.0, 0.0]
    assert data.cost[0].tolist() == [5.0, 1.0]
    assert data.answers[0][0].text == "one by b"
    assert data.references == ["x", "y", "z"]
    with pytest.raises(DataError, match=r"no such models in the data: \['c'\]"):
        data.select(["a", "c"])


class TestFromAnswers:
    """Grading and pricing."""

    def build(self, **options):
        options = {"grade": lambda question, answer, reference: 1.0} | options
        answers = options.pop("answers", ANSWERS)
        return CascadeDataset.from_answers(MODELS, QUERIES, answers, **options)

    def test_every_answer_is_graded_against_its_reference(self):
        seen = []

        def grade(question, answer, reference):
            seen.append((question, answer, reference))
            return float(answer.endswith(reference))

        data = self.build(
            grade=grade,
            references=["a", "b", "c"],
            cost=lambda model, answer: {"a": 1, "b": 2}[model],
        )
        assert data.quality.tolist() == [[1, 0], [0, 1], [0, 0]]
        assert data.cost.tolist() == [[1, 2]] * 3
        assert seen[3] == ("two", "two by b", "b")
        assert data.references == ["a", "b", "c"]

    def test_costs_are_recorded_or_priced(self):
        usage = Usage(input_tokens=1000, output_tokens=2000)
        answers = [[Answer("", cost=0.25), Answer("", usage=usage)]] * 3
        data = self.build(answers=answers, prices={"b": Price(1.0, 10.0)})
        assert data.cost.tolist() == [[0.25, 0.021]] * 3
        assert data.references is None

    @pytest.mark.parametrize(
        ("prices", "message"),
        [
            ({}, r"call to 'a' is unknown: no price is known. Pass prices=\{'a': Price\("),
            ({"a": Price(1, 1)}, "'a' is unknown: the answer carries no token usage"),
        ],
    )
    def test_an_unknown_cost_is_refused(self, prices, message):
        with pytest.raises(UnknownPriceError, match=message):
            self.build(prices=prices)

    def test_there_must_be_as_many_of_each(self):
        with pytest.raises(DataError, match="3 queries, 3 rows of answers and 1 references"):
            self.build(references=["x"])
        with pytest.raises(DataError, match="query 0 has 1 answers for 2 models"):
            self.build(answers=[row[:1] for row in ANSWERS], cost=lambda model, answer: 1.0)


def test_queries_count_what_is_sent_along():
    assert Query("four").length == 4
    assert Query("four", context_length=100).length == 104
    assert dataset(queries=[Query("x"), "y", "z"]).queries[1] == Query("y")
