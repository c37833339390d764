"""How the models' estimates move together as their answers come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.core.arrays import patterns

if TYPE_CHECKING:
    from cascade_engine.core.arrays import BoolArray, FloatArray

__all__ = ["fit_correlation", "remaining"]


def fit_correlation(before: FloatArray, after: FloatArray) -> FloatArray:
    """Correlation of the steps from before an answer to after it, shape (k, k).

    Shrunk towards independence, the more the fewer the queries (Ledoit and Wolf 2004, 'A
    well-conditioned estimator for large-dimensional covariance matrices'), so never singular.

    Args:
        before: out-of-fold probabilities of a good answer, by the query, shape (n, k).
        after: the same, by the query and the answer itself.
    """
    from sklearn.covariance import ledoit_wolf  # noqa: PLC0415  only a fit pays for it

    steps = (after - before) / np.sqrt(before * (1 - before))
    steps = steps - steps.mean(axis=0)
    spread = steps.std(axis=0)
    shrunk, _ = ledoit_wolf(steps / np.where(spread > 0, spread, 1.0), assume_centered=True)
    # A model whose estimate never moves has no variance: it goes with none.
    size = np.sqrt(np.maximum(np.diagonal(shrunk), np.finfo(float).tiny))
    correlation = shrunk / np.outer(size, size)
    np.fill_diagonal(correlation, 1.0)
    return np.asarray((correlation + correlation.T) / 2)


def remaining(correlation: FloatArray, run: BoolArray) -> FloatArray:
    """Correlation of the models not run, given the answers of the others; shape (n, k, k).

    Partial correlation: what a common cause (a hard query) explains is known once models have
    answered. Rows and columns of the models run are 0.

    Args:
        correlation: before any answer, shape (k, k), positive definite.
        run: which models have answered, shape (n, k).
    """
    out = np.zeros((*run.shape, run.shape[1]))
    for pattern, rows in patterns(run):
        seen, left = np.flatnonzero(pattern), np.flatnonzero(~pattern)
        within = correlation[np.ix_(left, left)]
        if len(seen) and len(left):
            across = correlation[np.ix_(left, seen)]
            known = np.linalg.solve(correlation[np.ix_(seen, seen)], across.T)
            within = within - across @ known
            size = np.sqrt(np.diagonal(within))
            within = within / np.outer(size, size)
            within = (within + within.T) / 2
        out[rows[:, None, None], left[:, None], left] = within
    return out
