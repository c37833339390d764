"""The contracts of estimation. A new estimator or signal is one new file in this package.

1. Derive from the contract that fits:

   - `ExAnteEstimator` judges every model by the query alone: write `fit` and `predict`;
   - `AnswerSignal` reads numbers off one answer: write `read`, or derive from `RowSignal` and
     write `row`, for one answer at a time;
   - `CostEstimator` predicts what each model will cost: write `fit` and `predict`;
   - `QualityEstimator` is what a router goes by, before and after any set of answers. Few need to
     write one: a `CombinedEstimator` makes it of the parts above, calibrated and cross-fitted.

2. Let it be saved: `@persistent("Name", fitted=(...))`, of `cascade_engine.storage.registry`.
3. Export it from `cascade_engine.estimators`.

Methods take n queries at once. Those for a single live query (`predict_one`, `read_one`, `follow`)
say the same; by default they call the methods on many. A class may write them anew in plain
numbers, which for one row are about ten times as fast as arrays. Such a fast path knows the methods
on many of its own class only, so it begins by asking whether a subclass has changed them, and
leaves those to the default; `RowSignal.read_one` shows how.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.errors import NotFittedError
from cascade_engine.estimators.regression.logistic import fold_masks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.core.records import Answer, Query
    from cascade_engine.data.dataset import CascadeDataset

__all__ = [
    "AnswerSignal",
    "CostEstimator",
    "Estimates",
    "ExAnteEstimator",
    "Following",
    "QualityEstimator",
    "RowSignal",
]


@dataclass(frozen=True, slots=True)
class Estimates:
    """What is believed about n queries, each with some of its k models run.

    Attributes:
        quality: expected quality of each model's answer, shape (n, k).
        sd: standard deviation of the change in `quality` that the model's answer will bring, shape
            (n, k); 0 for a model that has answered. It measures what there is to learn by running
            the model, and not the error that remains once it has run.
        cost: expected cost of running each model, shape (n, k).
        cov: covariance of those changes, shape (n, k, k), its diagonal sd squared; None where the
            models' changes are independent.
    """

    quality: FloatArray
    sd: FloatArray
    cost: FloatArray
    cov: FloatArray | None = None

    def at(self, rows: IntArray | BoolArray | slice) -> Estimates:
        """The same for some of the queries."""
        cov = None if self.cov is None else self.cov[rows]
        return Estimates(self.quality[rows], self.sd[rows], self.cost[rows], cov)


class QualityEstimator(ABC):
    """Estimates quality before (ex-ante) and after (post-hoc) any set of models has answered.

    An estimator reads n queries and their answers once, into *evidence*, and then gives estimates
    for whatever set of models has been run. What the evidence holds is for the estimator alone to
    know: callers pass it back as it is. A session follows one query, by `follow`.
    """

    @abstractmethod
    def fit(self, data: CascadeDataset) -> Self:
        """Learns from complete data and returns self."""

    @abstractmethod
    def cross_evidence(self) -> Any:
        """Evidence on the fitting data itself, each row by models that have not seen its labels.

        Strategies are tuned on this, never on in-sample estimates.
        """

    def fitted_evidence(self, data: CascadeDataset) -> Any:
        """Evidence on the fitting data by the final fit, which has seen the labels.

        Sessions go by the same fit, so this says what a policy will spend; `cross_evidence` says
        what quality that buys.

        Args:
            data: what the estimator was fitted on.
        """
        return self.read(data)

    @abstractmethod
    def begin(self, queries: Sequence[Query]) -> Any:
        """Evidence of n queries before any model has answered."""

    @abstractmethod
    def observe(self, evidence: Any, model: int, answers: Sequence[Answer]) -> None:
        """Adds the answers of one model, one for each of the n queries, to the evidence."""

    @abstractmethod
    def estimate(self, evidence: Any, run: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Estimates in the state `run`.

        Args:
            evidence: from `begin` and `observe`.
            run: array of shape (n, k): which models have answered. Answers observed but not in
                `run` must not be used, so that one evidence serves every run set.

        Returns:
            `Estimates.quality` and `Estimates.sd`.
        """

    def follow(self, query: Query) -> Following:
        """Estimates of one live query as its answers come in, equal to those over arrays."""
        return _ArrayFollowing(self, query)

    def read(self, data: CascadeDataset) -> Any:
        """Evidence of a whole data set, every answer observed."""
        evidence = self.begin(data.queries)
        for column in range(len(data.models)):
            self.observe(evidence, column, [row[column] for row in data.answers])
        return evidence


class Following(ABC):
    """Estimates of one live query while its answers come in; made by `follow`.

    It serves one session, which observes each model at most once.
    """

    @abstractmethod
    def observe(self, model: int, answer: Answer) -> None:
        """Adds the answer of one model, by its column."""

    @abstractmethod
    def estimate(self, run: Sequence[bool]) -> tuple[list[float], list[float]]:
        """Quality and sd, as `Estimates` has them, of each of the k models.

        Args:
            run: which of the k models have answered.
        """


class _ArrayFollowing(Following):
    """One query by the estimator's methods on many."""

    def __init__(self, estimator: QualityEstimator, query: Query) -> None:
        self._estimator = estimator
        self._evidence = estimator.begin([query])

    def observe(self, model: int, answer: Answer) -> None:
        self._estimator.observe(self._evidence, model, [answer])

    def estimate(self, run: Sequence[bool]) -> tuple[list[float], list[float]]:
        quality, sd = self._estimator.estimate(self._evidence, np.array([run], dtype=bool))
        return quality[0].tolist(), sd[0].tolist()


class ExAnteEstimator(ABC):
    """Estimates quality from the query alone: what most people call a router.

    It need not be calibrated, nor know something of every query: a `CombinedEstimator` calibrates
    and cross-fits it, weighs it against others, and goes on to learn from the answers.
    """

    @abstractmethod
    def fit(self, data: CascadeDataset) -> Self:
        """Learns from complete data and returns self."""

    @abstractmethod
    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """Expected quality of each model's answer in [0, 1], shape (n, k); NaN where unknown."""

    def predict_one(self, query: Query) -> list[float]:
        """`predict` for one query, as k plain numbers."""
        quality: list[float] = self.predict([query])[0].tolist()
        return quality

    def cross_predict(self, data: CascadeDataset, folds: IntArray) -> FloatArray:
        """`predict` on the fitting data, each row by a copy that was fitted on the other folds.

        Args:
            data: the n queries.
            folds: number of each query's fold, shape (n,).

        Returns:
            Shape (n, k).
        """
        quality = np.empty(data.quality.shape)
        for rows in fold_masks(folds):
            rest = copy.deepcopy(self).fit(data.take(~rows))
            quality[rows] = rest.predict([*compress(data.queries, rows)])
        return quality


class AnswerSignal(ABC):
    """Numbers read off a single answer, from which a `CombinedEstimator` learns its quality."""

    @abstractmethod
    def read(self, queries: Sequence[Query], answers: Sequence[Answer]) -> FloatArray:
        """The signal of each answer, shape (n, d).

        A row with a NaN is unknown, which is neither good nor bad: the answer is then judged by
        regressions that do without this signal.

        Args:
            queries: the n queries.
            answers: one model's answer to each.
        """

    def read_one(self, query: Query, answer: Answer) -> Sequence[float]:
        """`read` for one answer, as d plain numbers."""
        signal: list[float] = np.asarray(self.read([query], [answer]), dtype=float)[0].tolist()
        return signal


class RowSignal(AnswerSignal):
    """A signal that reads its answers one by one."""

    @abstractmethod
    def row(self, query: Query, answer: Answer) -> list[float]:
        """The signal of one answer, d plain numbers; NaN where it is unknown."""

    def read(self, queries: Sequence[Query], answers: Sequence[Answer]) -> FloatArray:
        """The signal of each answer, shape (n, d)."""
        return np.array([self.row(q, a) for q, a in zip(queries, answers, strict=True)])

    def read_one(self, query: Query, answer: Answer) -> Sequence[float]:
        """`row`, unless a subclass reads many in another way."""
        if type(self).read is not RowSignal.read:
            return super().read_one(query, answer)
        return self.row(query, answer)


class CostEstimator(ABC):
    """Estimates what each model will cost before it runs."""

    @abstractmethod
    def fit(self, data: CascadeDataset) -> Self:
        """Learns from complete data and returns self."""

    @abstractmethod
    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """Expected cost of each model on each query, shape (n, k); NaN where it is unknown."""

    def predict_one(self, query: Query) -> list[float]:
        """`predict` for one query, as k plain numbers."""
        cost: list[float] = self.predict([query])[0].tolist()
        return cost

    def cross_predict(self, data: CascadeDataset) -> FloatArray:
        """Estimates on the fitting data that strategies are tuned on, shape (n, k).

        By default `predict`, which is good enough where no single cost moves the fit by much. An
        estimator that may learn single costs by heart leaves each query out of its own fit here.

        Args:
            data: what the estimator was fitted on.
        """
        return self.predict(data.queries)


def check_fitted(estimator: object, attribute: str) -> None:
    """Refuses to go on without an attribute that `fit` sets.

    Raises:
        NotFittedError: it is not there.
    """
    if not hasattr(estimator, attribute):
        raise NotFittedError(f"{type(estimator).__name__} has not been fitted: call fit first")
