"""Ridge regression of many targets at once, its penalty chosen by leave-one-out errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cascade_engine.core.arrays import FloatArray

__all__ = ["ridge"]

#: Penalties tried, in units of rows: the features have variance 1.
_PENALTIES = (1.0, 10.0, 100.0)
#: Keeps one row from being all of a fit.
_LEAST = 1e-3


def ridge(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Ridge regression of many targets, one penalty for all of them.

    The prediction of a row by a fit without it needs no other fit: its error is the error of the
    fit with it, divided by 1 - h, where h is the row's own weight in its prediction (its leverage,
    the diagonal of the hat matrix; Allen 1974, Technometrics 16, the PRESS statistic).

    Args:
        x: features with mean 0, shape (n, d).
        y: targets, shape (n, t).

    Returns:
        Coefficients, the intercepts first, shape (1 + d, t), and predictions of each row by a fit
        without it, shape (n, t).
    """
    mean = y.mean(axis=0)
    y = y - mean
    eigenvalues, vectors = np.linalg.eigh(x.T @ x)
    rotated = x @ vectors
    moment = rotated.T @ y

    def fit(penalty: float) -> tuple[float, FloatArray, FloatArray]:
        inverse = 1 / (np.maximum(eigenvalues, 0.0) + penalty)
        leverage = (1 / len(x) + (rotated**2) @ inverse)[:, None]
        error = (y - rotated @ (inverse[:, None] * moment)) / (1 - np.minimum(leverage, 1 - _LEAST))
        return float((error**2).sum()), inverse, error

    _, inverse, error = min(map(fit, _PENALTIES), key=lambda trial: trial[0])
    coef = vectors @ (inverse[:, None] * moment)
    return np.vstack([mean, coef]), mean + y - error
