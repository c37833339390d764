"""Texts as vectors whose cosine measures similarity: embeddings, or TF-IDF without a model."""

from __future__ import annotations

import threading
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.core.checks import check_function
from cascade_engine.errors import ConfigurationError, DataError
from cascade_engine.estimators.features.query_text import QueryFeatures
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cascade_engine.core.arrays import FloatArray

#: Dimensions of the TF-IDF: neighbours need more of them than a regression does.
_COMPONENTS = 128
#: A vector shorter than this, relative to its length before centring, is nothing but rounding.
_ROUNDING = 1e-6


@persistent(
    "Embedder",
    fields=("_embed", "_batch_size", "_cache_size", "_width"),
    left_out={"_cache": OrderedDict, "_lock": threading.Lock},
)
class Embedder:
    """An embedding function with a cache, so that fits on the same queries embed them once.

    It may be shared between threads, and copies of an object that holds it share it. A blank text
    has the zero vector and is never sent: providers refuse it.

    Args:
        embed: list of n texts to n vectors: LangChain's `embeddings.embed_documents`, LlamaIndex's
            `embed_model.get_text_embedding_batch`, or any like them.
        batch_size: the most texts passed to it at once.
        cache_size: the most vectors kept.

    Raises:
        ConfigurationError: `embed` cannot be called, or is asynchronous; a size below 1.
    """

    def __init__(
        self,
        embed: Callable[[list[str]], Any],
        *,
        batch_size: int = 64,
        cache_size: int = 50_000,
    ) -> None:
        check_function(
            "embed must be a function from a list of texts to their vectors, such as LangChain's "
            "embeddings.embed_documents or LlamaIndex's embed_model.get_text_embedding_batch",
            embed,
        )
        for name, size in (("batch_size", batch_size), ("cache_size", cache_size)):
            if size < 1:
                raise ConfigurationError(f"{name} must be at least 1, not {size}")
        self._embed = embed
        self._batch_size = batch_size
        self._cache_size = cache_size
        self._cache: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()
        self._width: int | None = None

    def __deepcopy__(self, memo: object) -> Embedder:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # A lock cannot be pickled, and the cache need not be.
        sized = partial(Embedder, batch_size=self._batch_size, cache_size=self._cache_size)
        return sized, (self._embed,)

    def transform(self, texts: Sequence[str]) -> FloatArray:
        """Vector of each text, shape (n, d).

        Raises:
            DataError: the function does not give one vector of finite numbers per text, all of one
                length; or no text has ever had anything to embed.
        """
        vectors = self._cached(texts)
        missing = [text for text in dict.fromkeys(texts) if text.strip() and text not in vectors]
        for start in range(0, len(missing), self._batch_size):
            batch = missing[start : start + self._batch_size]
            embedded = dict(zip(batch, self._embed_batch(batch), strict=True))
            self._keep(embedded)
            # Not read back from the cache, which may be smaller than the texts are many.
            vectors.update(embedded)
        if self._width is None:
            raise DataError("no query has any text to embed: the dimension is not known yet")
        zero = np.zeros(self._width)
        rows = [vectors.get(text, zero) for text in texts]
        return np.array(rows, dtype=float).reshape(len(texts), self._width)

    def _cached(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        with self._lock:
            vectors = {text: self._cache[text] for text in texts if text in self._cache}
            for text in vectors:
                self._cache.move_to_end(text)
        return vectors

    def _keep(self, vectors: dict[str, np.ndarray]) -> None:
        with self._lock:
            self._cache.update(vectors)
            while len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)

    def _embed_batch(self, batch: list[str]) -> np.ndarray:
        """Vectors of b texts, checked, shape (b, d)."""
        embedded = self._embed(batch)
        try:
            # In single precision, for half the memory: no embedding is more precise.
            vectors = np.asarray(embedded, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"embed must return a vector of numbers for each text: {error}"
            ) from error
        if vectors.ndim != 2 or len(vectors) != len(batch) or not vectors.shape[1]:  # noqa: PLR2004
            raise DataError(
                f"embed was given {len(batch)} texts and returned an array of shape "
                f"{vectors.shape}: it must return one vector for each"
            )
        if not np.isfinite(vectors).all():
            row = int(np.argwhere(~np.isfinite(vectors))[0, 0])
            raise DataError(f"embed returned numbers that are not finite for {batch[row]:.80}")
        if self._width not in {None, vectors.shape[1]}:
            raise DataError(
                f"embed returned vectors of {vectors.shape[1]} numbers, and of {self._width} before"
            )
        self._width = vectors.shape[1]
        return vectors


@persistent("UnitVectors", fields=("embedder", "_words"), fitted=("_centre",))
class UnitVectors:
    """Vectors of length 1 whose product is the similarity of two texts.

    They are centred before: most embeddings have a large part that is common to all queries, and
    tells none from another. A text of which nothing is known has the zero vector, similar to none.

    Args:
        embed: list of n texts to n vectors, or None for a low-rank TF-IDF of the words.
        seed: of the TF-IDF.
    """

    def __init__(
        self, embed: Callable[[list[str]], Any] | Embedder | None = None, *, seed: int = 0
    ) -> None:
        if embed is not None and not isinstance(embed, Embedder):
            embed = Embedder(embed)
        self.embedder = embed
        self._words = QueryFeatures(components=_COMPONENTS, seed=seed)

    def fit(self, texts: Sequence[str]) -> UnitVectors:
        """Learns the centre, and the words where there is no `embed`."""
        if self.embedder is None:
            self._words.fit(texts)
        raw = self._raw(texts)
        known = raw.any(axis=1)
        self._centre = raw[known].mean(axis=0) if known.any() else np.zeros(raw.shape[1])
        return self

    def transform(self, texts: Sequence[str]) -> FloatArray:
        """Vector of each text, shape (n, d)."""
        raw = self._raw(texts)
        centred = np.where(raw.any(axis=1, keepdims=True), raw - self._centre, 0.0)
        length = np.linalg.norm(centred, axis=1, keepdims=True)
        # At the centre itself only rounding is left, which has no direction.
        has_direction = length > _ROUNDING * np.linalg.norm(raw, axis=1, keepdims=True)
        unit = centred / np.where(has_direction, length, 1.0)
        return np.asarray(np.where(has_direction, unit, 0.0))

    def _raw(self, texts: Sequence[str]) -> FloatArray:
        if self.embedder is None:
            return self._words.words(texts)
        return self.embedder.transform(texts)
