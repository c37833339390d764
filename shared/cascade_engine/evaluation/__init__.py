"""Is a router good, does it pay, and does it still fit the queries?

`evaluate` compares routers on held-out data, `does_it_pay` says whether routing is worth it,
`learning_curve` how many labels are enough, and `judge_report` how good a judge is. `drift` tells
whether fresh queries still look like those of the fit. Whatever is measured comes with intervals
(`bootstrap`). `result` holds an `Evaluation` with its `curves`, `calibration`, `tables` and
`plots`; `cross_validation` refits, and `two_samples` compares distributions.
"""

from cascade_engine.evaluation.bootstrap import Interval
from cascade_engine.evaluation.calibration import Reliability, measure_reliability
from cascade_engine.evaluation.drift import Drift, FeatureDrift, drift
from cascade_engine.evaluation.evaluate import evaluate
from cascade_engine.evaluation.judge_report import JudgedModel, JudgeReport, judge_report
from cascade_engine.evaluation.learning_curve import LearningCurve, LearningPoint, learning_curve
from cascade_engine.evaluation.payoff import Payoff, Payoffs, does_it_pay
from cascade_engine.evaluation.result import Comparison, Evaluation, Point

__all__ = [
    "Comparison",
    "Drift",
    "Evaluation",
    "FeatureDrift",
    "Interval",
    "JudgeReport",
    "JudgedModel",
    "LearningCurve",
    "LearningPoint",
    "Payoff",
    "Payoffs",
    "Point",
    "Reliability",
    "does_it_pay",
    "drift",
    "evaluate",
    "judge_report",
    "learning_curve",
    "measure_reliability",
]
