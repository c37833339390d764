"""What the tests of the ex-ante estimators share."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cascade_engine import Answer, CascadeDataset, Query


def graded(texts, quality, models=None):
    """A data set of these texts (or queries) and qualities, whose answers say nothing."""
    quality = np.asarray(quality, dtype=float)
    names = models or [f"m{i}" for i in range(quality.shape[1])]
    answers = [[Answer("")] * len(names)] * len(texts)
    return CascadeDataset(names, texts, answers, quality, np.ones(quality.shape))


def asked(*texts):
    return [Query(text) for text in texts]


def letters(texts):
    """An embedding: how often each letter stands in a text, and a constant."""
    return [[10.0, *(float(text.count(letter)) for letter in "abcdefgh")] for text in texts]


class Counting:
    """An embedding function that remembers what it was asked, and cannot be copied."""

    def __init__(self, embed=letters):
        self.embed = embed
        self.batches = []

    def __call__(self, texts):
        self.batches.append(list(texts))
        return self.embed(texts)

    def __deepcopy__(self, memo):
        raise TypeError("holds a connection")

    @property
    def texts(self):
        return [text for batch in self.batches for text in batch]


@dataclass(frozen=True)
class Measured(Query):
    """A query with recorded signals."""

    signals: dict = field(default_factory=dict)


def topics(n=120, seed=0):
    """Queries on sums and on poems; the first model is good at one and the second at the other."""
    rng = np.random.default_rng(seed)
    words = {0: ["add", "sum", "plus", "number"], 1: ["rhyme", "verse", "poem", "stanza"]}
    topic = rng.integers(0, 2, n)
    texts = [f"{' '.join(rng.choice(words[t], 3))} please {i}" for i, t in enumerate(topic)]
    good = rng.random((n, 2)) < np.where(topic[:, None] == [0, 1], 0.9, 0.2)
    return graded(texts, good, ["maths", "poet"]), topic
