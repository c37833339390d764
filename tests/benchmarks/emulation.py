"""The reference's cascade-routing rule in vectorised numpy, its faults included.

For sweeps over many seeds, where the reference itself would take days. What it repeats on purpose:

- E[max] over 100 scrambled Sobol points, a sample of its own for each number of models, scaled by
  the variance where the standard deviation belongs; a single model's E[max] is its mean.
- Supermodels grown one model at a time up to `max_depth`. A child of more than one model whose
  gain over its parent does not pay for its last model is dropped and never grown further, although
  these E[max] are neither monotone nor submodular.
- Values rounded to six digits; the cheapest or the dearest of the ties, the first of equals.
- The model run next is the first column of the supermodel's new ones: the reference takes an
  argmin over a generator object, which is 0. Columns come sorted by mean cost, so this is the
  cheapest on average, whatever the query's own costs say.
- Bisection of one lambda with its comparisons, and gamma as the share of the dearer policy.

E[max] does not depend on lambda. It is kept per query and set of models run.

`agreement.py` shows how far the two agree on the same Sobol points: to the last decision.
"""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from reference import DEPTH, DIGITS, Played
from scipy.special import ndtri
from scipy.stats import qmc
from simulated import area, budgets, study

if TYPE_CHECKING:
    from simulated import Split

_RUN_VARIANCE = 1e-6
_NOTHING = -(10.0**8)  # its value of the empty supermodel
_CHUNK = 4_000_000  # numbers in a temporary array


def sobol_points(seed: int, largest: int, count: int = 100) -> dict[int, np.ndarray]:
    """Scrambled Sobol points as normal deviates, (count, size) for each size from 2 on."""
    points = {}
    for size in range(2, largest + 1):
        sampler = qmc.Sobol(size, scramble=True, rng=np.random.default_rng([seed, size]))
        with warnings.catch_warnings():  # 100 is no power of two, as it says
            warnings.simplefilter("ignore", UserWarning)
            points[size] = ndtri(sampler.random(count))
    return points


@dataclass(frozen=True)
class _Level:
    """Supermodels of one size: the run models and each combination of so many new ones."""

    members: np.ndarray  # (nodes, size) columns, run ones first
    parent: np.ndarray  # (nodes,) positions in the level before
    new: int


@lru_cache(maxsize=4096)
def _levels(k: int, ran: tuple[int, ...], depth: int) -> tuple[_Level, ...]:
    """Breadth-first, as the reference visits them: combinations in lexicographic order."""
    rest = [i for i in range(k) if i not in ran]
    levels, position = [], {(): 0}
    for new in range(depth - len(ran) + 1):
        nodes = list(itertools.combinations(rest, new))
        if not nodes:
            break
        members = np.array([ran + node for node in nodes], dtype=int).reshape(len(nodes), -1)
        parent = np.array([position[node[:-1]] for node in nodes])
        levels.append(_Level(members, parent, new))
        position = {node: i for i, node in enumerate(nodes)}
    return tuple(levels)


@dataclass
class _Table:
    """Values and costs of all supermodels around one set of run models, for some queries."""

    place: np.ndarray  # of each query in the arrays below; -1 when it is not there yet
    value: list[np.ndarray]
    cost: list[np.ndarray]
    expected: np.ndarray  # each query's expected costs, (queries, k)


class Emulation:
    """The reference on one split's estimates.

    Args:
        split: queries to play.
        points: Sobol points by dimension, from `sobol_points`; share them between the splits of a
            setting, and with the reference for equal decisions.
        max_depth: most models per query.
    """

    def __init__(self, split: Split, points: dict[int, np.ndarray], max_depth: int = DEPTH):
        self.split = split
        self.k = len(split.truth.names)
        self.depth = min(max_depth, self.k)
        self._points = points
        self._tables: dict[int, _Table] = {}
        self._mean_costs: dict[tuple[float, float], float] = {}

    def decide(
        self, rows: np.ndarray, ran: tuple[int, ...], lam: float, dear: np.ndarray
    ) -> np.ndarray:
        """The column to run next for queries with the same models run; -1 to stop.

        Args:
            rows: queries.
            ran: columns run so far, ascending.
            lam: quality per USD.
            dear: for each query whether the dearest of the ties is taken, not the cheapest.
        """
        if len(ran) >= self.depth:
            return np.full(len(rows), -1)
        table = self._table(rows, ran)
        at = table.place[rows]
        values, costs, first = self._nodes(table, at, ran, lam)
        best = values.max(axis=1)[:, None]
        price = np.where(dear[:, None], -costs, costs)
        pick = np.where(values == best, price, np.inf).argmin(axis=1)
        return first[pick]

    def _nodes(self, table: _Table, at: np.ndarray, ran: tuple[int, ...], lam: float):
        """Rounded value, cost and model run next of all supermodels; -inf where pruned."""
        values, costs, first = [], [], []
        alive = parent_value = None
        expected = table.expected[at]
        for level, v, c in zip(
            _levels(self.k, ran, self.depth), table.value, table.cost, strict=True
        ):
            value, cost = v[at], c[at]
            if level.new == 0:
                alive = np.ones(value.shape, dtype=bool)
            else:
                alive = alive[:, level.parent]
                if level.members.shape[1] > 1:
                    gain = value - parent_value[:, level.parent]
                    alive &= ~(gain - lam * expected[:, level.members[:, -1]] < 0)
            if level.members.shape[1]:
                values.append(np.where(alive, np.round(value - lam * cost, DIGITS), -np.inf))
                costs.append(cost)
                first.append(level.members[:, len(ran)] if level.new else np.array([-1]))
            parent_value = value
        return np.hstack(values), np.hstack(costs), np.concatenate(first)

    def _table(self, rows: np.ndarray, ran: tuple[int, ...]) -> _Table:
        """The cached values around `ran`, completed by these queries."""
        table = self._tables.get(_mask(ran))
        levels = _levels(self.k, ran, self.depth)
        if table is None:
            empty = [np.empty((0, len(level.members))) for level in levels]
            none = np.empty((0, self.k))
            table = _Table(np.full(len(self.split), -1), empty, list(empty), none)
            self._tables[_mask(ran)] = table
        fresh = np.unique(rows[table.place[rows] < 0])
        if len(fresh):
            table.place[fresh] = len(table.expected) + np.arange(len(fresh))
            expected = self.split.estimates.expected_cost[fresh]
            table.expected = np.concatenate([table.expected, expected])
            for i, level in enumerate(levels):
                value = self._expected_max(fresh, ran, level)
                cost = expected[:, level.members].sum(axis=-1)
                table.value[i] = np.concatenate([table.value[i], value])
                table.cost[i] = np.concatenate([table.cost[i], cost])
        return table

    def _expected_max(self, rows: np.ndarray, ran: tuple[int, ...], level: _Level) -> np.ndarray:
        """The reference's E[max] of a level's supermodels, (rows, nodes)."""
        mean = self._estimate(rows, ran)
        size = level.members.shape[1]
        if size == 0:
            return np.full((len(rows), 1), _NOTHING)
        if size == 1:
            return mean[:, level.members[:, 0]]
        variance = self.split.estimates.sigma**2
        variance[list(ran)] = _RUN_VARIANCE
        sample = self._points[size]
        step = max(1, _CHUNK // (len(level.members) * len(sample)))
        found = [
            _mean_of_max(mean[start : start + step], variance, sample, level.members)
            for start in range(0, len(rows), step)
        ]
        return np.concatenate(found)

    def _estimate(self, rows: np.ndarray, ran: tuple[int, ...]) -> np.ndarray:
        mean = self.split.estimates.before[rows]
        mean[:, list(ran)] = self.split.estimates.after[np.ix_(rows, ran)]
        return mean

    def play(self, lam: float, *, gamma: float = 0.0, seed: int = 0) -> Played:
        """Plays all queries; `gamma` is the probability of the dearer of the ties."""
        rng = np.random.default_rng(seed)
        ran = np.zeros((len(self.split), self.k), dtype=bool)
        active = np.arange(len(self.split))
        bits = 1 << np.arange(self.k)
        while len(active):
            codes = ran[active] @ bits
            dear = rng.random(len(active)) < gamma
            model = np.full(len(active), -1)
            for code in np.unique(codes):
                here = codes == code
                columns = tuple(np.flatnonzero(code & bits).tolist())
                model[here] = self.decide(active[here], columns, lam, dear[here])
            active, model = active[model >= 0], model[model >= 0]
            ran[active, model] = True
        # Of the models run the one with the highest estimate answers.
        answered = np.where(ran, self.split.estimates.after, -np.inf)
        return Played(answered.argmax(axis=1), ran)

    def mean_cost(self, lam: float, gamma: float) -> float:
        """Realised mean cost with gamma 0 or 1, remembered: all bisections begin alike."""
        if (lam, gamma) not in self._mean_costs:
            cost = float(self.play(lam, gamma=gamma).cost(self.split).mean())
            self._mean_costs[lam, gamma] = cost
        return self._mean_costs[lam, gamma]


@dataclass(frozen=True)
class Fitted:
    """What the reference's fit keeps."""

    lam: float
    gamma: float


def fit_emulation(train: Emulation, budget: float, iterations: int = 20) -> Fitted:
    """The reference's constant-lambda search on the training queries."""
    low, high = 0.0, 10_000.0
    while high < 1e10 and train.mean_cost(high, 0.0) > budget:
        low, high = high, high * 2
    for _ in range(iterations):
        middle = (low + high) / 2
        if train.mean_cost(middle, 0.0) < budget:
            high = middle
        else:
            low = middle
    cheap, dear = train.mean_cost(high, 0.0), train.mean_cost(high, 1.0)
    gamma = 0.0 if cheap == dear else float(np.clip((budget - cheap) / (dear - cheap), 0, 1))
    return Fitted(high, gamma)


def _mean_of_max(
    mean: np.ndarray, variance: np.ndarray, sample: np.ndarray, members: np.ndarray
) -> np.ndarray:
    """E[max] over a sample whose columns go with the members' positions, (rows, nodes)."""
    top = None
    for position in range(members.shape[1]):
        # (models, points): the reference multiplies by the variance, not by its root.
        scaled = sample[:, position] * variance[:, None]
        drawn = (scaled + mean[:, :, None])[:, members[:, position]]
        top = drawn if top is None else np.maximum(top, drawn, out=top)
    return top.mean(axis=-1)


def _mask(ran: tuple[int, ...]) -> int:
    return sum(1 << i for i in ran)


@dataclass(frozen=True)
class Curve:
    """A rule's points on the test queries, one a budget."""

    budgets: np.ndarray
    cost: np.ndarray
    quality: np.ndarray
    area: float
    played: list[Played]


def emulated_curve(models: int, noise: str, seed: int, **sizes: int) -> Curve:
    """What `reference_runs.measure` finds for cascade routing, emulated.

    Args:
        models: 3, 5 or 11.
        noise: low, medium or high.
        seed: of the data and the Sobol points.
        sizes: numbers of `train` and `test` queries, as for `study`.
    """
    train, test = study(models, noise, seed, **sizes)
    points = sobol_points(seed, models)
    fitting, playing = Emulation(train, points), Emulation(test, points)
    grid = budgets(test)
    fits = [fit_emulation(fitting, budget) for budget in grid]
    played = [playing.play(fit.lam, gamma=fit.gamma, seed=i) for i, fit in enumerate(fits)]
    cost = np.array([one.cost(test).mean() for one in played])
    quality = np.array([one.quality(test).mean() for one in played])
    return Curve(grid, cost, quality, area(cost, quality, test.truth), played)
