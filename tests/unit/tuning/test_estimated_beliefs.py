"""Beliefs of an estimator: kept, and not without end."""

from __future__ import annotations

from itertools import product

import numpy as np

from cascade_engine.tuning import beliefs as _beliefs
from cascade_engine.tuning.beliefs import EstimatedBeliefs


def test_no_more_is_kept_than_there_is_room_for(router, data, monkeypatch):
    def believed():
        evidence = router.quality.cross_evidence()
        return EstimatedBeliefs(router.quality, evidence, router.cost.predict(data.queries))

    every, rows = believed(), np.arange(len(data))
    states = [np.tile(state, (len(data), 1)) for state in product([False, True], repeat=3)]
    wanted = [every(rows, run) for run in states]
    assert len(every._by_pattern) == len(states)
    monkeypatch.setattr(_beliefs, "_KEPT", 2 * 3 * data.quality.size)
    few = believed()
    for _ in range(2):
        for run, one in zip(states, wanted, strict=True):
            again = few(rows, run)
            assert (again.quality == one.quality).all()
            assert (again.sd == one.sd).all()
            assert len(few._by_pattern) <= 3
