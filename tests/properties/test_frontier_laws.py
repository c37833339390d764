"""Laws of every frontier, whatever the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_engine import STRATEGIES, Beliefs, InfeasibleBudgetError, simulate, tune
from tests.helpers import World

laws = settings(max_examples=25)
every = pytest.mark.parametrize("name", sorted(STRATEGIES))

amounts = st.sampled_from([0.0, 0.25, 1.0, 1.0, 3.0, 10.0])
values = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1).map(lambda x: round(x, 3)))
spreads = st.sampled_from([0.0, 0.01, 0.1, 0.3])


@st.composite
def worlds(draw):
    """A few queries with ties, free models, and estimates that may be quite wrong."""
    n, k = draw(st.integers(1, 8)), draw(st.integers(1, 3))

    def table(entries):
        row = st.lists(entries, min_size=k, max_size=k)
        return np.array(draw(st.lists(row, min_size=n, max_size=n)))

    beliefs = Beliefs(table(values), table(values), cost=table(amounts), sd=table(spreads))
    return World(beliefs, table(values), table(amounts))


@every
@laws
@given(some=worlds())
def test_costs_rise_and_lambdas_fall(name, some):
    frontier = tune(name, some.beliefs, **some.truth).frontier
    assert len(frontier.cost) == len(frontier.lambdas) == len(frontier.quality) >= 1
    assert (np.diff(frontier.cost) > 0).all()
    assert (np.diff(frontier.lambdas) < 0).all()
    assert np.isfinite(frontier.lambdas).all()
    assert (frontier.lambdas >= 0).all()
    assert frontier.cost[0] >= some.cost.min(axis=1).mean() - 1e-12
    assert frontier.cost[-1] <= some.cost.sum(axis=1).mean() + 1e-12
    assert some.quality.min(axis=1).mean() - 1e-12 <= frontier.quality.min()
    assert frontier.quality.max() <= some.quality.max(axis=1).mean() + 1e-12


@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - {"fitted_value_iteration"}))
@laws
@given(some=worlds())
def test_every_point_is_what_its_lambda_does_and_no_lambda_is_cheaper(name, some):
    strategy, frontier = tune(name, some.beliefs, **some.truth)
    for lam, cost, quality in zip(frontier.lambdas, frontier.cost, frontier.quality, strict=True):
        outcome = simulate(strategy, some.beliefs, float(lam), **some.truth)
        assert outcome.mean_cost == pytest.approx(cost, rel=1e-10, abs=1e-12)
        assert outcome.mean_quality == pytest.approx(quality, rel=1e-10, abs=1e-12)
    for lam in (0.0, 1e-3, 0.03, 0.3, 1.0, 30.0, 1e6):
        outcome = simulate(strategy, some.beliefs, lam, **some.truth)
        if strategy.lists_options(some.cost.shape[1]):
            assert outcome.mean_cost >= frontier.cost[0] - 1e-12


@every
@laws
@given(some=worlds(), first=st.floats(0, 1), second=st.floats(0, 1))
def test_a_larger_budget_buys_a_policy_no_cheaper(name, some, first, second):
    frontier = tune(name, some.beliefs, **some.truth).frontier
    low, high = frontier.cost[[0, -1]]
    budgets = sorted(float(low + share * (high - low)) for share in (first, second))
    less, more = (frontier.at(budget) for budget in budgets)
    assert less.cost <= more.cost + 1e-12
    assert less.cheap >= more.cheap
    assert less.dear >= more.dear
    for budget, policy in zip(budgets, (less, more), strict=True):
        assert policy.cost == pytest.approx(budget, rel=1e-9, abs=1e-12)
        assert 0 <= policy.gamma <= 1


@every
@laws
@given(some=worlds(), share=st.floats(0, 0.999))
def test_a_budget_below_the_cheapest_is_never_accepted(name, some, share):
    frontier = tune(name, some.beliefs, **some.truth).frontier
    if frontier.cost[0] > 0:
        with pytest.raises(InfeasibleBudgetError):
            frontier.at(float(share * frontier.cost[0]))


@every
@laws
@given(some=worlds(), exponent=st.integers(-20, 20))
def test_the_unit_of_cost_does_not_matter(name, some, exponent):
    unit = 2.0**exponent
    strategy, frontier = tune(name, some.beliefs, **some.truth)
    if not strategy.lists_options(some.cost.shape[1]) or name == "threshold_cascade":
        return
    beliefs = some.beliefs
    scaled = Beliefs(beliefs.before, beliefs.after, cost=beliefs.cost * unit, sd=beliefs.sd)
    other = tune(name, scaled, quality=some.quality, cost=some.cost * unit).frontier
    assert other.cost == pytest.approx(frontier.cost * unit, rel=1e-9)
    assert other.quality == pytest.approx(frontier.quality, abs=1e-12)
