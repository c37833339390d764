"""What the answers of several models together say of each: features of a run set, and their fit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.estimators.regression.logistic import (
    MOST,
    Logistic,
    expit,
    fit_logistic,
    logit,
)
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray

#: Regressions of their own for one, for two and for more other answers.
_CLASSES = 3
#: Of more models than the first not all sets are looked at, but the second number of each size.
_EVERYTHING, _MOST_SETS, _LARGEST = 5, 60, 5
#: The most rows a regression is fitted on.
_MOST_ROWS = 20_000
#: Inverse penalty, were every query looked at once.
_STRENGTH = 0.1
#: Log-odds where there is no answer to take the highest of.
NONE = -7.0


@persistent("Pooling.seen")
@dataclass(slots=True)
class Seen:
    """What is known of n queries and k models.

    Attributes:
        ante: log-odds of a good answer by the query, (n, k).
        own: by the query and the answer itself, (n, k); NaN where it has not been seen.
        agreement: of each pair of answers, in [0, 1], (n, k, k); None where it is not compared.
    """

    ante: FloatArray
    own: FloatArray
    agreement: FloatArray | None

    def at(self, rows: IntArray | BoolArray | slice) -> Seen:
        """The same for some of the queries."""
        agreement = None if self.agreement is None else self.agreement[rows]
        return Seen(self.ante[rows], self.own[rows], agreement)


def answered_features(seen: Seen, run: Sequence[int]) -> FloatArray:
    """Features of the s models run, (n, s, a).

    The same for any set of models, so that one regression serves them all: sums and maxima over the
    others' log-odds, those that agree and those that do not apart.
    """
    ante, own = seen.ante[:, run], seen.own[:, run]
    surprise = own - ante
    others = max(own.shape[1] - 1, 1)
    features = [own, ante, (surprise.sum(axis=1, keepdims=True) - surprise) / others]
    if seen.agreement is not None:
        features += _compared(own, seen.agreement[:, run][:, :, run])
    return np.stack(features, axis=2)


def waiting_features(seen: Seen, run: Sequence[int], waiting: Sequence[int]) -> FloatArray:
    """Features of the w models waiting once s have run, at least one, (n, w, b)."""
    own = seen.own[:, run]
    shared = [(own - seen.ante[:, run]).mean(axis=1)]
    if seen.agreement is not None:
        shared += _company(own, seen.agreement[:, run][:, :, run])
    rest = seen.ante[:, waiting]
    again = [np.broadcast_to(one[:, None], rest.shape) for one in shared]
    return np.stack([rest, *again], axis=2)


def _compared(own: FloatArray, alike: FloatArray) -> list[FloatArray]:
    """What the other answers say of each: seven features of shape (n, s)."""
    s = own.shape[1]
    apart = 1 - np.eye(s)
    agree = alike * apart
    differ = (1 - alike) * apart
    theirs = np.broadcast_to(own[:, None, :], agree.shape)
    pairs = agree.sum(axis=2)
    # Agreement among the others: of all pairs less those with this one.
    total = pairs.sum(axis=1, keepdims=True) - 2 * pairs
    return [
        (agree * theirs).sum(axis=2),
        (differ * theirs).sum(axis=2),
        pairs,
        differ.sum(axis=2),
        np.where(agree > 0.5, theirs, NONE).max(axis=2),  # noqa: PLR2004
        np.where(differ > 0.5, theirs, NONE).max(axis=2),  # noqa: PLR2004
        total / max((s - 1) * (s - 2), 1),
    ]


def _company(own: FloatArray, alike: FloatArray) -> list[FloatArray]:
    """What the answers say of a model that has not answered: six features of shape (n,)."""
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
    """How likely each answer is right if at most one of several different answers is, as log-odds.

    Answers that agree are one answer, backed by all who gave it: the posterior of a naive Bayes
    model in which each model backs its answer by its own odds, against none being right. Dependence
    between models is not in it; the regression takes it as one feature among others.

    Returns:
        The log-odds, and the backing of each answer; both (n, s).
    """
    backing = (alike * np.logaddexp(0, own + 1)[:, None, :]).sum(axis=2)
    most = backing.max(axis=1, keepdims=True)
    odds = np.exp(backing - most)
    whole = (odds / alike.sum(axis=2)).sum(axis=1, keepdims=True) + np.exp(-most)
    return logit(odds / whole), backing


@persistent("Pooling.bank")
@dataclass(frozen=True)
class Bank:
    """Logistic regressions for f folds and k models at once; arrays are (f, k, d) or (f, k)."""

    low: FloatArray
    high: FloatArray
    coef: FloatArray
    intercept: FloatArray

    @classmethod
    def of(cls, fits: Sequence[Sequence[Logistic]]) -> Bank:
        """From fits by fold and model."""
        names = ("low", "high", "coef", "intercept")
        return cls(*(np.array([[getattr(f, n) for f in row] for row in fits]) for n in names))

    def logit(self, fold: IntArray, models: Sequence[int], x: FloatArray) -> FloatArray:
        """Log-odds (n, m) from features (n, m, d), each row by its fold's regressions."""
        out = np.empty(x.shape[:2])
        for one in np.unique(fold):
            rows = fold == one
            at = (one, list(models))
            seen = np.minimum(np.maximum(x[rows], self.low[at]), self.high[at])
            out[rows] = (seen * self.coef[at]).sum(axis=2) + self.intercept[at]
        return np.minimum(np.maximum(out, -MOST), MOST)

    @cached_property
    def last(self) -> list[Logistic]:
        """Of each model the regression that is fitted on all folds."""
        arrays = (self.low[-1], self.high[-1], self.coef[-1], self.intercept[-1].tolist())
        return [Logistic(*each) for each in zip(*arrays, strict=True)]


@persistent("Pooling")
@dataclass(frozen=True)
class Pooling:
    """What is learned of several answers together.

    Attributes:
        answered: regressions for models run, by number of other answers (one, two, more).
        waiting: the same for models that have not run.
        resolution: of each model the share of q (1 - q) that its answer resolves, shape (k,).
    """

    answered: tuple[Bank, ...]
    waiting: tuple[Bank, ...]
    resolution: FloatArray

    def log_odds(self, seen: Seen, run: Sequence[int], folds: IntArray) -> FloatArray:
        """Log-odds of a good answer of every model once `run` have answered, shape (n, k).

        With no other answer the estimates stand as they are: they are calibrated.
        """
        out = seen.ante.copy()
        out[:, run] = seen.own[:, run]
        if bank := self.after(self.answered, len(run) - 1):
            out[:, run] = bank.logit(folds, run, answered_features(seen, run))
        rest = [i for i in range(out.shape[1]) if i not in run]
        if rest and (bank := self.after(self.waiting, len(run))):
            out[:, rest] = bank.logit(folds, rest, waiting_features(seen, run, rest))
        return out

    @cached_property
    def shares(self) -> list[float]:
        """`resolution` in plain numbers."""
        shares: list[float] = self.resolution.tolist()
        return shares

    @staticmethod
    def after(banks: Sequence[Bank], others: int) -> Bank | None:
        """The regressions for so many other answers; None where there is none."""
        return banks[min(others, _CLASSES) - 1] if others > 0 else None


def fit_pooled(seen: Seen, quality: FloatArray, folds: IntArray, seed: int) -> Pooling:
    """Fits the regressions, once for each fold without it and once for all.

    Every query is looked at under many run sets; a query's rows are all in its fold.
    """
    fit = _Fitting(seen, quality, folds, np.random.default_rng(seed))
    classes = range(1, min(_CLASSES, quality.shape[1] - 1) + 1)
    answered = tuple(fit.bank(others, answered=True) for others in classes)
    waiting = tuple(fit.bank(others, answered=False) for others in classes)
    return Pooling(answered, waiting, _resolution(seen))


@dataclass(frozen=True, slots=True)
class _Fitting:
    """What the regressions are fitted on, shapes as in `Seen`."""

    seen: Seen
    quality: FloatArray
    folds: IntArray
    rng: np.random.Generator

    def bank(self, others: int, *, answered: bool) -> Bank:
        """Regressions for models that have answered, or wait, beside so many other answers."""
        k = self.quality.shape[1]
        rows: list[list[tuple[FloatArray, IntArray]]] = [[] for _ in range(k)]
        for run, some in self._looks(others + answered, answered=answered):
            seen = self.seen.at(some)
            of = run if answered else tuple(i for i in range(k) if i not in run)
            x = answered_features(seen, run) if answered else waiting_features(seen, run, of)
            for at, i in enumerate(of):
                rows[i].append((x[:, at], some))
        fits = [self._fit(i, own) for i, own in enumerate(rows)]
        return Bank.of(list(zip(*fits, strict=True)))

    def _looks(self, size: int, *, answered: bool) -> Iterator[tuple[tuple[int, ...], IntArray]]:
        """Run sets of that size, and of larger ones in the last class, each with some queries."""
        n, k = self.quality.shape
        last = size - answered == _CLASSES
        largest = (k if k <= _EVERYTHING else _LARGEST) - (not answered and k <= _EVERYTHING)
        sets = [s for m in range(size, (largest if last else size) + 1) for s in self._sets(m)]
        for run in sets:
            share = (len(run) if answered else k - len(run)) / k
            wanted = int(np.ceil(_MOST_ROWS / (len(sets) * share)))
            every = np.arange(n)
            yield run, every if wanted >= n else self.rng.choice(every, wanted, replace=False)

    def _sets(self, size: int) -> list[tuple[int, ...]]:
        """All sets of that size, or of very many a sample."""
        k = self.quality.shape[1]
        if k <= _EVERYTHING or comb(k, size) <= _MOST_SETS:
            return list(combinations(range(k), size))
        some: dict[tuple[int, ...], None] = {}
        # So that each of many models is in one at least.
        while len(some) < max(_MOST_SETS, k) or len(set().union(*some)) < k:
            some[tuple(sorted(self.rng.choice(k, size, replace=False).tolist()))] = None
        return list(some)

    def _fit(self, i: int, rows: Sequence[tuple[FloatArray, IntArray]]) -> list[Logistic]:
        x, query = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        labels, folds = self.quality[query, i], self.folds[query]
        # A query seen under many sets is still one query.
        strength = _STRENGTH * len(self.quality) / len(x)
        return [
            fit_logistic(x[rest], labels[rest], strength=min(strength, _STRENGTH), rising=1)
            for rest in (folds != out for out in range(int(self.folds.max()) + 2))
        ]


def _resolution(seen: Seen) -> FloatArray:
    """Mean square of the step from before an answer to after it, over q (1 - q)."""
    before, after = expit(seen.ante), expit(seen.own)
    room = (before * (1 - before)).sum(axis=0)
    return np.asarray(np.minimum(1.0, ((after - before) ** 2).sum(axis=0) / room))
