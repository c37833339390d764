"""Quality before any fit: priors from the order, and a conservative log-probability rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.answers.certain_failures import certainly_fails
from cascade_engine.answers.refusals import refuses
from cascade_engine.errors import ConfigurationError
from cascade_engine.estimators.contracts import QualityEstimator
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
    queries: Sequence[Query]
    post: FloatArray  # (n, k), NaN until a model has answered


@persistent("PriorEstimator", fields=("priors",))
class PriorEstimator(QualityEstimator):
    """Priors, and after an answer the geometric mean of its token probabilities.

    It learns nothing and is not calibrated: it is what a router goes by until it is fitted. An
    answer without log-probs keeps its prior: so do many providers' tool calls. A refusal, or
    "I don't know", is worth no more than the prior, however sure: its tokens tell how sure the
    model is of refusing. An answer that certainly fails is worth 0: it is empty, cut off at a limit
    on its length, not in the form asked for, or calls a tool that is not on offer or with arguments
    that do not fit.

    Args:
        models: number of models, k.
        priors: expected quality of each, in [0, 1]. By default they rise from 0.5 for the first
            model to 0.8 for the last: the order is taken to be from weak to strong.

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
        """Takes each answer's confidence, its prior where that is unknown, 0 if it has failed."""
        prior = float(self.priors[model])
        pairs = zip(evidence.queries, answers, strict=True)
        evidence.post[:, model] = [_quality(query, answer, prior) for query, answer in pairs]

    def estimate(self, evidence: _Evidence, run: BoolArray) -> tuple[FloatArray, FloatArray]:
        """The confidence of models that ran, the prior of the others, and no spread."""
        return np.where(run, evidence.post, self.priors), np.zeros(run.shape)


def _quality(query: Query, answer: Answer, prior: float) -> float:
    if certainly_fails(query, answer):
        return 0.0
    sure = confidence(answer)
    if sure is None:
        return prior
    return min(sure, prior) if refuses(answer.text, query.text) else sure
