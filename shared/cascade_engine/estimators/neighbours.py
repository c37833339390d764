"""Quality from the most similar queries that were asked before."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.core.checks import is_whole
from cascade_engine.errors import ConfigurationError
from cascade_engine.estimators.base import ExAnteEstimator, check_fitted
from cascade_engine.estimators.features.vectors import UnitVectors
from cascade_engine.estimators.regression.logistic import fold_masks, log_loss, logit, one_thread
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from typing_extensions import Self

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.core.records import Query
    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.estimators.features.vectors import Embedder

__all__ = ["NeighbourEstimator"]

#: What is chosen from, the plainest first: how many neighbours count, by which power of their
#: similarity they weigh, and as how many neighbours the mean over all queries counts.
_COUNTS = (80, 40, 20, 10, 5)
_POWERS = (1.0, 2.0, 4.0)
_SHRINKS = (10.0, 3.0, 1.0)
#: Rows compared with all others at once, to bound the memory.
_BLOCK = 256
#: Decimals of a similarity: its last digits depend on how many rows are multiplied at once.
_DIGITS = 9


@persistent("NeighbourEstimator.setting")
@dataclass(frozen=True, slots=True)
class _Setting:
    """How many neighbours count, the power they weigh by, and what the overall mean counts as."""

    count: int
    power: float
    shrink: float


@persistent("NeighbourEstimator.memory")
@dataclass(frozen=True, slots=True)
class _Memory:
    """n queries whose answers were graded.

    Attributes:
        vectors: of length 1, shape (n, d).
        quality: shape (n, k).
        text: number of each query's text, the same for the same text, shape (n,).
    """

    vectors: FloatArray
    quality: FloatArray
    text: IntArray

    def without(self, rows: BoolArray) -> _Memory:
        """The rows that share no text with some rows, given as a mask."""
        rest = ~np.isin(self.text, self.text[rows])
        return _Memory(self.vectors[rest], self.quality[rest], self.text[rest])

    def nearest(
        self, vectors: FloatArray, most: int, text: IntArray | None = None
    ) -> Iterator[tuple[slice, FloatArray, FloatArray]]:
        """The nearest rows to each of m vectors, in blocks of b vectors.

        Args:
            vectors: unit vectors, shape (m, d).
            most: how many neighbours.
            text: the number of each vector's own text, whose rows do not count.

        Yields:
            The block's slice of the vectors, similarities (b, most) from high to low, and the
            neighbours' qualities (b, most, k).
        """
        most = min(most, len(self.vectors))
        for start in range(0, len(vectors), _BLOCK):
            block = slice(start, start + _BLOCK)
            similarity = np.maximum(vectors[block] @ self.vectors.T, 0.0).round(_DIGITS)
            if text is not None:
                similarity[text[block, None] == self.text] = 0.0
            near = np.argpartition(-similarity, most - 1, axis=1)[:, :most]
            order = np.argsort(-np.take_along_axis(similarity, near, axis=1), axis=1, kind="stable")
            near = np.take_along_axis(near, order, axis=1)
            yield block, np.take_along_axis(similarity, near, axis=1), self.quality[near]

    def estimate(self, vectors: FloatArray, setting: _Setting) -> FloatArray:
        """Expected quality at each of m unit vectors, shape (m, k)."""
        mean = self.quality.mean(axis=0)
        estimate = np.empty((len(vectors), len(mean)))
        for block, similarity, quality in self.nearest(vectors, setting.count):
            estimate[block] = _average(similarity, quality, mean, setting)
        return estimate

    def best(self, counts: Sequence[int]) -> _Setting:
        """The setting that predicts each row best from the rows of other texts."""
        settings = [_Setting(*parts) for parts in product(counts, _POWERS, _SHRINKS)]
        loss, mean = np.zeros(len(settings)), self.quality.mean(axis=0)
        for block, similarity, quality in self.nearest(self.vectors, max(counts), self.text):
            truth = self.quality[block]
            loss += [
                log_loss(logit(_average(similarity, quality, mean, setting)), truth) * len(truth)
                for setting in settings
            ]
        return settings[int(loss.argmin())]


def _average(
    similarity: FloatArray, quality: FloatArray, mean: FloatArray, setting: _Setting
) -> FloatArray:
    """Mean quality of the nearest, weighted by similarity and shrunk to the overall mean, (b, k).

    Args:
        similarity: of the nearest to b vectors, falling, shape (b, at least `setting.count`).
        quality: theirs, shape (b, the same, k).
        mean: over all rows, shape (k,).
        setting: how they are averaged.
    """
    weight = similarity[:, : setting.count] ** setting.power
    total = (weight[:, None, :] @ quality[:, : setting.count])[:, 0]
    return np.asarray(
        (total + setting.shrink * mean) / (weight.sum(axis=1, keepdims=True) + setting.shrink)
    )


@persistent(
    "NeighbourEstimator",
    fields=("k", "vectors"),
    fitted=("models_", "k_", "_learned", "_memory", "_setting"),
)
class NeighbourEstimator(ExAnteEstimator):
    """Mean quality of each model on the most similar queries: k nearest neighbours.

    Neighbours weigh by a power of their cosine similarity, and the estimate is shrunk to the
    model's mean over all queries, the more the less similar they are. The number of neighbours, the
    power and the shrinkage are chosen by leaving out each query with all others of the same text.

    Args:
        k: number of neighbours; chosen from 5 to 80 by default.
        embed: list of n texts to n vectors, as LangChain's `embeddings.embed_documents` and
            LlamaIndex's `embed_model.get_text_embedding_batch`. By default a query is the TF-IDF of
            its words.
        seed: of the text projection where there is no `embed`.

    Raises:
        ConfigurationError: k is not a whole number of at least 1, or `embed` cannot be called.

    Attributes:
        models_: names of the models, the columns.
        k_: the number of neighbours used.
    """

    models_: tuple[str, ...]
    k_: int

    def __init__(
        self,
        k: int | None = None,
        embed: Callable[[list[str]], Any] | Embedder | None = None,
        *,
        seed: int = 0,
    ) -> None:
        if k is not None and (not is_whole(k) or k < 1):
            raise ConfigurationError(f"k must be a whole number of at least 1, not {k!r}")
        self.k = k
        self.vectors = UnitVectors(embed, seed=seed)

    @property
    def _counts(self) -> tuple[int, ...]:
        return _COUNTS if self.k is None else (self.k,)

    def fit(self, data: CascadeDataset) -> Self:
        """Stores the queries and the quality of the models on them."""
        with one_thread():
            self._learned, self._memory = self._remember(data)
            self._setting = self._memory.best(self._counts)
        self.k_ = self._setting.count
        self.models_ = data.models
        return self

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """Expected quality of each model's answer, shape (n, k); the mean where nothing is similar.

        Raises:
            NotFittedError: before `fit`.
        """
        check_fitted(self, "models_")
        vectors = self._learned.transform([query.text for query in queries])
        return self._memory.estimate(vectors, self._setting)

    def cross_predict(self, data: CascadeDataset, folds: IntArray) -> FloatArray:
        """As `ExAnteEstimator.cross_predict`; no neighbour has the text of the row itself.

        Vectors are learned once: they see no labels. All is NaN where no other text is left.
        """
        quality = np.full(data.quality.shape, np.nan)
        with one_thread():
            _, memory = self._remember(data)
            for rows in fold_masks(folds):
                rest = memory.without(rows)
                if len(rest.text):
                    quality[rows] = rest.estimate(memory.vectors[rows], rest.best(self._counts))
        return quality

    def _remember(self, data: CascadeDataset) -> tuple[UnitVectors, _Memory]:
        texts = [query.text for query in data.queries]
        numbers = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        vectors = copy.deepcopy(self.vectors).fit(texts)
        text = np.array([numbers[text] for text in texts], dtype=np.intp)
        return vectors, _Memory(vectors.transform(texts), data.quality, text)
