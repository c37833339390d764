"""Whether data support a cascade at all: against the single models, and against mixing them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.errors import ConfigurationError
from cascade_engine.evaluation.bootstrap import Bootstrap, Interval, folded, units_of
from cascade_engine.evaluation.curves import Sample, budget_grid
from cascade_engine.evaluation.refitting import (
    MIXING,
    assembled,
    check_data,
    mixed,
    parts,
    refitted,
)
from cascade_engine.evaluation.tables import in_columns
from cascade_engine.strategies import find_strategy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.evaluation.curves import Played
    from cascade_engine.routing.router import CascadeRouter
    from cascade_engine.strategies import Strategy

__all__ = ["Payoff", "Payoffs", "does_it_pay"]

_BUDGETS = 17
#: Least queries before "no difference" says more than that they were few.
_FEW = 100
#: Differences up to this are those of rounding, and neither better nor worse.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Payoff:
    """Whether one strategy pays.

    Attributes:
        strategy: its name.
        pays: whether it beats random mixing of single models at the same cost by more than chance.
            The ends of mixing are the single models themselves.
        gain: quality above that of random mixing at the same cost: at the budget, or without one
            on average over costs from the cheapest to the dearest model's.
        saving: what it saves, as a share of what the best single model costs, while as good as
            that model; None where it never is as good.
        cost: mean cost at the budget; None without one.
        reason: the finding in words.
    """

    strategy: str
    pays: bool
    gain: Interval
    saving: Interval
    cost: float | None
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON-able values."""
        return {
            "strategy": self.strategy,
            "pays": self.pays,
            "gain": self.gain.to_dict(),
            "saving": self.saving.to_dict(),
            "cost": self.cost,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Payoffs:
    """What `does_it_pay` found.

    Attributes:
        by_strategy: the findings, the router's own strategy first.
        queries: on which they rest, none played by a router that was fitted on it.
        best: the best single model there.
    """

    by_strategy: Mapping[str, Payoff]
    queries: int
    best: str

    @property
    def own(self) -> Payoff:
        """The finding on the router's own strategy."""
        return next(iter(self.by_strategy.values()))

    @property
    def pays(self) -> bool:
        """Whether the router's own strategy does; see `Payoff`."""
        return self.own.pays

    @property
    def gain(self) -> Interval:
        """That of the router's own strategy; see `Payoff`."""
        return self.own.gain

    @property
    def saving(self) -> Interval:
        """That of the router's own strategy; see `Payoff`."""
        return self.own.saving

    @property
    def reason(self) -> str:
        """That of the router's own strategy; see `Payoff`."""
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
        return {
            "queries": self.queries,
            "best": self.best,
            "by_strategy": {name: p.to_dict() for name, p in self.by_strategy.items()},
        }

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
    `test`; it need not be fitted before, and is left as it is. What it is compared with, random
    mixing of single models, is chosen on the same fitting queries.

    Args:
        router: its estimators, strategy and budget.
        data: to fit on; without `test` also to judge on, fold by fold.
        test: held-out data, in place of folds.
        strategies: others to judge beside the router's own. Of many some seem to pay by chance.
        folds: of the cross-fitting.
        replications: resamples of the queries behind each interval.
        seed: of the folds and the resamples.
        level: of the intervals.

    Raises:
        DataError: the data is on other models, or too small to be split and learned from.
        ConfigurationError: an unknown strategy, a single model, or an option that cannot be.
    """
    check_data(router, data, test)
    if len(data.models) < 2:  # noqa: PLR2004
        raise ConfigurationError(f"nothing to choose among: the only model is {data.models}")
    named = _strategies(router, strategies)
    grid = budget_grid(data.cost.mean(axis=0), _BUDGETS)
    budget = router.budget if router.budget is not None and np.isfinite(router.budget) else None
    budgets = grid if budget is None else [*grid, budget]
    judged = data if test is None else test
    everything = np.arange(len(data)), np.arange(len(judged))
    pieces: dict[str, list[tuple[Any, Played]]] = {name: [] for name in (*named, MIXING)}
    for train, rows in parts(data, folds, seed) if test is None else [everything]:
        fit, held = data.take(train), judged.take(rows)
        played = refitted(router, named, fit, held, budgets)
        for name, one in {**played, MIXING: mixed(fit, held, grid)}.items():
            pieces[name].append((rows, one))
    plays = {name: assembled(some) for name, some in pieces.items()}
    bootstrap = Bootstrap(
        units_of(judged),
        replications=replications,
        seed=seed,
        level=level,
        widened=folded(folds) if test is None else 1.0,
    )
    judge = _Judge(plays, judged, bootstrap, budget)
    return Payoffs(
        {name: judge(name) for name in named}, len(judged), judged.models[judge.sample.best]
    )


def _strategies(router: CascadeRouter, others: Sequence[str | Strategy]) -> dict[str, Strategy]:
    """The router's own strategy and the others, by name."""
    named = {router.strategy.name: router.strategy}
    for given in others:
        found = find_strategy(given)
        if found.name in named and not isinstance(given, str):
            raise ConfigurationError(
                f"two strategies are named {found.name!r}: judge them one at a time"
            )
        named.setdefault(found.name, found)
    return named


class _Judge:
    """Compares strategies with mixing on what was played; the budget's policy is the last."""

    def __init__(
        self,
        plays: Mapping[str, Played],
        data: CascadeDataset,
        bootstrap: Bootstrap,
        budget: float | None,
    ) -> None:
        self._plays, self._data, self._budget = plays, data, budget
        self.sample = Sample(plays, data, bootstrap)

    def __call__(self, name: str) -> Payoff:
        sample = self.sample
        if self._budget is None:
            cost, ours, theirs = None, sample.area(name), sample.area(MIXING)
        else:
            spent = sample.means(self._plays[name].cost[:, -1:])[:, 0]
            ours = sample.means(self._plays[name].quality[:, -1:])[:, 0]
            cost, theirs = float(spent[0]), self._mixing(spent)
        gain = sample.interval(_level(ours - theirs))
        saving = sample.interval(_level(1.0 - sample.parity(name)))
        pays = gain.is_above_zero
        words = self._finding(gain, (float(ours[0]), float(theirs[0])), cost)
        words = f"{name} {'pays' if pays else 'does not pay'}: {words}. {self._saved(saving)}"
        return Payoff(name, pays, gain, saving, cost, words)

    def _mixing(self, spent: FloatArray) -> FloatArray:
        line = self.sample.line(MIXING)
        assert line is not None  # noqa: S101  the grid is never empty
        return line.at(spent)

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
        best = self._data.models[self.sample.best]
        if saving.value is None:
            return f"At no budget is it as good as {best} alone"
        if saving.value <= 0:
            return f"To be as good as {best} alone it costs no less"
        return f"As good as {best} alone, it saves {saving:.0%} of that model's cost"


def _level(differences: FloatArray) -> FloatArray:
    return np.where(np.abs(differences) <= _ROUNDING, 0.0, differences)
