"""Whether routing pays at all: against the single models, and against mixing them at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.errors import ConfigurationError
from cascade_engine.evaluation.bootstrap import Bootstrap, Interval, units_of
from cascade_engine.evaluation.cross_validation import (
    join_folds,
    mix_and_play,
    refit_and_play,
    splits,
)
from cascade_engine.evaluation.curves import MIXING, ResampledCurves, budget_grid
from cascade_engine.evaluation.tables import in_columns, plain_fields
from cascade_engine.routing.fit_data import check_data
from cascade_engine.strategies import find_strategy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.evaluation.curves import PolicyResults
    from cascade_engine.routing.router import CascadeRouter
    from cascade_engine.strategies import Strategy

__all__ = ["Payoff", "Payoffs", "does_it_pay"]

_BUDGETS = 17
#: With fewer queries than this, "no difference" may only mean that they were few.
_FEW = 100
#: Differences up to this come from rounding, and count as none.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Payoff:
    """Whether one strategy pays.

    Attributes:
        strategy: name of the strategy.
        pays: whether it beats random mixing of single models at the same cost by more than chance.
            The ends of mixing are the single models themselves.
        gain: quality above that of random mixing at the same cost: at the budget, or without one
            on average over costs from the cheapest to the dearest model's.
        saving: what it saves while as good as the best single model, as a share of that model's
            cost; None where it never is as good.
        cost: mean cost at the budget; None without one.
        reason: the verdict, with its numbers.
    """

    strategy: str
    pays: bool
    gain: Interval
    saving: Interval
    cost: float | None
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON-able values."""
        return plain_fields(self)


@dataclass(frozen=True, slots=True)
class Payoffs:
    """The result of `does_it_pay`.

    Attributes:
        by_strategy: a verdict for each strategy, the router's own first.
        queries: number of queries behind it; none was played by a router that was fitted on it.
        best: the best single model on them.
    """

    by_strategy: Mapping[str, Payoff]
    queries: int
    best: str

    @property
    def own(self) -> Payoff:
        """The verdict on the router's own strategy."""
        return next(iter(self.by_strategy.values()))

    @property
    def pays(self) -> bool:
        """Whether the router's own strategy pays; see `Payoff`."""
        return self.own.pays

    @property
    def gain(self) -> Interval:
        """The gain of the router's own strategy; see `Payoff`."""
        return self.own.gain

    @property
    def saving(self) -> Interval:
        """The saving of the router's own strategy; see `Payoff`."""
        return self.own.saving

    @property
    def reason(self) -> str:
        """The reason of the router's own strategy; see `Payoff`."""
        return self.own.reason

    def table(self) -> str:
        """A line for each strategy."""
        rows = [
            (name, "yes" if p.pays else "no", f"{p.gain:+.3f}", f"{p.saving:.0%}")
            for name, p in self.by_strategy.items()
        ]
        return in_columns(
            [("strategy", "pays", "more than mixing", f"saved on {self.best}"), *rows]
        )

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON-able values."""
        return plain_fields(self)

    def __str__(self) -> str:
        return self.reason


def does_it_pay(
    router: CascadeRouter,
    data: CascadeDataset,
    *,
    test: CascadeDataset | None = None,
    strategies: Sequence[str | Strategy] = (),
    folds: int = 5,
    replications: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Payoffs:
    """Whether routing among these models is worth it, judged on queries not fitted on.

    The router is fitted anew on every fold's complement, or on all of the data where there is a
    `test`; it need not be fitted before, and is left as it is. Random mixing of single models, with
    which it is compared, is chosen on the same fitting queries.

    Args:
        router: the estimators, strategy and budget to judge.
        data: to fit on; without `test` also to judge on, fold by fold.
        test: held-out data, in place of folds.
        strategies: others to judge beside the router's own. Of many, some seem to pay by chance.
        folds: number of folds.
        replications: number of resamples of the queries behind each interval.
        seed: of the folds and the resamples.
        level: of the intervals.

    Raises:
        DataError: the data is on other models, or too small to be split and learned from.
        ConfigurationError: an unknown strategy, a single model, or an option that cannot be.
    """
    judged = data if test is None else test
    for rows in (data, judged):
        check_data(rows, router.models)
    if len(data.models) < 2:  # noqa: PLR2004
        raise ConfigurationError(f"nothing to choose among: the only model is {data.models}")
    named = _strategies(router, strategies)
    grid = budget_grid(data.cost.mean(axis=0), _BUDGETS)
    budget = router.budget if router.budget is not None and np.isfinite(router.budget) else None
    budgets = grid if budget is None else [*grid, budget]
    whole = np.arange(len(data)), np.arange(len(judged))
    folded: dict[str, list[tuple[Any, PolicyResults]]] = {name: [] for name in (*named, MIXING)}
    for train_rows, test_rows in splits(data, folds, seed) if test is None else [whole]:
        train, held_out = data.take(train_rows), judged.take(test_rows)
        results = refit_and_play(router, named, train, held_out, budgets)
        results[MIXING] = mix_and_play(train, held_out, grid)
        for name, result in results.items():
            folded[name].append((test_rows, result))
    bootstrap = Bootstrap(
        units_of(judged),
        replications=replications,
        seed=seed,
        level=level,
        folds=folds if test is None else None,
    )
    judge = _Judge({n: join_folds(parts) for n, parts in folded.items()}, judged, bootstrap, budget)
    return Payoffs(
        {name: judge(name) for name in named}, len(judged), judged.models[judge.curves.best]
    )


def _strategies(router: CascadeRouter, others: Sequence[str | Strategy]) -> dict[str, Strategy]:
    """The router's own strategy and the others, by name."""
    named = {router.strategy.name: router.strategy}
    for other in others:
        strategy = find_strategy(other)
        if strategy.name in named and not isinstance(other, str):
            raise ConfigurationError(
                f"two strategies are named {strategy.name!r}: judge them one at a time"
            )
        named.setdefault(strategy.name, strategy)
    return named


class _Judge:
    """Compares strategies with mixing; of a strategy's policies the last is the budget's."""

    def __init__(
        self,
        results: Mapping[str, PolicyResults],
        data: CascadeDataset,
        bootstrap: Bootstrap,
        budget: float | None,
    ) -> None:
        self._results, self._data, self._budget = results, data, budget
        self.curves = ResampledCurves(results, data, bootstrap)

    def __call__(self, name: str) -> Payoff:
        curves = self.curves
        if self._budget is None:
            cost, ours, theirs = None, curves.area(name), curves.area(MIXING)
        else:
            spent = curves.means(self._results[name].cost[:, -1:])[:, 0]
            ours = curves.means(self._results[name].quality[:, -1:])[:, 0]
            cost, theirs = float(spent[0]), self._mixing(spent)
        gain = curves.interval(_without_rounding(ours - theirs))
        saving = curves.interval(_without_rounding(1.0 - curves.parity(name)))
        pays = gain.is_above_zero
        words = self._finding(gain, (float(ours[0]), float(theirs[0])), cost)
        words = f"{name} {'pays' if pays else 'does not pay'}: {words}. {self._saved(saving)}"
        return Payoff(name, pays, gain, saving, cost, words)

    def _mixing(self, spent: FloatArray) -> FloatArray:
        """Quality of mixing at what the strategy spent."""
        curve = self.curves.curve(MIXING)
        assert curve is not None  # noqa: S101  the grid is never empty
        return curve.at(spent)

    def _finding(self, gain: Interval, qualities: tuple[float, float], cost: float | None) -> str:
        where = "over costs from the cheapest to the dearest model's"
        if cost is not None:
            where = f"at {cost:.3g} per query"
        words = (
            f"{where} its quality is {qualities[0]:.3f}, and that of mixing single models at "
            f"random at the same cost {qualities[1]:.3f}; the difference is {gain:+.3f}"
        )
        if gain.is_above_zero:
            return words
        if gain.high is not None and gain.high < 0:
            return f"{words}, which is worse than not looking at the queries"
        few = " (and they are few)" if len(self._data) < _FEW else ""
        return f"{words}, which is no more than chance on {len(self._data)} queries{few}"

    def _saved(self, saving: Interval) -> str:
        best = self._data.models[self.curves.best]
        if saving.value is None:
            return f"At no budget is it as good as {best} alone"
        if saving.value <= 0:
            return f"To be as good as {best} alone it costs no less"
        return f"As good as {best} alone, it saves {saving:.0%} of that model's cost"


def _without_rounding(differences: FloatArray) -> FloatArray:
    return np.where(np.abs(differences) <= _ROUNDING, 0.0, differences)
