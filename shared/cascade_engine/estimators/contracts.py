"""The two contracts of estimation: quality and cost."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cascade_engine._singly import Singly

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
]


@dataclass(frozen=True, slots=True)
class Estimates:
    """What is believed about n queries in the state they are in; every array is (n, k).

    Attributes:
        quality: expected quality of each model's answer.
        sd: standard deviation of what `quality` will become once the model has answered: 0 for a
            model that has. It is the value of asking, and not the error that remains after.
        cost: expected cost of running each model.
        cov: covariance of what the qualities will become, shape (n, k, k), where they are not
            independent; its diagonal is sd squared.
    """

    quality: FloatArray
    sd: FloatArray
    cost: FloatArray
    cov: FloatArray | None = None

    def at(self, rows: IntArray | BoolArray | slice) -> Estimates:
        """The same for some of the queries."""
        cov = None if self.cov is None else self.cov[rows]
        return Estimates(self.quality[rows], self.sd[rows], self.cost[rows], cov)


class QualityEstimator(Singly, ABC):
    """Estimates quality before (ex-ante) and after (post-hoc) any set of models has answered.

    An estimator reads queries and answers once, into *evidence*, and then gives estimates for
    whatever set of models has been run. The same code serves one live query and a whole data set:
    everything has n rows. What the evidence holds is the estimator's own affair; whoever holds it
    passes it back unchanged. A session follows one query, by `follow`.
    """

    counterparts: ClassVar = {"follow": ("begin", "observe", "estimate")}

    @abstractmethod
    def fit(self, data: CascadeDataset) -> Self:
        """Learns from complete data and returns self."""

    @abstractmethod
    def cross_evidence(self) -> Any:
        """Evidence on the fitting data itself, each row by models that have not seen its labels.

        Strategies are tuned on this, never on in-sample estimates.
        """

    def fitted_evidence(self, data: CascadeDataset) -> Any:
        """Evidence on the fitting data by the very fit that sessions go by, labels seen and all.

        It says what a policy will spend, where `cross_evidence` says what that is good for.
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
        """What is estimated of one query, as a session learns of it: the same as over arrays."""
        return _Following(self, query)

    def read(self, data: CascadeDataset) -> Any:
        """Evidence of a whole data set, every answer observed."""
        evidence = self.begin(data.queries)
        for column in range(len(data.models)):
            self.observe(evidence, column, [row[column] for row in data.answers])
        return evidence


class Following(ABC):
    """One query as an estimator sees it while its answers come in; made by `follow`.

    For one session, which observes each model at most once.
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


class _Following(Following):
    """By the methods on many."""

    def __init__(self, estimator: QualityEstimator, query: Query) -> None:
        self._estimator = estimator
        self._evidence = estimator.begin([query])

    def observe(self, model: int, answer: Answer) -> None:
        self._estimator.observe(self._evidence, model, [answer])

    def estimate(self, run: Sequence[bool]) -> tuple[list[float], list[float]]:
        quality, sd = self._estimator.estimate(self._evidence, np.array([run], dtype=bool))
        return quality[0].tolist(), sd[0].tolist()


class ExAnteEstimator(Singly, ABC):
    """Estimates quality from the query alone: what most people call a router.

    It need not be calibrated, nor hold for every query: a `CombinedEstimator` calibrates and
    cross-fits it, weighs it against others, and goes on to learn from the answers.
    """

    counterparts: ClassVar = {"predict_one": ("predict",)}

    @abstractmethod
    def fit(self, data: CascadeDataset) -> Self:
        """Learns from complete data and returns self."""

    @abstractmethod
    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """Expected quality of each model's answer in [0, 1], shape (n, k); NaN where unknown."""

    def predict_one(self, query: Query) -> list[float]:
        """The same for one query: k plain numbers."""
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
        out = np.empty(data.quality.shape)
        for fold in np.unique(folds):
            held = folds == fold
            rest = copy.deepcopy(self).fit(data.take(~held))
            out[held] = rest.predict(
                [q for q, is_held in zip(data.queries, held, strict=True) if is_held]
            )
        return out


class AnswerSignal(Singly, ABC):
    """Numbers read off a single answer, from which a `CombinedEstimator` learns its quality."""

    counterparts: ClassVar = {"read_one": ("read",)}

    @abstractmethod
    def read(self, queries: Sequence[Query], answers: Sequence[Answer]) -> FloatArray:
        """The signal of each answer, shape (n, d).

        A row with a NaN is unknown, which is neither good nor bad: the answer is then judged by
        regressions that do without this signal.
        """

    def read_one(self, query: Query, answer: Answer) -> Sequence[float]:
        """The same of one answer: d plain numbers."""
        signal: list[float] = np.asarray(self.read([query], [answer]), dtype=float)[0].tolist()
        return signal


class CostEstimator(Singly, ABC):
    """Estimates, before it runs, what each model will cost."""

    counterparts: ClassVar = {"predict_one": ("predict",)}

    @abstractmethod
    def fit(self, data: CascadeDataset) -> Self:
        """Learns from complete data and returns self."""

    @abstractmethod
    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """Expected cost of each model on each query, shape (n, k); NaN where it is unknown."""

    def predict_one(self, query: Query) -> list[float]:
        """The same for one query: k plain numbers."""
        cost: list[float] = self.predict([query])[0].tolist()
        return cost

    def cross_predict(self, data: CascadeDataset) -> FloatArray:
        """What strategies are tuned on: estimates on the fitting data, shape (n, k).

        By default `predict`, which serves as long as an estimate hardly follows the cost of any one
        query. What can learn single costs by heart overrides this with fits that leave a query out.
        """
        return self.predict(data.queries)


def rows_where(run: BoolArray) -> list[tuple[tuple[int, ...], BoolArray]]:
    """Groups the rows by the set of models run: (columns run, mask of the rows)."""
    if (run == run[0]).all():  # always so in a session, and in every state of a simulation
        return [(tuple(np.flatnonzero(run[0]).tolist()), np.ones(len(run), dtype=bool))]
    return [
        (tuple(np.flatnonzero(pattern).tolist()), (run == pattern).all(axis=1))
        for pattern in np.unique(run, axis=0)
    ]
