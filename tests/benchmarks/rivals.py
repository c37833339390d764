"""Rivals on the same fitted estimates: chains with thresholds, the paper's own rule, the oracle.

A rival is tuned on the training queries' out-of-fold estimates and played on others: what comes out
are the cost and the quality of every query, a column for each policy on its curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
from emulation import Emulation, fit_emulation, sobol_points
from reference import Played as Decided
from simulated import Estimates, Pool, Split

from cascade_engine.evaluation.curves import PolicyResults
from cascade_engine.tuning.beliefs import EstimatedBeliefs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cascade_engine import CascadeRouter
    from cascade_engine.data.dataset import CascadeDataset

#: Estimates at which an answer is accepted.
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98)
_LAMBDAS = np.append(0.0, np.geomspace(2e-3, 10, 48))  # over the models' mean cost
#: The most models of the reference's supermodels, where there are more than ten models.
_SHALLOW, _MANY = 3, 10
_DEPTH = 5


class Side:
    """The queries of one split, and what the fitted estimators say of them in any state."""

    def __init__(
        self, router: CascadeRouter, data: CascadeDataset, evidence: object, cost: np.ndarray
    ) -> None:
        self.data = data
        self.cost = cost
        self.believe = EstimatedBeliefs(router.quality, evidence, self.cost)
        self._estimate = router.quality.estimate
        self._evidence = evidence
        self._held: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]] = {}

    @property
    def lambdas(self) -> np.ndarray:
        """Quality per unit of cost, from where cost does not count to where nothing else does."""
        return _LAMBDAS / self.data.cost.mean()

    def estimates(self, models: Sequence[int]) -> np.ndarray:
        """Expected quality of every model's answer once `models` have answered, (n, k)."""
        run = np.zeros(self.data.quality.shape, dtype=bool)
        run[:, list(models)] = True
        return self._estimate(self._evidence, run)[0]

    def held(self, models: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Of the best answer of `models`, what is believed and what is true; both (n,)."""
        key = tuple(sorted(models))
        if key not in self._held:
            among = self.estimates(key)[:, list(key)]
            best = np.array(key)[among.argmax(axis=1)]
            self._held[key] = among.max(axis=1), self.data.quality[np.arange(len(best)), best]
        return self._held[key]


@dataclass(frozen=True)
class Chain:
    """Models in order, until the best answer so far is believed to reach the step's threshold.

    Attributes:
        models: columns, in order.
        thresholds: one fewer.
        classical: each step judges and returns its own answer alone.
    """

    models: tuple[int, ...]
    thresholds: tuple[float, ...]
    classical: bool = False

    def play(self, side: Side) -> tuple[np.ndarray, np.ndarray]:
        """Cost and quality of each query, both (n,)."""
        going = np.ones(len(side.data), dtype=bool)
        cost, quality = np.zeros(len(going)), np.zeros(len(going))
        for step, model in enumerate(self.models):
            believed, true = _answer(side, self.models[: step + 1], classical=self.classical)
            cost[going] += side.data.cost[going, model]
            quality[going] = true[going]
            if step < len(self.thresholds):
                going &= believed < self.thresholds[step]
        return cost, quality


def _answer(
    side: Side, models: tuple[int, ...], *, classical: bool
) -> tuple[np.ndarray, np.ndarray]:
    """What would be returned after `models`: belief and truth."""
    return side.held(models[-1:] if classical else models)


@dataclass(frozen=True)
class Catalogue:
    """Chains with all combinations of thresholds, and their means on some queries."""

    orders: list[tuple[int, ...]]
    which: np.ndarray  # of the orders
    combination: np.ndarray  # of the thresholds
    cost: np.ndarray
    quality: np.ndarray
    classical: bool

    def best(self, lam: float) -> Chain:
        """Of the highest mean quality less lambda times cost."""
        at = int((self.quality - lam * self.cost).argmax())
        models = self.orders[self.which[at]]
        shape = (len(THRESHOLDS),) * (len(models) - 1)
        places = np.unravel_index(self.combination[at], shape) if shape else ()
        return Chain(models, tuple(THRESHOLDS[int(i)] for i in places), self.classical)


def catalogue(side: Side, longest: int, *, classical: bool = False) -> Catalogue:
    """All ordered chains of up to `longest` models, at most three, measured on `side`."""
    k = len(side.data.models)
    orders = [o for size in range(1, longest + 1) for o in permutations(range(k), size)]
    means = [_means(side, order, classical=classical) for order in orders]
    sizes = [cost.size for cost, _ in means]
    return Catalogue(
        orders,
        np.repeat(np.arange(len(orders)), sizes),
        np.concatenate([np.arange(size) for size in sizes]),
        np.concatenate([cost.ravel() for cost, _ in means]),
        np.concatenate([quality.ravel() for _, quality in means]),
        classical,
    )


def _means(side: Side, order: tuple[int, ...], *, classical: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean cost and quality of a chain, at every threshold of each of its steps but the last."""
    n, paid = len(side.data), side.data.cost[:, list(order)]
    steps = [_answer(side, order[: i + 1], classical=classical) for i in range(len(order))]
    if len(order) == 1:
        return paid.mean(axis=0), steps[0][1].mean(keepdims=True)
    above = np.array(THRESHOLDS)[:, None]
    goes = (steps[0][0] < above).astype(float)  # past the first answer, (thresholds, n)
    gain = steps[1][1] - steps[0][1]
    cost, quality = paid[:, 0].mean() + goes @ paid[:, 1] / n, steps[0][1].mean() + goes @ gain / n
    if len(order) == 2:
        return cost, quality
    further = (steps[1][0] < above).astype(float).T
    more = (goes * paid[:, 2]) @ further / n
    better = (goes * (steps[2][1] - steps[1][1])) @ further / n
    return cost[:, None] + more, quality[:, None] + better


def best_chains(found: Catalogue, side: Side) -> list[Chain]:
    """The best chain at each lambda, each once, cheapest first."""
    return list(dict.fromkeys(found.best(lam) for lam in side.lambdas[::-1]))


def play_chains(chains: Iterable[Chain], side: Side) -> PolicyResults:
    """Their curve."""
    return _stacked(chain.play(side) for chain in chains)


def _stacked(columns: Iterable[tuple[np.ndarray, np.ndarray]]) -> PolicyResults:
    cost, quality = zip(*columns, strict=True)
    return PolicyResults(np.column_stack(cost), np.column_stack(quality))


def play_oracle(side: Side) -> PolicyResults:
    """Who knows all answers beforehand, and runs the one model that is best at each lambda."""
    true, rows = side.data, np.arange(len(side.data))

    def at(lam: float) -> tuple[np.ndarray, np.ndarray]:
        best = (true.quality - lam * true.cost).argmax(axis=1)
        return true.cost[rows, best], true.quality[rows, best]

    # With a little weight on cost even at the end: of good answers the cheapest.
    return _stacked(at(lam) for lam in side.lambdas[:0:-1])


def reference_depth(models: int) -> int:
    """The most models of an emulated supermodel: the paper's five where that ends."""
    return _DEPTH if models <= _MANY else _SHALLOW


def play_reference(
    train: Side, test: Side, budgets: Sequence[float], seed: int = 0
) -> PolicyResults:
    """The paper's code, emulated, with its search for lambda on the training queries."""
    k = len(train.data.models)
    after = _alone(train)
    sigma = np.std(train.estimates(()) - after, axis=0)
    points = sobol_points(seed, reference_depth(k))
    fitting, playing = (_Reference(side, sigma, points) for side in (train, test))

    def at(budget: float) -> tuple[np.ndarray, np.ndarray]:
        fit = fit_emulation(fitting, budget)
        done = playing.play(fit.lam, gamma=fit.gamma, seed=seed)
        return done.cost(playing.split), done.quality(playing.split)

    return _stacked(at(budget) for budget in budgets)


def _alone(side: Side) -> np.ndarray:
    """What is believed of each model's answer once it alone has run, (n, k)."""
    columns = range(len(side.data.models))
    return np.column_stack([side.estimates((i,))[:, i] for i in columns])


class _Reference(Emulation):
    """The emulation on estimates that change with every answer, of all models.

    The spread of a model is one number for all queries and states, as the paper's code has it: that
    of its estimate's change by its own answer, out-of-fold.
    """

    def __init__(self, side: Side, sigma: np.ndarray, points: dict[int, np.ndarray]) -> None:
        true = Pool(tuple(side.data.models), side.data.quality, side.data.cost)
        seen = Estimates(side.estimates(()), _alone(side), side.cost, sigma)
        super().__init__(Split(true, seen), points, reference_depth(len(true.names)))
        self._believe: Callable = side.believe

    def _estimate(self, rows: np.ndarray, ran: tuple[int, ...]) -> np.ndarray:
        run = np.zeros((len(rows), self.k), dtype=bool)
        run[:, list(ran)] = True
        return self._believe(rows, run).quality

    def play(self, lam: float, *, gamma: float = 0.0, seed: int = 0) -> Decided:
        ran = super().play(lam, gamma=gamma, seed=seed).ran
        held = self._believe(np.arange(len(ran)), ran).quality
        return Decided(np.where(ran, held, -np.inf).argmax(axis=1), ran)
