"""What the next model would gain over the answer held, estimated as one number."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cascade_engine.core.arrays import highest
from cascade_engine.core.checks import is_whole
from cascade_engine.errors import ConfigurationError, NotFittedError
from cascade_engine.estimators.combined import CombinedEstimator
from cascade_engine.estimators.contracts import QualityEstimator, rows_where
from cascade_engine.estimators.regression.logistic import standards
from cascade_engine.storage.registry import kept, persistent
from cascade_engine.strategies.value_iteration import ridge
from cascade_engine.strategies.values import features

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine.core.arrays import BoolArray, FloatArray
    from cascade_engine.core.records import Answer, Query
    from cascade_engine.data.dataset import CascadeDataset

__all__ = ["DifferenceEstimator"]

#: The most sets of answers held that differences are learned for.
_SETS = 500


@persistent("DifferenceEstimator.state")
class _State(NamedTuple):
    """A regression of the gains of the models not run, given a set of answers.

    Attributes:
        mean: of the features, shape (d,).
        scale: of the features, shape (d,).
        coef: the intercepts, then the slopes, shape (1 + d, r).
    """

    mean: FloatArray
    scale: FloatArray
    coef: FloatArray

    def gains(self, x: FloatArray) -> FloatArray:
        """Of features (n, d); shape (n, r)."""
        return np.asarray(self.coef[0] + ((x - self.mean) / self.scale) @ self.coef[1:])


@persistent("DifferenceEstimator.evidence")
@dataclass(frozen=True, slots=True)
class _Evidence:
    """What the estimator below knows, and on its fitting data the gains predicted without the row.

    Attributes:
        base: evidence of the estimator below.
        gains: by models run, shape (n, r); empty on any other data.
    """

    base: Any
    gains: Mapping[tuple[int, ...], FloatArray]


@persistent(
    "DifferenceEstimator",
    fields=("base", "max_answers"),
    fitted=("_fitted_base", "_states"),
    fitting_data=("_cross",),
)
class DifferenceEstimator(QualityEstimator):
    """Estimates how much better another model would do than the best answer held.

    Deferring by the confidence in one's own answer is blind to whether the next model would do any
    better; what counts is the difference (Jitkrittum et al., 'When Does Confidence-Based Cascade
    Deferral Suffice?', NeurIPS 2023). Taken between two estimates it has the noise of both. Here it
    is learned: once models have answered, each further model is held to be as good as the best
    answer, and the difference added, regressed on all that is believed.

    `FittedValueIteration`, the default strategy, learns such differences itself, over several
    steps and net of cost: this is for strategies that do not. Where the estimates below know which
    answers agree it gained nothing on recorded answers: measure it on yours.

    Args:
        base: what estimates each model by itself, `CombinedEstimator()` by default.
        max_answers: of up to so many answers differences are learned; with more the estimates below
            stand as they are.

    Raises:
        ConfigurationError: `max_answers` is no whole number of at least 1.
    """

    def __init__(self, base: QualityEstimator | None = None, *, max_answers: int = 2) -> None:
        if not is_whole(max_answers) or max_answers < 1:
            raise ConfigurationError(f"max_answers must be an integer >= 1, not {max_answers!r}")
        self.base = base or CombinedEstimator()
        self.max_answers = max_answers

    def fit(self, data: CascadeDataset) -> DifferenceEstimator:
        """Learns from complete data and returns self."""
        base = copy.deepcopy(self.base).fit(data)
        evidence = base.cross_evidence()
        states: dict[tuple[int, ...], _State] = {}
        gains: dict[tuple[int, ...], FloatArray] = {}
        for run in self._sets(len(data.models)):
            mask = np.zeros(data.quality.shape, dtype=bool)
            mask[:, run] = True
            quality = base.estimate(evidence, mask)[0]
            best = np.asarray(run)[quality[:, list(run)].argmax(axis=1)]
            waiting = [i for i in range(quality.shape[1]) if i not in run]
            true = data.quality[:, waiting] - data.quality[np.arange(len(best)), best][:, None]
            x = _features(quality, run)
            mean, scale = standards(x)
            coef, gains[run] = ridge((x - mean) / scale, true)
            states[run] = _State(mean, scale, coef)
        self._fitted_base, self._states = base, states
        self._cross = _Evidence(evidence, gains)
        return self

    def _sets(self, k: int) -> list[tuple[int, ...]]:
        """Sets of answers that leave a model waiting; larger ones where they are not too many."""
        found: list[tuple[int, ...]] = []
        for size in range(1, min(self.max_answers, k - 1) + 1):
            if size > 1 and len(found) + comb(k, size) > _SETS:
                break
            found += combinations(range(k), size)
        return found

    def _fit_below(self) -> QualityEstimator:
        try:
            return self._fitted_base
        except AttributeError:
            raise NotFittedError(
                "DifferenceEstimator has not been fitted: call fit first"
            ) from None

    def cross_evidence(self) -> _Evidence:
        """Out-of-fold evidence on the fitting data."""
        self._fit_below()
        cross: _Evidence = kept(self, "_cross")
        return cross

    def fitted_evidence(self, data: CascadeDataset) -> _Evidence:
        """As below."""
        return _Evidence(self._fit_below().fitted_evidence(data), {})

    def begin(self, queries: Sequence[Query]) -> _Evidence:
        """Evidence from the queries alone."""
        return _Evidence(self._fit_below().begin(queries), {})

    def observe(self, evidence: _Evidence, model: int, answers: Sequence[Answer]) -> None:
        """Adds one model's answers."""
        self._fit_below().observe(evidence.base, model, answers)

    def estimate(self, evidence: _Evidence, run: BoolArray) -> tuple[FloatArray, FloatArray]:
        """As below, but for models not run: the best answer's quality and the gain over it."""
        quality, sd = self._fit_below().estimate(evidence.base, run)
        quality = quality.copy()
        for columns, rows in rows_where(run):
            state = self._states.get(columns)
            if state is None:
                continue
            here = quality[rows]
            known = evidence.gains.get(columns)
            gain = state.gains(_features(here, columns)) if known is None else known[rows]
            waiting = [i for i in range(run.shape[1]) if i not in columns]
            held = highest(here[:, list(columns)])[:, None]
            here[:, waiting] = np.clip(held + gain, 0.0, 1.0)
            quality[rows] = here
        return quality, sd

    def correlation(self, run: BoolArray) -> FloatArray | None:
        """As below."""
        return self._fit_below().correlation(run)


def _features(quality: FloatArray, run: Sequence[int]) -> FloatArray:
    """What a gain depends on: every estimate, the best answer held, their products; (n, d)."""
    return features(quality, np.ones(quality.shape), run, range(quality.shape[1]))
