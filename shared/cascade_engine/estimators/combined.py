"""The combiner: every signal, of all models, under any set of models run."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.core.checks import is_whole
from cascade_engine.errors import ConfigurationError, DataError, NotFittedError, PersistenceError
from cascade_engine.estimators.agreement import Agreement
from cascade_engine.estimators.answer_signals import EffortSignal, LogprobSignal, StructureSignal
from cascade_engine.estimators.combined_live import CombinedFollowing
from cascade_engine.estimators.contracts import (
    AnswerSignal,
    ExAnteEstimator,
    Following,
    QualityEstimator,
    rows_where,
)
from cascade_engine.estimators.regression.blocks import BlockLogistic, fit_blocks, fit_few
from cascade_engine.estimators.regression.logistic import expit, group_folds, logit, one_thread
from cascade_engine.estimators.regression.pooling import Pooling, Seen, fit_pooled
from cascade_engine.estimators.text import TextEstimator
from cascade_engine.storage.registry import fitting_data_of, persistent, retire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.answers.canonical_answers import CanonicalAnswer
    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.core.records import Answer, Query
    from cascade_engine.data.dataset import CascadeDataset

__all__ = ["CombinedEstimator"]

_FEWEST = 10


# Of the queries, which are texts, none is kept.
@persistent(
    "CombinedEstimator.evidence", fields=("seen", "finals", "folds"), left_out={"queries": tuple}
)
@dataclass(slots=True)
class _Evidence:
    """What is known of n queries.

    Attributes:
        queries: the queries.
        seen: log-odds and agreement.
        finals: of each model that has been observed, the answers in canonical form.
        folds: which of the fitted regressions are to be used, shape (n,).
    """

    queries: Sequence[Query]
    seen: Seen
    finals: dict[int, list[CanonicalAnswer]]
    folds: IntArray


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


@persistent("CombinedEstimator.fit", version=2, upgrade=_without_correlation)
@dataclass(frozen=True, slots=True)
class Fit:
    """What is learned, in the order in which it is used."""

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

    1. *before*: what the ex-ante estimators say of each model, from the query;
    2. *own*: that, and the signals of the model's own answer;
    3. *pooled*: that, and what the other answers say: who agrees with whom, and how sure each is.

    The third looks at every query under many sets of models run, through features that mean the
    same for any set. One regression per model serves them all, in place of one per set.

    The uncertainty handed to the strategies is that of the estimate to come: quality in [0, 1] of
    mean q has a variance of at most q (1 - q), of which an answer resolves a share, learned.

    Args:
        parts: `ExAnteEstimator`s, `AnswerSignal`s, and at most one `Agreement`. By default
            `TextEstimator()`, `LogprobSignal()`, `EffortSignal()`, `StructureSignal()` and
            `Agreement()`.
        folds: folds of the cross-fitting.
        seed: of the folds and of the sample of run sets.

    Raises:
        ConfigurationError: a part is none of these.
    """

    def __init__(
        self,
        *parts: ExAnteEstimator | AnswerSignal | Agreement,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        if not is_whole(folds) or folds < 2:  # noqa: PLR2004
            raise ConfigurationError(f"cross-fitting needs at least 2 folds, not {folds!r}")
        given = parts or (
            TextEstimator(seed=seed),
            LogprobSignal(),
            EffortSignal(),
            StructureSignal(),
            Agreement(),
        )
        self.before = [part for part in given if isinstance(part, ExAnteEstimator)]
        self.signals = [part for part in given if isinstance(part, AnswerSignal)]
        compared = [part for part in given if isinstance(part, Agreement)]
        if len(compared) > 1 or len(self.before) + len(self.signals) + len(compared) < len(given):
            raise ConfigurationError(
                "a CombinedEstimator takes ex-ante estimators, answer signals and at most one "
                f"Agreement, not {list(given)}"
            )
        self.agreement = compared[0] if compared else None
        self.folds = folds
        self.seed = seed

    def fit(self, data: CascadeDataset) -> CombinedEstimator:
        """Learns from complete data.

        Raises:
            DataError: fewer than 10 distinct queries.
        """
        texts = [query.text for query in data.queries]
        distinct = len(set(texts))
        if distinct < _FEWEST:
            raise DataError(
                f"{distinct} distinct queries are too few to learn from: give at least {_FEWEST} "
                "(a few hundred for estimates worth having)"
            )
        with one_thread():
            self._learn(data, group_folds(texts, self.folds, self.seed))
        return self

    def _learn(self, data: CascadeDataset, folds: IntArray) -> None:
        before = [copy.deepcopy(part).fit(data) for part in self.before]
        crossed = [part.cross_predict(data, folds) for part in self.before]
        said = _ante_blocks(crossed, data.quality.shape)
        ante_fits, ante = fit_few(said, data.quality)
        blocks = [
            self._own_blocks(ante[:, i], data.queries, [row[i] for row in data.answers])
            for i in range(len(data.models))
        ]
        own_fits, own = fit_blocks(blocks, data.quality, folds, rising=1)
        seen = Seen(ante, own, self._compare_all(data))
        pooling = fit_pooled(seen, data.quality, folds, self.seed)
        self._fit = Fit(before, ante_fits, own_fits, pooling)
        self._cross = _Evidence(data.queries, seen, {}, folds)
        self._known = self.begin(data.queries)
        self._known.seen.agreement = seen.agreement
        for i, (length, *signals) in enumerate(blocks):
            first = np.column_stack([self._known.seen.ante[:, i], length[:, 1]])
            self._known.seen.own[:, i] = own_fits[i].logit([first, *signals])

    def _own_blocks(
        self, ante: FloatArray, queries: Sequence[Query], answers: Sequence[Answer]
    ) -> list[FloatArray]:
        length = np.log1p([len(answer.text) for answer in answers])
        return [
            np.column_stack([ante, length]),
            *(signal.read(queries, answers) for signal in self.signals),
        ]

    def _compare_all(self, data: CascadeDataset) -> FloatArray | None:
        if self.agreement is None:
            return None
        k = len(data.models)
        finals = [
            self.agreement.finals(data.queries, [r[i] for r in data.answers]) for i in range(k)
        ]
        return self.agreement.table(finals)

    def _fitted(self) -> Fit:
        try:
            return self._fit
        except AttributeError:
            raise NotFittedError("CombinedEstimator has not been fitted: call fit first") from None

    def cross_evidence(self) -> _Evidence:
        """Out-of-fold evidence on the fitting data."""
        self._fitted()
        cross: _Evidence = fitting_data_of(self, "_cross")
        return cross

    def fitted_evidence(self, data: CascadeDataset) -> _Evidence:
        """Evidence on the fitting data by the fit itself, which has read it already."""
        del data
        self._fitted()
        known: _Evidence = fitting_data_of(self, "_known")
        return known

    def begin(self, queries: Sequence[Query]) -> _Evidence:
        """Evidence from the queries alone."""
        fit = self._fitted()
        n, k = len(queries), len(fit.ante)
        blocks = _ante_blocks([part.predict(queries) for part in fit.before], (n, k))
        ante = np.column_stack([m.logit(own) for m, own in zip(fit.ante, blocks, strict=True)])
        agreement = None if self.agreement is None else np.tile(np.eye(k), (n, 1, 1))
        seen = Seen(ante, np.full((n, k), np.nan), agreement)
        return _Evidence(queries, seen, {}, np.full(n, -1))

    def observe(self, evidence: _Evidence, model: int, answers: Sequence[Answer]) -> None:
        """Adds one model's answers."""
        seen, own = evidence.seen, self._fitted().own[model]
        blocks = self._own_blocks(seen.ante[:, model], evidence.queries, answers)
        seen.own[:, model] = own.logit(blocks)
        if self.agreement is not None and seen.agreement is not None:
            finals = self.agreement.finals(evidence.queries, answers)
            for other, theirs in evidence.finals.items():
                alike = self.agreement.compare(finals, theirs)
                seen.agreement[:, model, other] = seen.agreement[:, other, model] = alike
            evidence.finals[model] = finals

    def estimate(self, evidence: _Evidence, run: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Probability of a good answer per model, and the spread of what it may become."""
        pooling = self._fitted().pooling
        quality = np.empty(run.shape)
        for columns, rows in rows_where(run):
            seen = evidence.seen.at(rows)
            quality[rows] = expit(pooling.log_odds(seen, columns, evidence.folds[rows]))
        spread = pooling.resolution * quality * (1 - quality)
        return quality, np.where(run, 0.0, np.sqrt(spread))

    def follow(self, query: Query) -> Following:
        """One query in plain numbers."""
        return CombinedFollowing(self, self._fitted(), query)


def _ante_blocks(said: Sequence[FloatArray], shape: tuple[int, int]) -> list[list[FloatArray]]:
    """For each model a block for each estimator: its log-odds, or NaN where it says nothing."""
    tables = [logit(table) for table in said] or [np.zeros(shape)]
    return [[table[:, i : i + 1] for table in tables] for i in range(shape[1])]
