"""Quality from the query's text and the answers' log-probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cascade_engine.errors import ConfigurationError, DataError, NotFittedError
from cascade_engine.estimators._base import QualityEstimator, rows_where
from cascade_engine.estimators._logistic import (
    Logistic,
    cross_logit,
    expit,
    fit_logistic,
    group_folds,
    log_loss,
    one_thread,
)
from cascade_engine.estimators._logprob_features import KNOWN_WITHOUT_LOGPROBS, logprob_features
from cascade_engine.estimators._query_features import QueryFeatures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cascade_engine._arrays import BoolArray, FloatArray, IntArray
    from cascade_engine._dataset import CascadeDataset
    from cascade_engine._types import Answer, Query

__all__ = ["LogprobEstimator"]

_STRENGTHS = (0.003, 0.03, 0.3, 3.0)
_MOST_SETS = 32


@dataclass(slots=True)
class _Evidence:
    """Log-odds that each answer is good: before it is seen, and by its own log-probs; (n, k)."""

    ante: FloatArray
    own: FloatArray


@dataclass(frozen=True, slots=True)
class _Model:
    """What is learned about one model, in the order in which it is used."""

    ante: Logistic  # from the query
    calibration: Logistic  # Platt scaling of `ante`, on cross-fitted predictions
    fill: FloatArray  # mean log-prob features, standing in for unknown ones
    own: Logistic  # from `ante` and the answer's log-probs
    blind: Logistic  # in its place where log-probs are unknown: from `ante` and the answer's length
    waiting: Logistic  # from `ante` and the others' surprise
    answered: Logistic  # from `own` and the others' surprise
    resolution: float  # share of q (1 - q) that answering resolves


class _Own(NamedTuple):
    """Of each model: what stands in for unknown features, and the fits with and without them."""

    fill: list[FloatArray]
    seen: list[Logistic]
    blind: list[Logistic]


class LogprobEstimator(QualityEstimator):
    """Calibrated probabilities of a good answer, before and after models have answered.

    Ex-ante: logistic regression per model on features of the query's text, Platt-scaled.
    Post-hoc: logistic regression on the ex-ante log-odds and a summary of the answer's token
    log-probabilities. What one model's answer says of another (a hard query is hard for all)
    enters through the mean *surprise* of the models run, their post-hoc minus their ex-ante
    log-odds: one regression per model serves every run set, instead of one per set.

    Everything is cross-fitted: each stage learns from out-of-fold predictions of the stage before,
    and `cross_evidence` gives the strategies out-of-fold predictions to be tuned on. The last
    stage (three parameters) is the one exception. Where log-probs are unknown, a regression without
    them stands in, so that they neither raise nor lower the estimate.

    The uncertainty handed to the strategies is that of the estimate to come: quality in [0, 1]
    with mean q has a variance of at most q (1 - q), of which a share (`resolution`, learned) is
    resolved by seeing the answer.

    Args:
        folds: folds of the cross-fitting; fewer are used when there are fewer queries.
        seed: of the folds and the randomised text projection.
        query_features: how texts become features; `QueryFeatures()` by default.
    """

    def __init__(
        self, *, folds: int = 5, seed: int = 0, query_features: QueryFeatures | None = None
    ) -> None:
        if folds < 2:  # noqa: PLR2004
            raise ConfigurationError(f"cross-fitting needs at least 2 folds, not {folds}")
        self.folds = folds
        self.seed = seed
        self.query_features = query_features or QueryFeatures(seed=seed)

    def fit(self, data: CascadeDataset) -> LogprobEstimator:
        """Learns from complete data.

        Raises:
            DataError: fewer than 10 distinct queries.
        """
        texts = [query.text for query in data.queries]
        distinct = len(set(texts))
        if distinct < 10:  # noqa: PLR2004
            raise DataError(
                f"{distinct} distinct queries are too few to learn from: give at least 10 "
                "(a few hundred for estimates worth having)"
            )
        with one_thread():
            folds = group_folds(texts, self.folds, self.seed)
            text_features = self.query_features.fit(texts).transform(texts)
            fits, ante = _fit_ante(text_features, data.quality, folds)
            own_fits, own = _fit_own(ante, data, folds)
            self._cross = _Evidence(ante, own)
            pooled = _fit_pooled(self._cross, data.quality, self.seed)
        self._models = [_Model(*parts) for parts in zip(*fits, *own_fits, *pooled, strict=True)]
        return self

    def _fitted(self) -> list[_Model]:
        try:
            return self._models
        except AttributeError:
            raise NotFittedError("LogprobEstimator has not been fitted: call fit first") from None

    def cross_evidence(self) -> _Evidence:
        """Out-of-fold evidence on the fitting data."""
        self._fitted()
        return self._cross

    def begin(self, queries: Sequence[Query]) -> _Evidence:
        """Evidence from the queries' texts alone."""
        models = self._fitted()
        features = self.query_features.transform([query.text for query in queries])
        ante = np.stack(
            [m.calibration.logit(m.ante.logit(features)[:, None]) for m in models], axis=1
        )
        return _Evidence(ante, np.full_like(ante, np.nan))

    def observe(self, evidence: _Evidence, model: int, answers: Sequence[Answer]) -> None:
        """Adds one model's answers."""
        fitted = self._fitted()[model]
        signals, ante = logprob_features(answers), evidence.ante[:, model]
        evidence.own[:, model] = np.where(
            np.isnan(signals).any(axis=1),
            fitted.blind.logit(_blind_features(ante, signals)),
            fitted.own.logit(_own_features(ante, signals, fitted.fill)),
        )

    def estimate(self, evidence: _Evidence, run: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Probability of a good answer per model, and the spread of what it may become."""
        models = self._fitted()
        quality, sd = np.empty(run.shape), np.zeros(run.shape)
        for columns, rows in rows_where(run):
            for i, model in enumerate(models):
                others = _surprise(evidence, columns, i, rows)
                if i in columns:
                    log_odds = model.answered.logit(
                        np.column_stack([evidence.own[rows, i], others])
                    )
                    quality[rows, i] = expit(log_odds)
                    continue
                # Before any answer the ex-ante estimate stands: it is calibrated as it is.
                log_odds = evidence.ante[rows, i]
                if columns:
                    log_odds = model.waiting.logit(np.column_stack([log_odds, others]))
                p = expit(log_odds)
                quality[rows, i] = p
                sd[rows, i] = np.sqrt(model.resolution * p * (1 - p))
        return quality, sd


def _fit_ante(
    features: FloatArray, quality: FloatArray, folds: IntArray
) -> tuple[tuple[list[Logistic], list[Logistic]], FloatArray]:
    """The ex-ante stage.

    Returns:
        For each model its fit and its Platt scaling; and calibrated out-of-fold log-odds (n, k).
    """
    fits, raw = _fit_each([features] * quality.shape[1], quality, folds)
    columns = raw.T[:, :, None]
    platt = [fit_logistic(x, y, rising=True) for x, y in zip(columns, quality.T, strict=True)]
    out = [p.logit(x) for p, x in zip(platt, columns, strict=True)]
    return (fits, platt), np.column_stack(out)


def _fit_own(ante: FloatArray, data: CascadeDataset, folds: IntArray) -> tuple[_Own, FloatArray]:
    """The stage of each answer's own signals; its fits, and its out-of-fold log-odds (n, k)."""
    fills, seen, blind, unknown = [], [], [], []
    for i in range(len(data.models)):
        signals = logprob_features([row[i] for row in data.answers])
        known = ~np.isnan(signals).any(axis=1)
        fill = signals[known].mean(axis=0) if known.any() else np.zeros(signals.shape[1])
        fills.append(fill)
        seen.append(_own_features(ante[:, i], signals, fill))
        blind.append(_blind_features(ante[:, i], signals))
        unknown.append(~known)
    seen_fits, out = _fit_each(seen, data.quality, folds)
    blind_fits, without = _fit_each(blind, data.quality, folds)
    return _Own(fills, seen_fits, blind_fits), np.where(np.column_stack(unknown), without, out)


def _fit_pooled(
    cross: _Evidence, quality: FloatArray, seed: int
) -> tuple[list[Logistic], list[Logistic], list[float]]:
    """The stage of the others' surprise: for each model waiting, answered and resolution."""
    k = quality.shape[1]
    sets = list(_run_sets(k, seed))
    waiting, answered, resolution = [], [], []
    for i in range(k):
        without = [s for s in sets if i not in s] or [()]
        waiting.append(_fit_stage(cross.ante[:, i], cross, without, i, quality[:, i]))
        answered.append(_fit_stage(cross.own[:, i], cross, [*without, ()], i, quality[:, i]))
        resolution.append(_resolution(cross, [*without, ()], i, waiting[i], answered[i]))
    return waiting, answered, resolution


def _best_strength(
    features: Sequence[FloatArray], quality: FloatArray, folds: IntArray
) -> tuple[float, FloatArray]:
    """The penalty under which the models together predict held-out labels best.

    Returns:
        It, and the out-of-fold log-odds (n, k) under it.
    """
    tried = {
        strength: np.column_stack(
            [
                cross_logit(x, y, folds, strength=strength)
                for x, y in zip(features, quality.T, strict=True)
            ]
        )
        for strength in _STRENGTHS
    }
    best = min(tried, key=lambda strength: log_loss(tried[strength], quality))
    return best, tried[best]


def _fit_each(
    features: Sequence[FloatArray], quality: FloatArray, folds: IntArray
) -> tuple[list[Logistic], FloatArray]:
    """One fit for each model, and the out-of-fold log-odds (n, k)."""
    strength, out = _best_strength(features, quality, folds)
    fits = [fit_logistic(x, y, strength=strength) for x, y in zip(features, quality.T, strict=True)]
    return fits, out


def _blind_features(ante: FloatArray, signals: FloatArray) -> FloatArray:
    return np.column_stack([ante, signals[:, KNOWN_WITHOUT_LOGPROBS]])


def _own_features(ante: FloatArray, signals: FloatArray, fill: FloatArray) -> FloatArray:
    unknown = np.isnan(signals).any(axis=1)
    return np.column_stack(
        [ante, np.where(np.isnan(signals), fill, signals), unknown.astype(float)]
    )


def _surprise(
    evidence: _Evidence, columns: Sequence[int], model: int, rows: BoolArray | slice
) -> FloatArray:
    """Mean post-hoc minus ex-ante log-odds over the models run, `model` itself left out."""
    others = [j for j in columns if j != model]
    if not others:
        return np.zeros(len(evidence.ante[rows]))
    return np.asarray((evidence.own[rows][:, others] - evidence.ante[rows][:, others]).mean(axis=1))


def _run_sets(k: int, seed: int) -> Iterator[tuple[int, ...]]:
    """All non-empty sets of up to five models, else a sample of them."""
    everything = 5
    if k <= everything:
        for size in range(1, k + 1):
            yield from combinations(range(k), size)
        return
    rng = np.random.default_rng(seed)
    for _ in range(_MOST_SETS):
        size = int(rng.integers(1, k))
        yield tuple(sorted(rng.choice(k, size, replace=False).tolist()))


def _fit_stage(
    base: FloatArray,
    cross: _Evidence,
    sets: Sequence[tuple[int, ...]],
    model: int,
    labels: FloatArray,
) -> Logistic:
    features = [np.column_stack([base, _surprise(cross, s, model, slice(None))]) for s in sets]
    return fit_logistic(np.concatenate(features), np.tile(labels, len(sets)), rising=True)


def _resolution(
    cross: _Evidence,
    sets: Sequence[tuple[int, ...]],
    model: int,
    waiting: Logistic,
    answered: Logistic,
) -> float:
    """Mean square of the step from the estimate before to the one after, over q (1 - q)."""
    step, room = 0.0, 0.0
    for s in sets:
        others = _surprise(cross, s, model, slice(None))
        before = cross.ante[:, model]
        if s:
            before = waiting.logit(np.column_stack([before, others]))
        p = expit(before)
        after = expit(answered.logit(np.column_stack([cross.own[:, model], others])))
        step += float(((after - p) ** 2).sum())
        room += float((p * (1 - p)).sum())
    return min(1.0, step / room)
