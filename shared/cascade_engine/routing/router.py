"""`CascadeRouter`: learns from complete data, and opens a session for each query."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cascade_engine.core.checks import check_names, is_number, is_whole
from cascade_engine.core.prices import Charge
from cascade_engine.core.records import Query
from cascade_engine.data.dataset import CascadeDataset
from cascade_engine.errors import (
    ConfigurationError,
    DataError,
    NotFittedError,
    UnknownPriceError,
)
from cascade_engine.estimators import (
    CombinedEstimator,
    ConsistencySignal,
    PoissonCostEstimator,
    PriorEstimator,
    TokenCostEstimator,
)
from cascade_engine.routing.advisers import check_advisers, with_parts
from cascade_engine.routing.decider import Decider
from cascade_engine.routing.live_advice import advice_paid, expecting
from cascade_engine.routing.sampling import check_samples, sampled, unsampled
from cascade_engine.routing.saving import load, save
from cascade_engine.routing.session import Session
from cascade_engine.storage.registry import fitting_data_of, persistent
from cascade_engine.strategies import DEFAULT_STRATEGY, ThresholdCascade, find_strategy
from cascade_engine.strategies.frontier import Frontier, Policy, check_budget, coin
from cascade_engine.tuning.beliefs import EstimatedBeliefs
from cascade_engine.tuning.simulation import Outcome, Simulation
from cascade_engine.tuning.tune import tune_on

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from os import PathLike

    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.core.prices import Price
    from cascade_engine.core.records import Answer
    from cascade_engine.estimators import CostEstimator, QualityEstimator
    from cascade_engine.routing.advisers import Adviser
    from cascade_engine.routing.fit_summary import FittingSummary
    from cascade_engine.routing.live_advice import Advising
    from cascade_engine.strategies import Strategy
    from cascade_engine.tuning.simulation import AdviceCosts

__all__ = ["CascadeRouter"]

#: Before any fit, an answer is accepted at this geometric mean token probability.
UNFITTED_THRESHOLD = 0.9


@persistent("CascadeRouter.data")
@dataclass(frozen=True, slots=True)
class _Fit:
    """Complete data as a simulation needs it.

    Attributes:
        believe: by estimates that have not seen a query's labels.
        later: by those that sessions go by, which have.
        quality: shape (n, k).
        cost: shape (n, k).
        advice: what it cost.
    """

    believe: EstimatedBeliefs
    later: EstimatedBeliefs
    quality: FloatArray
    cost: FloatArray
    advice: AdviceCosts | None = None


def _upgraded(state: dict[str, Any], version: int) -> dict[str, Any]:
    """Before version 4 drafts could be broken off, which is no more."""
    upgraded = unsampled(state, version)
    upgraded.pop("abandon_below", None)
    return upgraded


@persistent(
    "CascadeRouter",
    fields=(
        *("models", "strategy", "quality", "cost", "prices", "charge", "budget", "seed"),
        *("clamp_budget", "advisers", "samples", "_unfitted", "_advising"),
    ),
    fitted=("frontier_", "policy_", "summary_"),
    fitting_data=("_data",),
    version=4,
    upgrade=_upgraded,
)
class CascadeRouter:
    """Chooses among k models, query by query, so that a budget buys the most quality.

    Before `fit` it works by a rule: the models run in order until an answer's tokens have a
    geometric mean probability of at least 0.9; an answer without log-probs is judged by its model's
    prior, below 0.9 unless given otherwise. One that certainly fails (it is empty, cut off, not in
    the form asked for, or calls a tool in a way that does not fit) is not taken while another model
    can answer. A budget then limits each query, not the mean.

    After `fit` it follows the strategy, on calibrated estimates, at the budget in expectation.
    A fitted router does not change and may be shared between threads.

    Args:
        models: names of the models, in the order in which a cascade escalates.
        strategy: by name ("fitted_value_iteration", the default, "reservation_index",
            "cascade_routing", "cascading", "routing", "threshold_cascade", "random_mixing",
            "single_model") or a `Strategy`.
        quality: estimator of quality, `CombinedEstimator()` by default; with advisers or samples
            one that reads what they say too, for samples by `ConsistencySignal()`.
        cost: estimator of cost, `PoissonCostEstimator()` by default.
        prices: price by model, and by adviser, for answers that do not carry their own cost.
        charge: what a call costs: "price", tokens times prices; "seconds", its latency; or a
            callable of the model's name and the `Answer`.
        budget: expected cost per query, in the unit of the costs; None for the best quality
            whatever it costs.
        priors: expected quality of each model before any fit.
        seed: of the coin that mixes two policies to meet a budget exactly.
        clamp_budget: what a budget below the cheapest policy's cost does, once fitted: False
            raises, True takes that policy and warns.
        advisers: chat models that judge answers (`ChatJudge`) or look at the query beforehand
            (`ChatRouter`). Once fitted, sessions ask for them too: routers at the start, judges
            about each answer after which a further model may run. It is paid for.
        samples: how many further answers to the same query are asked of which model, by its name,
            to see whether it comes to the same answer again. Once fitted, sessions ask for them
            after that model's own answer where a further model may run, and before judges. Each
            costs what a call of the model costs. The model must sample, at a temperature above 0,
            with no fixed seed and no cache: else it repeats itself, and nothing is learned for the
            money.

    Raises:
        ConfigurationError: names missing or not distinct, an unknown strategy, a bad budget, or
            samples of a model that is not there.

    Attributes:
        frontier_: mean cost and quality on the fitting data at every lambda that matters.
        policy_: the policy bought by `budget`.
        summary_: of the fitting data, for `drift` to compare fresh traces with.
    """

    frontier_: Frontier
    policy_: Policy
    summary_: FittingSummary
    _data: _Fit
    _advising: Advising | None

    def __init__(
        self,
        models: Sequence[str],
        *,
        strategy: str | Strategy = DEFAULT_STRATEGY,
        quality: QualityEstimator | None = None,
        cost: CostEstimator | None = None,
        prices: Mapping[str, Price] | None = None,
        charge: Literal["price", "seconds"] | Callable[[str, Answer], float] = "price",
        budget: float | None = None,
        priors: Sequence[float] | None = None,
        seed: int = 0,
        clamp_budget: bool = False,
        advisers: Sequence[Adviser] = (),
        samples: Mapping[str, int] | None = None,
    ) -> None:
        self.models = check_names(models)
        self.advisers = check_advisers(advisers, self.models)
        self.samples = check_samples(samples, self.models)
        self._advising = None
        self.clamp_budget = clamp_budget
        self.strategy = find_strategy(strategy)
        self.cost = cost or PoissonCostEstimator(seed=seed)
        self.prices = dict(prices or {})
        named = {*self.models, *(adviser.name for adviser in self.advisers)}
        unknown = sorted(set(self.prices) - named)
        if unknown:
            raise ConfigurationError(
                f"prices are given for {unknown}, which are not among the models {self.models}"
                + (" or the advisers" if self.advisers else "")
            )
        self.charge = Charge(self.prices, charge)
        if budget is not None:
            check_budget(budget)
        self.budget = budget
        if not is_whole(seed) or not 0 <= seed < 2**32:
            raise ConfigurationError(f"seed must be a number from 0 to 2**32 - 1, not {seed!r}")
        self.seed = seed
        self.quality = quality or _estimator(self.advisers, self.samples, seed)
        self._unfitted = Decider(
            self.models,
            PriorEstimator(len(self.models), priors),
            # Prices say what to expect only where calls are charged by them.
            TokenCostEstimator(self.models, self.prices if charge == "price" else {}),
            ThresholdCascade(),
            self.charge,
            fitted=False,
        )

    @property
    def is_fitted(self) -> bool:
        """Whether `fit` has been called."""
        return hasattr(self, "frontier_")

    def fit(self, data: CascadeDataset) -> CascadeRouter:
        """Learns estimates, and the strategy's whole cost-quality frontier, from complete data.

        Returns:
            Itself, fitted. If anything fails it is left as it was.

        Raises:
            DataError: the data's models are not the router's, it is too small to learn from, or it
                lacks what advisers said or samples: `collect(..., samples=m + 1)` records m beside
                each answer.
            InfeasibleBudgetError: no policy costs as little as the budget.
            UnknownPriceError: a cost estimator of your own knows no cost for a model.
        """
        self.__dict__.update(self.refit(data).__dict__)
        return self

    def refit(self, data: CascadeDataset) -> CascadeRouter:
        """`fit`, on a copy: this router is left as it is, and goes on serving."""
        data = self.sampled(data)
        new = copy.copy(self)
        new.quality = copy.deepcopy(self.quality).fit(data)
        new.cost = copy.deepcopy(self.cost).fit(data)
        expected = new.cost.cross_predict(data)
        if np.isnan(expected).any():
            unknown = [m for m, c in zip(self.models, expected.T, strict=True) if np.isnan(c).any()]
            raise UnknownPriceError(
                f"the cost estimator knows no cost for {unknown}: give it their prices, or leave "
                "out `cost` to learn from the costs in the data"
            )
        believe = EstimatedBeliefs(new.quality, new.quality.cross_evidence(), expected)
        new._advising = expecting(self.advisers, self.samples, data)  # noqa: SLF001  its own class
        seen = new.quality.fitted_evidence(data)
        # A fit that has seen a query leans towards its cost, and one by the others away from it, as
        # their mean does. Halfway between budgets are kept.
        halfway = (new.cost.predict(data.queries) + expected) / 2
        later = EstimatedBeliefs(new.quality, seen, halfway)
        advice = advice_paid(self.advisers, self.samples, data)
        new._data = _Fit(believe, later, data.quality, data.cost, advice)  # noqa: SLF001
        new._tune(self.strategy)  # noqa: SLF001
        from cascade_engine.routing.fit_summary import summarize  # noqa: PLC0415  it knows this class

        new.summary_ = summarize(new, data, expected=expected)
        return new

    def _tune(self, strategy: Strategy) -> None:
        """Takes a strategy, tuned on the fitting data, and its frontier and policy there."""
        data: _Fit = fitting_data_of(self, "_data")
        believe, later = (self._charged(each, strategy) for each in (data.believe, data.later))
        self.strategy, self.frontier_ = tune_on(
            strategy, believe, data.quality, data.cost, advice=data.advice, later=later
        )
        self.policy_ = self._at(self.budget)

    def _charged(self, believe: EstimatedBeliefs, strategy: Strategy) -> EstimatedBeliefs:
        """Beliefs that expect to pay for advice where a strategy asks for it."""
        if self._advising is None:
            return believe
        return believe.dearer(self._advising.surcharge(strategy))

    def sampled(self, data: CascadeDataset) -> CascadeDataset:
        """Complete data as sessions see it: with as many samples beside answers as they ask for.

        Samples are taken from `Answer.samples` and then from `CascadeDataset.samples`, in order,
        and put into `Answer.samples`; what they cost into `Answer.advice_cost`, by the model's
        name. Where that is unknown, a sample is taken to cost as much as the answer.

        Raises:
            DataError: the data's models are not the router's, or an answer has too few samples.
        """
        if not isinstance(data, CascadeDataset):
            raise DataError(f"the data must be a CascadeDataset, not {data!r:.80}")
        if data.models != self.models:
            raise DataError(
                f"the data is on models {data.models} and the router on {self.models}: use "
                "data.select(router.models), or build the router on the data's models"
            )
        return sampled(data, self.samples, self.charge)

    def game(self, data: CascadeDataset, believe: EstimatedBeliefs) -> Simulation:
        """The router's strategy on complete data, advice included, at what is believed of it."""
        return Simulation(
            self.strategy,
            self._charged(believe, self.strategy),
            quality=data.quality,
            cost=data.cost,
            advice=advice_paid(self.advisers, self.samples, self.sampled(data)),
        )

    def _at(self, budget: float | None) -> Policy:
        return self.frontier_.at(
            float("inf") if budget is None else budget, clamp=self.clamp_budget
        )

    def with_budget(self, budget: float | None) -> CascadeRouter:
        """A router at another budget that shares this one's fit: a look-up, no refit.

        Raises:
            InfeasibleBudgetError: no policy costs as little.
        """
        if budget is not None:
            check_budget(budget)
        other = copy.copy(self)
        other.budget = budget
        if self.is_fitted:
            other.policy_ = other._at(budget)  # noqa: SLF001
        return other

    def with_strategy(self, strategy: str | Strategy) -> CascadeRouter:
        """A router with another strategy on the same estimates, tuned on the same data.

        Raises:
            ConfigurationError: an unknown strategy.
            InfeasibleBudgetError: no policy of that strategy costs as little as the budget.
        """
        other = copy.copy(self)
        other.strategy = find_strategy(strategy)
        if self.is_fitted:
            other._tune(other.strategy)  # noqa: SLF001
        return other

    def session(
        self,
        query: Query | str,
        *,
        budget: float | None = None,
        max_cost: float | None = None,
        lam: float | None = None,
        only: Collection[str] | None = None,
    ) -> Session:
        """Opens a session for one query.

        Args:
            query: what is asked.
            budget: expected cost per query, in place of the router's.
            max_cost: hard cap on this one query's cost.
            lam: the strategy's lambda, in place of the one that a budget buys.
            only: the models that may run, all by default.

        Raises:
            ConfigurationError: a limit or `lam` that is no amount, `lam` before a fit, or models
                that are not there.
            DataError: what is asked is neither text nor a `Query`.
            InfeasibleBudgetError: the budget or the cap is below what the cheapest policy costs.
            UnknownPriceError: not fitted, and a cost limit given without every model's price.
        """
        if isinstance(query, str):
            query = Query(query)
        elif not isinstance(query, Query):
            raise DataError(f"a query must be text or a Query, not {query!r:.80}")
        for limit in (budget, max_cost):
            if limit is not None:
                check_budget(limit)
        if lam is not None:
            self._check_lam(lam, budget)
        wanted = self.budget if budget is None and lam is None else budget
        if not self.is_fitted:
            limits = [limit for limit in (wanted, max_cost) if limit is not None]
            return Session(
                self._unfitted,
                query,
                lam=1 - UNFITTED_THRESHOLD,
                budget=wanted,
                max_cost=min(limits) if limits else None,
                only=only,
            )
        if lam is None:
            policy = self.policy_ if budget is None else self._at(budget)
            lam = policy.lam(coin(query.text, self.seed))
        return Session(
            self._decider(),
            query,
            lam=lam,
            budget=wanted,
            max_cost=max_cost,
            only=only,
        )

    def _check_lam(self, lam: float, budget: float | None) -> None:
        if not is_number(lam) or not lam >= 0:
            raise ConfigurationError(f"lam must be a number >= 0, not {lam!r}")
        if not self.is_fitted:
            raise ConfigurationError(
                f"lam={lam!r} is a trade-off between estimates, and there are none before fit: "
                "call fit first, or give a budget"
            )
        if budget is not None:
            raise ConfigurationError(
                f"lam={lam!r} and budget={budget!r} contradict each other: a budget is turned into "
                "a lambda; give one of them"
            )

    def _decider(self) -> Decider:
        return Decider(
            self.models,
            self.quality,
            self.cost,
            self.strategy,
            self.charge,
            fitted=True,
            advising=self._advising,
        )

    def save(
        self, path: str | PathLike[str], *, include_fitting_data: bool = False
    ) -> tuple[str, ...]:
        """Writes the router to a folder, as JSON and arrays; see `load`.

        It holds words that are frequent in the fitting queries, and no query or answer.

        Args:
            path: of the folder, which may hold the router saved before.
            include_fitting_data: whether to keep the estimates, qualities and costs of the fitting
                queries, on which another strategy can be tuned.

        Returns:
            The places that `load` will ask for: functions of your own cannot be saved.

        Raises:
            PersistenceError: something that cannot be saved, or a folder of something else.
        """
        return save(self, path, include_fitting_data=include_fitting_data)

    @classmethod
    def load(
        cls, path: str | PathLike[str], *, supply: Mapping[str, Any] | None = None
    ) -> CascadeRouter:
        """A router as it was saved. It runs no code of the file.

        Args:
            path: of the folder.
            supply: what could not be saved, by its place: `{"charge.by": function}`.

        Raises:
            PersistenceError: there is no router, it is damaged or of another version, or `supply`
                does not fit it.
        """
        return load(CascadeRouter, path, supply=supply)[0]

    def replay(self, data: CascadeDataset, *, budget: float | None = None) -> Outcome:
        """What the fitted router does on complete data: the decisions its sessions would make.

        One difference: advice on a last answer, which sessions do without, still helps to choose
        here among the answers held.

        Raises:
            NotFittedError: before `fit`.
            DataError: the data's models are not the router's, or it lacks samples.
            InfeasibleBudgetError: no policy costs as little as the budget.
        """
        return self.replayer(data)(budget)

    def replayer(self, data: CascadeDataset) -> Callable[[float | None], Outcome]:
        """`replay` on one data set for many budgets: each after the first costs little."""
        if not self.is_fitted:
            raise NotFittedError("replay needs a fitted router: call fit first")
        data = self.sampled(data)
        believe = EstimatedBeliefs(
            self.quality, self.quality.read(data), self.cost.predict(data.queries)
        )
        game = self.game(data, believe)
        tosses = [coin(query.text, self.seed) for query in data.queries]

        def play(budget: float | None) -> Outcome:
            policy = self.policy_ if budget is None else self._at(budget)
            return game.play(np.array([policy.lam(toss) for toss in tosses]))

        return play


def _estimator(
    advisers: Sequence[Adviser], samples: Mapping[str, int], seed: int
) -> QualityEstimator:
    """The default: with advisers or samples, one that reads what they say."""
    base = CombinedEstimator(seed=seed)
    compared = [ConsistencySignal()] if samples else []
    return with_parts(base, [*base.signals, *compared, *(each.part for each in advisers)])
