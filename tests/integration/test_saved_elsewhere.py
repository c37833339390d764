"""What one process saves another loads, and decides alike."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LEARN = """
import sys
import numpy as np
from cascade_engine import Answer, CascadeDataset, CascadeRouter
from cascade_engine.routing.persistence import save
from cascade_engine.estimators import CombinedEstimator, PoissonCostEstimator

def table(seed, n):
    rng = np.random.default_rng(seed)
    hard = rng.random(n) < 0.5
    words = np.where(hard, "why so tricky", "what is plain")
    texts = [f"{said} {i}, or {i % 7}?" for i, said in enumerate(words)]
    quality = (rng.random((n, 2)) < np.where(hard[:, None], [0.3, 0.8], [0.8, 0.9])).astype(float)
    answers = [
        [Answer(f"It is {int(q) * i}", tuple((-0.4 + 0.3 * q) * rng.random(4)), cost=c)
         for q, c in zip(row, (1.0, 5.0 + i % 3))]
        for i, row in enumerate(quality)
    ]
    cost = [[answer.cost for answer in row] for row in answers]
    return CascadeDataset(["small", "large"], texts, answers, quality, cost)

def decisions(router):
    data = table(1, 60)
    evidence = router.quality.read(data)
    for run in ([0, 0], [1, 0], [0, 1], [1, 1]):
        quality, sd = router.quality.estimate(evidence, np.tile(np.array(run, bool), (60, 1)))
        print(quality.tobytes().hex(), sd.tobytes().hex())
    print(router.cost.predict(data.queries).tobytes().hex())
    for budget in (None, 3.0, 4.5):
        outcome = router.replay(data, budget=budget)
        print(outcome.run.tolist(), outcome.cost.tobytes().hex())

"""
SAVE = """
router = CascadeRouter(
    ["small", "large"], quality=CombinedEstimator(), cost=PoissonCostEstimator()
).fit(table(0, 80))
assert save(router, sys.argv[1]) == ()
decisions(router)
"""
LOAD = """
def hear(event, arguments):
    assert event not in {"pickle.find_class", "os.system", "subprocess.Popen"}, event

sys.addaudithook(hear)  # loading runs nothing
router = CascadeRouter.load(sys.argv[1])
assert "sklearn" not in sys.modules, "loading needs no scikit-learn"
decisions(router)
"""


def run(script, folder, seed):
    environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LEARN + script, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        pytest.fail(done.stderr)
    return done.stdout


@pytest.mark.slow
def test_another_process_decides_alike(tmp_path):
    saved = run(SAVE, tmp_path / "router", "1")
    loaded = run(LOAD, tmp_path / "router", "2")
    assert len(saved.splitlines()) == 8
    assert saved == loaded
