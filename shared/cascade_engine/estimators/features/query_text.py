"""Features of a query's text: its shape, and a low-rank TF-IDF of its words.

A live query is read here by the estimators of quality and of cost, one after the other. So what is
read off a text alone, and its weights in a vocabulary, are kept in small caches; and some code
below is written for speed on one short text where a plainer way takes several times as long.
"""

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
#: Patterns of code, each by a sign that every match has in it: `in` is far quicker than a search.
_CODE = {
    "```": re.compile("```"),
    "==": re.compile("=="),
    "def ": re.compile(r"\bdef \w+\("),
    "return": re.compile(r"\breturn\b"),
    "print(": re.compile(r"\bprint\("),
    **dict.fromkeys(";{}", _LINE_END),
}
#: The most characters that are read of a text, so that no prompt takes a millisecond.
_LONGEST = 2_000
_DIGITS, _CAPITALS = string.digits.encode(), string.ascii_uppercase.encode()


class Reading(NamedTuple):
    """What is read off a text before any vocabulary weighs its words.

    Attributes:
        shape: features that need no vocabulary, shape (10,), see `read`.
        counts: of each word, and each pair of neighbouring words.
    """

    shape: FloatArray
    counts: Mapping[str, int]


@lru_cache(maxsize=64)
def read(text: str) -> Reading:
    """Reads a text.

    Its shape is, in this order: characters, words, characters per word, share of digits, numbers,
    length of the longest number, line breaks, share of question marks, share of capitals, and
    whether it has code in it; counts are on a log scale. Of a very long text the beginning and the
    end are read, see `excerpt`, and counts scaled up to the whole.
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
    """Terms, each with its column and weight; never changed, so that copies share it."""

    def __init__(self, terms: Sequence[str], weights: Sequence[float]) -> None:
        self._entries = dict(zip(terms, enumerate(weights), strict=True))

    def __deepcopy__(self, memo: object) -> Vocabulary:
        return self

    def weights(self, counts: Mapping[str, int]) -> tuple[IntArray, FloatArray]:
        """Columns of the text's terms in the vocabulary, and their weights, a vector of length 1.

        A term's weight is its inverse document frequency times 1 + log(count).
        """
        entries = self._entries
        terms = [(*entries[term], n) for term, n in counts.items() if term in entries]
        weights = [idf if n == 1 else (1 + math.log(n)) * idf for _, idf, n in terms]
        # Of about twenty numbers, plain Python is quicker than an array.
        length = math.sqrt(sum(map(mul, weights, weights))) or 1.0
        columns = np.array([column for column, _, _ in terms], dtype=np.intp)
        return columns, np.array(weights) / length


@lru_cache(maxsize=8)
def _vocabulary(terms: tuple[str, ...], weights: tuple[float, ...]) -> Vocabulary:
    """One object for all estimators fitted on the same texts, so that `weighed` serves them all."""
    return Vocabulary(terms, weights)


@lru_cache(maxsize=64)
def weighed(text: str, vocabulary: Vocabulary) -> tuple[IntArray, FloatArray]:
    """A text's terms in a vocabulary, see `Vocabulary.weights`."""
    return vocabulary.weights(read(text).counts)


def _has_code(text: str) -> bool:
    for sign, pattern in _CODE.items():  # noqa: SIM110  a third of the time of `any`
        if sign in text and pattern.search(text):
            return True
    return False


def _digits_and_capitals(text: str) -> tuple[int, int]:
    """How many of each there are."""
    if not text.isascii():
        counts = Counter(text).items()
        digits = sum(count for letter, count in counts if letter.isdigit())
        return digits, sum(count for letter, count in counts if letter.isupper())
    # Deleting bytes by a table runs in C: ten times as fast as asking each character.
    data = text.encode()
    n = len(data)
    return n - len(data.translate(None, _DIGITS)), n - len(data.translate(None, _CAPITALS))


def _terms(text: str) -> list[str]:
    """Words, digits and signs in lower case, and pairs of neighbours."""
    words = " ".join(_WORD.findall(text)).lower().split()
    return words + list(map(" ".join, pairwise(words)))


@persistent("QueryFeatures", fitted=("vocabulary_", "idf_", "projection_"))
class QueryFeatures:
    """Features of queries, learned from the queries alone: no label is seen.

    Args:
        components: dimensions kept of the TF-IDF (latent semantic analysis).
        min_count: the fewest queries that a word, or a pair of words, must stand in to count.
        max_terms: the most words and pairs that are kept, the most frequent ones.
        seed: of the randomised decomposition.

    Attributes:
        vocabulary_: the number of each word or pair, t in all.
        idf_: inverse document frequency of each, shape (t,).
        projection_: from their weights to the dimensions kept, shape (t, at most `components`).
    """

    #: Columns of the words, behind those of the shape; see `TextFeatures.space`.
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
        # Where all queries have the same words it divides by a variance of 0, to no use of ours.
        with np.errstate(invalid="ignore", divide="ignore"):
            svd = TruncatedSVD(rank, random_state=self.seed).fit(matrix)
        return np.ascontiguousarray(np.asarray(svd.components_).T)

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return _vocabulary(tuple(self.vocabulary_), tuple(self.idf_.tolist()))

    def transform(self, texts: Sequence[str]) -> FloatArray:
        """Features of each text, shape (n, d): its shape, then its words."""
        out = np.empty((len(texts), self.space.start + self.projection_.shape[1]))
        for row, text in zip(out, texts, strict=True):
            row[: self.space.start] = read(text).shape
            row[self.space.start :] = self._words(text)
        return out

    def words(self, texts: Sequence[str]) -> FloatArray:
        """The words' columns alone, shape (n, at most `components`); 0 where no word is known."""
        out = np.empty((len(texts), self.projection_.shape[1]))
        for row, text in zip(out, texts, strict=True):
            row[:] = self._words(text)
        return out

    def _words(self, text: str) -> FloatArray:
        columns, weights = weighed(text, self._vocabulary)
        return np.asarray(weights @ self.projection_.take(columns, axis=0))
