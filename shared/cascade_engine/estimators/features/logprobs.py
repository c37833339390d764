"""Summary features of an answer's token log-probabilities."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.core.records import Answer

#: The lowest log-probability taken into account: -inf, for a token held impossible, has no average.
FLOOR = -20.0
_ONE_HALF = math.log(0.5)


def known_logprobs(answer: Answer) -> FloatArray | None:
    """The answer's log-probabilities in [FLOOR, 0], shape (tokens,); None where they are unknown.

    Absent, empty or NaN log-probabilities are unknown. Rounding above 0 is cut off.
    """
    if answer.logprobs is None:
        return None
    # Ufuncs in place of `clip`, `isnan(...).any()` and `min`, which take twice as long on the few
    # numbers of one answer. Clipping keeps a NaN, and so does the minimum.
    logprobs: FloatArray
    logprobs = np.minimum(np.maximum(np.asarray(answer.logprobs, dtype=float), FLOOR), 0.0)
    if not logprobs.size or math.isnan(np.minimum.reduce(logprobs)):
        return None
    return logprobs


def logprob_features(answer: Answer) -> list[float]:
    """Seven features of an answer, all NaN where its log-probabilities are unknown.

    Mean, lowest, first and summed log-probability (the sum on a log scale), share of tokens below
    one half, standard deviation, geometric mean probability.
    """
    logprobs = known_logprobs(answer)
    if logprobs is None:
        return [math.nan] * 7
    n, total = len(logprobs), float(np.add.reduce(logprobs))
    mean = total / n
    deviation = logprobs - mean
    return [
        mean,
        float(np.minimum.reduce(logprobs)),
        float(logprobs[0]),
        math.log1p(-total),
        np.count_nonzero(logprobs < _ONE_HALF) / n,
        math.sqrt(float(deviation @ deviation) / n),
        math.exp(mean),
    ]


def confidence(answer: Answer) -> float | None:
    """Geometric mean of the answer's token probabilities; None where they are unknown."""
    logprobs = known_logprobs(answer)
    return None if logprobs is None else math.exp(float(logprobs.mean()))
