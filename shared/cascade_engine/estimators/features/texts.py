"""Features of a query's text: its shape, and a low-rank TF-IDF of its words."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from functools import cached_property, lru_cache
from itertools import pairwise
from operator import mul
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cascade_engine.answers.text import excerpt
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine.core.arrays import FloatArray, IntArray

_WORD = re.compile(r"[^\W\d_]+|\d|[^\w\s]", re.UNICODE)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_LINE_END = re.compile(r"[;{}]\s*$", re.MULTILINE)
#: What code has in it, by signs without which there is none: those are quick to look for.
_CODE = {
    "```": re.compile("```"),
    "==": re.compile("=="),
    "def ": re.compile(r"\bdef \w+\("),
    "return": re.compile(r"\breturn\b"),
    "print(": re.compile(r"\bprint\("),
    **dict.fromkeys(";{}", _LINE_END),
}
#: Letters that are read of a text at most, so that no prompt takes a millisecond.
_LONGEST = 2_000
_DIGITS, _CAPITALS = string.digits.encode(), string.ascii_uppercase.encode()


class Reading(NamedTuple):
    """What is read off a text, whatever vocabulary it is then weighed by.

    Attributes:
        shape: what can be said without knowing its words.
        counts: how often each word, and each pair of neighbours, stands in it.
    """

    shape: FloatArray
    counts: Mapping[str, int]


@lru_cache(maxsize=64)
def read(text: str) -> Reading:
    """Reads a text, once for all that look at it: the estimators of quality and of cost.

    Of a very long one the beginning and the end are read, see `excerpt`; what is counted is scaled
    up to the whole.
    """
    part = excerpt(text, _LONGEST)
    words = part.split()
    numbers = _NUMBER.findall(part)
    letters = max(1, len(part))
    whole = max(1, len(text)) / letters
    digits, capitals = _digits_and_capitals(part)
    shape = [
        math.log1p(len(text)),
        math.log1p(len(words) * whole),
        len(part) / max(1, len(words)),
        digits / letters,
        math.log1p(len(numbers) * whole),
        math.log1p(max(map(len, numbers), default=0)),
        math.log1p(part.count("\n") * whole),
        part.count("?") / letters,
        capitals / letters,
        float(_has_code(part)),
    ]
    return Reading(np.array(shape), Counter(_terms(part)))


class Vocabulary:
    """Terms that count, each with its column and what it weighs; never changed."""

    def __init__(self, terms: Sequence[str], weights: Sequence[float]) -> None:
        self._known = dict(zip(terms, enumerate(weights), strict=True))

    def __deepcopy__(self, memo: object) -> Vocabulary:
        return self

    def weights(self, counts: Mapping[str, int]) -> tuple[IntArray, FloatArray]:
        """Columns of the terms that are known, and their weights, together of length 1."""
        known = self._known
        found = [(*known[t], n) for t, n in counts.items() if t in known]
        weights = [idf if n == 1 else (1 + math.log(n)) * idf for _, idf, n in found]
        length = math.sqrt(sum(map(mul, weights, weights))) or 1.0
        columns = np.array([column for column, _, _ in found], dtype=np.intp)
        return columns, np.array(weights) / length


@lru_cache(maxsize=8)
def _vocabulary(terms: tuple[str, ...], weights: tuple[float, ...]) -> Vocabulary:
    """One for all estimators fitted on the same texts, so that each weighs them but once."""
    return Vocabulary(terms, weights)


@lru_cache(maxsize=64)
def weighed(text: str, vocabulary: Vocabulary) -> tuple[IntArray, FloatArray]:
    """A text's terms in a vocabulary."""
    return vocabulary.weights(read(text).counts)


def _has_code(text: str) -> bool:
    for sign, pattern in _CODE.items():  # noqa: SIM110  a third of the time of `any`
        if sign in text and pattern.search(text):
            return True
    return False


def _digits_and_capitals(text: str) -> tuple[int, int]:
    """How many of each there are."""
    if not text.isascii():
        found = Counter(text).items()
        digits = sum(count for letter, count in found if letter.isdigit())
        return digits, sum(count for letter, count in found if letter.isupper())
    data = text.encode()
    n = len(data)
    return n - len(data.translate(None, _DIGITS)), n - len(data.translate(None, _CAPITALS))


def _terms(text: str) -> list[str]:
    words = " ".join(_WORD.findall(text)).lower().split()
    return words + list(map(" ".join, pairwise(words)))


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
    space = slice(len(read("").shape), None)

    def __init__(
        self, *, components: int = 32, min_count: int = 3, max_terms: int = 4000, seed: int = 0
    ) -> None:
        self.components = components
        self.min_count = min_count
        self.max_terms = max_terms
        self.seed = seed

    def fit(self, texts: Sequence[str]) -> QueryFeatures:
        """Learns vocabulary, inverse document frequencies and projection."""
        self.__dict__.pop("_vocabulary", None)
        counts = [read(text).counts for text in texts]
        frequency = Counter(term for count in counts for term in count)
        kept = [(t, f) for t, f in frequency.items() if f >= self.min_count]
        kept = sorted(kept, key=lambda item: (-item[1], item[0]))[: self.max_terms]
        self.vocabulary_ = {term: i for i, (term, _) in enumerate(kept)}
        document_frequency = np.array([f for _, f in kept], dtype=float)
        self.idf_ = np.log((1 + len(texts)) / (1 + document_frequency)) + 1
        self.projection_ = self._decompose([self._vocabulary.weights(count) for count in counts])
        return self

    def _decompose(self, rows: list[tuple[IntArray, FloatArray]]) -> FloatArray:
        size = len(self.vocabulary_)
        rank = min(self.components, size - 1, len(rows) - 1)
        if rank < 1:
            return np.zeros((size, 0))
        from scipy.sparse import csr_matrix  # noqa: PLC0415  only a fit pays for it
        from sklearn.decomposition import TruncatedSVD  # noqa: PLC0415

        lengths = [len(columns) for columns, _ in rows]
        matrix = csr_matrix(
            (
                np.concatenate([weights for _, weights in rows]),
                np.concatenate([columns for columns, _ in rows]),
                np.concatenate([[0], np.cumsum(lengths)]),
            ),
            shape=(len(rows), size),
        )
        # Of queries with the same words no variance is left.
        with np.errstate(invalid="ignore", divide="ignore"):
            svd = TruncatedSVD(rank, random_state=self.seed).fit(matrix)
        return np.ascontiguousarray(np.asarray(svd.components_).T)

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return _vocabulary(tuple(self.vocabulary_), tuple(self.idf_.tolist()))

    def transform(self, texts: Sequence[str]) -> FloatArray:
        """Features of each text, shape (n, d): its shape, and its words."""
        out = np.empty((len(texts), self.space.start + self.projection_.shape[1]))
        for row, text in zip(out, texts, strict=True):
            row[: self.space.start] = read(text).shape
            row[self.space.start :] = self._words(text)
        return out

    def words(self, texts: Sequence[str]) -> FloatArray:
        """The words' part alone, shape (n, components); all 0 where no word is known."""
        out = np.empty((len(texts), self.projection_.shape[1]))
        for row, text in zip(out, texts, strict=True):
            row[:] = self._words(text)
        return out

    def _words(self, text: str) -> FloatArray:
        columns, weights = weighed(text, self._vocabulary)
        return np.asarray(weights @ self.projection_.take(columns, axis=0))
