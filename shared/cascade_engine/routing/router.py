"""`CascadeRouter`: learns from complete data, and opens a session for each query."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Literal

from cascade_engine.core.checks import check_names, is_whole
from cascade_engine.core.prices import Charge
from cascade_engine.core.records import Query
from cascade_engine.errors import ConfigurationError, DataError, NotFittedError
from cascade_engine.estimators import PoissonCostEstimator
from cascade_engine.routing.advisers import check_advisers, check_prices, default_estimator
from cascade_engine.routing.decider import UNFITTED_THRESHOLD, Decider, unfitted_decider
from cascade_engine.routing.fit_data import FitData, add_surcharge, check_data, out_of_fold_costs
from cascade_engine.routing.fit_summary import summarize_fit
from cascade_engine.routing.limits import check_lam
from cascade_engine.routing.recorded_advice import advice_costs, plan_advice
from cascade_engine.routing.samples import check_samples, take_samples, without_samples
from cascade_engine.routing.session import Session
from cascade_engine.storage.registry import fitting_data_of, persistent
from cascade_engine.strategies import DEFAULT_STRATEGY, find_strategy
from cascade_engine.strategies.frontier import Frontier, Policy, check_budget, coin
from cascade_engine.tuning.beliefs import EstimatedBeliefs
from cascade_engine.tuning.simulation import Outcome, Simulation

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from os import PathLike

    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.core.prices import Price
    from cascade_engine.core.records import Answer
    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.estimators import CostEstimator, QualityEstimator
    from cascade_engine.routing.advisers import Adviser
    from cascade_engine.routing.fit_summary import FittingSummary
    from cascade_engine.routing.live_advice import AdvicePlan
    from cascade_engine.strategies import Strategy

__all__ = ["CascadeRouter"]


def _upgraded(state: dict[str, Any], version: int) -> dict[str, Any]:
    """The state of an older version; before version 4 it had an option that is gone."""
    upgraded = without_samples(state, version)
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

    Before `fit` it follows a rule (`decider.unfitted_decider`): the models run in order until an
    answer's tokens have a geometric mean probability of at least 0.9 (`UNFITTED_THRESHOLD`). An
    answer without log-probs counts as its model's prior, which is below 0.9 by default. An answer
    that certainly fails (empty, cut off, not in the form asked for, or with a tool call that does
    not fit) is not returned while another model can answer. A budget then limits each query, not
    the mean.

    After `fit` it follows the strategy, on calibrated estimates, and keeps the budget in
    expectation. A fitted router does not change and may be shared between threads.

    Args:
        models: names of the models, in the order in which a cascade escalates.
        strategy: by name ("fitted_value_iteration", the default, "reservation_index",
            "cascade_routing", "cascading", "routing", "threshold_cascade", "random_mixing",
            "single_model") or a `Strategy`.
        quality: estimator of quality, `CombinedEstimator()` by default; with advisers or samples
            one that reads their signals too (for samples a `ConsistencySignal()`).
        cost: estimator of cost, `PoissonCostEstimator()` by default.
        prices: price by model, and by adviser, for answers that do not carry their own cost.
        charge: what a call costs: "price", tokens times prices; "seconds", its latency; or a
            function of the model's name and the `Answer`.
        budget: expected cost per query, in the unit of the costs; None for the best quality
            whatever it costs.
        priors: expected quality of each model before any fit.
        seed: of the coin that mixes two policies to meet a budget exactly.
        clamp_budget: what a fitted router does with a budget below the cheapest policy's cost:
            False raises, True takes that policy and warns.
        advisers: chat models that judge answers (`ChatJudge`) or look at the query beforehand
            (`ChatRouter`). Once fitted, sessions ask them too: routers first, judges about each
            answer after which a further model may run. Their calls are paid for.
        samples: number of samples by model: further answers to the same query, which show whether
            the model comes to the same answer again. Once fitted, sessions ask for them after the
            model's own answer where a further model may run, and before judges. Each costs as much
            as a call of the model. The model must sample, at a temperature above 0, with no fixed
            seed and no cache: otherwise it repeats itself, and the money is lost.

    Raises:
        ConfigurationError: names are missing or not distinct, the strategy is unknown, the budget
            or the seed cannot be, or `prices` or `samples` name an unknown model.

    Attributes:
        frontier_: mean cost and quality on the fitting data at every lambda that matters.
        policy_: the policy bought by `budget`.
        summary_: of the fitting data, for `drift` to compare fresh queries with.
    """

    frontier_: Frontier
    policy_: Policy
    summary_: FittingSummary
    _data: FitData
    _advising: AdvicePlan | None

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
        check_prices(self.prices, self.models, self.advisers)
        self.charge = Charge(self.prices, charge)
        if budget is not None:
            check_budget(budget)
        self.budget = budget
        if not is_whole(seed) or not 0 <= seed < 2**32:
            raise ConfigurationError(f"seed must be a number from 0 to 2**32 - 1, not {seed!r}")
        self.seed = seed
        self.quality = quality or default_estimator(self.advisers, self.samples, seed)
        # Prices say what to expect only where calls are charged by them.
        expected_prices = self.prices if charge == "price" else {}
        self._unfitted = unfitted_decider(self.models, priors, expected_prices, self.charge)

    @property
    def is_fitted(self) -> bool:
        """Whether `fit` has been called."""
        return hasattr(self, "frontier_")

    def fit(self, data: CascadeDataset) -> CascadeRouter:
        """Learns estimates, and the strategy's whole cost-quality frontier, from complete data.

        Returns:
            Itself, fitted. If anything fails it is left as it was.

        Raises:
            DataError: the data is on other models, is too small to learn from, or lacks advice or
                samples: `collect(..., samples=m + 1)` records m samples beside each answer.
            InfeasibleBudgetError: no policy costs as little as the budget.
            UnknownPriceError: a cost estimator of your own knows no cost for a model.
        """
        self.__dict__.update(self.refit(data).__dict__)
        return self

    def refit(self, data: CascadeDataset) -> CascadeRouter:
        """`fit`, on a copy: this router is left as it is, and goes on serving."""
        data = self.take_samples(data)
        new = copy.copy(self)
        new.quality = copy.deepcopy(self.quality).fit(data)
        new.cost = copy.deepcopy(self.cost).fit(data)
        expected = out_of_fold_costs(new.cost, data)
        new._learn(data, expected)  # noqa: SLF001  its own class
        new.summary_ = new.summarize(data, expected=expected)
        return new

    def _learn(self, data: CascadeDataset, expected: FloatArray) -> None:
        """What follows from fitted estimators: the plan of advice, and the strategy's frontier."""
        advice = advice_costs(self.advisers, self.samples, data)
        self._advising = None
        if advice is not None:
            self._advising = plan_advice(self.advisers, self.samples, data, advice)
        self._data = FitData.of(data, self.quality, self.cost, expected, advice)
        self._tune(self.strategy)

    def _tune(self, strategy: Strategy) -> None:
        """Takes a strategy, tuned on the fitting data, and its frontier and policy there."""
        data: FitData = fitting_data_of(self, "_data")
        self.strategy, self.frontier_ = data.tune(strategy, self._advising)
        self.policy_ = self._policy_at(self.budget)

    def take_samples(self, data: CascadeDataset) -> CascadeDataset:
        """Complete data as sessions see it: with as many samples beside answers as they ask for.

        Samples are taken from `Answer.samples` and then from `CascadeDataset.samples`, in order,
        and put into `Answer.samples`; their cost goes into `Answer.advice_cost`, by the model's
        name. Where it is unknown, a sample counts as much as the answer.

        Raises:
            DataError: the data's models are not the router's, or an answer has too few samples.
        """
        check_data(data, self.models)
        return take_samples(data, self.samples, self.charge)

    def summarize(
        self, data: CascadeDataset, *, expected: FloatArray | None = None
    ) -> FittingSummary:
        """Sums up the data that the router was fitted on, for `drift` to compare others with.

        A fit does so itself (`summary_`); this is for another budget or strategy, and for routers
        saved before there were summaries.

        Args:
            data: what the router was fitted on, and no other.
            expected: expected costs out of fold, shape (n, k), if they are at hand.

        Raises:
            NotFittedError: the router has not been fitted.
            DataError: the data is on other models, or not as long as what the router was fitted on.
        """
        if not self.is_fitted:
            raise NotFittedError("there is no fit to sum up: call fit first")
        check_data(data, self.models)
        return summarize_fit(
            data,
            estimator=self.quality,
            expected=self.cost.cross_predict(data) if expected is None else expected,
            play=lambda beliefs: self._play(self.simulation(data, beliefs), data, self.policy_),
            strategy=self.strategy.name,
            budget=self.budget,
        )

    def simulation(self, data: CascadeDataset, beliefs: EstimatedBeliefs) -> Simulation:
        """The strategy on complete data, advice included, by what is believed of the data."""
        return Simulation(
            self.strategy,
            add_surcharge(beliefs, self._advising, self.strategy),
            quality=data.quality,
            cost=data.cost,
            advice=advice_costs(self.advisers, self.samples, self.take_samples(data)),
        )

    def _policy_at(self, budget: float | None) -> Policy:
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
            other.policy_ = other._policy_at(budget)  # noqa: SLF001
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
            query: the query.
            budget: expected cost per query, in place of the router's.
            max_cost: hard cap on this one query's cost.
            lam: the strategy's lambda, in place of the one that a budget buys.
            only: names of the models that may run, all by default.

        Raises:
            ConfigurationError: a limit or `lam` that is no amount, `lam` before a fit, or unknown
                models.
            DataError: `query` is neither text nor a `Query`.
            InfeasibleBudgetError: the budget or the cap is below what the cheapest policy costs.
            UnknownPriceError: before a fit, a cost limit without every model's price.
        """
        if isinstance(query, str):
            query = Query(query)
        elif not isinstance(query, Query):
            raise DataError(f"a query must be text or a Query, not {query!r:.80}")
        for limit in (budget, max_cost):
            if limit is not None:
                check_budget(limit)
        if lam is not None:
            check_lam(lam, budget, fitted=self.is_fitted)
        target = self.budget if budget is None and lam is None else budget
        if not self.is_fitted:
            decider, lam = self._unfitted, 1 - UNFITTED_THRESHOLD
            max_cost = min((x for x in (target, max_cost) if x is not None), default=None)
        else:
            parts = (self.models, self.quality, self.cost, self.strategy, self.charge)
            decider = Decider(*parts, fitted=True, advising=self._advising)
            if lam is None:
                policy = self.policy_ if budget is None else self._policy_at(budget)
                lam = policy.lam(coin(query.text, self.seed))
        return Session(decider, query, lam=lam, budget=target, max_cost=max_cost, only=only)

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
        from cascade_engine.routing.persistence import save  # noqa: PLC0415  few routers are saved

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
        from cascade_engine.routing.persistence import load  # noqa: PLC0415  few routers are loaded

        return load(CascadeRouter, path, supply=supply)[0]

    def replay(self, data: CascadeDataset, *, budget: float | None = None) -> Outcome:
        """What the fitted router does on complete data: the decisions its sessions would make.

        One difference: advice on a query's last answer, which sessions do without, helps to choose
        among the answers here.

        Raises:
            NotFittedError: before `fit`.
            DataError: the data's models are not the router's, or it lacks samples.
            InfeasibleBudgetError: no policy costs as little as the budget.
        """
        return self.replayer(data)(budget)

    def replayer(self, data: CascadeDataset) -> Callable[[float | None], Outcome]:
        """`replay` on one data set at many budgets: each after the first costs little."""
        if not self.is_fitted:
            raise NotFittedError("replay needs a fitted router: call fit first")
        data = self.take_samples(data)
        evidence, expected = self.quality.read(data), self.cost.predict(data.queries)
        simulation = self.simulation(data, EstimatedBeliefs(self.quality, evidence, expected))

        def play(budget: float | None) -> Outcome:
            policy = self.policy_ if budget is None else self._policy_at(budget)
            return self._play(simulation, data, policy)

        return play

    def _play(self, simulation: Simulation, data: CascadeDataset, policy: Policy) -> Outcome:
        """Plays a policy, each query's coin falling as in its session."""
        return simulation.play_policy(policy, [query.text for query in data.queries], self.seed)
