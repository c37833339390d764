"""What the answers of several models together say of each: features of a run set, and their fit."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.estimators._logistic import Logistic, expit, fit_logistic, logit
from cascade_engine.estimators._logistic import CERTAINTY as _CERTAINTY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cascade_engine._arrays import FloatArray, IntArray

_EVERYTHING, _MOST_SETS, _LARGEST = 5, 60, 5
_MOST_ROWS = 20_000
#: Log-odds where there is no answer to take the highest of.
_NONE = -7.0


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

    def at(self, rows: IntArray | slice) -> Seen:
        """The same for some of the queries."""
        agreement = None if self.agreement is None else self.agreement[rows]
        return Seen(self.ante[rows], self.own[rows], agreement)


def pooled_features(
    seen: Seen, run: Sequence[int], waiting: Sequence[int]
) -> tuple[FloatArray, FloatArray]:
    """Features of the s models run, (n, s, a), and of the w waiting ones, (n, w, b).

    The same for any set of models, so that one regression serves them all: sums and maxima over the
    others' log-odds, those that agree and those that do not apart.
    """
    ante, own = seen.ante[:, run], seen.own[:, run]
    n, s = own.shape
    surprise = own - ante
    others = max(s - 1, 1)
    answered = [own, ante, (surprise.sum(axis=1, keepdims=True) - surprise) / others]
    shared = [surprise.mean(axis=1) if s else np.zeros(n)]
    if seen.agreement is not None and s:
        alike = seen.agreement[:, run][:, :, run]
        answered += _compared(own, alike)
        shared += _company(own, alike)
    elif seen.agreement is not None:
        shared += [np.zeros(n)] * 4 + [np.full(n, _NONE)] * 2
    rest = seen.ante[:, waiting]
    again = [np.broadcast_to(one[:, None], rest.shape) for one in shared]
    return np.stack(answered, axis=2), np.stack([rest, *again], axis=2)


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
        np.where(agree > 0.5, theirs, _NONE).max(axis=2),  # noqa: PLR2004
        np.where(differ > 0.5, theirs, _NONE).max(axis=2),  # noqa: PLR2004
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


@dataclass(frozen=True, slots=True)
class Bank:
    """Logistic regressions for f folds and k models at once; arrays are (f, k, d) or (f, k)."""

    low: FloatArray
    high: FloatArray
    mean: FloatArray
    scale: FloatArray
    coef: FloatArray
    intercept: FloatArray

    @classmethod
    def of(cls, fits: Sequence[Sequence[Logistic]]) -> Bank:
        """From fits by fold and model."""
        names = ("low", "high", "mean", "scale", "coef", "intercept")
        return cls(*(np.array([[getattr(f, n) for f in row] for row in fits]) for n in names))

    def logit(self, fold: IntArray, models: Sequence[int], x: FloatArray) -> FloatArray:
        """Log-odds (n, m) from features (n, m, d), each row by its fold's regressions."""
        out = np.empty(x.shape[:2])
        for one in np.unique(fold):
            rows = fold == one
            at = (one, list(models))
            seen = np.clip(x[rows], self.low[at], self.high[at])
            slope = self.coef[at] / self.scale[at]
            out[rows] = ((seen - self.mean[at]) * slope).sum(axis=2) + self.intercept[at]
        ceiling = -float(logit(_CERTAINTY))
        return np.clip(out, -ceiling, ceiling)


def fit_pooled(
    seen: Seen, quality: FloatArray, folds: IntArray, seed: int
) -> tuple[Bank, Bank, FloatArray]:
    """Fits the regressions of answered and of waiting models, once for each fold and once for all.

    Every query is looked at under many run sets; a query's rows are all in its fold.

    Returns:
        The two banks, whose last row is fitted on everything, and of each model the share of
        q (1 - q) that its answer resolves, shape (k,).
    """
    k = quality.shape[1]
    looks = list(_looks(seen, quality, folds, seed))
    answered: list[list[Logistic]] = [[] for _ in range(int(folds.max()) + 2)]
    waiting: list[list[Logistic]] = [[] for _ in answered]
    for bank, kind in ((answered, 0), (waiting, 1)):
        for i in range(k):
            x, y, fold = (np.concatenate(parts) for parts in zip(*_rows(looks, i, kind), strict=True))
            for out, fits in enumerate(bank):
                rows = fold != out
                fits.append(fit_logistic(x[rows], y[rows], rising=1))
    banks = Bank.of(answered), Bank.of(waiting)
    return *banks, _resolution(seen, folds, *banks)


@dataclass(frozen=True, slots=True)
class _Look:
    """Some queries under one run set."""

    run: tuple[int, ...]
    waiting: tuple[int, ...]
    answered_x: FloatArray
    waiting_x: FloatArray
    labels: FloatArray
    folds: IntArray


def _looks(seen: Seen, quality: FloatArray, folds: IntArray, seed: int) -> Iterator[_Look]:
    n, k = quality.shape
    rng = np.random.default_rng(seed)
    sets = _run_sets(k, rng)
    share = min(1.0, _MOST_ROWS / (n * len(sets) / 2))
    for run in sets:
        rows = np.arange(n) if share == 1 else np.flatnonzero(rng.random(n) < share)
        rest = tuple(i for i in range(k) if i not in run)
        x = pooled_features(seen.at(rows), run, rest)
        yield _Look(run, rest, *x, quality[rows], folds[rows])


def _rows(
    looks: Sequence[_Look], i: int, kind: int
) -> Iterator[tuple[FloatArray, FloatArray, IntArray]]:
    """Features, labels and folds of model i, where it has answered (kind 0) or waits (1)."""
    for look in looks:
        among, x = ((look.run, look.answered_x), (look.waiting, look.waiting_x))[kind]
        if i in among:
            yield x[:, among.index(i)], look.labels[:, i], look.folds


def _run_sets(k: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """All sets of up to five models; of more models none, each alone, and a sample."""
    if k <= _EVERYTHING:
        return [s for size in range(k + 1) for s in combinations(range(k), size)]
    sets: dict[tuple[int, ...], None] = dict.fromkeys([(), *((i,) for i in range(k))])
    everyone = range(_MOST_SETS + 2 * k)
    for _ in everyone:
        size = int(rng.integers(2, _LARGEST + 1))
        sets[tuple(sorted(rng.choice(k, size, replace=False).tolist()))] = None
    return list(sets)


def _resolution(seen: Seen, folds: IntArray, answered: Bank, waiting: Bank) -> FloatArray:
    """Mean square of the step from the estimate before an answer to the one after, over q (1 - q).

    Taken from no answer to one, out of fold.
    """
    k = seen.ante.shape[1]
    everyone = range(k)
    _, x = pooled_features(seen, (), everyone)
    before = expit(waiting.logit(folds, everyone, x))
    after = np.empty_like(before)
    for i in everyone:
        x, _ = pooled_features(seen, (i,), ())
        after[:, i] = expit(answered.logit(folds, (i,), x))[:, 0]
    room = (before * (1 - before)).sum(axis=0)
    return np.minimum(1.0, ((after - before) ** 2).sum(axis=0) / room)
