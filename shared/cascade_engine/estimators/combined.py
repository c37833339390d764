"""The combiner: every signal, of all models, under any set of models run."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.core.arrays import patterns
from cascade_engine.core.checks import is_whole
from cascade_engine.errors import ConfigurationError, DataError, NotFittedError, PersistenceError
from cascade_engine.estimators.agreement import Agreement
from cascade_engine.estimators.answer_signals import EffortSignal, LogprobSignal, StructureSignal
from cascade_engine.estimators.base import (
    AnswerSignal,
    ExAnteEstimator,
    Following,
    QualityEstimator,
)
from cascade_engine.estimators.regression.blocks import BlockLogistic, fit_blocks, fit_few
from cascade_engine.estimators.regression.logistic import (
    expit,
    expit_one,
    group_folds,
    logit,
    logit_one,
    one_thread,
)
from cascade_engine.estimators.regression.pooling import Pooling, PoolingInput, fit_pooled
from cascade_engine.estimators.text import TextEstimator
from cascade_engine.storage.registry import fitting_data_of, persistent, retire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.answers.canonical_answers import CanonicalAnswer
    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.core.records import Answer, Query
    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.estimators.features.query_text import QueryFeatures

__all__ = ["CombinedEstimator", "LogprobEstimator"]

_FEWEST_QUERIES = 10


def _without_correlation(state: dict[str, Any], version: int) -> dict[str, Any]:
    """The state of version 1, from when estimates could be correlated.

    Raises:
        PersistenceError: they were.
    """
    del version
    if state.pop("correlated", False) or state.pop("correlation", None) is not None:
        raise PersistenceError(
            "this router's estimator was fitted with correlated=True, which is no more: fit the "
            "router again, with CombinedEstimator() or LogprobEstimator(), and save it"
        )
    return state


retire(
    "DifferenceEstimator",
    "fit the router again, with CombinedEstimator() and the default strategy, and save it",
)


# The queries are not saved: texts of users do not belong in a policy.
@persistent(
    "CombinedEstimator.evidence", fields=("seen", "finals", "folds"), left_out={"queries": tuple}
)
@dataclass(slots=True)
class _Evidence:
    """What is known of n queries.

    Attributes:
        queries: the queries.
        seen: log-odds and agreement.
        finals: by model observed, its final answers in the form in which they are compared.
        folds: number of the fold whose regressions are to be used, -1 for those fitted on all
            queries, shape (n,).
    """

    queries: Sequence[Query]
    seen: PoolingInput
    finals: dict[int, list[CanonicalAnswer]]
    folds: IntArray


@persistent("CombinedEstimator.fit", version=2, upgrade=_without_correlation)
@dataclass(frozen=True, slots=True)
class _Fit:
    """What is learned, in the order in which it is used.

    Attributes:
        before: the fitted ex-ante estimators.
        ante: of each model the regression on what they say.
        own: of each model the regression on its own answer.
        pooling: the regressions on several answers.
    """

    before: list[ExAnteEstimator]
    ante: list[BlockLogistic]
    own: list[BlockLogistic]
    pooling: Pooling


#: How a `CombinedEstimator`, or a subclass that adds no attributes, is stored.
_STORED: Any = {
    "version": 2,
    "fields": ("before", "signals", "agreement", "folds", "seed"),
    "fitted": ("_fit",),
    "fitting_data": ("_cross", "_known"),
    "upgrade": _without_correlation,
}


@persistent("CombinedEstimator", **_STORED)
class CombinedEstimator(QualityEstimator):
    """Calibrated probabilities of a good answer, from all signals together.

    Three stages of logistic regression, each on out-of-fold estimates of the one before:

    1. *ante*: what the ex-ante estimators say of each model, from the query;
    2. *own*: that, and the signals of the model's own answer;
    3. *pooling*: that, and what the other answers say: who agrees with whom, and how sure each is.

    The third looks at every query under many sets of models run, through features that mean the
    same for any set. So one regression per model serves all sets, where each set might have had its
    own.

    The uncertainty handed to the strategies is that of the estimate to come: a quality in [0, 1] of
    mean q has a variance of at most q (1 - q), and an answer resolves a share of it that is
    learned.

    Args:
        parts: `ExAnteEstimator`s, `AnswerSignal`s, and at most one `Agreement`. By default
            `TextEstimator()`, `LogprobSignal()`, `EffortSignal()`, `StructureSignal()` and
            `Agreement()`.
        folds: folds of the cross-fitting.
        seed: of the folds and of the sample of run sets.

    Raises:
        ConfigurationError: a part is none of these, or there are fewer than 2 folds.
    """

    def __init__(
        self, *parts: ExAnteEstimator | AnswerSignal | Agreement, folds: int = 5, seed: int = 0
    ) -> None:
        if not is_whole(folds) or folds < 2:  # noqa: PLR2004
            raise ConfigurationError(f"cross-fitting needs at least 2 folds, not {folds!r}")
        parts = parts or (
            TextEstimator(seed=seed),
            LogprobSignal(),
            EffortSignal(),
            StructureSignal(),
            Agreement(),
        )
        self.before = [part for part in parts if isinstance(part, ExAnteEstimator)]
        self.signals = [part for part in parts if isinstance(part, AnswerSignal)]
        agreements = [part for part in parts if isinstance(part, Agreement)]
        count = len(self.before) + len(self.signals) + len(agreements)
        if len(agreements) > 1 or count < len(parts):
            raise ConfigurationError(
                "a CombinedEstimator takes ex-ante estimators, answer signals and at most one "
                f"Agreement, not {list(parts)}"
            )
        self.agreement = agreements[0] if agreements else None
        self.folds = folds
        self.seed = seed

    def fit(self, data: CascadeDataset) -> CombinedEstimator:
        """Learns from complete data.

        Raises:
            DataError: fewer than 10 distinct queries.
        """
        texts = [query.text for query in data.queries]
        distinct = len(set(texts))
        if distinct < _FEWEST_QUERIES:
            raise DataError(
                f"{distinct} distinct queries are too few to learn from: give at least "
                f"{_FEWEST_QUERIES} (a few hundred for estimates worth having)"
            )
        with one_thread():
            self._learn(data, group_folds(texts, self.folds, self.seed))
        return self

    def _learn(self, data: CascadeDataset, folds: IntArray) -> None:
        before = [copy.deepcopy(part).fit(data) for part in self.before]
        crossed = [part.cross_predict(data, folds) for part in self.before]
        ante_fits, ante = fit_few(_ante_blocks(crossed, data.quality.shape), data.quality)
        blocks = [
            self._own_blocks(ante[:, i], data.queries, [row[i] for row in data.answers])
            for i in range(len(data.models))
        ]
        own_fits, own = fit_blocks(blocks, data.quality, folds, rising=1)
        seen = PoolingInput(ante, own, self._agreement_table(data))
        pooling = fit_pooled(seen, data.quality, folds, self.seed)
        self._fit = _Fit(before, ante_fits, own_fits, pooling)
        self._cross = _Evidence(data.queries, seen, {}, folds)
        self._known = self._fitted_evidence(data.queries, blocks, seen.agreement)

    def _fitted_evidence(
        self,
        queries: Sequence[Query],
        blocks: Sequence[Sequence[FloatArray]],
        agreement: FloatArray | None,
    ) -> _Evidence:
        """What `read` would say of the fitting data, from the signals that have been read."""
        evidence = self.begin(queries)
        seen = evidence.seen
        seen.agreement = agreement
        for i, (ante_and_length, *signals) in enumerate(blocks):
            first = np.column_stack([seen.ante[:, i], ante_and_length[:, 1]])
            seen.own[:, i] = self._fit.own[i].logit([first, *signals])
        return evidence

    def _own_blocks(
        self, ante: FloatArray, queries: Sequence[Query], answers: Sequence[Answer]
    ) -> list[FloatArray]:
        """Features of one model's n answers: log-odds by the query and length, then the signals."""
        length = np.log1p([len(answer.text) for answer in answers])
        return [
            np.column_stack([ante, length]),
            *(signal.read(queries, answers) for signal in self.signals),
        ]

    def _agreement_table(self, data: CascadeDataset) -> FloatArray | None:
        agreement = self.agreement
        if agreement is None:
            return None
        columns = ([row[i] for row in data.answers] for i in range(len(data.models)))
        return agreement.table([agreement.finals(data.queries, answers) for answers in columns])

    def _fitted(self) -> _Fit:
        try:
            return self._fit
        except AttributeError:
            raise NotFittedError("CombinedEstimator has not been fitted: call fit first") from None

    def cross_evidence(self) -> _Evidence:
        """Out-of-fold evidence on the fitting data."""
        self._fitted()
        evidence: _Evidence = fitting_data_of(self, "_cross")
        return evidence

    def fitted_evidence(self, data: CascadeDataset) -> _Evidence:
        """Evidence on the fitting data by the final fit, which has read it already."""
        del data
        self._fitted()
        evidence: _Evidence = fitting_data_of(self, "_known")
        return evidence

    def begin(self, queries: Sequence[Query]) -> _Evidence:
        """Evidence from the queries alone."""
        fit = self._fitted()
        n, k = len(queries), len(fit.ante)
        blocks = _ante_blocks([part.predict(queries) for part in fit.before], (n, k))
        ante = np.column_stack([m.logit(own) for m, own in zip(fit.ante, blocks, strict=True)])
        agreement = None if self.agreement is None else np.tile(np.eye(k), (n, 1, 1))
        seen = PoolingInput(ante, np.full((n, k), np.nan), agreement)
        return _Evidence(queries, seen, {}, np.full(n, -1))

    def observe(self, evidence: _Evidence, model: int, answers: Sequence[Answer]) -> None:
        """Adds one model's answers."""
        seen, own = evidence.seen, self._fitted().own[model]
        blocks = self._own_blocks(seen.ante[:, model], evidence.queries, answers)
        seen.own[:, model] = own.logit(blocks)
        if self.agreement is not None and seen.agreement is not None:
            finals = self.agreement.finals(evidence.queries, answers)
            for other, others_finals in evidence.finals.items():
                alike = self.agreement.compare(finals, others_finals)
                seen.agreement[:, model, other] = seen.agreement[:, other, model] = alike
            evidence.finals[model] = finals

    def estimate(self, evidence: _Evidence, run: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Probability of a good answer per model, and the spread of what it may become."""
        pooling = self._fitted().pooling
        quality = np.empty(run.shape)
        for pattern, rows in patterns(run):
            columns, seen = np.flatnonzero(pattern).tolist(), evidence.seen.at(rows)
            quality[rows] = expit(pooling.log_odds(seen, columns, evidence.folds[rows]))
        spread = pooling.resolution * quality * (1 - quality)
        return quality, np.where(run, 0.0, np.sqrt(spread))

    def follow(self, query: Query) -> Following:
        """One query in plain numbers, unless a subclass estimates many in another way."""
        own, plain = type(self), CombinedEstimator
        if (own.begin, own.observe, own.estimate) != (plain.begin, plain.observe, plain.estimate):
            return super().follow(query)
        return _CombinedFollowing(self._fitted(), self.signals, self.agreement, query)


def _ante_blocks(estimates: Sequence[FloatArray], shape: tuple[int, int]) -> list[list[FloatArray]]:
    """For each model a block for each ex-ante estimator: its log-odds, NaN where it is silent.

    Args:
        estimates: of each estimator its qualities, shape (n, k).
        shape: (n, k), for where there is no estimator: all models are then held to be alike.
    """
    tables = [logit(table) for table in estimates] or [np.zeros(shape)]
    return [[table[:, i : i + 1] for table in tables] for i in range(shape[1])]


class _CombinedFollowing(Following):
    """What a `CombinedEstimator` says of one query as its answers come in, in plain numbers.

    The mathematics is that of `begin`, `observe` and `estimate`, which on a single row would spend
    ten times as long on handling arrays as on arithmetic.
    """

    def __init__(
        self, fit: _Fit, signals: list[AnswerSignal], agreement: Agreement | None, query: Query
    ) -> None:
        self._fit = fit
        self._signals = signals
        self._query = query
        k = len(fit.ante)
        log_odds = [[logit_one(p) for p in part.predict_one(query)] for part in fit.before]
        by_model = zip(*(log_odds or [[0.0] * k]), strict=True)
        self._ante = [
            regression.logit_one([(x,) for x in own])
            for regression, own in zip(fit.ante, by_model, strict=True)
        ]
        self._own = [math.nan] * k
        self._agreement = None if agreement is None else _LiveAgreement(agreement, query, k)

    def observe(self, model: int, answer: Answer) -> None:
        """Adds one model's answer."""
        signals = [signal.read_one(self._query, answer) for signal in self._signals]
        first = (self._ante[model], math.log1p(len(answer.text)))
        self._own[model] = self._fit.own[model].logit_one([first, *signals])
        if self._agreement is not None:
            self._agreement.add(model, answer)

    def estimate(self, run: Sequence[bool]) -> tuple[list[float], list[float]]:
        """Probability of a good answer per model, and the spread of what it may become."""
        pooling = self._fit.pooling
        alike = None if self._agreement is None else self._agreement.table
        log_odds = pooling.log_odds_one(self._ante, self._own, alike, run)
        quality = [*map(expit_one, log_odds)]
        shares = zip(quality, pooling.shares, run, strict=True)
        return quality, [0.0 if ran else math.sqrt(s * q * (1 - q)) for q, s, ran in shares]


class _LiveAgreement:
    """How far the answers to one query agree, as they come in.

    Attributes:
        table: agreement of each pair of the k models, 1 on the diagonal.
    """

    def __init__(self, agreement: Agreement, query: Query, k: int) -> None:
        self._agreement = agreement
        self._query = query
        self._answers: dict[int, Answer] = {}
        self._finals: dict[int, list[CanonicalAnswer]] = {}
        self.table = [[float(i == j) for j in range(k)] for i in range(k)]

    def add(self, model: int, answer: Answer) -> None:
        """Compares a further answer with those before."""
        others = [*self._answers]
        self._answers[model] = answer
        for other in others:
            alike = self._agreement.compare(self._final(model), self._final(other))
            self.table[model][other] = self.table[other][model] = float(alike[0])

    def _final(self, model: int) -> list[CanonicalAnswer]:
        # An answer is read only once there is another to compare it with: most queries get but one.
        if model not in self._finals:
            self._finals[model] = self._agreement.finals([self._query], [self._answers[model]])
        return self._finals[model]


@persistent("LogprobEstimator", **_STORED)
class LogprobEstimator(CombinedEstimator):
    """A `CombinedEstimator` that reads log-probabilities, and not what the answers say.

    For answers that cannot be compared: long, creative, or private to the caller.

    Args:
        folds: folds of the cross-fitting; fewer are used when there are fewer queries.
        seed: of the folds and the randomised text projection.
        query_features: how texts become features; `QueryFeatures()` by default.
    """

    def __init__(
        self, *, folds: int = 5, seed: int = 0, query_features: QueryFeatures | None = None
    ) -> None:
        text = TextEstimator(query_features=query_features, seed=seed)
        super().__init__(text, LogprobSignal(), folds=folds, seed=seed)
