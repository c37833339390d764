"""An estimator that learns from a query's first word, and queries to learn from: fast and small."""

from __future__ import annotations

import math

import numpy as np

from cascade_engine import Answer, CascadeDataset, CascadeRouter, QualityEstimator
from cascade_engine.estimators import LinearCostEstimator
from cascade_engine.estimators.features.logprobs import confidence

KINDS = ("easy", "plain", "tricky", "hard")
_SKILL = {"easy": (0.9, 0.95), "plain": (0.7, 0.9), "tricky": (0.35, 0.85), "hard": (0.1, 0.8)}
_WORDS = [a + b + c for a in "bdfgklm" for b in "aeiou" for c in "nprst"]


class WordEstimator(QualityEstimator):
    """Mean quality of the queries that begin alike; after an answer also how sure it is."""

    def fit(self, data):
        words = [_first(query) for query in data.queries]
        self.mean = data.quality.mean(axis=0)
        self.sums = {w: np.zeros(len(self.mean)) for w in words}
        self.counts = dict.fromkeys(words, 0)
        for word, quality in zip(words, data.quality, strict=True):
            self.sums[word] += quality
            self.counts[word] += 1
        rows = zip(words, data.quality, strict=True)
        before = np.array([self._mean(word, less) for word, less in rows])
        self._cross = [before, np.full_like(before, np.nan)]
        for column in range(len(data.models)):
            self.observe(self._cross, column, [row[column] for row in data.answers])
        return self

    def _mean(self, word, less=None):
        total, count = (
            self.sums.get(word, 0.0 * self.mean) + self.mean,
            self.counts.get(word, 0) + 1,
        )
        return total / count if less is None else (total - less) / (count - 1)

    def cross_evidence(self):
        return self._cross

    def begin(self, queries):
        before = np.array([self._mean(_first(query)) for query in queries])
        return [before, np.full_like(before, np.nan)]

    def observe(self, evidence, model, answers):
        before, after = evidence
        sure = np.array([confidence(a) or 0.5 for a in answers])
        after[:, model] = np.clip(before[:, model] + sure - 0.7, 0.02, 0.98)

    def estimate(self, evidence, run):
        before, after = evidence
        return np.where(run, after, before), np.where(run, 0.0, 0.2)


def _first(query):
    return query.text.split()[0]


def make(n, seed, *, kinds=KINDS, learnable=True, price=1.0, sure=0.0, words=_WORDS, length=8):
    """Two models, the second five times as dear.

    Args:
        n: number of queries.
        seed: of everything.
        kinds: the first words, each as often as it stands here.
        learnable: whether quality depends on the first word; if not, nothing tells of quality, nor
            of cost.
        price: what the second model's costs are multiplied by.
        sure: added to the answers' log-probs.
        words: those that a query is made of.
        length: how many, on average.
    """
    rng = np.random.default_rng([seed, n])
    kind = rng.choice(kinds, size=n)
    skill = np.array([_SKILL[k] for k in kind]) if learnable else np.tile((0.5, 0.875), (n, 1))
    quality = (rng.random((n, 2)) < skill).astype(float)
    texts = [
        f"{k} {' '.join(rng.choice(words, size=rng.integers(length // 2, 2 * length)))}"
        for k in kind
    ]
    size = np.array([len(text) for text in texts]) if learnable else np.full(n, 50)
    cost = np.outer(size, (1.0, 5.0 * price)) * rng.uniform(0.8, 1.25, (n, 2)) / 50
    level = np.where(quality > 0, 0.85, 0.6) + rng.normal(0, 0.08, (n, 2))
    if not learnable:
        level = np.full((n, 2), 0.7)
    level = np.clip(level + sure, 0.05, 0.99)
    answers = [
        [Answer("w" * int(rng.integers(5, 40)), (math.log(p),), cost=float(c)) for p, c in row]
        for row in zip_rows(level, cost)
    ]
    return CascadeDataset(["small", "large"], texts, answers, quality, cost)


def zip_rows(*tables):
    """Rows of several tables, entry by entry."""
    return [list(zip(*rows, strict=True)) for rows in zip(*tables, strict=True)]


def router(**options):
    """One that learns quality by first words, and cost by length, which it is proportional to."""
    parts = {"quality": WordEstimator(), "cost": LinearCostEstimator(), **options}
    return CascadeRouter(["small", "large"], **parts)


def traces(router, data, **limits):
    """What a router's sessions on the data leave behind."""
    found = []
    for query, answers in zip(data.queries, data.answers, strict=True):
        session = router.session(query, **limits)
        while (call := session.pending) is not None:
            session.answer(answers[data.models.index(call.model)])
        found.append(session.trace)
    return found
