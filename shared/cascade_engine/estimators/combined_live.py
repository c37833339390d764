"""What a `CombinedEstimator` says of one query as its answers come in, in plain numbers.

The same mathematics as over arrays, which on a single row cost ten times the arithmetic.
"""

from __future__ import annotations

import math
from itertools import compress
from typing import TYPE_CHECKING

from cascade_engine.estimators.contracts import Following
from cascade_engine.estimators.regression.logistic import expit_one, logit_one
from cascade_engine.estimators.regression.pooling import NONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.answers.canonical_answers import CanonicalAnswer
    from cascade_engine.core.records import Answer, Query
    from cascade_engine.estimators.agreement import Agreement
    from cascade_engine.estimators.combined import CombinedEstimator, Fit
    from cascade_engine.estimators.regression.pooling import Pooling

__all__ = ["CombinedFollowing", "pooled_one"]


class CombinedFollowing(Following):
    """One query, seen by a fitted `CombinedEstimator`."""

    def __init__(self, estimator: CombinedEstimator, fit: Fit, query: Query) -> None:
        self._estimator = estimator
        self._fit = fit
        self._query = query
        k = len(fit.ante)
        said = [[logit_one(p) for p in part.predict_one(query)] for part in fit.before]
        rows = zip(fit.ante, zip(*(said or [[0.0] * k]), strict=True), strict=True)
        self._ante = [model.logit_one([(x,) for x in own]) for model, own in rows]
        self._own = [math.nan] * k
        self._company = None if estimator.agreement is None else _Company(estimator.agreement, k)

    def observe(self, model: int, answer: Answer) -> None:
        """Adds one model's answer."""
        query = self._query
        signals = [signal.read_one(query, answer) for signal in self._estimator.signals]
        first = (self._ante[model], math.log1p(len(answer.text)))
        self._own[model] = self._fit.own[model].logit_one([first, *signals])
        if self._company is not None:
            self._company.join(query, model, answer)

    def estimate(self, run: Sequence[bool]) -> tuple[list[float], list[float]]:
        """Probability of a good answer per model, and the spread of what it may become."""
        pooling = self._fit.pooling
        alike = None if self._company is None else self._company.alike
        quality = [*map(expit_one, pooled_one(pooling, self._ante, self._own, alike, run))]
        shares = zip(quality, pooling.shares, run, strict=True)
        return quality, [0.0 if ran else math.sqrt(s * q * (1 - q)) for q, s, ran in shares]


class _Company:
    """The answers to one query so far, and how far they agree.

    An answer is read once there is another to compare it with: most queries get but one.
    """

    def __init__(self, agreement: Agreement, k: int) -> None:
        self._agreement = agreement
        self._answers: dict[int, Answer] = {}
        self._finals: dict[int, list[CanonicalAnswer]] = {}
        self.alike = [[float(i == j) for j in range(k)] for i in range(k)]

    def join(self, query: Query, model: int, answer: Answer) -> None:
        """Compares a further answer with those before."""
        others = [*self._answers]
        self._answers[model] = answer
        for other in others:
            alike = self._agreement.compare(self._final(query, model), self._final(query, other))
            self.alike[model][other] = self.alike[other][model] = float(alike[0])

    def _final(self, query: Query, model: int) -> list[CanonicalAnswer]:
        if model not in self._finals:
            self._finals[model] = self._agreement.finals([query], [self._answers[model]])
        return self._finals[model]


def pooled_one(
    pooling: Pooling,
    ante: Sequence[float],
    own: Sequence[float],
    alike: Sequence[Sequence[float]] | None,
    run: Sequence[bool],
) -> list[float]:
    """`Pooling.log_odds` of one query, by the regressions fitted on all folds; arguments as there.

    Args:
        pooling: the regressions.
        ante: k log-odds by the query.
        own: k log-odds by the answers too, of models that have run.
        alike: k x k agreement, None where it is not compared.
        run: which of the k models have run.
    """
    out = list(ante)
    held = list(compress(range(len(out)), run))
    if not held:
        return out
    looks = [own[i] for i in held]
    before = [ante[i] for i in held]
    among = None if alike is None else [[alike[i][j] for j in held] for i in held]
    if bank := pooling.after(pooling.answered, len(held) - 1):
        for i, features in zip(held, _answered(looks, before, among), strict=True):
            out[i] = bank.last[i].logit_one(features)
    else:
        out[held[0]] = looks[0]
    if len(held) < len(out) and (bank := pooling.after(pooling.waiting, len(held))):
        shared = _shared(looks, before, among)
        for i in range(len(out)):
            if not run[i]:
                out[i] = bank.last[i].logit_one([ante[i], *shared])
    return out


def _answered(
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
    return [row + more for row, more in zip(rows, _compared(own, alike), strict=True)]


def _compared(own: Sequence[float], alike: Sequence[Sequence[float]]) -> list[list[float]]:
    """What the other answers say of each."""
    s = len(own)
    rows = []
    for i, agree in enumerate(alike):
        theirs = [(agree[j], own[j]) for j in range(s) if j != i]
        rows.append(
            [
                sum(share * x for share, x in theirs),
                sum((1 - share) * x for share, x in theirs),
                sum(share for share, _ in theirs),
                sum(1 - share for share, _ in theirs),
                max([NONE, *(x for share, x in theirs if share > 0.5)]),  # noqa: PLR2004
                max([NONE, *(x for share, x in theirs if 1 - share > 0.5)]),  # noqa: PLR2004
            ]
        )
    pairs = [row[2] for row in rows]
    for row, own_pairs in zip(rows, pairs, strict=True):
        row.append((sum(pairs) - 2 * own_pairs) / max((s - 1) * (s - 2), 1))
    return rows


def _shared(
    own: Sequence[float], ante: Sequence[float], alike: Sequence[Sequence[float]] | None
) -> list[float]:
    """`waiting_features` of one query, but for each model's own."""
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
