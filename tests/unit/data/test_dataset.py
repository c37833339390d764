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
    Usage,
)
from cascade_engine.errors import UnknownPriceError

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
        ({"queries": "two"}, "queries must be a list, not a single string"),
        ({"queries": ["one", None, "three"]}, "query 1 must be text or a Query, not None"),
        ({"answers": [ANSWERS[0], ["x", "y"], ANSWERS[2]]}, "query 1 must be of the kind Answer"),
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
    with pytest.raises(DataError, match="no rows are picked"):
        data.take([])


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


class TestColumns:
    """What rows have besides their answers."""

    full = {  # noqa: RUF012
        "references": ["x", None, 3],
        "ids": ["a", "b", "c"],
        "groups": ["g", None, "g"],
        "metadata": [{"topic": "geo"}, {}, {"n": 1}],
        "samples": [[[Answer("again")], []], [[], []], [[], [Answer("more")]]],
        "labels": "judge",
        "label_cost": 0.5,
    }

    def test_they_go_with_their_rows_and_models(self):
        some = dataset(**self.full).take([2, 0]).select(["b"])
        assert some.references == [3, "x"]
        assert some.ids == ["c", "a"]
        assert some.groups == ["g", "g"]
        assert some.metadata == [{"n": 1}, {"topic": "geo"}]
        assert some.samples == [[[Answer("more")]], [[]]]
        assert (some.labels, some.label_cost) == ("judge", 0.5)

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"ids": ["a"]}, "1 ids for 3 queries"),
            ({"ids": ["a", "b", "a"]}, "the id 'a' is given twice"),
            ({"ids": [1, 2, 3]}, "an id must be text, not 1"),
            ({"ids": "abc"}, "ids must be a list, not the one text 'abc'"),
            ({"samples": [[["x"], []]] * 3}, "samples of query 0 must be of the kind Answer"),
            ({"groups": ["a"]}, "1 groups for 3 queries"),
            ({"metadata": [{}]}, "1 metadata for 3 queries"),
            ({"samples": [[[], []]]}, "1 rows of samples for 3 queries"),
            ({"samples": [[[]]] * 3}, "query 0 has 1 samples for 2 models"),
        ],
    )
    def test_there_must_be_one_for_each(self, wrong, message):
        with pytest.raises(DataError, match=message):
            dataset(**wrong)

    def test_seconds_are_nan_where_unknown(self):
        answers = [[Answer("", seconds=2), Answer("")]] * 3
        seconds = dataset(answers=answers).seconds
        assert seconds.shape == (3, 2)
        assert seconds[:, 0].tolist() == [2.0] * 3
        assert np.isnan(seconds[:, 1]).all()

    def test_concat_joins_rows(self):
        more = dict(self.full, ids=["d", "e", "f"], labels="references", label_cost=0.25)
        both = dataset(**self.full).concat(dataset(**more), dataset(**dict(more, ids=list("ghi"))))
        assert len(both) == 9
        assert both.ids == list("abcdefghi")
        assert both.quality.tolist() == QUALITY * 3
        assert both.references == ["x", None, 3] * 3
        assert (both.labels, both.label_cost) == ("judge, references", 1.0)

    def test_concat_refuses_what_does_not_fit(self):
        data = dataset(**self.full)
        with pytest.raises(DataError, match="the models differ"):
            data.concat(data.select(["b", "a"]))
        with pytest.raises(DataError, match="the id 'a' is given twice"):
            data.concat(data)
        with pytest.raises(DataError, match=r"some of the data sets have \['groups'\]"):
            data.concat(dataset(**dict(self.full, groups=None, ids=["d", "e", "f"])))


class TestSplit:
    """Parts that share nothing."""

    def data(self, texts, groups=None):
        n = len(texts)
        return CascadeDataset(["m"], texts, [[Answer("")]] * n, [[0]] * n, [[0]] * n, groups=groups)

    def test_sizes_follow_the_fractions(self):
        data = self.data([f"q{i}" for i in range(100)])
        assert [len(part) for part in data.split((0.6, 0.3, 0.1))] == [60, 30, 10]
        (whole,) = data.split([1])
        assert [q.text for q in whole.queries] == [q.text for q in data.queries]

    def test_it_is_random_and_repeatable(self):
        data = self.data([f"q{i}" for i in range(40)])
        texts = [[q.text for q in data.split((0.5, 0.5), seed=s)[0].queries] for s in (0, 0, 1)]
        assert texts[0] == texts[1] != texts[2]
        assert texts[0] != [f"q{i}" for i in range(20)]
        assert texts[0] == sorted(texts[0], key=lambda text: int(text[1:]))

    def test_groups_and_equal_texts_stay_together(self):
        # 0 and 1 share a group, 1 and 2 a text, 2 and 3 a group: all four hang together.
        data = self.data(["a", "B  b", "b b", "c", "d", "e"], [1, 1, 2, 2, None, None])
        parts = data.split((0.7, 0.3))
        assert {q.text for q in parts[0].queries} == {"a", "B  b", "b b", "c"}
        assert {q.text for q in parts[1].queries} == {"d", "e"}

    def test_no_part_is_empty(self):
        data = self.data(["big"] * 8 + ["a", "b"])
        assert all(len(part) for part in data.split((0.98, 0.01, 0.01)))

    def test_a_group_must_be_text_or_a_number(self):
        with pytest.raises(DataError, match=r"a group must be text or a number, not \['x'\]"):
            self.data(["a", "b"], [["x"], ["x"]]).split((0.5, 0.5))

    @pytest.mark.parametrize(
        ("fractions", "error", "message"),
        [
            ((0.5, 0.4), ConfigurationError, r"\[0.5, 0.4\] add up to 0.9, not to 1"),
            ((), ConfigurationError, "must be positive numbers"),
            (0.8, ConfigurationError, "must be positive numbers, not 0.8"),
            ((1.5, -0.5), ConfigurationError, "must be positive numbers"),
            ((float("nan"), 1), ConfigurationError, "must be positive numbers"),
            (("half", "half"), ConfigurationError, "must be positive numbers"),
            ((0.5, 0.5), DataError, "1 distinct groups of queries cannot be split into 2 parts"),
        ],
    )
    def test_bad_fractions_are_refused(self, fractions, error, message):
        with pytest.raises(error, match=message):
            self.data(["a", "A "]).split(fractions)


def test_quality_may_be_out_of_range_by_rounding_alone():
    data = dataset(quality=[[1 + 4e-16, -1e-17], *QUALITY[1:]])
    assert data.quality[0].tolist() == [1.0, 0.0]
    with pytest.raises(DataError, match=r"quality runs from 0 to 1\.001"):
        dataset(quality=[[1.001, 0.0], *QUALITY[1:]])


@pytest.mark.parametrize("seed", [-1, 0.5, "a", None])
def test_seeds_that_cannot_be_are_told(seed):
    with pytest.raises(ConfigurationError, match=f"seed must be a whole number.*{seed!r}"):
        dataset().split((0.5, 0.5), seed=seed)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"usage": {"input_tokens": 3}}, r"usage: give Usage\(input_tokens"),
        ({"finish_reason": 5}, "have 5 for their finish_reason: give a text"),
        ({"logprobs": -1.0}, "have -1.0 for their logprobs: give a tuple of numbers"),
        ({"tool_calls": ({"name": "f"},)}, "their tool_calls: give a tuple of ToolCall"),
    ],
)
def test_fields_of_another_kind_are_refused_by_name(fields, said):
    answers = [ANSWERS[0], [Answer("x", **fields), ANSWERS[1][1]], ANSWERS[2]]
    with pytest.raises(DataError, match=f"the answers of query 1 .*{said}"):
        dataset(answers=answers)
    with pytest.raises(DataError, match=f"the samples of query 0 .*{said}"):
        dataset(samples=[[[Answer("x", **fields)], []], [[], []], [[], []]])
