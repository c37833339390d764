"""Features of a query's text: its shape, and a low-rank TF-IDF of its words."""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine._registry import persistent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine._arrays import FloatArray

_WORD = re.compile(r"[^\W\d_]+|\d|[^\w\s]", re.UNICODE)
_CODE = re.compile(r"```|\bdef \w+\(|[;{}]\s*$|\breturn\b|==|\bprint\(", re.MULTILINE)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def shape_features(text: str) -> list[float]:
    """What can be said of a text without knowing its words."""
    words = text.split()
    numbers = _NUMBER.findall(text)
    letters = max(1, len(text))
    return [
        math.log1p(len(text)),
        math.log1p(len(words)),
        len(text) / max(1, len(words)),
        sum(map(str.isdigit, text)) / letters,
        math.log1p(len(numbers)),
        math.log1p(max(map(len, numbers), default=0)),
        math.log1p(text.count("\n")),
        text.count("?") / letters,
        sum(map(str.isupper, text)) / letters,
        float(_CODE.search(text) is not None),
    ]


def _terms(text: str) -> list[str]:
    words = [word.lower() for word in _WORD.findall(text)]
    return words + [f"{a} {b}" for a, b in pairwise(words)]


@persistent("QueryFeatures", fitted=("vocabulary_", "idf_", "projection_"))
class QueryFeatures:
    """Ex-ante features, learned from the queries alone: no label is seen.

    Args:
        components: dimensions kept of the TF-IDF (latent semantic analysis).
        min_count: a word or pair of words must stand in so many queries to count.
        max_terms: the most frequent so many are kept.
        seed: of the randomised decomposition.
    """

    #: The words' columns: coordinates in one space, behind the features of the shape.
    space = slice(len(shape_features("")), None)

    def __init__(
        self, *, components: int = 32, min_count: int = 3, max_terms: int = 4000, seed: int = 0
    ) -> None:
        self.components = components
        self.min_count = min_count
        self.max_terms = max_terms
        self.seed = seed

    def fit(self, texts: Sequence[str]) -> QueryFeatures:
        """Learns vocabulary, inverse document frequencies and projection."""
        counts = [Counter(_terms(text)) for text in texts]
        frequency = Counter(term for count in counts for term in count)
        kept = [(t, f) for t, f in frequency.items() if f >= self.min_count]
        kept = sorted(kept, key=lambda item: (-item[1], item[0]))[: self.max_terms]
        self.vocabulary_ = {term: i for i, (term, _) in enumerate(kept)}
        document_frequency = np.array([f for _, f in kept], dtype=float)
        self.idf_ = np.log((1 + len(texts)) / (1 + document_frequency)) + 1
        self.projection_ = self._decompose(counts)
        return self

    def _decompose(self, counts: list[Counter[str]]) -> FloatArray:
        size = len(self.vocabulary_)
        rank = min(self.components, size - 1, len(counts) - 1)
        if rank < 1:
            return np.zeros((size, 0))
        from scipy.sparse import csr_matrix  # noqa: PLC0415  only a fit pays for it
        from sklearn.decomposition import TruncatedSVD  # noqa: PLC0415

        rows = [self._weights(count) for count in counts]
        lengths = [len(columns) for columns, _ in rows]
        matrix = csr_matrix(
            (
                np.concatenate([weights for _, weights in rows]),
                np.concatenate([columns for columns, _ in rows]),
                np.concatenate([[0], np.cumsum(lengths)]),
            ),
            shape=(len(counts), size),
        )
        # Of queries with the same words no variance is left.
        with np.errstate(invalid="ignore", divide="ignore"):
            svd = TruncatedSVD(rank, random_state=self.seed).fit(matrix)
        return np.ascontiguousarray(np.asarray(svd.components_).T)

    def _weights(self, count: Counter[str]) -> tuple[np.ndarray, FloatArray]:
        known = [(self.vocabulary_[t], c) for t, c in count.items() if t in self.vocabulary_]
        columns = np.array([i for i, _ in known], dtype=np.intp)
        frequency = np.array([c for _, c in known], dtype=float)
        weights = (1 + np.log(frequency)) * self.idf_[columns]
        norm = float(np.sqrt(weights @ weights)) or 1.0
        return columns, weights / norm

    def transform(self, texts: Sequence[str]) -> FloatArray:
        """Features of each text, shape (n, d): its shape, and its words."""
        out = np.empty((len(texts), self.space.start + self.projection_.shape[1]))
        for row, text in zip(out, texts, strict=True):
            row[: self.space.start] = shape_features(text)
            row[self.space] = self._words(text)
        return out

    def words(self, texts: Sequence[str]) -> FloatArray:
        """The words' part alone, shape (n, components); all 0 where no word is known."""
        out = np.empty((len(texts), self.projection_.shape[1]))
        for row, text in zip(out, texts, strict=True):
            row[:] = self._words(text)
        return out

    def _words(self, text: str) -> FloatArray:
        columns, weights = self._weights(Counter(_terms(text)))
        return np.asarray(weights @ self.projection_[columns])
