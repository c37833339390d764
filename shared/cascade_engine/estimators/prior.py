"""Quality before any fit: priors from the order, and a conservative log-probability rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.answers.certain_failures import certainly_fails
from cascade_engine.answers.refusals import refuses
from cascade_engine.errors import ConfigurationError
from cascade_engine.estimators.base import QualityEstimator
from cascade_engine.estimators.features.logprobs import confidence
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.core.arrays import BoolArray, FloatArray
    from cascade_engine.core.records import Answer, Query
    from cascade_engine.data.dataset import CascadeDataset

__all__ = ["PriorEstimator"]


@dataclass(slots=True)
class _Evidence:
    """The queries, and the quality of each model's answer, (n, k), NaN until it has answered."""

    queries: Sequence[Query]
    post: FloatArray


@persistent("PriorEstimator", fields=("priors",))
class PriorEstimator(QualityEstimator):
    """Priors, and after an answer the geometric mean of its token probabilities.

    It learns nothing and is not calibrated: a router goes by it until it is fitted. An answer
    without log-probabilities, such as many providers' tool calls, keeps its prior. A refusal, or
    "I don't know", is worth no more than the prior, however high its probabilities: they only tell
    how sure the model is of refusing. An answer that certainly fails is worth 0: it is empty, cut
    off at a limit on its length, not in the form asked for, or calls a tool that is not on offer or
    with arguments that do not fit.

    Args:
        models: number of models, k.
        priors: expected quality of each model, in [0, 1]. By default the models are taken to come
            in order from weak to strong: priors rise from 0.5 for the first to 0.8 for the last.

    Raises:
        ConfigurationError: the wrong number of priors, or one outside [0, 1].
    """

    def __init__(self, models: int, priors: Sequence[float] | None = None) -> None:
        values = np.linspace(0.5, 0.8, models) if priors is None else np.asarray(priors, float)
        if values.shape != (models,) or not ((values >= 0) & (values <= 1)).all():
            raise ConfigurationError(
                f"priors must be {models} numbers in [0, 1], one per model, not {priors!r}"
            )
        self.priors = values

    def fit(self, data: CascadeDataset) -> PriorEstimator:
        """Nothing is learned."""
        del data
        return self

    def cross_evidence(self) -> _Evidence:
        """Not available: nothing was fitted."""
        raise ConfigurationError("PriorEstimator cannot be fitted: use LogprobEstimator")

    def begin(self, queries: Sequence[Query]) -> _Evidence:
        """No answer yet."""
        return _Evidence(queries, np.full((len(queries), len(self.priors)), np.nan))

    def observe(self, evidence: _Evidence, model: int, answers: Sequence[Answer]) -> None:
        """Adds the quality of one model's answers, see the class."""
        prior = float(self.priors[model])
        pairs = zip(evidence.queries, answers, strict=True)
        evidence.post[:, model] = [_quality(query, answer, prior) for query, answer in pairs]

    def estimate(self, evidence: _Evidence, run: BoolArray) -> tuple[FloatArray, FloatArray]:
        """The confidence of models that ran, the prior of the others, and no spread."""
        return np.where(run, evidence.post, self.priors), np.zeros(run.shape)


def _quality(query: Query, answer: Answer, prior: float) -> float:
    """Quality of an answer by a model of that prior."""
    if certainly_fails(query, answer):
        return 0.0
    probability = confidence(answer)
    if probability is None:
        return prior
    return min(probability, prior) if refuses(answer.text, query.text) else probability
