"""What is believed of many queries in any state: given as arrays, or by an estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.core.arrays import patterns
from cascade_engine.core.checks import check_shape, check_table
from cascade_engine.errors import ConfigurationError, DataError
from cascade_engine.estimators import Estimates
from cascade_engine.storage.registry import persistent
from cascade_engine.strategies.gaussian.correlated import check_covariance

if TYPE_CHECKING:
    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.estimators import QualityEstimator

__all__ = ["Beliefs", "EstimatedBeliefs"]

#: So many estimates are kept at most: 400 MB. More are worked out again when they are needed.
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
        condition: with `cov`, whether the answers seen so far move what is believed of the models
            not run, as jointly Gaussian changes would.

    Raises:
        DataError: a shape is wrong, a number is not finite, a cost or sd is negative, or the
            covariance is none.
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

    def _correlated(self, rows: IntArray, run: BoolArray, every: FloatArray) -> Estimates:
        quality = np.where(run, self.after[rows], self.before[rows])
        cov = every[rows] if len(every) == len(self) else np.repeat(every, len(rows), axis=0)
        cov = np.where(run[:, :, None] | run[:, None, :], 0.0, cov)
        for pattern, here in patterns(run) if self.condition else []:
            if pattern.any() and not pattern.all():
                which = rows[here] if len(every) == len(self) else np.zeros(1, dtype=np.intp)
                seen, left = np.flatnonzero(pattern), np.flatnonzero(~pattern)
                full = every[which]
                across = full[:, left[:, None], seen]
                gain = across @ np.linalg.pinv(full[:, seen[:, None], seen], hermitian=True)
                moved = (self.after - self.before)[rows[here]][:, seen]
                quality[here[:, None], left] += (gain * moved[:, None, :]).sum(axis=2)
                within = full[:, left[:, None], left] - gain @ across.transpose(0, 2, 1)
                cov[here[:, None, None], left[:, None], left] = within
        sd = np.sqrt(np.maximum(np.diagonal(cov, axis1=1, axis2=2), 0.0))
        return Estimates(quality, sd, self.cost[rows], cov)


@persistent(
    "EstimatedBeliefs",
    fields=("_estimator", "_evidence", "_cost"),
    left_out={"_known": dict},
)
class EstimatedBeliefs:
    """What an estimator says of a data set's queries, kept by set of models run."""

    def __init__(self, estimator: QualityEstimator, evidence: Any, cost: FloatArray) -> None:
        self._estimator = estimator
        self._evidence = evidence
        self._cost = cost
        self._known: dict[bytes, Estimates] = {}

    def dearer(self, by: FloatArray | float) -> EstimatedBeliefs:
        """The same with so much more expected to be paid for each model."""
        other = EstimatedBeliefs(self._estimator, self._evidence, self._cost + by)
        other._known = self._known
        return other

    def __call__(self, rows: IntArray, run: BoolArray) -> Estimates:
        """As `Beliefs` has it, estimated pattern by pattern of the models run."""
        quality, sd = np.empty(run.shape), np.empty(run.shape)
        for pattern, here in patterns(run):
            known = self._after(pattern).at(rows[here])
            quality[here], sd[here] = known.quality, known.sd
        return Estimates(quality, sd, self._cost[rows])

    def _after(self, pattern: BoolArray) -> Estimates:
        key = pattern.tobytes()
        if key not in self._known:
            run = np.broadcast_to(pattern, self._cost.shape)
            estimate = self._estimator.estimate(self._evidence, run)
            if 2 * self._cost.size * (len(self._known) + 1) > _KEPT:
                self._known.clear()
            self._known[key] = Estimates(*estimate, self._cost)
        return self._known[key]


def _rows(what: str, values: object, shape: tuple[int, int]) -> FloatArray:
    """A table of that shape, from one or from one row for all."""
    try:
        given = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{what} must be numbers of shape {shape} or {shape[1:]}: {error}"
        ) from error
    every = np.tile(given, (shape[0], 1)) if given.shape == shape[1:] else given
    return check_table(what, every, shape)


def _not_negative(what: str, table: FloatArray) -> FloatArray:
    if table.min() < 0:
        row, column = np.argwhere(table < 0)[0]
        raise DataError(f"{what}[{row}, {column}] is {table[row, column]:g}: it must be >= 0")
    return table


def _covariances(cov: object, n: int, k: int) -> FloatArray:
    """Shape (1, k, k) where one serves all queries, else (n, k, k)."""
    try:
        given = np.asarray(cov, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"cov must be a matrix of numbers: {error}") from error
    every = given[None] if given.ndim == 2 else given  # noqa: PLR2004
    if every.shape not in {(1, k, k), (n, k, k)}:
        raise DataError(f"cov must have shape {(k, k)} or {(n, k, k)}, not {given.shape}")
    return check_covariance("cov", every)
