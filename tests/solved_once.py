"""Each regression of the suite is solved once.

Hundreds of tests fit routers to the same few data sets, and most of a fit's time goes into
regressions, which scikit-learn solves from nothing but their arrays and options. Whoever comes
second with the same arrays gets a copy of the first solution; all else of a fit is done each time.
Where a test is of whether a fit comes out the same twice, its module uses `solved_anew`.
"""

from __future__ import annotations

import copy
import hashlib

import pytest


def _digest(options, *arrays):
    """Tells apart all that a solution depends on."""
    digest = hashlib.blake2b(repr(sorted(options.items())).encode())
    for array in arrays:
        if array is not None:
            digest.update(repr((array.shape, array.strides, array.dtype.str)).encode())
            digest.update(array.tobytes("A"))
    return digest.digest()


def _solving_once(solve):
    """The method `fit` of a regression, with a memory."""
    solutions = {}

    def fit(self, X, y, sample_weight=None):  # noqa: N803  scikit-learn's own names
        options = dict(vars(self))
        key = _digest(options, X, y, sample_weight)
        if key not in solutions:
            solve(self, X, y, sample_weight=sample_weight)
            solutions[key] = {k: v for k, v in vars(self).items() if k not in options}
        vars(self).update(copy.deepcopy(solutions[key]))
        return self

    return fit


def _regressions():
    from sklearn.linear_model import LogisticRegression, PoissonRegressor

    return LogisticRegression, PoissonRegressor


@pytest.fixture(scope="session", autouse=True)
def solved_once():
    """Shares solutions; what it yields puts scikit-learn's own methods back for a while."""
    with pytest.MonkeyPatch.context() as patch:
        own = {kind: kind.fit for kind in _regressions()}
        for kind, fit in own.items():
            patch.setattr(kind, "fit", _solving_once(fit))
        yield own


@pytest.fixture(scope="module")
def solved_anew(solved_once):
    """For modules that fit twice to see whether the same comes out."""
    with pytest.MonkeyPatch.context() as patch:
        for kind, fit in solved_once.items():
            patch.setattr(kind, "fit", fit)
        yield
