"""Strengths from pairwise wins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.estimators.regression.logistic import expit

if TYPE_CHECKING:
    from cascade_engine.core.arrays import FloatArray

__all__ = ["bradley_terry"]

_STEPS, _CONVERGED = 200, 1e-9


def bradley_terry(wins: FloatArray, centre: FloatArray, prior: float) -> FloatArray:
    """Log-strengths under which i beats j with probability expit(s_i - s_j).

    The posterior mode by Newton's method, no step changing a strength by more than 1: whole steps
    may run away where the wins contradict the prior.

    Args:
        wins: of model i over model j, any weights >= 0, in m problems, shape (m, k, k).
        centre: mean of the normal prior of the strengths, shape (k,).
        prior: its precision, > 0.

    Returns:
        Shape (m, k).
    """
    strength = np.tile(centre, (len(wins), 1))
    games = wins + wins.transpose(0, 2, 1)
    diagonal = np.arange(wins.shape[1])
    for _ in range(_STEPS):
        p = expit(strength[:, :, None] - strength[:, None, :])
        slope = (wins - games * p).sum(axis=2) - prior * (strength - centre)
        bend = games * p * (1 - p)
        hessian = -bend
        hessian[:, diagonal, diagonal] += bend.sum(axis=2) + prior
        step = np.linalg.solve(hessian, slope[:, :, None])[:, :, 0]
        largest = np.abs(step).max(axis=1, keepdims=True, initial=0.0)
        strength += step / np.maximum(largest, 1.0)
        if not (largest > _CONVERGED).any():
            break
    return strength
