"""How good a judge is, before it is trusted: measured on labelled answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.errors import DataError
from cascade_engine.estimators.answer_signals import RecordedSignal
from cascade_engine.estimators.combined import CombinedEstimator
from cascade_engine.evaluation.bootstrap import Bootstrap, Interval, units_of
from cascade_engine.evaluation.calibration import Reliability, measure_reliability
from cascade_engine.routing.advisers import ChatJudge, with_signals

if TYPE_CHECKING:
    from cascade_engine.core.arrays import BoolArray, FloatArray
    from cascade_engine.data.dataset import CascadeDataset

__all__ = ["JudgeReport", "JudgedModel", "judge_report"]

#: Distinct scores kept apart; beyond that neighbours are put together.
_BINS = 100
_LEAST = 1e-6  # a probability is held to be no nearer to 0 or 1 when its logarithm is taken


@dataclass(frozen=True, slots=True)
class JudgedModel:
    """How well a judge tells the good answers of a model from the bad.

    Attributes:
        model: whose answers; None for all together.
        judged: share of the answers that have a score.
        roc_auc: probability that a good answer is scored above a bad one, ties counting half: 0.5
            is no better than a coin. Its value is None where all are good, or all are bad.
        accuracy: share judged rightly when answers from the best threshold upwards are taken for
            good. The threshold is chosen on the same answers, which flatters it a little.
        threshold: that threshold.
        guessing: share judged rightly by taking all for good, or all for bad.
        calibration: the score taken for a probability, against what came out. A fit calibrates it
            anew, so that a poor one is no reason against the judge.
    """

    model: str | None
    judged: float
    roc_auc: Interval
    accuracy: Interval
    threshold: float
    guessing: float
    calibration: Reliability


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """What `judge_report` measured.

    Attributes:
        judge: its name.
        models: for each model, then for all together.
        log_loss: of the estimates out of fold (in nats, per answer), with the judge.
        log_loss_without: the same of all other signals.
        gain: by how much the judge lowers it, and between what bounds.
        cost: of one call, on average; None where none is recorded.
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
        return {
            "judge": self.judge,
            "models": [
                {
                    "model": each.model,
                    "judged": each.judged,
                    "roc_auc": each.roc_auc.to_dict(),
                    "accuracy": each.accuracy.to_dict(),
                    "threshold": each.threshold,
                    "guessing": each.guessing,
                    "calibration": each.calibration.to_dict(),
                }
                for each in self.models
            ],
            "log_loss": self.log_loss,
            "log_loss_without": self.log_loss_without,
            "gain": self.gain.to_dict(),
            "cost": self.cost,
        }

    def __str__(self) -> str:
        price = "at a cost that is not recorded" if self.cost is None else f"at {self.cost:.3g}"
        lines = [f"{self.judge} was asked {price} per call.", *map(_line, self.models)]
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


def _line(each: JudgedModel) -> str:
    who = "all answers" if each.model is None else each.model
    return (
        f"  {who}: {each.judged:.0%} scored; ROC AUC {each.roc_auc:.2f}; {each.accuracy:.0%} "
        f"judged rightly from {each.threshold:.2g} upwards, {each.guessing:.0%} by guessing; "
        f"calibration error {each.calibration.ece:.2f}"
    )


def judge_report(
    data: CascadeDataset,
    judge: str | ChatJudge,
    *,
    estimator: CombinedEstimator | None = None,
    replications: int = 500,
    seed: int = 0,
    level: float = 0.95,
) -> JudgeReport:
    """Measures a judge on labelled answers, each query's apart from what was learned on it.

    Args:
        data: with the judge's scores in `Answer.signals`, as `advise` leaves them.
        judge: it, or its name.
        estimator: the other signals; by default those of `CombinedEstimator()`.
        replications: resamples of the queries behind each interval.
        seed: of the resamples, and of the folds.
        level: of the intervals.

    Raises:
        DataError: no answer has a score, or there are too few queries to learn from.
        ConfigurationError: `replications` or `level` that cannot be.
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
    every = [_measured(score, data, column, bootstrap) for column in columns]
    other = _without(estimator or CombinedEstimator(seed=seed), name)
    plain, heard = (
        _losses(e, data)
        for e in (other, with_signals(other, [*other.signals, RecordedSignal(name)]))
    )
    means = bootstrap.means(np.column_stack([plain, heard]))
    paid = [a.advice_cost[name] for row in data.answers for a in row if name in a.advice_cost]
    return JudgeReport(
        name,
        tuple(each for each in every if each is not None),
        log_loss=float(means[0, 1]),
        log_loss_without=float(means[0, 0]),
        gain=bootstrap.interval(means[:, 0] - means[:, 1]),
        cost=float(np.mean(paid)) if paid else None,
    )


def _measured(
    score: FloatArray, data: CascadeDataset, column: int | None, bootstrap: Bootstrap
) -> JudgedModel | None:
    """One model's answers, or all; None where none has a score."""
    picked = slice(None) if column is None else slice(column, column + 1)
    scores, quality = score[:, picked], data.quality[:, picked]
    known = ~np.isnan(scores)
    if not known.any():
        return None
    edges, good, bad = _counted(scores, quality, known)
    bins = len(edges)
    sums = bootstrap.means(np.column_stack([good, bad]))
    up, down = sums[:, :bins], sums[:, bins:]
    above, below = _from_upwards(up), _below(down)
    right = np.column_stack([above + below, down.sum(axis=1)])  # the last takes none for good
    total = sums.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        pairs = up.sum(axis=1) * down.sum(axis=1)
        auc = np.where(pairs > 0, (up * (below + down / 2)).sum(axis=1) / pairs, np.nan)
        accuracy = right.max(axis=1) / total
    best = int(right[0].argmax())
    return JudgedModel(
        None if column is None else data.models[column],
        float(known.mean()),
        bootstrap.interval(auc),
        bootstrap.interval(accuracy),
        float(edges[best]) if best < bins else float("inf"),
        float(max(up[0].sum(), down[0].sum()) / total[0]),
        measure_reliability(
            scores[known], quality[known], model=None if column is None else data.models[column]
        ),
    )


def _counted(
    scores: FloatArray, quality: FloatArray, known: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Lower edges of b bins of scores, and how good and how bad a query's answers in each are."""
    edges = np.unique(scores[known])
    if len(edges) > _BINS:
        edges = np.unique(np.quantile(edges, np.linspace(0, 1, _BINS, endpoint=False)))
    good, bad = np.zeros((2, len(scores), len(edges)))
    rows, columns = np.nonzero(known)
    where = np.searchsorted(edges, scores[rows, columns], "right") - 1
    np.add.at(good, (rows, where), quality[rows, columns])
    np.add.at(bad, (rows, where), 1.0 - quality[rows, columns])
    return edges, good, bad


def _from_upwards(counts: FloatArray) -> FloatArray:
    return np.asarray(counts[:, ::-1].cumsum(axis=1)[:, ::-1])


def _below(counts: FloatArray) -> FloatArray:
    return np.asarray(counts.cumsum(axis=1) - counts)


def _without(estimator: CombinedEstimator, name: str) -> CombinedEstimator:
    """The estimator less the judge."""
    return with_signals(estimator, [s for s in estimator.signals if not _reads(s, name)])


def _reads(signal: object, name: str) -> bool:
    return isinstance(signal, RecordedSignal) and signal.names == (name,)


def _losses(estimator: CombinedEstimator, data: CascadeDataset) -> FloatArray:
    """Mean log loss out of fold over a query's answers, each judged alone; shape (n,)."""
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
