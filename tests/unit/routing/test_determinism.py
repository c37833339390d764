"""The same arrays give the same decisions, to the last bit, in every process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cascade_engine.strategies.frontier import coin

PLAY = """
import hashlib
import numpy as np
from cascade_engine import STRATEGIES, Beliefs, simulate, tune
from cascade_engine.strategies import CascadeRouting

rng = np.random.default_rng(0)
n, k = 120, 7
before, sd = rng.uniform(0.2, 0.7, (n, k)), rng.uniform(0.02, 0.3, (n, k))
after, cost = before + sd * rng.standard_normal((n, k)), rng.uniform(0.2, 3, (n, k))
truth = {"quality": after, "cost": cost}
root = rng.normal(size=(4, 4))
plain = Beliefs(before, after, cost=cost, sd=sd)
correlated = Beliefs(
    before[:40, :4], after[:40, :4], cost=cost[:40, :4], cov=0.02 * (root @ root.T))
few = {"quality": after[:40, :4], "cost": cost[:40, :4]}
cases = [(name, plain, truth) for name in sorted(STRATEGIES)]
cases += [(CascadeRouting(max_depth=2), plain, truth)]
cases += [(name, correlated, few) for name in ("cascading", "cascade_routing", "reservation_index")]
for strategy, beliefs, true in cases:
    tuned, frontier = tune(strategy, beliefs, **true)
    policy = frontier.at(float(frontier.cost[[0, -1]].mean()))
    outcome = simulate(tuned, beliefs, policy, **true)
    digest = hashlib.sha256()
    for part in (frontier.lambdas, frontier.cost, frontier.quality, outcome.run, outcome.cost):
        digest.update(part.tobytes())
    print(tuned.name, policy, digest.hexdigest())
"""


def run_python(script, **environment):
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("text", "seed", "expected"),
    [
        ("", 0, 0.8931675160897388),
        ("a query", 0, 0.7524230183128783),
        ("a query", 1, 0.9536807621374296),
        ("\ud800", 5, 0.5657628186918675),
    ],
)
def test_coins_are_the_same_for_ever(text, seed, expected):
    assert coin(text, seed) == expected


FIT = """
import math
from cascade_engine import Answer, CascadeDataset, CascadeRouter
words = "one two three four five six seven eight".split()
queries = [" ".join(words[(i * j) % 8] for j in range(1, 6)) + f" {i}" for i in range(40)]
answers = [[Answer("a", (math.sin(i + j) - 1,)) for j in range(2)] for i in range(40)]
quality = [[(i * 7 + j) % 3 > 0, (i * 5 + j) % 4 > 0] for i in range(40) for j in [i % 2]]
cost = [[1 + i % 3, 5 + i % 2] for i in range(40)]
router = CascadeRouter(["a", "b"], budget=3.0).fit(
    CascadeDataset(["a", "b"], queries, answers, quality, cost))
print(router.policy_, router.replay(CascadeDataset(
    ["a", "b"], queries, answers, quality, cost)).run.tolist())
print(router.session("three two one").trace.decisions)
"""


@pytest.fixture(scope="module")
def printed():
    """What two processes print that differ in threads and hash seeds: of PLAY, and of FIT."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    script = f"{PLAY}\nprint('then')\n{FIT}"
    return [
        run_python(script, PYTHONHASHSEED=n, **dict.fromkeys(threads, n)).split("then\n")
        for n in ("1", "2")
    ]


@pytest.mark.slow
def test_neither_threads_nor_hash_seeds_change_a_bit(printed):
    (first, _), (second, _) = printed
    assert first == second
    assert len(first.splitlines()) == 12


@pytest.mark.slow
def test_two_processes_decide_alike(printed):
    (_, first), (_, second) = printed
    assert first == second
    assert "Policy(" in first
