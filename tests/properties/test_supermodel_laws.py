"""Laws of the search for the best supermodel: pruning changes nothing, ever."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_engine.estimators import Estimates
from cascade_engine.strategies import CascadeRouting
from tests.helpers import decide
from tests.oracle import (
    ListedCascadeRouting,
    Maxima,
    cascade_routing_actions,
    held_of,
    sets_of,
    worths,
)

laws = settings(max_examples=150)

qualities = st.one_of(
    st.floats(-1, 2).map(lambda x: round(x, 6)), st.sampled_from([0.25, 0.5, 0.75])
)
spreads = st.one_of(
    st.just(0.0), st.sampled_from([0.1, 0.3]), st.floats(-5, 0).map(lambda x: 10.0**x)
)
costs = st.one_of(st.just(0.0), st.sampled_from([0.5, 1.0]), st.floats(-2, 1).map(lambda x: 10**x))
lambdas = st.one_of(st.just(0.0), st.floats(-4, 1).map(lambda x: 10.0**x))
depths = st.sampled_from([None, None, 1, 2, 3])


@st.composite
def choices(draw, most=6):
    """What is believed of one query, its state and lambda; some models may be the same."""
    k = draw(st.integers(1, most))
    kinds = draw(st.lists(st.tuples(qualities, spreads, costs), min_size=1, max_size=k))
    which = [draw(st.integers(0, len(kinds) - 1)) for _ in range(k)]
    quality, sd, cost = (list(column) for column in zip(*(kinds[i] for i in which), strict=True))
    marks = draw(st.one_of(st.just("a" * k), st.text("-raaa", min_size=k, max_size=k)))
    run, available = [m == "r" for m in marks], [m == "a" for m in marks]
    sd = [0.0 if done else s for s, done in zip(sd, run, strict=True)]
    return (quality, sd, cost), (run, available), draw(lambdas)


def tied(known, state, lam, depth):
    """What sets within rounding of the best do."""
    return cascade_routing_actions(known, state, lam, depth, slack=5e-12)


@laws
@given(choices(), depths)
def test_pruned_and_unpruned_rules_agree(choice, depth):
    known, state, lam = choice
    pruned = decide(CascadeRouting(max_depth=depth), known, state, lam)
    unpruned = decide(ListedCascadeRouting(max_depth=depth), known, state, lam)
    assert pruned == unpruned or {pruned, unpruned} <= tied(known, state, lam, depth)


@laws
@given(choices(most=5), depths)
def test_both_do_what_the_best_set_says(choice, depth):
    known, state, lam = choice
    right = cascade_routing_actions(known, state, lam, depth)
    assert decide(CascadeRouting(max_depth=depth), known, state, lam) in right
    assert decide(ListedCascadeRouting(max_depth=depth), known, state, lam) in right


@laws
@given(choices(most=5))
def test_no_best_set_holds_a_model_that_loses_beside_some_of_the_others(choice):
    """Lemma 1: if adding m to M has negative marginal gain, no superset of M + m is the best."""
    (quality, sd, cost), (run, available), lam = choice
    free, held = [i for i, yes in enumerate(available) if yes], held_of(quality, run)
    weighed = worths((quality, sd, cost), held, lam, sets_of(free))
    if not weighed:
        return
    best = max(worth for worth, _ in weighed)
    worth_of = {frozenset(s): worth for worth, s in weighed}
    for worth, s in weighed:
        if worth < best - 1e-12:
            continue
        for some in sets_of(list(s)):
            if frozenset(some) not in worth_of:
                continue
            for model in set(s) - set(some):
                alone = worth_of[frozenset(some)]
                assert worth_of[frozenset([*some, model])] - alone >= -1e-9


@pytest.mark.parametrize("k", [7, 9, 11])
@pytest.mark.parametrize("depth", [None, 1, 2, 3])
def test_they_agree_on_more_models_too(k, depth):
    rng = np.random.default_rng([k, depth or 0])
    n = 40 if k < 11 else 12
    run = rng.random((n, k)) < rng.choice([0.0, 0.2], (n, 1))
    available = ~run & (rng.random((n, k)) < 0.9)
    spread = np.where(run, 0, 10 ** rng.uniform(-2.5, -0.3, (n, k)))
    estimates = Estimates(rng.uniform(0.2, 0.8, (n, k)), spread, 10 ** rng.uniform(-1, 1, (n, k)))
    actions = set()
    for lam in (0.0, 1e-3, 0.01, 0.05, 0.3):
        lams = np.full(n, lam)
        pruned = CascadeRouting(max_depth=depth).decide(estimates, run, available, lams)
        unpruned = ListedCascadeRouting(max_depth=depth)
        listed = unpruned.decide(estimates, run, available, lams)
        for i in np.flatnonzero(pruned != listed):
            known = estimates.quality[i], spread[i], estimates.cost[i]
            state = run[i], available[i]
            assert {pruned[i], listed[i]} <= tied(known, state, lam, depth)
        assert (pruned == listed).mean() > 0.95
        actions |= set(pruned.tolist())
        one = [
            CascadeRouting(max_depth=depth).decide_one(
                *(table[i].tolist() for table in (estimates.quality, spread, estimates.cost)),
                run=run[i].tolist(),
                available=available[i].tolist(),
                lam=lam,
            )
            for i in range(0, n, 4)
        ]
        assert pruned[::4].tolist() == one
    assert len(actions) > 4


@laws
@given(choices(), st.integers(0, 5), st.floats(-3, 3))
def test_what_is_added_to_every_quality_changes_no_choice(choice, shift, moved):
    """Only differences of quality count, and only the ratio of lambda to 1 / cost."""
    (quality, sd, cost), state, lam = choice
    right = cascade_routing_actions((quality, sd, cost), state, lam, slack=1e-9)
    higher = [q + moved for q in quality]
    dearer = [c * 2**shift for c in cost]
    assert decide(CascadeRouting(), (higher, sd, dearer), state, lam / 2**shift) in right


@pytest.mark.parametrize("unit", [1e-6, 100.0, 1e6])
def test_qualities_of_any_size_are_decided(unit):
    rng = np.random.default_rng(6)
    for _ in range(300):
        k = int(rng.integers(1, 6))
        mark = rng.integers(0, 3, k) if rng.random() < 0.6 else np.ones(k, int)
        run, available = mark == 0, mark == 1
        sd = 10 ** rng.uniform(-5, 0.3, k) * (rng.random(k) < 0.8) * unit
        known = rng.uniform(0, 1, k) * unit, np.where(run, 0, sd), 10 ** rng.uniform(-3, 1, k)
        lam = float(10 ** rng.uniform(-5, 1) * unit)
        slack = max(1e-10 * unit, 3e-12)
        right = cascade_routing_actions(known, (run, available), lam, slack=slack)
        assert decide(CascadeRouting(), known, (run, available), lam) in right


@laws
@given(choices(most=4))
def test_the_set_of_all_is_worth_no_more_than_all_for_nothing(choice):
    (quality, sd, cost), _, lam = choice
    maxima = Maxima(quality, sd)
    everyone = maxima.of(range(len(quality)))
    for worth, _ in worths((quality, sd, cost), -np.inf, lam, sets_of(range(len(quality)))):
        assert worth <= everyone + 1e-9
