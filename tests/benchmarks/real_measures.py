"""What is measured on recorded answers: how true and how quick estimates are, and what they buy."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from measuring import cpu_seconds
from real_data import remembering_estimator
from rivals import (
    Side,
    best_chains,
    catalogue,
    play_chains,
    play_oracle,
    play_reference,
)

from cascade_engine import CascadeRouter
from cascade_engine.estimators import CombinedEstimator, PoissonCostEstimator
from cascade_engine.evaluation.bootstrap import Bootstrap, units_of
from cascade_engine.evaluation.calibration import measure_reliability
from cascade_engine.evaluation.curves import (
    PolicyResults,
    ResampledCurves,
    budget_grid,
    side_by_side,
)
from cascade_engine.strategies.frontier import coin
from cascade_engine.tuning.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from real_data import Study

DEFAULT = "fitted_value_iteration"
STRATEGIES = (
    DEFAULT,
    "reservation_index",
    "cascade_routing",
    "cascading",
    "routing",
    "threshold_cascade",
    "random_mixing",
)
REFERENCE, CHAINS = "reference, emulated", "chains of up to 3"
PAIRS, CLASSICAL = "two-model cascade", "two-model cascade, classical"
ORACLE, HINDSIGHT = "oracle", "chains chosen on the test queries"
CEILINGS = (ORACLE, HINDSIGHT)
_BUDGETS, _EMULATED_BUDGETS = 33, 12
_BINS, _TRIPLES, _SINGLE = 15, 30, 200


class Fitted:
    """The default estimators and strategy, fitted to a data set, and what they say of both parts.

    Args:
        study: the data set.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        blank = CascadeRouter(
            study.train.models,
            strategy=DEFAULT,
            quality=remembering_estimator(),
            cost=PoissonCostEstimator(),
        )
        self.router = blank.fit(study.train)
        quality, cost = self.router.quality, self.router.cost
        crossed = quality.cross_evidence(), cost.cross_predict(study.train)
        fresh = quality.read(study.test), cost.predict(study.test.queries)
        self.train = Side(self.router, study.train, *crossed)
        self.test = Side(self.router, study.test, *fresh)

    def play(self, strategy: str) -> PolicyResults:
        """A strategy of the library at many budgets, on the test queries.

        As `CascadeRouter.replayer` plays it, but all strategies share what is believed.
        """
        router = self.router if strategy == DEFAULT else self.router.with_strategy(strategy)
        data, frontier = self.study.test, router.frontier_
        game = Simulation(router.strategy, self.test.believe, quality=data.quality, cost=data.cost)
        tosses = [coin(query.text, router.seed) for query in data.queries]
        outcomes = []
        for budget in budget_grid(data.cost.mean(axis=0), _BUDGETS):
            policy = frontier.at(max(budget, float(frontier.cost[0])))
            outcomes.append(game.play(np.array([policy.lam(toss) for toss in tosses])))
        return side_by_side(outcomes, len(data))

    def rivals(self, *, emulated: bool = True) -> dict[str, PolicyResults]:
        """Rivals tuned on the same training estimates, on the test queries."""
        found = {}
        if emulated:
            means = self.study.train.cost.mean(axis=0)
            budgets = np.geomspace(means.min(), means.max(), _EMULATED_BUDGETS)
            found[REFERENCE] = play_reference(self.train, self.test, [float(b) for b in budgets])
        for name, longest, classical in (
            (PAIRS, 2, False),
            (CLASSICAL, 2, True),
            (CHAINS, 3, False),
        ):
            tuned = catalogue(self.train, longest, classical=classical)
            found[name] = play_chains(best_chains(tuned, self.train), self.test)
        return found

    def ceilings(self) -> dict[str, PolicyResults]:
        """What knows the test queries' answers: no policy, but bounds on policies."""
        chosen = best_chains(catalogue(self.test, 3), self.test)
        return {ORACLE: play_oracle(self.test), HINDSIGHT: play_chains(chosen, self.test)}


def policies(
    plays: dict[str, PolicyResults], study: Study, *, replications: int = 1_000
) -> dict[str, dict]:
    """Areas, qualities and parity of each curve, with 95% intervals over the test queries.

    Returns:
        By name. `auc`: mean quality over costs from the cheapest to the dearest model's; `less`:
        the default's area less this one's; `at_best` and `at_half`: quality at the best model's
        mean cost and at half of it; `parity`: the cost of its quality, as a share of its cost;
        `at`: qualities at `Study.costs`.
    """
    bootstrap = Bootstrap(units_of(study.test), replications=replications)
    sample = ResampledCurves(plays, study.test, bootstrap)
    best_cost = sample.cost[:, sample.best]
    found = {}
    for name in plays:
        areas = sample.area(name)
        values = {
            "auc": areas,
            "less": sample.area(DEFAULT) - areas,
            "at_best": sample.at(name, best_cost),
            "at_half": sample.at(name, best_cost / 2),
            "parity": sample.parity(name),
        }
        found[name] = {what: sample.interval(v).to_dict() for what, v in values.items()}
        costs = (np.full(len(best_cost), cost) for cost in study.costs())
        found[name]["at"] = [sample.interval(sample.at(name, cost)).to_dict() for cost in costs]
    return found


def singles(study: Study) -> list[dict]:
    """Each model alone on the test queries, by rising cost."""
    cost, quality = study.test.cost.mean(axis=0), study.test.quality.mean(axis=0)
    return [
        {"model": study.test.models[i], "cost": float(cost[i]), "quality": float(quality[i])}
        for i in np.argsort(cost)
    ]


def accuracy(side: Side) -> dict[str, dict]:
    """ROC AUC and calibration error before any answer, after a model's own, and after three."""
    k, quality = len(side.data.models), side.data.quality
    own = np.column_stack([side.estimates((i,))[:, i] for i in range(k)])
    rng, estimates, true = np.random.default_rng(1), [], []
    for _ in range(_TRIPLES if k > 3 else 1):
        triple = np.sort(rng.choice(k, min(3, k), replace=False))
        estimates.append(side.estimates(triple.tolist())[:, triple].ravel())
        true.append(quality[:, triple].ravel())
    return {
        "before": _accuracy(side.estimates(()).ravel(), quality.ravel()),
        "own": _accuracy(own.ravel(), quality.ravel()),
        "three": _accuracy(np.concatenate(estimates), np.concatenate(true)),
    }


def _accuracy(estimate: np.ndarray, quality: np.ndarray) -> dict[str, float | None]:
    found = measure_reliability(estimate, quality, bins=_BINS)
    return {"roc_auc": found.roc_auc, "ece": found.ece}


def times(study: Study) -> dict[str, float]:
    """CPU seconds of a fit, and of one query's estimates: first, and after each of three answers.

    By the estimator as it comes, which remembers nothing between fits. Medians.
    """
    estimator = CombinedEstimator()
    fit = cpu_seconds(lambda: estimator.fit(study.train))
    before, after = [], []
    some = zip(study.test.queries[:_SINGLE], study.test.answers, strict=False)
    for query, answers in some:
        run = np.zeros((1, len(answers)), dtype=bool)
        start = time.process_time()
        evidence = estimator.begin([query])
        estimator.estimate(evidence, run)
        before.append(time.process_time() - start)
        for model in range(min(3, len(answers))):
            run[0, model] = True
            start = time.process_time()
            estimator.observe(evidence, model, [answers[model]])
            estimator.estimate(evidence, run)
            after.append(time.process_time() - start)
    return {"fit": fit, "before": median(before), "after": median(after)}


def small(study: Study, sizes: Sequence[int], seeds: int, tested: int) -> list[dict]:
    """The default and the search over chains, fitted on few queries."""
    found = []
    for size in sizes:
        for seed in range(seeds):
            part = study.part(size, tested, seed)
            fitted = Fitted(part)
            plays = {DEFAULT: fitted.play(DEFAULT), **fitted.rivals(emulated=False)}
            best = float(part.test.quality.mean(axis=0).max())
            curves = policies(plays, part, replications=1)
            found.append({"size": size, "seed": seed, "best": best, "policies": curves})
    return found
