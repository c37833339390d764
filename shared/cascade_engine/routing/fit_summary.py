"""The summary of a fit's data: a few numbers of each feature, to compare fresh queries with.

A *feature* is what can be read off queries and answers without labels: a length, an estimate, a
share of queries that ran a model. `summarize_fit` keeps the features of the fitting data, and
`cascade_engine.drift` compares them with those of fresh queries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.errors import DataError
from cascade_engine.estimators.features.logprobs import confidence
from cascade_engine.storage.registry import persistent
from cascade_engine.tuning.beliefs import EstimatedBeliefs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.core.records import Answer, Query
    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.estimators import QualityEstimator
    from cascade_engine.tuning.simulation import Outcome

__all__ = [
    "ESTIMATE",
    "RETURNED",
    "SHARE",
    "FittingSummary",
    "Readings",
    "call_readings",
    "query_readings",
    "run_readings",
    "summarize_fit",
    "trigrams",
    "usualness",
]

#: Numbers that are kept of each feature: of more readings their quantiles are kept.
_KEPT = 501
#: Number of classes of trigrams.
_CLASSES = 2048
#: Multipliers of the hash of a trigram: odd and large, so that a character moves the high bits.
_MULTIPLIERS = np.array([0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35], dtype=np.uint64)

#: Beginnings of the names of features that `drift` tests in a way of their own.
ESTIMATE, SHARE = "estimate of ", "share of "
RETURNED = f"{ESTIMATE}the answer returned"

#: Readings by feature; readings of a share are 0 or 1.
Readings = dict[str, list[float]]


@persistent("FittingSummary")
@dataclass(frozen=True, slots=True)
class FittingSummary:
    """What the fitting data looked like to the router.

    Fresh queries of the same kind look the same: estimates are by estimators that have not seen the
    query's labels, and calls are those that the policy at the router's budget would have made.

    Attributes:
        models: names of the models.
        strategy: name of the strategy.
        budget: the router's budget, None without one.
        queries: number of fitting queries.
        counts: number of readings of each feature, by its name.
        values: each feature's readings, rising; of more than 501 readings that many quantiles.
        trigrams: number of queries with each class of trigrams, shape (2048,).
    """

    models: tuple[str, ...]
    strategy: str
    budget: float | None
    queries: int
    counts: Mapping[str, int]
    values: Mapping[str, FloatArray]
    trigrams: FloatArray

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON-able values."""
        return {
            "models": list(self.models),
            "strategy": self.strategy,
            "budget": self.budget,
            "queries": self.queries,
            "counts": dict(self.counts),
            "values": {name: values.tolist() for name, values in self.values.items()},
            "trigrams": self.trigrams.astype(int).tolist(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> FittingSummary:
        """The summary from the values that `to_dict` returned.

        Raises:
            DataError: a value is missing, or is not of its kind.
        """
        try:
            return cls(
                tuple(map(str, record["models"])),
                str(record["strategy"]),
                None if record["budget"] is None else float(record["budget"]),
                int(record["queries"]),
                {str(name): int(count) for name, count in record["counts"].items()},
                {str(n): np.asarray(v, dtype=float) for n, v in record["values"].items()},
                np.asarray(record["trigrams"], dtype=float).reshape(_CLASSES),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"this is no record of a FittingSummary: {error!r}") from error


def summarize_fit(
    data: CascadeDataset,
    *,
    estimator: QualityEstimator,
    expected: FloatArray,
    play: Callable[[EstimatedBeliefs], Outcome],
    strategy: str,
    budget: float | None,
) -> FittingSummary:
    """Sums up the data of a fit, and what its policy does there.

    Args:
        data: the n fitting queries with the answers of k models.
        estimator: the estimator of quality, fitted on them.
        expected: expected costs out of fold, shape (n, k).
        play: plays the router's policy on the data, by what is believed of it.
        strategy: name of the strategy.
        budget: the router's budget.

    Raises:
        DataError: the data is not as long as what the estimator was fitted on.
    """
    evidence = estimator.cross_evidence()
    before = _estimates_before(estimator, evidence, data)
    outcome = play(EstimatedBeliefs(estimator, evidence, expected))
    classes = [trigrams(query.text) for query in data.queries]
    counts = np.zeros(_CLASSES)
    for own in classes:
        counts[own] += 1
    readings = query_readings(data.models, data.queries, before)
    readings["wording"] = [usualness(own, counts, len(data), counted=True) for own in classes]
    after = estimator.estimate(evidence, outcome.run)[0]
    readings[RETURNED] = after[np.arange(len(data)), outcome.chosen].tolist()
    for name, value in _policy_readings(data, outcome, expected):
        readings.setdefault(name, []).append(value)
    return FittingSummary(
        data.models,
        strategy,
        budget,
        len(data),
        {name: len(values) for name, values in readings.items()},
        {name: _kept(values) for name, values in readings.items()},
        counts,
    )


def _estimates_before(
    estimator: QualityEstimator, evidence: Any, data: CascadeDataset
) -> FloatArray:
    """Expected qualities before any answer, out of fold, shape (n, k)."""
    nothing = np.zeros(data.quality.shape, dtype=bool)
    try:
        before = estimator.estimate(evidence, nothing)[0]
    except (IndexError, ValueError) as error:
        raise DataError(
            "the router was fitted on other data: pass the very data that it was fitted on"
        ) from error
    if before.shape != nothing.shape:
        raise DataError(
            f"the router was fitted on {len(before)} queries and the data has {len(data)}: pass "
            "the very data that it was fitted on"
        )
    return before


def query_readings(models: Sequence[str], queries: Sequence[Query], before: FloatArray) -> Readings:
    """Readings of queries before any answer.

    Args:
        models: names of the k models.
        queries: the n queries.
        before: expected quality of each model, shape (n, k).
    """
    return {
        "length of the question": [math.log1p(len(query.text)) for query in queries],
        "length of the context": [math.log1p(query.context_length) for query in queries],
        **{f"{ESTIMATE}{m}": before[:, i].tolist() for i, m in enumerate(models)},
    }


def call_readings(model: str, answer: Answer, cost: float | None, expected: float) -> Readings:
    """Readings of one answer, with its actual and its expected cost."""
    readings: Readings = {f"length of {model}'s answer": [math.log1p(len(answer.text))]}
    certainty = confidence(answer)
    if certainty is not None:
        readings[f"confidence of {model}"] = [certainty]
    if cost is not None and cost > 0 and expected > 0:
        readings[f"cost of {model} against what is expected"] = [math.log(cost / expected)]
    return readings


def run_readings(models: Sequence[str], run: BoolArray) -> Readings:
    """Whether each model ran on one query, 0 or 1; `run` is of shape (k,)."""
    return {f"{SHARE}{m}": [float(ran)] for m, ran in zip(models, run, strict=True)}


def trigrams(text: str) -> IntArray:
    """The classes, of 2048, of all runs of three characters in a text; each once.

    The hash is our own and not scikit-learn's: saved summaries hold counts by class, so a text must
    have the same classes in every version of every library.
    """
    padded = f"  {text.casefold()} ".encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(padded, dtype="<u4").astype(np.uint64)
    # A weighted sum of three neighbours, modulo 2**64; its low 16 bits mix badly and are dropped.
    sums = sum(codes[i : len(codes) - 2 + i] * _MULTIPLIERS[i] for i in range(3))
    classes = (np.asarray(sums, dtype=np.uint64) >> np.uint64(16)) % _CLASSES
    return np.unique(classes).astype(np.intp)


def usualness(own: IntArray, counts: FloatArray, queries: int, *, counted: bool) -> float:
    """How usual the wording of a query is: mean log share of queries with the same trigrams.

    Args:
        own: the query's classes, from `trigrams`.
        counts: number of queries with each class.
        queries: number of queries that were counted.
        counted: whether this query is one of them: it does not make itself usual.
    """
    share = (counts[own] - counted + 0.5) / (queries - counted + 1.0)
    return float(np.log(share).mean())


def _policy_readings(
    data: CascadeDataset, outcome: Outcome, expected: FloatArray
) -> Iterator[tuple[str, float]]:
    """Every reading of the calls that the policy makes."""
    for row, run in enumerate(outcome.run):
        parts = [run_readings(data.models, run)]
        for i in np.flatnonzero(run):
            answer, cost = data.answers[row][i], float(data.cost[row, i])
            parts.append(call_readings(data.models[i], answer, cost, float(expected[row, i])))
        for part in parts:
            for name, values in part.items():
                yield name, values[0]


def _kept(values: Sequence[float]) -> FloatArray:
    if len(values) <= _KEPT:
        return np.sort(np.asarray(values, dtype=float))
    return np.asarray(np.quantile(values, np.linspace(0, 1, _KEPT)))
