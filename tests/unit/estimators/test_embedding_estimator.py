"""Quality from embeddings, and the cache of embeddings."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest

from cascade_engine import ConfigurationError, DataError, NotFittedError
from cascade_engine.estimators.embedding import EmbeddingEstimator
from cascade_engine.estimators.features.vectors import Embedder, UnitVectors
from tests.ex_ante import Counting, asked, graded, letters


@pytest.fixture(scope="module")
def data():
    """The first model is good where there are many a's, the second where there are many b's."""
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 6, (150, 2))
    texts = [f"{'a' * a}x{'b' * b}{i}" for i, (a, b) in enumerate(counts)]
    return graded(texts, counts + rng.normal(size=(150, 2)) > 2.5)


def test_it_learns_from_the_embedding(data):
    p = EmbeddingEstimator(letters).fit(data).predict(asked("aaaaax", "xbbbbb"))
    assert min(p[0, 0], p[1, 1]) > 0.85
    assert max(p[0, 1], p[1, 0]) < 0.15


def test_each_text_is_embedded_once_however_often_it_is_fitted(data):
    embed = Counting()
    estimator = EmbeddingEstimator(embed, batch_size=40)
    folds = np.arange(150) % 5
    cross = estimator.cross_predict(data, folds)
    copies = [copy.deepcopy(estimator).fit(data) for _ in range(2)]
    copies[0].predict(data.queries)
    assert sorted(embed.texts) == sorted(q.text for q in data.queries)
    assert [len(batch) for batch in embed.batches] == [40, 40, 40, 30]
    truth = data.quality
    assert np.abs(cross - truth).mean() < np.abs(truth.mean(axis=0) - truth).mean() - 0.1


def test_few_directions_are_kept(data):
    one = EmbeddingEstimator(letters, components=1).fit(data)
    assert one._learned.transform(["ab"]).shape == (1, 1)
    same = EmbeddingEstimator(lambda texts: np.ones((len(texts), 3))).fit(data)
    p = same.predict(asked("a", "b"))
    assert p == pytest.approx(np.tile(data.quality.mean(axis=0), (2, 1)), abs=1e-3)


def test_one_query_and_empty_texts(data):
    p = EmbeddingEstimator(letters).fit(graded(["a"], [[0.5]])).predict(asked("a", "b", ""))
    assert p == pytest.approx(np.full((3, 1), 0.5))
    embed = Counting()
    fitted = EmbeddingEstimator(embed).fit(data)
    assert np.isfinite(fitted.predict(asked("", "  \n"))).all()
    assert fitted.predict([]).shape == (0, 2)
    assert all(text.strip() for text in embed.texts)
    with pytest.raises(DataError, match="no query has any text to embed"):
        EmbeddingEstimator(letters).fit(graded(["", " "], [[0], [1]]))


def test_what_cannot_embed_is_refused():
    async def later(texts):
        return letters(texts)

    for bad in ("text-embedding-3-small", None, later):
        with pytest.raises(ConfigurationError, match="embed_documents"):
            EmbeddingEstimator(bad)
    for option in ("batch_size", "cache_size", "components"):
        with pytest.raises(ConfigurationError, match=f"{option} must be at least 1, not 0"):
            EmbeddingEstimator(letters, **{option: 0})
    with pytest.raises(NotFittedError, match="EmbeddingEstimator has not been fitted"):
        EmbeddingEstimator(letters).predict(asked("q"))


@pytest.mark.parametrize(
    ("embed", "message"),
    [
        (lambda texts: [[1.0]], "given 2 texts and returned an array of shape"),
        (lambda texts: [1.0, 2.0], "given 2 texts and returned an array of shape"),
        (lambda texts: [[], []], "given 2 texts and returned an array of shape"),
        (lambda texts: [[1.0], [1.0, 2.0]], "a vector of numbers for each text"),
        (lambda texts: [["x"], ["y"]], "a vector of numbers for each text"),
        (lambda texts: None, "a vector of numbers for each text|an array of shape"),
        (lambda texts: [[1.0], [float("nan")]], "not finite for 'two'|not finite for two"),
    ],
)
def test_what_an_embedding_function_must_return(embed, message):
    with pytest.raises(DataError, match=message):
        Embedder(embed).transform(["one", "two"])


def test_vectors_keep_their_length():
    embedder = Embedder(lambda texts: [[1.0] * len(texts[0])] * len(texts))
    assert embedder.transform(["abc"]).shape == (1, 3)
    with pytest.raises(DataError, match="vectors of 4 numbers, and of 3 before"):
        embedder.transform(["abcd"])


def test_an_error_of_the_function_rises_and_nothing_wrong_is_kept():
    calls = []

    def flaky(texts):
        calls.append(texts)
        if len(calls) == 2:
            raise TimeoutError("away")
        return letters(texts)

    embedder = Embedder(flaky, batch_size=1)
    with pytest.raises(TimeoutError, match="away"):
        embedder.transform(["a", "b"])
    assert embedder.transform(["a", "b"])[:, 1:3].tolist() == [[1, 0], [0, 1]]
    assert calls == [["a"], ["b"], ["b"]]


def test_the_cache_is_bounded_and_forgets_the_oldest():
    embed = Counting()
    embedder = Embedder(embed, cache_size=2)
    embedder.transform(["a", "b"])
    embedder.transform(["a"])
    embedder.transform(["c"])
    embedder.transform(["a", "c"])
    assert embed.texts == ["a", "b", "c"]
    assert embedder.transform(["a", "b", "c", "d", "a"])[:, 1].tolist() == [1, 0, 0, 0, 1]


def test_the_cache_is_shared_by_threads_and_copies_and_can_be_pickled():
    embedder = Embedder(letters, cache_size=5)
    assert copy.deepcopy(embedder) is embedder
    again = pickle.loads(pickle.dumps(embedder))  # noqa: S301  our own bytes
    assert again.transform(["ab"]).tolist() == embedder.transform(["ab"]).tolist()
    wrong = []

    def work(start):
        for i in range(200):
            n = (start + i) % 11
            if embedder.transform(["a" * n + "b"])[0, 1] != n:
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(s,)) for s in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(embedder._cache) <= 5


def test_unit_vectors_are_centred_and_nothing_known_is_zero():
    vectors = UnitVectors(letters).fit(["aa", "bb", ""])
    found = vectors.transform(["aa", "bb", "", "aabb"])
    assert found[0] @ found[1] == pytest.approx(-1)
    assert np.linalg.norm(found, axis=1)[[0, 1, 3]] == pytest.approx(1)
    assert not found[2].any()
    words = UnitVectors().fit(["red car", "red car", "red car", "blue car", "blue car", "blue car"])
    red, blue, new = words.transform(["red", "blue", "zeppelin"])
    assert red @ blue < 0
    assert not new.any()
