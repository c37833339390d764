"""Tuning: strategies on arrays, all queries of a data set at once.

What is believed of the queries comes from arrays (`Beliefs`) or from an estimator. A strategy is
played on it at one lambda or at all of them (`simulation`), its cost-quality frontier is traced
from that (`frontier_search`), and `tune` and `simulate` put both together, without text, sessions
or frameworks. A router fits itself by the same functions.
"""

from cascade_engine.tuning.beliefs import Beliefs
from cascade_engine.tuning.simulation import Outcome
from cascade_engine.tuning.tune import Tuned, simulate, tune

__all__ = ["Beliefs", "Outcome", "Tuned", "simulate", "tune"]
