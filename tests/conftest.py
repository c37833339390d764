"""Synthetic data in which the query's words and the answers' log-probs tell of quality."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

from cascade_engine import (
    Answer,
    CascadeDataset,
    CascadeRouter,
    CostEstimator,
    QualityEstimator,
    Query,
    Session,
    Usage,
)
from cascade_engine.core.prices import Charge
from cascade_engine.routing.decider import Decider
from cascade_engine.strategies import find_strategy

#: Chat models that say what they are told to, for whatever tests the LangChain adapter.
pytest_plugins = ["tests.langchain_fixtures", "tests.solved_once"]

_WORDS = [a + b for a in "bcdfgl" for b in ("an", "el", "ip", "os", "ud")]
_HINTS = ("simple", "plain", "tricky", "deep")


def _text(rng, row, difficulty):
    hint = _HINTS[int(np.digitize(difficulty + 0.6 * rng.normal(), [-0.7, 0.0, 0.7]))]
    words = rng.choice(_WORDS, size=int(rng.integers(5, 12))).tolist()
    return f"{hint} {' '.join(words)} {row}?"


def _answer(rng, quality, cost, prompt):
    tokens = int(rng.integers(4, 24))
    level = np.exp(rng.normal(-2.6 + 1.5 * (1 - quality), 0.6))
    logprobs = -level * rng.exponential(size=tokens)
    usage = Usage(len(prompt) // 4 + 1, tokens)
    return Answer("w " * tokens, tuple(logprobs.tolist()), usage, cost, finish_reason="stop")


def _make_data(n=200, k=3, seed=0):
    """Hard queries are hard for all; later models are better and cost six times more each."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(size=n)
    skill = np.linspace(-0.4, 1.4, k)
    chance = 1 / (1 + np.exp(-1.8 * (skill - difficulty[:, None])))
    quality = (rng.random((n, k)) < chance).astype(float)
    queries = [_text(rng, row, d) for row, d in enumerate(difficulty)]
    length = np.array([[len(text)] for text in queries])
    cost = 1e-4 * 6.0 ** np.arange(k) * (1 + length / 50) * rng.uniform(0.8, 1.2, (n, k))
    answers = [
        [_answer(rng, quality[i, j], float(cost[i, j]), text) for j in range(k)]
        for i, text in enumerate(queries)
    ]
    return CascadeDataset([f"model-{j}" for j in range(k)], queries, answers, quality, cost)


@pytest.fixture(scope="session")
def make_data():
    """The factory: `make_data(n, k, seed)`."""
    return _make_data


@pytest.fixture(scope="session")
def data():
    return _make_data(200, 3, 1)


@pytest.fixture(scope="session")
def held_out():
    return _make_data(150, 3, 2)


@pytest.fixture(scope="session")
def router(data):
    """Fitted, by the default strategy, without a budget. Shared: it does not change."""
    return CascadeRouter(data.models).fit(data)


def _emax(mean, sd, held=-np.inf):
    """E[max(held, X_1, ..., X_m)] by adaptive quadrature.

    The sum over i of E[X_i, X_i being the greatest], which is not the formula of the engine.
    """
    certain = [m for m, s in zip(mean, sd, strict=True) if s == 0]
    held = max([held, *certain])
    open_ = [(m, s) for m, s in zip(mean, sd, strict=True) if s > 0]
    total = 0.0 if held == -np.inf else held * _all_below(held, open_)
    for i, (m, s) in enumerate(open_):
        others = open_[:i] + open_[i + 1 :]
        low = max(-10.0, (held - m) / s)
        if low < 10:
            total += _share(m, s, others, low)
    return float(total)


def _share(m, s, others, low):
    edges = {(a + c * b - m) / s for a, b in others for c in (-7, -3, -1, 1, 3, 7)}
    edges = sorted({low, 10.0, *(e for e in edges | {-4.0, 0.0, 4.0} if low < e < 10)})

    def density(z):
        x = m + s * z
        return x * np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * _all_below(x, others)

    return sum(quad(density, a, b, epsabs=1e-11, epsrel=1e-11)[0] for a, b in pairwise(edges))


def _all_below(x, gaussians):
    below = 1.0
    for m, s in gaussians:
        below *= ndtr((x - m) / s)
    return below


@pytest.fixture(scope="session")
def emax():
    """The oracle: `emax(means, sds, held)`."""
    return _emax


class FixedBeliefs(QualityEstimator):
    """Two estimates for each model: before it has answered, and after."""

    def __init__(self, before, after, sd):
        self.before, self.after, self.sd = before, after, sd

    def fit(self, data):
        return self

    def cross_evidence(self):
        raise NotImplementedError

    def begin(self, queries):
        return []

    def observe(self, evidence, model, answers):
        evidence.append(model)

    def estimate(self, evidence, run):
        assert sorted(evidence) == np.flatnonzero(run[0]).tolist()
        return np.where(run, self.after, self.before), np.where(run, 0.0, self.sd)


class FixedCosts(CostEstimator):
    def __init__(self, cost):
        self.cost = cost

    def fit(self, data):
        return self

    def predict(self, queries):
        return np.array([self.cost] * len(queries), dtype=float)


@pytest.fixture(scope="session")
def session():
    """A factory of sessions with three models; at lambda 0 all are worth running."""

    def open_session(
        strategy="cascading",
        *,
        before=(0.5, 0.6, 0.8),
        after=(0.55, 0.7, 0.65),
        cost=(1.0, 2.0, 4.0),
        charge=None,
        lam=0.0,
        **limits,
    ):
        decider = Decider(
            ("small", "medium", "large"),
            FixedBeliefs(before, after, 0.3),
            FixedCosts(cost),
            find_strategy(strategy),
            charge or Charge({}),
            fitted=True,
        )
        return Session(decider, Query("q"), lam=lam, **limits)

    return open_session


@pytest.fixture
def scripted_server():
    """An OpenAI-compatible server whose models say what a test tells them to."""
    from tests.scripted import ScriptedServer

    with ScriptedServer() as server:
        yield server
