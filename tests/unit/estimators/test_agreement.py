"""Agreement of an answer with further ones of the same model."""

from __future__ import annotations

import numpy as np
import pytest

from cascade_engine import Answer, CascadeDataset, Query
from cascade_engine.estimators.agreement import ConsistencySignal
from cascade_engine.estimators.combined import CombinedEstimator


def test_it_is_the_share_of_samples_that_agree():
    query = Query("What is 2 + 2?")
    answers = [
        Answer("The answer is 4.", samples=("4", "It is four: 4", "5")),
        Answer("4", samples=("4",)),
        Answer("4", samples=("7", "9")),
        Answer("4"),
    ]
    read = ConsistencySignal().read([query] * 4, answers)
    assert read[:3, 0] == pytest.approx([2 / 3, 1.0, 0.0])
    assert np.isnan(read[3, 0])


def test_a_fit_learns_from_it():
    rng = np.random.default_rng(0)
    right = rng.random(200) < 0.6
    answers = []
    for i in range(200):
        own = str(rng.integers(100))
        agrees = rng.random(4) < (0.9 if right[i] else 0.3)
        samples = tuple(own if same else str(rng.integers(100, 200)) for same in agrees)
        answers.append([Answer(own, samples=samples)])
    queries = [f"What is the number {i}?" for i in range(200)]
    data = CascadeDataset(["one"], queries, answers, right[:, None].astype(float), [[1.0]] * 200)
    estimator = CombinedEstimator(ConsistencySignal()).fit(data)
    run = np.ones((200, 1), dtype=bool)
    p = estimator.estimate(estimator.cross_evidence(), run)[0][:, 0]
    assert p[right].mean() > p[~right].mean() + 0.3
