"""Simulated data of RouterBench's structure, and the noise protocol of the cascade-routing paper.

RouterBench itself cannot be shipped. These pools have its eleven models' marginal accuracies and
price ratios, correctness correlated through a difficulty that all models share, topics that some
models are better at than others, and costs driven by one token count per query. Everything
follows from the seeds, bit by bit: stored results refer to queries by their position.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

# Name, mean correctness, mean cost in USD per query; close to RouterBench's zero-shot averages.
ROUTERBENCH = (
    ("mistral-7b", 0.47, 4.6e-5),
    ("wizardlm-13b", 0.45, 7.1e-5),
    ("mixtral-8x7b", 0.565, 1.36e-4),
    ("code-llama-34b", 0.40, 1.72e-4),
    ("yi-34b", 0.61, 1.88e-4),
    ("llama-2-70b", 0.48, 2.07e-4),
    ("gpt-3.5", 0.605, 2.28e-4),
    ("claude-instant", 0.59, 2.52e-4),
    ("claude-v1", 0.64, 2.13e-3),
    ("claude-v2", 0.63, 2.41e-3),
    ("gpt-4", 0.785, 3.30e-3),
)
# The paper's own choices of three and of five.
SUBSETS = {
    3: ("mixtral-8x7b", "gpt-3.5", "gpt-4"),
    5: ("wizardlm-13b", "mixtral-8x7b", "gpt-3.5", "claude-v2", "gpt-4"),
}

# The paper's levels: quality noise before and after the run, cost noise before the run. Its cost
# noise after the run (5e-5, 1e-4, 100) changes no decision and is left out.
NOISE = {"low": (0.6, 0.3, 2e-4), "medium": (1.6, 0.8, 4e-4), "high": (2.4, 1.2, 100.0)}

# Loading of the shared difficulty. At 1.6 two models' correctness correlates by about .4, and plain
# routing's areas come out at the paper's; a weaker one makes the pool far easier to route.
_DIFFICULTY = 1.6
_TOPICS = 7
_TOPIC_EFFECT = 0.35
_SHARED_TOKENS, _OWN_TOKENS = 0.8, 0.35  # standard deviations of log cost


@dataclass(frozen=True)
class Pool:
    """The truth about n queries: correctness in {0, 1} and cost in USD, both (n, k)."""

    names: tuple[str, ...]
    quality: np.ndarray
    cost: np.ndarray

    def rows(self, part: slice) -> Pool:
        return Pool(self.names, self.quality[part], self.cost[part])


@dataclass(frozen=True)
class Estimates:
    """What the strategies see of n queries.

    Attributes:
        before: quality estimates without the model's answer, (n, k).
        after: quality estimates once the model has answered, (n, k).
        expected_cost: cost estimates in USD, positive, (n, k).
        sigma: each model's standard deviation of (before - after), (k,).
    """

    before: np.ndarray
    after: np.ndarray
    expected_cost: np.ndarray
    sigma: np.ndarray

    def rows(self, part: slice) -> Estimates:
        return Estimates(self.before[part], self.after[part], self.expected_cost[part], self.sigma)


@dataclass(frozen=True)
class Split:
    """Some queries' truth and estimates."""

    truth: Pool
    estimates: Estimates

    def __len__(self) -> int:
        return len(self.truth.cost)


def study(
    models: int, noise: str, seed: int, *, train: int = 200, test: int = 2_000
) -> tuple[Split, Split]:
    """Training and test queries of one setting.

    As in the paper the regressions inside the estimates see both parts: they belong to the
    simulation, not to the fit.
    """
    pool = simulate_pool(train + test, seed, models)
    found = estimates(pool, noise, seed)
    parts = slice(0, train), slice(train, train + test)
    first, second = (Split(pool.rows(part), found.rows(part)) for part in parts)
    return first, second


def simulate_pool(n: int, seed: int, models: int = 11) -> Pool:
    """Correctness and costs of n queries, cheapest model first.

    The pools of three and five models are columns of the pool of eleven; larger ones have models
    between those eleven.
    """
    names, accuracy, price = _kinds(max(models, len(ROUTERBENCH)))
    rng = np.random.default_rng([seed, 1])
    topic = rng.integers(_TOPICS, size=n)
    difficulty = rng.standard_normal((n, 1))
    own = rng.standard_normal((n, len(names)))
    spread = np.sqrt(1 + _DIFFICULTY**2 + _TOPIC_EFFECT**2)
    latent = ndtri(accuracy) * spread + _profiles(len(names))[topic] - _DIFFICULTY * difficulty
    quality = (latent + own > 0).astype(float)

    log_cost = _SHARED_TOKENS * rng.standard_normal((n, 1))
    log_cost = log_cost + _OWN_TOKENS * rng.standard_normal((n, len(names)))
    cost = price * np.exp(log_cost - (_SHARED_TOKENS**2 + _OWN_TOKENS**2) / 2)
    keep = [names.index(name) for name in SUBSETS.get(models, names)]
    return Pool(tuple(names[i] for i in keep), quality[:, keep], cost[:, keep])


def _kinds(k: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, accuracies and mean costs; above eleven, points between RouterBench's models."""
    names, accuracy, price = (list(column) for column in zip(*ROUTERBENCH, strict=True))
    if k == len(names):
        return names, np.array(accuracy), np.array(price)
    at = np.linspace(0, len(names) - 1, k)
    known = np.arange(len(names))
    accuracy, price = (np.interp(at, known, column) for column in (accuracy, np.log(price)))
    return [f"model-{i:02}" for i in range(k)], accuracy, np.exp(price)


def _profiles(k: int) -> np.ndarray:
    """How much better each model is at each topic, (topics, k); the same for all seeds."""
    effects = np.random.default_rng([k, 2]).standard_normal((_TOPICS, k))
    effects -= effects.mean(axis=0)
    return _TOPIC_EFFECT * effects / effects.std(axis=0)


def estimates(pool: Pool, noise: str, seed: int) -> Estimates:
    """The paper's protocol: the truth plus normal noise, regressed on by each model's truth."""
    ante, post, money = NOISE[noise]
    rng = np.random.default_rng([seed, 3])
    shape = pool.cost.shape
    before = _regressed(pool.quality, pool.quality + ante * rng.standard_normal(shape))
    after = _regressed(pool.quality, pool.quality + post * rng.standard_normal(shape))
    expected = _regressed(pool.cost, pool.cost + money * rng.standard_normal(shape))
    # A straight line through costs can go below zero; a query that pays back is no query.
    expected = np.maximum(expected, 1e-3 * pool.cost.mean(axis=0))
    return Estimates(before, after, expected, np.std(before - after, axis=0))


def _regressed(truth: np.ndarray, noisy: np.ndarray) -> np.ndarray:
    """Each column's least-squares line of the truth on its noisy value."""
    deviation = noisy - noisy.mean(axis=0)
    mean = truth.mean(axis=0)
    slope = (deviation * (truth - mean)).sum(axis=0) / (deviation**2).sum(axis=0)
    return mean + slope * deviation


def budgets(test: Split, count: int = 10) -> np.ndarray:
    """Evenly spaced from the cheapest to the dearest model's mean cost on the test data."""
    mean = test.truth.cost.mean(axis=0)
    return np.linspace(mean.min(), mean.max(), count)


def area(costs, qualities, test: Pool) -> float:
    """The paper's AUC: mean quality over realised costs from the cheapest to the dearest model.

    To the right of its dearest point a curve goes on flat. To the left of its cheapest it comes
    straight from the worst model's quality at the cheapest model's cost.

    Args:
        costs: mean realised cost of each budget.
        qualities: mean quality of each budget.
        test: the truth that they were measured on.
    """
    single_cost, single_quality = test.cost.mean(axis=0), test.quality.mean(axis=0)
    low, high = single_cost.min(), single_cost.max()
    order = np.lexsort((qualities, costs))
    x, y = np.asarray(costs, dtype=float)[order], np.asarray(qualities, dtype=float)[order]
    if x[0] > low:
        x, y = np.append(low, x), np.append(single_quality.min(), y)
    inside = x[(x > low) & (x < high)]
    knots = np.concatenate(([low], inside, [high]))
    # Points of equal cost keep their own qualities, which np.interp would confuse.
    heights = np.interp(knots, x, y)
    heights[1:-1] = y[(x > low) & (x < high)]
    return float(np.trapezoid(heights, knots) / (high - low))


def linear_interpolation(test: Pool) -> float:
    """The AUC of mixing single models at random, without looking at the queries."""
    cost, quality = test.cost.mean(axis=0), test.quality.mean(axis=0)
    hull: list[int] = []
    for i in np.lexsort((-quality, cost)):
        if hull and quality[i] <= quality[hull[-1]]:
            continue
        while len(hull) > 1 and _slope(cost, quality, hull[-1], i) >= _slope(
            cost, quality, hull[-2], hull[-1]
        ):
            hull.pop()
        hull.append(int(i))
    return area(cost[hull], quality[hull], test)


def _slope(cost: np.ndarray, quality: np.ndarray, i: int, j: int) -> float:
    return float((quality[j] - quality[i]) / (cost[j] - cost[i]))
