"""Summary features of an answer's token log-probabilities."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.core.records import Answer

#: A token the model held impossible counts as this: -inf and the like have no finite average.
FLOOR = -20.0
_UNSURE = math.log(0.5)


def known_logprobs(answer: Answer) -> FloatArray | None:
    """The answer's log-probs in [FLOOR, 0], or None where they are unknown.

    Absent, empty or NaN log-probs are unknown. Rounding above 0 is cut off.
    """
    if answer.logprobs is None:
        return None
    values = np.asarray(answer.logprobs, dtype=float)
    # What is clipped keeps its NaNs, and so does its least.
    known = np.minimum(np.maximum(values, FLOOR), 0.0)
    return known if values.size and not math.isnan(np.minimum.reduce(known)) else None


def logprob_features(answers: Sequence[Answer]) -> FloatArray:
    """Features of each answer, shape (n, 7); NaN where log-probs are unknown.

    Columns: mean, lowest, first and summed log-prob (the sum on a log scale), share of tokens
    below one half, standard deviation, geometric mean probability.
    """
    return np.array([logprob_row(answer) for answer in answers])


def logprob_row(answer: Answer) -> list[float]:
    """The same of one answer."""
    values = known_logprobs(answer)
    if values is None:
        return [math.nan] * 7
    n, total = len(values), float(np.add.reduce(values))
    mean = total / n
    apart = values - mean
    return [
        mean,
        float(np.minimum.reduce(values)),
        float(values[0]),
        math.log1p(-total),
        np.count_nonzero(values < _UNSURE) / n,
        math.sqrt(float(apart @ apart) / n),
        math.exp(mean),
    ]


def confidence(answer: Answer) -> float | None:
    """Geometric mean of the answer's token probabilities, or None where they are unknown."""
    values = known_logprobs(answer)
    return None if values is None else math.exp(float(values.mean()))
