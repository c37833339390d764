"""Ridge regression: leave-one-out predictions without a fit for each row."""

from __future__ import annotations

import numpy as np
import pytest

from cascade_engine.estimators.regression.ridge import ridge


def test_the_leave_one_out_predictions_are_those_of_fits_without_the_row():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 4)), rng.standard_normal((40, 3))
    x -= x.mean(axis=0)
    coef, out = ridge(x, y)
    penalties = []
    for penalty in (1.0, 10.0, 100.0):
        found = np.empty_like(y)
        for row in range(len(x)):
            rest = np.arange(len(x)) != row
            mean = x[rest].mean(axis=0)
            moment = (x[rest] - mean).T @ (y[rest] - y[rest].mean(axis=0))
            slope = np.linalg.solve(
                (x[rest] - mean).T @ (x[rest] - mean) + penalty * np.eye(4), moment
            )
            found[row] = y[rest].mean(axis=0) + (x[row] - mean) @ slope
        penalties.append(((found - y) ** 2).sum())
        if out == pytest.approx(found, abs=2e-2):
            chosen = penalty
    assert chosen == (1.0, 10.0, 100.0)[int(np.argmin(penalties))]
    gram = x.T @ x + chosen * np.eye(4)
    assert coef[1:] == pytest.approx(np.linalg.solve(gram, x.T @ (y - y.mean(axis=0))))
    assert coef[0] == pytest.approx(y.mean(axis=0))
