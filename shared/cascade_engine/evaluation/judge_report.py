"""How good a judge is, measured on labelled answers before a fit trusts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.errors import DataError
from cascade_engine.estimators.answer_signals import RecordedSignal
from cascade_engine.estimators.combined import CombinedEstimator
from cascade_engine.evaluation.bootstrap import Bootstrap, Interval, units_of
from cascade_engine.evaluation.calibration import Reliability, measure_reliability
from cascade_engine.evaluation.tables import plain_fields
from cascade_engine.routing.advisers import ChatJudge, with_signals

if TYPE_CHECKING:
    from cascade_engine.core.arrays import BoolArray, FloatArray
    from cascade_engine.data.dataset import CascadeDataset

__all__ = ["JudgeReport", "JudgedModel", "judge_report"]

#: The most bins of scores; with more distinct scores, neighbours share a bin.
_BINS = 100
#: Probabilities keep this distance from 0 and 1 before their logarithm is taken.
_LEAST = 1e-6


@dataclass(frozen=True, slots=True)
class JudgedModel:
    """How well a judge tells the good answers of a model from the bad.

    Attributes:
        model: the model whose answers were judged; None for all together.
        judged: share of the answers that have a score.
        roc_auc: probability that a good answer is scored above a bad one, ties counting half: 0.5
            is no better than a coin. Its value is None where all are good, or all are bad.
        accuracy: share judged correctly if answers scored at or above the best threshold are taken
            as good. The threshold is chosen on the same answers, which flatters it a little.
        threshold: that threshold.
        guessing: share judged correctly by taking all answers as good, or all as bad.
        calibration: the score taken as a probability, against the actual quality. A fit calibrates
            it anew, so that a poor calibration is no reason against the judge.
    """

    model: str | None
    judged: float
    roc_auc: Interval
    accuracy: Interval
    threshold: float
    guessing: float
    calibration: Reliability

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON-able values."""
        return plain_fields(self)

    def __str__(self) -> str:
        name = "all answers" if self.model is None else self.model
        return (
            f"{name}: {self.judged:.0%} scored; ROC AUC {self.roc_auc:.2f}; {self.accuracy:.0%} "
            f"judged rightly from {self.threshold:.2g} upwards, {self.guessing:.0%} by guessing; "
            f"calibration error {self.calibration.ece:.2f}"
        )


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """The result of `judge_report`.

    Attributes:
        judge: name of the judge.
        models: how it judges each model, then all together.
        log_loss: mean log loss of the out-of-fold estimates with the judge, in nats per answer.
        log_loss_without: the same without it, by all other signals.
        gain: by how much the judge lowers the log loss.
        cost: mean cost of one call; None where none is recorded.
    """

    judge: str
    models: tuple[JudgedModel, ...]
    log_loss: float
    log_loss_without: float
    gain: Interval
    cost: float | None

    @property
    def is_worth_hearing(self) -> bool:
        """Whether it tells more than all other signals do, beyond chance."""
        return self.gain.is_above_zero

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON-able values."""
        return plain_fields(self)

    def __str__(self) -> str:
        price = "at a cost that is not recorded" if self.cost is None else f"at {self.cost:.3g}"
        lines = [f"{self.judge} was asked {price} per call."]
        lines += [f"  {model}" for model in self.models]
        change = f"{self.log_loss_without:.4f} to {self.log_loss:.4f}, {self.gain:.4f} lower"
        if self.is_worth_hearing:
            verdict = "it tells more than all other signals together"
        elif self.gain.high is not None and self.gain.high < 0:
            verdict = "the estimates are worse with it"
        else:
            verdict = "whether it tells more than the other signals cannot be said on this data"
        lines.append(f"With it the log loss of the estimates goes from {change}: {verdict}.")
        lines.append(
            "A fit gives it the weight it has earned; whether that pays for its calls is for "
            "evaluate to say, of a router with and one without it."
        )
        return "\n".join(lines)


def judge_report(
    data: CascadeDataset,
    judge: str | ChatJudge,
    *,
    estimator: CombinedEstimator | None = None,
    replications: int = 500,
    seed: int = 0,
    level: float = 0.95,
) -> JudgeReport:
    """Measures a judge on labelled answers.

    What it adds to the other signals is measured out of fold: no query is estimated by a fit that
    has seen it.

    Args:
        data: with the judge's scores in `Answer.signals`, where `advise` puts them.
        judge: the judge, or its name.
        estimator: the other signals; by default those of `CombinedEstimator()`.
        replications: number of resamples of the queries behind each interval.
        seed: of the resamples, and of the folds.
        level: of the intervals.

    Raises:
        DataError: no answer has a score, or there are too few queries to learn from.
        ConfigurationError: `replications` is below 1, or `level` is outside (0, 1).
    """
    name = judge if isinstance(judge, str) else judge.name
    score = np.array([[a.signals.get(name, np.nan) for a in row] for row in data.answers])
    if np.isnan(score).all():
        raise DataError(
            f"no answer has a score of {name!r}: ask it by cascade_engine.advise(data, {{ChatJudge("
            f"{name!r}): function of a prompt to an Answer}})"
        )
    bootstrap = Bootstrap(units_of(data), replications=replications, seed=seed, level=level)
    columns = [*range(len(data.models)), None] if len(data.models) > 1 else [0]
    models = [_judged_model(score, data, column, bootstrap) for column in columns]
    signals = CombinedEstimator(seed=seed) if estimator is None else estimator
    others = [signal for signal in signals.signals if not _reads(signal, name)]
    without, with_judge = (
        _losses(with_signals(signals, parts), data)
        for parts in (others, [*others, RecordedSignal(name)])
    )
    means = bootstrap.means(np.column_stack([without, with_judge]))
    paid = [a.advice_cost[name] for row in data.answers for a in row if name in a.advice_cost]
    return JudgeReport(
        name,
        tuple(model for model in models if model is not None),
        log_loss=float(means[0, 1]),
        log_loss_without=float(means[0, 0]),
        gain=bootstrap.interval(means[:, 0] - means[:, 1]),
        cost=float(np.mean(paid)) if paid else None,
    )


def _judged_model(
    score: FloatArray, data: CascadeDataset, column: int | None, bootstrap: Bootstrap
) -> JudgedModel | None:
    """How one model's answers are judged, or all; None where none has a score."""
    model = None if column is None else data.models[column]
    columns = slice(None) if column is None else slice(column, column + 1)
    scores, quality = score[:, columns], data.quality[:, columns]
    scored = ~np.isnan(scores)
    if not scored.any():
        return None
    edges, good, bad = _counted(scores, quality, scored)
    bins = len(edges)
    sums = bootstrap.means(np.column_stack([good, bad]))
    up, down = sums[:, :bins], sums[:, bins:]
    above, below = _from_upwards(up), _below(down)
    # Judged correctly at the threshold of each bin; the last threshold takes none as good.
    right = np.column_stack([above + below, down.sum(axis=1)])
    total = sums.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        pairs = up.sum(axis=1) * down.sum(axis=1)
        auc = np.where(pairs > 0, (up * (below + down / 2)).sum(axis=1) / pairs, np.nan)
        accuracy = right.max(axis=1) / total
    best = int(right[0].argmax())
    return JudgedModel(
        model,
        float(scored.mean()),
        bootstrap.interval(auc),
        bootstrap.interval(accuracy),
        float(edges[best]) if best < bins else float("inf"),
        float(max(up[0].sum(), down[0].sum()) / total[0]),
        measure_reliability(scores[scored], quality[scored], model=model),
    )


def _counted(
    scores: FloatArray, quality: FloatArray, scored: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Lower edges of b bins of scores, and the good and the bad of each query in them, (n, b)."""
    edges = np.unique(scores[scored])
    if len(edges) > _BINS:
        edges = np.unique(np.quantile(edges, np.linspace(0, 1, _BINS, endpoint=False)))
    good, bad = np.zeros((2, len(scores), len(edges)))
    rows, columns = np.nonzero(scored)
    bin_of = np.searchsorted(edges, scores[rows, columns], "right") - 1
    np.add.at(good, (rows, bin_of), quality[rows, columns])
    np.add.at(bad, (rows, bin_of), 1.0 - quality[rows, columns])
    return edges, good, bad


def _from_upwards(counts: FloatArray) -> FloatArray:
    return np.asarray(counts[:, ::-1].cumsum(axis=1)[:, ::-1])


def _below(counts: FloatArray) -> FloatArray:
    return np.asarray(counts.cumsum(axis=1) - counts)


def _reads(signal: object, name: str) -> bool:
    return isinstance(signal, RecordedSignal) and signal.names == (name,)


def _losses(estimator: CombinedEstimator, data: CascadeDataset) -> FloatArray:
    """Mean log loss of a query's answers, each estimated alone and out of fold; shape (n,)."""
    estimator.fit(data)
    evidence = estimator.cross_evidence()
    losses = np.empty(data.quality.shape)
    for i in range(len(data.models)):
        alone = np.zeros(data.quality.shape, dtype=bool)
        alone[:, i] = True
        p = np.clip(estimator.estimate(evidence, alone)[0][:, i], _LEAST, 1 - _LEAST)
        good = data.quality[:, i]
        losses[:, i] = -(good * np.log(p) + (1 - good) * np.log1p(-p))
    return np.asarray(losses.mean(axis=1))
