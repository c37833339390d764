"""What is believed of many queries in any state, as strategies are tuned and simulated on it.

`Beliefs` come as arrays, from anywhere; `EstimatedBeliefs` from an estimator that has read a data
set. Both are a `BeliefFunction`: called with queries and the models run on each, they return
`Estimates`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.core.arrays import patterns
from cascade_engine.core.checks import check_shape, check_table
from cascade_engine.errors import ConfigurationError, DataError
from cascade_engine.estimators import Estimates
from cascade_engine.storage.registry import persistent
from cascade_engine.strategies.gaussian.covariance import check_covariance

if TYPE_CHECKING:
    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.estimators import QualityEstimator

__all__ = ["Beliefs", "EstimatedBeliefs"]

#: The most numbers of estimates that are kept: 400 MB. More are computed again when needed.
_KEPT = 50_000_000


class Beliefs:
    """What is believed about n queries and k models, for strategies driven by arrays.

    A model that has answered is estimated by its column of `after`, any other by that of `before`.

    Args:
        before: expected quality before the model has answered (ex-ante), shape (n, k).
        after: expected quality once it has answered (post-hoc), shape (n, k).
        cost: expected cost of running each model, shape (n, k) or (k,), >= 0.
        sd: standard deviation of `after` - `before`, shape (n, k) or (k,), >= 0. It is the value of
            asking: 0 says that nothing is learned from the answer.
        cov: instead of `sd`, the covariance of `after` - `before` over the models, shape (k, k) or
            (n, k, k): symmetric and positive semidefinite.
        condition: with `cov`, whether the answers so far move what is believed of the models not
            run, as jointly Gaussian changes would.

    Raises:
        DataError: a shape is wrong, a number is not finite, a cost or sd is negative, or `cov` is
            no covariance.
        ConfigurationError: not exactly one of `sd` and `cov`.
    """

    def __init__(
        self,
        before: object,
        after: object,
        *,
        cost: object,
        sd: object = None,
        cov: object = None,
        condition: bool = True,
    ) -> None:
        n, k = check_shape("before", before)
        self.before = check_table("before", before, (n, k))
        self.after = check_table("after", after, (n, k))
        self.cost = _not_negative("cost", _rows("cost", cost, (n, k)))
        if (sd is None) == (cov is None):
            raise ConfigurationError("pass either sd or cov, the spread of after - before")
        self.cov: FloatArray | None = None
        if cov is None:
            self.sd = _not_negative("sd", _rows("sd", sd, (n, k)))
        else:
            self.cov = _covariances(cov, n, k)
            spread = np.sqrt(np.maximum(np.diagonal(self.cov, axis1=1, axis2=2), 0))
            self.sd = np.ascontiguousarray(np.broadcast_to(spread, (n, k)))
        self.condition = condition

    def __len__(self) -> int:
        return len(self.before)

    @property
    def models(self) -> int:
        """Number of models, k."""
        return int(self.before.shape[1])

    def __call__(self, rows: IntArray, run: BoolArray) -> Estimates:
        """Estimates for queries `rows`, (m,), once the models in `run`, (m, k), have answered."""
        if self.cov is not None:
            return self._correlated(rows, run, self.cov)
        return Estimates(
            np.where(run, self.after[rows], self.before[rows]),
            np.where(run, 0.0, self.sd[rows]),
            self.cost[rows],
        )

    def _correlated(self, rows: IntArray, run: BoolArray, prior: FloatArray) -> Estimates:
        """Estimates by covariances (1, k, k) or (n, k, k), conditioned on the answers so far."""
        quality = np.where(run, self.after[rows], self.before[rows])
        is_shared = len(prior) != len(self)
        cov = np.repeat(prior, len(rows), axis=0) if is_shared else prior[rows]
        cov = np.where(run[:, :, None] | run[:, None, :], 0.0, cov)
        for pattern, members in patterns(run) if self.condition else []:
            if pattern.any() and not pattern.all():
                # The regression of what is left on what was answered, as of any joint Gaussian.
                full = prior if is_shared else prior[rows[members]]
                answered, left = np.flatnonzero(pattern), np.flatnonzero(~pattern)
                across = full[:, left[:, None], answered]
                within = full[:, answered[:, None], answered]
                gain = across @ np.linalg.pinv(within, hermitian=True)
                change = (self.after - self.before)[rows[members]][:, answered]
                quality[members[:, None], left] += (gain * change[:, None, :]).sum(axis=2)
                rest = full[:, left[:, None], left] - gain @ across.transpose(0, 2, 1)
                cov[members[:, None, None], left[:, None], left] = rest
        sd = np.sqrt(np.maximum(np.diagonal(cov, axis1=1, axis2=2), 0.0))
        return Estimates(quality, sd, self.cost[rows], cov)


@persistent(
    "EstimatedBeliefs",
    fields=("_estimator", "_evidence", "_cost"),
    left_out={"_by_pattern": dict},
)
class EstimatedBeliefs:
    """What an estimator says of a data set's queries, kept by the set of models run.

    Args:
        estimator: fitted.
        evidence: what it has read of n queries and all answers to them.
        cost: expected cost of each model, shape (n, k).
    """

    def __init__(self, estimator: QualityEstimator, evidence: Any, cost: FloatArray) -> None:
        self._estimator = estimator
        self._evidence = evidence
        self._cost = cost
        self._by_pattern: dict[bytes, Estimates] = {}

    def dearer(self, by: FloatArray | float) -> EstimatedBeliefs:
        """The same with so much more expected to be paid: for each model, or by query and model."""
        dearer = EstimatedBeliefs(self._estimator, self._evidence, self._cost + by)
        dearer._by_pattern = self._by_pattern
        return dearer

    def __call__(self, rows: IntArray, run: BoolArray) -> Estimates:
        """Estimates for queries `rows`, (m,), once the models in `run`, (m, k), have answered."""
        quality, sd = np.empty(run.shape), np.empty(run.shape)
        for pattern, members in patterns(run):
            estimates = self._after(pattern).at(rows[members])
            quality[members], sd[members] = estimates.quality, estimates.sd
        return Estimates(quality, sd, self._cost[rows])

    def _after(self, pattern: BoolArray) -> Estimates:
        key = pattern.tobytes()
        if key not in self._by_pattern:
            run = np.broadcast_to(pattern, self._cost.shape)
            estimate = self._estimator.estimate(self._evidence, run)
            if 2 * self._cost.size * (len(self._by_pattern) + 1) > _KEPT:
                self._by_pattern.clear()
            self._by_pattern[key] = Estimates(*estimate, self._cost)
        return self._by_pattern[key]


def _rows(what: str, values: object, shape: tuple[int, int]) -> FloatArray:
    """A table of that shape, (n, k), from one or from one row for all queries."""
    try:
        table = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{what} must be numbers of shape {shape} or {shape[1:]}: {error}"
        ) from error
    if table.shape == shape[1:]:
        table = np.tile(table, (shape[0], 1))
    return check_table(what, table, shape)


def _not_negative(what: str, table: FloatArray) -> FloatArray:
    if table.min() < 0:
        row, column = np.argwhere(table < 0)[0]
        raise DataError(f"{what}[{row}, {column}] is {table[row, column]:g}: it must be >= 0")
    return table


def _covariances(cov: object, n: int, k: int) -> FloatArray:
    """Shape (1, k, k) where one serves all queries, else (n, k, k)."""
    try:
        matrices = np.asarray(cov, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"cov must be a matrix of numbers: {error}") from error
    if matrices.shape not in {(k, k), (1, k, k), (n, k, k)}:
        raise DataError(f"cov must have shape {(k, k)} or {(n, k, k)}, not {matrices.shape}")
    return check_covariance("cov", matrices.reshape(-1, k, k))
