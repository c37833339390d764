"""Likeness to examples of what each model is for."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from cascade_engine import ConfigurationError, NotFittedError
from cascade_engine.estimators.examples import ExampleEstimator
from tests.ex_ante import Counting, asked, graded, letters, topics

EXAMPLES = {"maths": ["sum number plus", "add number"], "poet": ["poem verse", "rhyme stanza"]}


def test_a_query_is_for_the_model_whose_examples_are_like_it():
    data, topic = topics(80)
    p = ExampleEstimator(EXAMPLES).fit(data).predict(data.queries)
    assert ((p[:, 1] > p[:, 0]) == (topic == 1)).mean() > 0.95
    same = ExampleEstimator(EXAMPLES).fit(data).predict(asked("poem verse"))
    assert same[0, 1] == pytest.approx(1)


def test_the_nearest_or_the_mean_of_the_nearest_counts():
    def line(texts):
        return [[np.cos(float(t)), np.sin(float(t))] for t in texts]

    quarter = np.pi / 2
    around = [str(i * quarter) for i in range(4)]  # the centre is 0
    data = graded(around, [[1, 0]] * 4, ["a", "b"])
    examples = {"a": ["0", f"{quarter}"], "b": [f"{2 * quarter}", f"{3 * quarter}"]}
    angle, ways = 0.3, {}
    for nearest in (1, 2, 9):
        fitted = ExampleEstimator(examples, line, nearest=nearest).fit(data)
        ways[nearest] = fitted.predict(asked(str(angle)))[0]
    cos, sin = np.cos(angle), np.sin(angle)
    assert ways[1] == pytest.approx([(1 + cos) / 2, (1 - sin) / 2], abs=1e-6)
    assert ways[2] == pytest.approx(
        [(1 + (cos + sin) / 2) / 2, (1 - (cos + sin) / 2) / 2], abs=1e-6
    )
    assert ways[9] == pytest.approx(ways[2])


def test_nothing_is_said_of_what_is_not_known():
    data, _ = topics(40)
    p = (
        ExampleEstimator({"poet": EXAMPLES["poet"]})
        .fit(data)
        .predict(asked("poem please", "zeppelin", ""))
    )
    assert np.isnan(p[:, 0]).all()
    assert p[0, 1] > 0.5
    assert np.isnan(p[1:]).all()


def test_no_label_is_learned_from_and_texts_are_embedded_once():
    embed = Counting()
    data, _ = topics(30)
    estimator = ExampleEstimator(EXAMPLES, embed)
    cross = estimator.cross_predict(data, np.arange(30) % 3)
    assert not hasattr(estimator, "models_")
    again = copy.deepcopy(estimator).fit(graded(data.queries, 1 - data.quality, data.models))
    assert again.predict(data.queries) == pytest.approx(cross)
    assert len(embed.texts) == len(set(embed.texts)) == 34
    assert again.predict([]).shape == (0, 2)


def test_one_query_is_enough():
    one = graded(["add number"], [[1, 0]], ["maths", "poet"])
    p = ExampleEstimator(EXAMPLES, letters).fit(one).predict(asked("add number"))
    assert p[0, 0] == pytest.approx(1)


def test_what_cannot_work_is_refused():
    data, _ = topics(20)
    with pytest.raises(ConfigurationError, match="no examples given"):
        ExampleEstimator({})
    for bad in ([], "a poem", [3], None):
        with pytest.raises(ConfigurationError, match="examples of 'poet' must be a list"):
            ExampleEstimator({"poet": bad})
    for bad in (0, 1.5):
        with pytest.raises(ConfigurationError, match="nearest must be a whole number"):
            ExampleEstimator(EXAMPLES, nearest=bad)
    with pytest.raises(ConfigurationError, match=r"names \['bard'\], which are not among"):
        ExampleEstimator({"bard": ["a poem"]}).fit(data)
    with pytest.raises(NotFittedError, match="ExampleEstimator has not been fitted"):
        ExampleEstimator(EXAMPLES).predict(asked("q"))
