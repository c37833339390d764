"""Cascading and cascade routing against an oracle that weighs every set (Theorems 2 and 3)."""

from __future__ import annotations

import numpy as np
import pytest

from cascade_engine import simulate
from cascade_engine.estimators import Estimates
from cascade_engine.strategies import STOP, CascadeRouting, Cascading
from tests.helpers import believed, decide, fresh, states, world
from tests.oracle import (
    ListedCascadeRouting,
    Maxima,
    cascade_routing_actions,
    cascading_actions,
    held_of,
    sets_of,
    worths,
)

LAMBDAS = (0.0, 0.003, 0.03, 0.1, 0.4, 3.0)
RULES = [(CascadeRouting, cascade_routing_actions), (Cascading, cascading_actions)]


def some_states(k, count, rng):
    """States drawn at random, the fresh one first."""
    yield fresh(k)
    for _ in range(count):
        mark = rng.integers(0, 3, k)
        yield (mark == 0).tolist(), (mark == 1).tolist()


def odd_belief(rng, k):
    """Spreads over orders of magnitude, some without any; models alike; some free."""
    quality, sd = rng.uniform(0, 1, k), 10 ** rng.uniform(-4, 0, k) / 2
    cost = 10 ** rng.uniform(-2, 1, k)
    sd[rng.random(k) < 0.2] = 0
    cost[rng.random(k) < 0.15] = 0
    if k > 2 and rng.random() < 0.4:
        quality[1], sd[1] = quality[0], sd[0]
    return quality, sd, cost


@pytest.mark.parametrize("members", sets_of([0, 1, 2, 3]))
@pytest.mark.parametrize("held", [-np.inf, 0.45])
def test_the_oracle_is_right(members, held, emax):
    mean, sd = np.array([0.3, 0.5, 0.4, 0.45]), np.array([0.3, 1e-3, 0.0, 0.1])
    if not members and held == -np.inf:
        return
    found = Maxima(mean, sd, held).of(members)
    assert found == pytest.approx(emax(mean[list(members)], sd[list(members)], held), abs=1e-9)


@pytest.mark.parametrize(("kind", "oracle"), RULES)
@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("depth", [None, 1, 2])
def test_every_state_of_few_models(kind, oracle, k, depth):
    seen = set()
    for seed in range(3 if k < 3 else 1):
        known = believed(seed, k)
        for run, available in states(k):
            beliefs = known[0], np.where(run, 0, known[1]), known[2]
            for lam in LAMBDAS:
                right = oracle(beliefs, (run, available), lam, depth)
                action = decide(kind(max_depth=depth), beliefs, (run, available), lam)
                assert action in right
                seen.add(len(right))
    assert 1 in seen


@pytest.mark.parametrize(("kind", "oracle"), RULES)
@pytest.mark.parametrize("k", [4, 5, 6])
@pytest.mark.parametrize("depth", [None, 2, 3])
def test_some_states_of_more_models(kind, oracle, k, depth):
    rng = np.random.default_rng([k, depth or 0])
    clear, stopped, actions = 0, 0, set()
    for draw in range(4):
        known = believed(draw, k) if draw % 2 else odd_belief(rng, k)
        for run, available in some_states(k, 5, rng):
            beliefs = known[0], np.where(run, 0, known[1]), known[2]
            for lam in LAMBDAS:
                right = oracle(beliefs, (run, available), lam, depth)
                action = decide(kind(max_depth=depth), beliefs, (run, available), lam)
                assert action in right
                clear += len(right) == 1
                stopped += action == STOP
                actions.add(action)
    assert clear > 100
    assert 0 < stopped < 120
    assert len(actions) > 2


def test_the_unpruned_rule_weighs_every_set_too():
    rng = np.random.default_rng(5)
    for k in (2, 4, 5):
        known = odd_belief(rng, k)
        for state in some_states(k, 6, rng):
            beliefs = known[0], np.where(state[0], 0, known[1]), known[2]
            for lam in LAMBDAS:
                action = decide(ListedCascadeRouting(), beliefs, state, lam)
                assert action in cascade_routing_actions(beliefs, state, lam)


@pytest.mark.parametrize("held", [0.0, 0.3, 0.55, 0.9, 5.0, -5.0])
def test_what_is_held_counts(held):
    rng = np.random.default_rng(11)
    known = [rng.uniform(0.2, 0.7, 5), rng.uniform(0, 0.3, 5), rng.uniform(0.1, 1, 5)]
    known[0][2], known[1][2] = held, 0
    state = [i == 2 for i in range(5)], [i != 2 for i in range(5)]
    for kind, oracle in RULES:
        for lam in LAMBDAS:
            assert decide(kind(), known, state, lam) in oracle(known, state, lam)


def test_the_cheapest_member_of_the_best_set_is_next_and_not_the_best():
    quality, sd, cost = [0.5, 0.6, 0.55], [0.3, 0.3, 0.3], [3.0, 2.0, 1.0]
    assert decide(CascadeRouting(), (quality, sd, cost), fresh(3), 1e-3) == 2
    assert decide(Cascading(), (quality, sd, cost), fresh(3), 1e-3) == 0
    weighed = worths((quality, sd, cost), -np.inf, 1e-3, sets_of([0, 1, 2]))
    assert max(weighed)[1] == (0, 1, 2)


def test_models_all_alike_are_tied_and_the_first_is_run():
    for k in (2, 5, 8):
        known = [0.5] * k, [0.2] * k, [1.0] * k
        for lam in (0.0, 0.01, 0.1, 1.0):
            assert decide(CascadeRouting(), known, fresh(k), lam) == 0


def greedy(belief, held, lam):
    """Adds the model that gains most until none gains anything."""
    k, maxima, chosen = len(belief[0]), Maxima(*belief[:2], held), []

    def worth(models):
        return maxima.of(models) - lam * sum(belief[2][i] for i in models)

    while len(chosen) < k:
        best = max((i for i in range(k) if i not in chosen), key=lambda i: worth([*chosen, i]))
        if chosen and worth([*chosen, best]) <= worth(chosen):
            break
        chosen.append(best)
    return worth(chosen)


@pytest.mark.parametrize("k", [20, 60])
@pytest.mark.parametrize("lam", [0.005, 0.02, 0.1])
def test_of_many_models_no_set_without_the_model_run_is_better(k, lam):
    rng = np.random.default_rng(k)
    known = rng.uniform(0.3, 0.7, k), rng.uniform(0.02, 0.2, k), rng.uniform(0.5, 3, k)
    action = decide(CascadeRouting(), known, fresh(k), lam)
    # With the others that may go with the model run: it is the cheapest of its set.
    maxima = Maxima(*known[:2])
    dearer = [i for i in range(k) if known[2][i] > known[2][action]]

    def worth(models):
        return maxima.of(models) - lam * known[2][models].sum()

    mine = [action]
    while True:
        grown = [[*mine, i] for i in dearer if i not in mine]
        shrunk = [[i for i in mine if i != j] for j in mine if j != action]
        moved = [[i for i in s if i != j] for s in grown for j in s[:-1] if j != action]
        step = max([*grown, *shrunk, *moved], key=worth, default=mine)
        if worth(step) <= worth(mine):
            break
        mine = step
    assert worth(mine) >= greedy(known, -np.inf, lam) - 1e-10
    for size in range(1, 7):
        for _ in range(60):
            some = rng.choice(k, size, replace=False)
            assert worth(mine) >= worth(some) - 1e-10


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_of_twenty_models_every_set_that_the_depth_allows_is_weighed(depth):
    rng = np.random.default_rng(depth)
    k = 20
    for count in (0, 1):
        run = np.isin(np.arange(k), rng.choice(k, count, replace=False))
        known = rng.uniform(0.2, 0.6, k), np.where(run, 0, 0.2), 10 ** rng.uniform(-1, 1, k)
        for lam in (0.002, 0.02, 0.1):
            state = run, ~run
            action = decide(CascadeRouting(max_depth=depth), known, state, lam)
            assert action in cascade_routing_actions(known, state, lam, depth)


@pytest.mark.parametrize("k", [13, 20, 60])
def test_many_models_are_decided_alike_by_arrays_and_by_numbers(k):
    rng = np.random.default_rng(k)
    actions = set()
    for lam in (3e-3, 0.01, 0.05, 0.3):
        for count in (0, 1, 3):
            run = np.isin(np.arange(k), rng.choice(k, count, replace=False))
            available = ~run & (rng.random(k) < 0.9)
            known = rng.uniform(0, 1, k), np.where(run, 0, 0.1), rng.uniform(0.5, 3, k)
            actions.add(decide(CascadeRouting(), known, (run, available), lam))
    assert len(actions) > 3


@pytest.mark.parametrize("rule", [CascadeRouting(), ListedCascadeRouting()])
def test_theorem_three_is_played_to_the_letter(rule):
    """A loop of its own: renew the estimates, ask the oracle, run the cheapest member, repeat."""
    some = world(40, 4, 3)
    beliefs, depths = some.beliefs, []
    for lam in (0.001, 0.005, 0.03):
        outcome = simulate(rule, beliefs, lam, **some.truth)
        for row in range(40):
            run = np.zeros(4, dtype=bool)
            while True:
                quality = np.where(run, beliefs.after[row], beliefs.before[row])
                known = quality, np.where(run, 0, beliefs.sd[row]), beliefs.cost[row]
                (action,) = cascade_routing_actions(known, (run, ~run), lam, slack=1e-11)
                if action == STOP:
                    break
                run[action] = True
            chosen = max(np.flatnonzero(run), key=lambda i: beliefs.after[row, i])
            assert outcome.run[row].tolist() == run.tolist()
            assert outcome.chosen[row] == chosen
            assert outcome.cost[row] == pytest.approx(some.cost[row, run].sum(), rel=1e-12)
            assert outcome.quality[row] == some.quality[row, chosen]
            depths.append(run.sum())
    assert set(depths) >= {1, 2, 3}


def test_an_answer_changes_what_is_planned():
    """Before the answer both were worth running; after a good one the other is not."""
    good, bad = ([0.9, 0.6], [0, 0.2], [1, 2]), ([0.3, 0.6], [0, 0.2], [1, 2])
    before, state = ([0.55, 0.6], [0.25, 0.2], [1, 2]), ([True, False], [False, True])
    assert max(worths(before, -np.inf, 0.02, sets_of([0, 1])))[1] == (0, 1)
    assert decide(CascadeRouting(), before, fresh(2), 0.02) == 0
    assert decide(CascadeRouting(), good, state, 0.02) == STOP
    assert decide(CascadeRouting(), bad, state, 0.02) == 1


def test_a_price_far_above_every_quality_is_decided():
    quality, sd = [460.69712140740194, 124.87756282604468, 222.96615732569046], [0.776, 0.375, 3.15]
    for lam in (15233.477788873233, 1e9, 1e15):
        for cost in ([1.6355395137099031, 4.358185240597585, 2.322586082707944], [3.0, 1.0, 2.0]):
            right = cascade_routing_actions((quality, sd, cost), fresh(3), lam, slack=1e-6 * lam)
            assert decide(CascadeRouting(), (quality, sd, cost), fresh(3), lam) in right


def test_without_spread_no_set_of_two_is_chosen():
    rng = np.random.default_rng(0)
    for _ in range(30):
        quality, cost = rng.random(5), rng.random(5)
        for lam in LAMBDAS:
            best = int(np.argmax(quality - lam * cost))
            assert decide(CascadeRouting(), (quality, np.zeros(5), cost), fresh(5), lam) == best


def diagonal(estimates):
    cov = np.zeros((*estimates.sd.shape, estimates.sd.shape[1]))
    at = np.arange(estimates.sd.shape[1])
    cov[:, at, at] = estimates.sd**2
    return Estimates(estimates.quality, estimates.sd, estimates.cost, cov)


@pytest.mark.parametrize("kind", [CascadeRouting, Cascading])
def test_a_diagonal_covariance_decides_as_the_spread_does(kind):
    """But for choices closer than the error of the points that stand for the covariance."""
    rng = np.random.default_rng(2)
    shape, oracle = (80, 4), dict(RULES)[kind]
    run = np.zeros(shape, bool)
    run[::2, 1] = True
    spread = np.where(run, 0, rng.uniform(0, 0.3, shape))
    estimates = Estimates(rng.random(shape), spread, rng.uniform(0.1, 1, shape))
    for lam in (0.01, 0.1, 0.5):
        lams = np.full(80, lam)
        plain = kind().decide(estimates, run, ~run, lams)
        correlated = kind().decide(diagonal(estimates), run, ~run, lams)
        assert (plain == correlated).mean() > 0.9
        for row in np.flatnonzero(plain != correlated):
            known = estimates.quality[row], estimates.sd[row], estimates.cost[row]
            error = 2 * 2e-3 * estimates.sd[row].max()
            assert correlated[row] in oracle(known, (run[row], ~run[row]), lam, slack=error)


def test_models_that_answer_alike_are_not_both_run():
    """With correlation 1 the second answer says nothing new; with none it does."""
    sd = np.array([[0.3, 0.3]])
    quality, cost = np.array([[0.5, 0.5]]), np.array([[1.0, 1.0]])
    nobody, lam = np.zeros((1, 2), bool), np.array([0.01])
    options = {}
    for rho in (0.0, 1.0):
        cov = np.array([[[0.09, rho * 0.09], [rho * 0.09, 0.09]]])
        listed = CascadeRouting().options(Estimates(quality, sd, cost, cov), nobody, ~nobody)
        options[rho] = listed.value[0] - lam * listed.price[0]
    assert options[0.0].argmax() == 3
    assert options[1.0].argmax() in {1, 2}
    assert held_of([0.5, 0.2], [False, True]) == 0.2
