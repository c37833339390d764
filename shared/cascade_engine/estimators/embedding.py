"""Quality from an embedding of the query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.errors import ConfigurationError
from cascade_engine.estimators.features.vectors import Embedder
from cascade_engine.estimators.query_regression import STRENGTHS, RegressionEstimator
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cascade_engine.core.arrays import FloatArray

__all__ = ["EmbeddingEstimator"]


@persistent(
    "EmbeddingEstimator",
    fields=("features", "strengths", "folds", "seed"),
    fitted=("models_", "strength_", "_regressions", "_learned"),
)
class EmbeddingEstimator(RegressionEstimator):
    """Logistic regression on the principal components of an embedding.

    There is one regression per model; all share one ridge penalty, chosen by cross-validation. Each
    text is embedded once, however often it is used in fits: copies share the vectors.

    Args:
        embed: list of n texts to n vectors, as LangChain's `embeddings.embed_documents` and
            LlamaIndex's `embed_model.get_text_embedding_batch`.
        components: how many principal components are kept.
        batch_size: the most texts embedded at once.
        cache_size: the most vectors kept.
        strengths: inverse penalties to choose from, scikit-learn's `C`.
        folds: of the cross-validation; fewer are used when there are fewer distinct queries.
        seed: of the folds and the randomised components.

    Raises:
        ConfigurationError: `embed` cannot be called or is asynchronous; a number below 1; no
            strengths, one that is not a finite number above 0, or fewer than 2 folds.

    Attributes:
        models_: names of the models, the columns.
        strength_: the strength chosen.
    """

    def __init__(
        self,
        embed: Callable[[list[str]], Any],
        *,
        components: int = 128,
        batch_size: int = 64,
        cache_size: int = 50_000,
        strengths: Sequence[float] = STRENGTHS,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        if components < 1:
            raise ConfigurationError(f"components must be at least 1, not {components}")
        embedder = Embedder(embed, batch_size=batch_size, cache_size=cache_size)
        features = _PrincipalComponents(embedder, components, seed)
        super().__init__(features, strengths=strengths, folds=folds, seed=seed)


@persistent(
    "EmbeddingEstimator.components",
    fields=("_embedder", "_components", "_seed"),
    fitted=("_mean", "_axes"),
)
class _PrincipalComponents:
    """`TextFeatures`: coordinates along the directions in which embeddings vary most."""

    space = slice(0, None)

    def __init__(self, embedder: Embedder, components: int, seed: int) -> None:
        self._embedder = embedder
        self._components = components
        self._seed = seed

    def fit(self, texts: Sequence[str]) -> _PrincipalComponents:
        """Learns the directions from n texts."""
        vectors = self._embedder.transform(texts)
        self._mean = vectors.mean(axis=0)
        self._axes = self._decompose(vectors - self._mean)
        return self

    def _decompose(self, centred: FloatArray) -> FloatArray:
        rank = min(self._components, len(centred) - 1, centred.shape[1])
        if rank < 1 or not centred.any():
            return np.zeros((centred.shape[1], 0))
        from sklearn.utils.extmath import randomized_svd  # noqa: PLC0415  only a fit pays for it

        _, _, axes = randomized_svd(centred, rank, random_state=self._seed)
        return np.ascontiguousarray(axes.T)

    def transform(self, texts: Sequence[str]) -> FloatArray:
        """Coordinates of each text, shape (n, d)."""
        return np.asarray((self._embedder.transform(texts) - self._mean) @ self._axes)
