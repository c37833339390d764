"""What fitting data looked like, in a few numbers: what fresh queries are compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.errors import DataError, NotFittedError
from cascade_engine.estimators.features.logprobs import confidence
from cascade_engine.storage.registry import persistent
from cascade_engine.strategies.frontier import coin
from cascade_engine.tuning.beliefs import EstimatedBeliefs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray
    from cascade_engine.core.records import Answer, Query
    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.routing.router import CascadeRouter
    from cascade_engine.tuning.simulation import Outcome

__all__ = [
    "ESTIMATE",
    "RETURNED",
    "SHARE",
    "FittingSummary",
    "Readings",
    "query_readings",
    "read_call",
    "share_readings",
    "summarize",
    "trigrams",
    "usualness",
]

#: Numbers that are kept of each feature: beyond this its quantiles stand for it.
_KEPT = 501
_BUCKETS = 2048
#: Multipliers of the hash of three characters; odd and large, so that the top bits mix.
_MIX = np.array([0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35], dtype=np.uint64)

#: How features are named that are tested in a way of their own.
ESTIMATE, SHARE = "estimate of ", "share of "
RETURNED = f"{ESTIMATE}the answer returned"

#: Readings by feature; of features that are shares they are 0 or 1.
Readings = dict[str, list[float]]


@persistent("FittingSummary")
@dataclass(frozen=True, slots=True)
class FittingSummary:
    """What the fitting data looked like to the router.

    Estimates are those of models that have not seen the query's labels, and what depends on the
    policy is as the policy at the router's budget would have it: so fresh queries of the same kind
    look the same.

    Attributes:
        models: names of the models.
        strategy: name of the strategy whose policy it was.
        budget: its budget, None without one.
        queries: how many there were.
        counts: readings behind each feature, by its name.
        values: each feature's readings, rising, or where there were many their quantiles.
        trigrams: in how many queries each class of three characters was, shape (2048,).
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
        """The summary that `to_dict` made the record of.

        Raises:
            DataError: something is missing from it, or is none of that.
        """
        try:
            return cls(
                tuple(map(str, record["models"])),
                str(record["strategy"]),
                None if record["budget"] is None else float(record["budget"]),
                int(record["queries"]),
                {str(name): int(count) for name, count in record["counts"].items()},
                {str(n): np.asarray(v, dtype=float) for n, v in record["values"].items()},
                np.asarray(record["trigrams"], dtype=float).reshape(_BUCKETS),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"this is no record of a FittingSummary: {error!r}") from error


def summarize(
    router: CascadeRouter, data: CascadeDataset, *, expected: FloatArray | None = None
) -> FittingSummary:
    """Sums up the data that a router was fitted on.

    Args:
        router: fitted on the data.
        data: what it was fitted on, and no other.
        expected: out-of-fold expected costs on it, shape (n, k), where they are known already.

    Raises:
        NotFittedError: the router has not been fitted.
        DataError: the data is on other models, or not as long as what the router was fitted on.
    """
    if not router.is_fitted:
        raise NotFittedError("there is no fit to sum up: call fit first")
    if data.models != router.models:
        raise DataError(f"the data is on models {data.models}, the router on {router.models}")
    evidence = router.quality.cross_evidence()
    nothing = np.zeros(data.quality.shape, dtype=bool)
    try:
        before = router.quality.estimate(evidence, nothing)[0]
    except (IndexError, ValueError) as error:
        raise DataError(
            "the router was fitted on other data: pass the very data that it was fitted on"
        ) from error
    if before.shape != nothing.shape:
        raise DataError(
            f"the router was fitted on {len(before)} queries and the data has {len(data)}: pass "
            "the very data that it was fitted on"
        )
    if expected is None:
        expected = router.cost.cross_predict(data)
    game = router.game(data, EstimatedBeliefs(router.quality, evidence, expected))
    lam = [router.policy_.lam(coin(query.text, router.seed)) for query in data.queries]
    outcome = game.play(np.array(lam))
    owned = [trigrams(query.text) for query in data.queries]
    counted = np.zeros(_BUCKETS)
    for own in owned:
        counted[own] += 1
    readings = query_readings(data.models, data.queries, before)
    readings["wording"] = [usualness(own, counted, len(data), seen=True) for own in owned]
    returned = router.quality.estimate(evidence, outcome.run)[0]
    readings[RETURNED] = returned[np.arange(len(data)), outcome.chosen].tolist()
    for name, value in _calls(data, outcome, expected):
        readings.setdefault(name, []).append(value)
    return FittingSummary(
        data.models,
        router.strategy.name,
        router.budget,
        len(data),
        {name: len(values) for name, values in readings.items()},
        {name: _kept(values) for name, values in readings.items()},
        counted,
    )


def query_readings(models: Sequence[str], queries: Sequence[Query], before: FloatArray) -> Readings:
    """What is read off queries before any answer.

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


def read_call(model: str, answer: Answer, cost: float | None, expected: float) -> Readings:
    """What is read off one answer."""
    readings: Readings = {f"length of {model}'s answer": [math.log1p(len(answer.text))]}
    sure = confidence(answer)
    if sure is not None:
        readings[f"confidence of {model}"] = [sure]
    if cost is not None and cost > 0 and expected > 0:
        readings[f"cost of {model} against what is expected"] = [math.log(cost / expected)]
    return readings


def share_readings(models: Sequence[str], run: BoolArray) -> Readings:
    """Whether each model ran, 0 or 1, for one query; `run` is of shape (k,)."""
    return {f"{SHARE}{m}": [float(ran)] for m, ran in zip(models, run, strict=True)}


def trigrams(text: str) -> IntArray:
    """The classes, of 2048, of the runs of three characters in a text; each once."""
    padded = f"  {text.casefold()} ".encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(padded, dtype="<u4").astype(np.uint64)
    mixed = sum(codes[i : len(codes) - 2 + i] * _MIX[i] for i in range(3))
    return np.unique((np.asarray(mixed, dtype=np.uint64) >> np.uint64(16)) % _BUCKETS).astype(
        np.intp
    )


def usualness(own: IntArray, counted: FloatArray, queries: int, *, seen: bool) -> float:
    """How usual the wording is: mean log share of queries with the same runs of characters.

    Args:
        own: the query's classes, from `trigrams`.
        counted: in how many queries each class was.
        queries: how many queries were counted.
        seen: whether this query is one of them: it does not make itself usual.
    """
    share = (counted[own] - seen + 0.5) / (queries - seen + 1.0)
    return float(np.log(share).mean())


def _calls(
    data: CascadeDataset, outcome: Outcome, expected: FloatArray
) -> Iterator[tuple[str, float]]:
    """Every reading that the policy's calls would have given."""
    for row, run in enumerate(outcome.run):
        parts = [share_readings(data.models, run)]
        for i in np.flatnonzero(run):
            answer, cost = data.answers[row][i], float(data.cost[row, i])
            parts.append(read_call(data.models[i], answer, cost, float(expected[row, i])))
        for part in parts:
            for name, values in part.items():
                yield name, values[0]


def _kept(values: Sequence[float]) -> FloatArray:
    if len(values) <= _KEPT:
        return np.sort(np.asarray(values, dtype=float))
    return np.asarray(np.quantile(values, np.linspace(0, 1, _KEPT)))
