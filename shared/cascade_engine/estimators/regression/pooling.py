"""What the answers of several models together say of each model: the last stage of the combiner.

Log-odds by the query (*ante*) and by the query and a model's own answer (*own*) are known already.
A *run set* is the set of models that have answered. From a query's run set come features that mean
the same for every set, and on them regressions for models that have answered and for models that
wait. The features are written twice: over arrays of n queries, to fit and to simulate, and below
in plain numbers for one live query, where they take a tenth of the time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, compress
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.estimators.regression.logistic import (
    Logistic,
    LogisticBank,
    expit,
    fit_logistic,
    logit,
    logit_one,
)
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray

#: There are regressions for one other answer, for two, and for more.
_CLASSES = 3
#: Up to so many models every run set is used; of more, so many sets of each size up to the largest.
_EVERYTHING, _MOST_SETS, _LARGEST = 5, 60, 5
#: The most rows a regression is fitted on.
_MOST_ROWS = 20_000
#: Inverse penalty, if every query were used under one run set only.
_STRENGTH = 0.1
#: Log-odds that stand for the highest of no answers: lower than any, see `logistic.MOST`.
_NO_ANSWER = -7.0
#: Answers that agree to more than this degree count as the same.
_SAME = 0.5


@persistent("Pooling.seen")
@dataclass(slots=True)
class PoolingInput:
    """What is known of n queries and k models.

    Attributes:
        ante: log-odds of a good answer by the query, shape (n, k).
        own: log-odds by the query and the model's answer, shape (n, k); NaN where there is none.
        agreement: of each pair of answers, in [0, 1], shape (n, k, k); None if not compared.
    """

    ante: FloatArray
    own: FloatArray
    agreement: FloatArray | None

    def at(self, rows: IntArray | BoolArray | slice) -> PoolingInput:
        """The same for some of the queries."""
        agreement = None if self.agreement is None else self.agreement[rows]
        return PoolingInput(self.ante[rows], self.own[rows], agreement)


def answered_features(seen: PoolingInput, run: Sequence[int]) -> FloatArray:
    """Features of each of the s models run, shape (n, s, 3), or (n, s, 10) with agreement.

    Own log-odds, log-odds by the query, how much better than expected the others' answers look;
    with agreement, what the others say of this answer. They are sums and maxima over the others, so
    they mean the same for any run set.
    """
    ante, own = seen.ante[:, run], seen.own[:, run]
    surprise = own - ante
    others = max(own.shape[1] - 1, 1)
    features = [own, ante, (surprise.sum(axis=1, keepdims=True) - surprise) / others]
    if seen.agreement is not None:
        features += _compared(own, seen.agreement[:, run][:, :, run])
    return np.stack(features, axis=2)


def waiting_features(seen: PoolingInput, run: Sequence[int], waiting: Sequence[int]) -> FloatArray:
    """Features of each of the w models that wait, shape (n, w, 2), or (n, w, 8) with agreement.

    A model's log-odds by the query; and, alike for all that wait, what the answers of the models
    run, at least one, say of the query.
    """
    own = seen.own[:, run]
    shared = [(own - seen.ante[:, run]).mean(axis=1)]
    if seen.agreement is not None:
        shared += _all_answers(own, seen.agreement[:, run][:, :, run])
    ante = seen.ante[:, waiting]
    return np.stack([ante, *(np.broadcast_to(x[:, None], ante.shape) for x in shared)], axis=2)


def _compared(own: FloatArray, alike: FloatArray) -> list[FloatArray]:
    """What the other answers say of each answer: seven features of shape (n, s).

    Args:
        own: log-odds of each answer, shape (n, s).
        alike: agreement of each pair, shape (n, s, s).
    """
    s = own.shape[1]
    others = 1 - np.eye(s)
    agree = alike * others
    differ = (1 - alike) * others
    theirs = np.broadcast_to(own[:, None, :], agree.shape)
    pairs = agree.sum(axis=2)
    # Agreement among the others: that of all pairs, without the pairs of this answer.
    total = pairs.sum(axis=1, keepdims=True) - 2 * pairs
    return [
        (agree * theirs).sum(axis=2),
        (differ * theirs).sum(axis=2),
        pairs,
        differ.sum(axis=2),
        np.where(agree > _SAME, theirs, _NO_ANSWER).max(axis=2),
        np.where(differ > _SAME, theirs, _NO_ANSWER).max(axis=2),
        total / max((s - 1) * (s - 2), 1),
    ]


def _all_answers(own: FloatArray, alike: FloatArray) -> list[FloatArray]:
    """What s answers together say of their query: six features of shape (n,)."""
    n, s = own.shape
    pairs = alike[:, ~np.eye(s, dtype=bool)] if s > 1 else np.zeros((n, 1))
    belief, weight = _clusters(own, alike)
    return [
        pairs.mean(axis=1),
        own.sum(axis=1),
        np.full(n, float(s)),
        weight.max(axis=1),
        own.max(axis=1),
        belief.max(axis=1),
    ]


def _clusters(own: FloatArray, alike: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log-odds that each answer is right, if of several different answers at most one is.

    Answers that agree are one answer, backed by every model that gave it. The log-odds are the
    posterior of a naive Bayes model in which each model backs its answer by its own odds, and none
    of the answers may be right. That ignores what models have in common; the regression takes the
    log-odds as one feature among others, and so corrects for it.

    Returns:
        The log-odds, and the logarithm of each answer's backing; both of shape (n, s).
    """
    backing = (alike * np.logaddexp(0, own + 1)[:, None, :]).sum(axis=2)
    most = backing.max(axis=1, keepdims=True)
    odds = np.exp(backing - most)
    whole = (odds / alike.sum(axis=2)).sum(axis=1, keepdims=True) + np.exp(-most)
    return logit(odds / whole), backing


@persistent("Pooling")
@dataclass(frozen=True)
class Pooling:
    """What is learned of several answers together.

    Attributes:
        answered: regressions for models run, by number of other answers (one, two, more).
        waiting: the same for models that wait.
        resolution: share of the variance q (1 - q) that each model's answer resolves, shape (k,).
    """

    answered: tuple[LogisticBank, ...]
    waiting: tuple[LogisticBank, ...]
    resolution: FloatArray

    def log_odds(self, seen: PoolingInput, run: Sequence[int], folds: IntArray) -> FloatArray:
        """Log-odds of a good answer of every model once some have answered, shape (n, k).

        With no other answer the estimates stand as they are: they are calibrated.

        Args:
            seen: n queries.
            run: columns of the models that have answered.
            folds: number of each row's fold, -1 for none of them, shape (n,).
        """
        log_odds = seen.ante.copy()
        log_odds[:, run] = seen.own[:, run]
        if bank := self._bank(self.answered, len(run) - 1):
            log_odds[:, run] = bank.logit(folds, run, answered_features(seen, run))
        waiting = [i for i in range(log_odds.shape[1]) if i not in run]
        if waiting and (bank := self._bank(self.waiting, len(run))):
            log_odds[:, waiting] = bank.logit(folds, waiting, waiting_features(seen, run, waiting))
        return log_odds

    def log_odds_one(
        self,
        ante: Sequence[float],
        own: Sequence[float],
        alike: Sequence[Sequence[float]] | None,
        run: Sequence[bool],
    ) -> list[float]:
        """`log_odds` of one query, in plain numbers, by the regressions fitted on all folds.

        Args:
            ante: k log-odds by the query.
            own: k log-odds by the query and each answer, of models that have run.
            alike: k x k agreement, None where it is not compared.
            run: which of the k models have run.
        """
        log_odds = list(ante)
        columns = list(compress(range(len(log_odds)), run))
        if not columns:
            return log_odds
        own = [own[i] for i in columns]
        before = [ante[i] for i in columns]
        alike = None if alike is None else [[alike[i][j] for j in columns] for i in columns]
        if bank := self._bank(self.answered, len(columns) - 1):
            for i, features in zip(columns, _answered_one(own, before, alike), strict=True):
                log_odds[i] = bank.last[i].logit_one(features)
        else:
            log_odds[columns[0]] = own[0]
        if len(columns) < len(log_odds) and (bank := self._bank(self.waiting, len(columns))):
            shared = _shared_one(own, before, alike)
            for i in range(len(log_odds)):
                if not run[i]:
                    log_odds[i] = bank.last[i].logit_one([ante[i], *shared])
        return log_odds

    @cached_property
    def shares(self) -> list[float]:
        """`resolution` as plain numbers."""
        shares: list[float] = self.resolution.tolist()
        return shares

    @staticmethod
    def _bank(banks: Sequence[LogisticBank], others: int) -> LogisticBank | None:
        """The regressions for so many other answers; None for no other answer."""
        return banks[min(others, _CLASSES) - 1] if others > 0 else None


def _answered_one(
    own: Sequence[float], ante: Sequence[float], alike: Sequence[Sequence[float]] | None
) -> list[list[float]]:
    """`answered_features` of one query's s answers."""
    surprise = [after - before for after, before in zip(own, ante, strict=True)]
    total, others = sum(surprise), max(len(own) - 1, 1)
    rows = [
        [after, before, (total - moved) / others]
        for after, before, moved in zip(own, ante, surprise, strict=True)
    ]
    if alike is None:
        return rows
    return [row + more for row, more in zip(rows, _compared_one(own, alike), strict=True)]


def _compared_one(own: Sequence[float], alike: Sequence[Sequence[float]]) -> list[list[float]]:
    """`_compared` of one query's s answers."""
    s = len(own)
    rows = []
    for i, agree in enumerate(alike):
        others = [(agree[j], own[j]) for j in range(s) if j != i]
        rows.append(
            [
                sum(share * x for share, x in others),
                sum((1 - share) * x for share, x in others),
                sum(share for share, _ in others),
                sum(1 - share for share, _ in others),
                max([_NO_ANSWER, *(x for share, x in others if share > _SAME)]),
                max([_NO_ANSWER, *(x for share, x in others if 1 - share > _SAME)]),
            ]
        )
    pairs = [row[2] for row in rows]
    for row, own_pairs in zip(rows, pairs, strict=True):
        row.append((sum(pairs) - 2 * own_pairs) / max((s - 1) * (s - 2), 1))
    return rows


def _shared_one(
    own: Sequence[float], ante: Sequence[float], alike: Sequence[Sequence[float]] | None
) -> list[float]:
    """`waiting_features` of one query, without each model's own."""
    s = len(own)
    features = [(sum(own) - sum(ante)) / s]
    if alike is None:
        return features
    weights = [math.log1p(math.exp(x + 1)) for x in own]
    backing = [sum(a * w for a, w in zip(row, weights, strict=True)) for row in alike]
    most = max(backing)
    odds = [math.exp(b - most) for b in backing]
    whole = sum(o / sum(row) for o, row in zip(odds, alike, strict=True)) + math.exp(-most)
    pairs = (sum(map(sum, alike)) - s) / max(s * (s - 1), 1)
    return [*features, pairs, sum(own), float(s), most, max(own), logit_one(max(odds) / whole)]


def fit_pooled(seen: PoolingInput, quality: FloatArray, folds: IntArray, seed: int) -> Pooling:
    """Fits the regressions, once without each fold and once on all.

    Every query is used under many run sets; all its rows are in its own fold.

    Args:
        seen: n queries, all answered by all k models.
        quality: of the answers, in [0, 1], shape (n, k).
        folds: number of each query's fold, shape (n,).
        seed: of the samples of run sets and of queries.
    """
    fit = _PoolingFit(seen, quality, folds, np.random.default_rng(seed))
    classes = range(1, min(_CLASSES, quality.shape[1] - 1) + 1)
    answered = tuple(fit.bank(others, answered=True) for others in classes)
    waiting = tuple(fit.bank(others, answered=False) for others in classes)
    return Pooling(answered, waiting, _resolution(seen))


@dataclass(frozen=True, slots=True)
class _PoolingFit:
    """What the regressions are fitted on; shapes as in `fit_pooled`."""

    seen: PoolingInput
    quality: FloatArray
    folds: IntArray
    rng: np.random.Generator

    def bank(self, others: int, *, answered: bool) -> LogisticBank:
        """Regressions for models that have answered, or wait, beside so many other answers."""
        k = self.quality.shape[1]
        rows: list[list[tuple[FloatArray, IntArray]]] = [[] for _ in range(k)]
        for run, queries in self._samples(others + answered, answered=answered):
            seen = self.seen.at(queries)
            models = run if answered else tuple(i for i in range(k) if i not in run)
            x = answered_features(seen, run) if answered else waiting_features(seen, run, models)
            for at, i in enumerate(models):
                rows[i].append((x[:, at], queries))
        fits = [self._fit(i, model_rows) for i, model_rows in enumerate(rows)]
        return LogisticBank.of(list(zip(*fits, strict=True)))

    def _samples(self, size: int, *, answered: bool) -> Iterator[tuple[tuple[int, ...], IntArray]]:
        """Run sets of that size, and larger ones in the last class, each with a sample of queries.

        The samples are as large as makes about `_MOST_ROWS` rows for each model's regression.
        """
        n, k = self.quality.shape
        last = size - answered == _CLASSES
        largest = (k if k <= _EVERYTHING else _LARGEST) - (not answered and k <= _EVERYTHING)
        sets = [s for m in range(size, (largest if last else size) + 1) for s in self._sets(m)]
        for run in sets:
            share = (len(run) if answered else k - len(run)) / k
            count = int(np.ceil(_MOST_ROWS / (len(sets) * share)))
            queries = np.arange(n)
            yield run, queries if count >= n else self.rng.choice(queries, count, replace=False)

    def _sets(self, size: int) -> list[tuple[int, ...]]:
        """All run sets of that size, or a sample of very many."""
        k = self.quality.shape[1]
        if k <= _EVERYTHING or math.comb(k, size) <= _MOST_SETS:
            return list(combinations(range(k), size))
        sets: dict[tuple[int, ...], None] = {}
        # It goes on until each model is in a set: one that is in none would have no regression.
        while len(sets) < max(_MOST_SETS, k) or len(set().union(*sets)) < k:
            sets[tuple(sorted(self.rng.choice(k, size, replace=False).tolist()))] = None
        return list(sets)

    def _fit(self, i: int, rows: Sequence[tuple[FloatArray, IntArray]]) -> list[Logistic]:
        """One model's regressions: without each fold and on all; rows hold features and queries."""
        x, query = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        labels, folds = self.quality[query, i], self.folds[query]
        # A query used under many run sets is still one query: its rows share its weight.
        strength = _STRENGTH * len(self.quality) / len(x)
        return [
            fit_logistic(x[rows], labels[rows], strength=min(strength, _STRENGTH), rising=1)
            # No query is in the last fold of this range: that fit is on all of them.
            for rows in (folds != fold for fold in range(int(self.folds.max()) + 2))
        ]


def _resolution(seen: PoolingInput) -> FloatArray:
    """Mean squared change of the estimate by the model's own answer, over q (1 - q); shape (k,)."""
    before, after = expit(seen.ante), expit(seen.own)
    room = (before * (1 - before)).sum(axis=0)
    return np.asarray(np.minimum(1.0, ((after - before) ** 2).sum(axis=0) / room))
