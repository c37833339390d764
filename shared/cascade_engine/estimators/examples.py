"""Quality by similarity to examples of what each model is for."""

from __future__ import annotations

import copy
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.core.checks import is_whole
from cascade_engine.errors import ConfigurationError
from cascade_engine.estimators.base import ExAnteEstimator, check_fitted
from cascade_engine.estimators.features.vectors import UnitVectors
from cascade_engine.estimators.regression.logistic import one_thread
from cascade_engine.estimators.static import check_known
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Self

    from cascade_engine.core.arrays import FloatArray, IntArray
    from cascade_engine.core.records import Query
    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.estimators.features.vectors import Embedder

__all__ = ["ExampleEstimator"]


@persistent(
    "ExampleEstimator",
    fields=("examples", "nearest", "vectors"),
    fitted=("models_", "_anchors", "_learned"),
)
class ExampleEstimator(ExAnteEstimator):
    """How similar a query is to examples of what each model is for, as in semantic routers.

    The score of a model is the mean cosine similarity to the nearest of its examples, scaled from 0
    for the opposite to 1 for the same. It is no probability, and no label is learned from. A model
    without examples is unknown, and so is a query without a word that is known.

    Args:
        examples: example queries by model.
        embed: list of n texts to n vectors, as LangChain's `embeddings.embed_documents` and
            LlamaIndex's `embed_model.get_text_embedding_batch`. By default a query is the TF-IDF of
            its words, which knows only words that are in the data or the examples often enough.
        nearest: how many of a model's examples count; 1 for the most similar one alone.
        seed: of the text projection where there is no `embed`.

    Raises:
        ConfigurationError: no examples, a model without one, an example that is not a text, or
            `nearest` below 1.

    Attributes:
        models_: names of the models, the columns.
    """

    models_: tuple[str, ...]

    def __init__(
        self,
        examples: Mapping[str, Sequence[str]],
        embed: Callable[[list[str]], Any] | Embedder | None = None,
        *,
        nearest: int = 1,
        seed: int = 0,
    ) -> None:
        if not examples:
            raise ConfigurationError("no examples given: pass {model: [queries it is for]}")
        for model, texts in examples.items():
            if isinstance(texts, str) or not texts or not all(isinstance(t, str) for t in texts):
                raise ConfigurationError(
                    f"the examples of {model!r} must be a list of at least one text, not {texts!r}"
                )
        if not is_whole(nearest) or nearest < 1:
            raise ConfigurationError(
                f"nearest must be a whole number of at least 1, not {nearest!r}"
            )
        self.examples = {model: tuple(texts) for model, texts in examples.items()}
        self.nearest = nearest
        self.vectors = UnitVectors(embed, seed=seed)

    def fit(self, data: CascadeDataset) -> Self:
        """Takes the names of the models, and the words of the queries.

        Raises:
            ConfigurationError: there are examples of a model that is not in the data.
        """
        check_known(list(self.examples), data.models, "ExampleEstimator")
        texts = [q.text for q in data.queries] + [*chain(*self.examples.values())]
        with one_thread():
            learned = copy.deepcopy(self.vectors).fit(texts)
            self._anchors = {m: learned.transform(texts) for m, texts in self.examples.items()}
        self._learned = learned
        self.models_ = data.models
        return self

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """Similarity to each model's examples in [0, 1], shape (n, k); NaN where it is unknown.

        Raises:
            NotFittedError: before `fit`.
        """
        check_fitted(self, "models_")
        vectors = self._learned.transform([query.text for query in queries])
        score = np.full((len(queries), len(self.models_)), np.nan)
        for column, model in enumerate(self.models_):
            if model in self._anchors:
                score[:, column] = self._similarity(vectors, self._anchors[model])
        score[~vectors.any(axis=1)] = np.nan
        return score

    def cross_predict(self, data: CascadeDataset, folds: IntArray) -> FloatArray:
        """`predict` on the data after one fit: no label is learned from."""
        del folds
        return copy.deepcopy(self).fit(data).predict(data.queries)

    def _similarity(self, vectors: FloatArray, anchors: FloatArray) -> FloatArray:
        cosine = np.sort(vectors @ anchors.T, axis=1)[:, -self.nearest :]
        return np.asarray(np.clip((1 + cosine.mean(axis=1)) / 2, 0.0, 1.0))
