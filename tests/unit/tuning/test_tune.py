"""`Beliefs`, `tune` and `simulate`: what they make of arrays, and of bad ones."""

from __future__ import annotations

import numpy as np
import pytest

from cascade_engine import (
    STRATEGIES,
    Beliefs,
    CascadeRouter,
    ConfigurationError,
    DataError,
    simulate,
    tune,
)
from cascade_engine.strategies import CascadeRouting
from tests.helpers import world

EVERY = pytest.mark.parametrize("name", sorted(STRATEGIES))
BEFORE, AFTER = np.full((4, 2), 0.5), np.full((4, 2), 0.6)
COV = np.array([[0.04, 0.01], [0.01, 0.09]])


def believe(before=BEFORE, after=AFTER, **changed):
    options = {"cost": [1.0, 2.0], "sd": [0.1, 0.2], **changed}
    return Beliefs(before, after, **{k: v for k, v in options.items() if v is not None})


def with_one(value, shape=(4, 2)):
    table = np.full(shape, 0.5)
    table[2, 1] = value
    return table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"before": with_one(np.nan)}, r"before\[2, 1\] is nan: every entry must be a finite"),
        ({"before": with_one(np.inf)}, r"before\[2, 1\] is inf: every entry must be a finite"),
        ({"after": with_one(np.nan)}, r"after\[2, 1\] is nan: .* \(1 are not\)"),
        ({"after": AFTER[:3]}, r"after must have shape .* = \(4, 2\), not \(3, 2\)"),
        ({"before": [0.5, 0.5]}, r"before must have shape \(queries, models\), not \(2,\)"),
        ({"before": np.zeros((0, 2))}, r"before must have shape .*, not \(0, 2\)"),
        ({"before": np.zeros((4, 0))}, r"before must have shape .*, not \(4, 0\)"),
        ({"after": [["a", "b"]] * 4}, r"after must be a table of numbers"),
        ({"cost": [1.0, -2.0]}, r"cost\[0, 1\] is -2: it must be >= 0"),
        ({"cost": [1.0, np.nan]}, r"cost\[0, 1\] is nan"),
        ({"cost": [1.0, np.inf]}, r"cost\[0, 1\] is inf"),
        ({"cost": [1.0, 2.0, 3.0]}, r"cost must have shape .* = \(4, 2\), not \(3,\)"),
        ({"cost": with_one(-0.25)}, r"cost\[2, 1\] is -0.25: it must be >= 0"),
        ({"sd": [0.1, -0.1]}, r"sd\[0, 1\] is -0.1: it must be >= 0"),
        ({"sd": with_one(np.nan)}, r"sd\[2, 1\] is nan"),
        ({"sd": 0.1}, r"sd must have shape .* = \(4, 2\), not \(\)"),
        ({"sd": None, "cov": np.eye(3)}, r"cov must have shape \(2, 2\) or \(4, 2, 2\), not"),
        ({"sd": None, "cov": np.ones((4, 2))}, r"cov must have shape .*, not \(4, 2\)"),
        ({"sd": None, "cov": [[1.0, 2.0], [2.0, 1.0]]}, r"a covariance is at most the product"),
        ({"sd": None, "cov": [[1.0, 0.5], [0.2, 1.0]]}, r"must be symmetric: pass \(cov \+"),
        ({"sd": None, "cov": [[-1.0, 0.0], [0.0, 1.0]]}, r"is -1: a variance is at least 0"),
        ({"sd": None, "cov": [[np.nan, 0.0], [0.0, 1.0]]}, r"is nan: every entry must be a fin"),
    ],
)
def test_bad_beliefs_are_refused_with_the_value_and_where_it_is(arguments, message):
    with pytest.raises(DataError, match=message):
        believe(**arguments)


def test_a_covariance_that_is_none_is_refused():
    bad = np.full((3, 3), -0.9) + 1.9 * np.eye(3)
    with pytest.raises(DataError, match=r"its correlations have the eigenvalue -0\.8 < 0"):
        Beliefs(np.zeros((2, 3)), np.zeros((2, 3)), cost=np.ones(3), cov=bad)


def test_the_spread_is_given_once_in_one_way():
    for options in ({"sd": None}, {"cov": COV}):
        with pytest.raises(ConfigurationError, match="pass either sd or cov"):
            believe(**options)


@pytest.mark.parametrize("use", [tune, simulate])
@pytest.mark.parametrize(
    ("truth", "message"),
    [
        ({"quality": AFTER[:2], "cost": AFTER}, r"quality must have shape .* \(4, 2\), not"),
        ({"quality": AFTER, "cost": AFTER[:, :1]}, r"cost must have shape .* \(4, 2\), not"),
        ({"quality": with_one(np.nan), "cost": AFTER}, r"quality\[2, 1\] is nan"),
        ({"quality": AFTER, "cost": with_one(np.inf)}, r"cost\[2, 1\] is inf"),
        ({"quality": AFTER, "cost": with_one(-1.0)}, "a cost is negative: -1"),
    ],
)
def test_a_bad_truth_is_refused(use, truth, message):
    options = (0.1,) if use is simulate else ()
    with pytest.raises(DataError, match=message):
        use("routing", believe(), *options, **truth)


def test_a_lambda_that_is_none_is_refused():
    truth = {"quality": AFTER, "cost": AFTER}
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ConfigurationError, match=f"a finite number >= 0, not {bad}"):
            simulate("routing", believe(), bad, **truth)
    with pytest.raises(ConfigurationError, match="unknown strategy 'best': choose one of"):
        tune("best", believe(), **truth)
    policy = tune("routing", believe(), **truth).frontier.at(np.inf)
    with pytest.raises(DataError, match="3 ids for 4 queries"):
        simulate("routing", believe(), policy, ids=["a", "b", "c"], **truth)


@EVERY
@pytest.mark.parametrize(("n", "k"), [(1, 1), (1, 3), (5, 1)])
def test_one_query_and_one_model_are_enough(name, n, k):
    some = world(n, k, 1)
    strategy, frontier = tune(name, some.beliefs, **some.truth)
    best = frontier.at(np.inf)
    outcome = simulate(strategy, some.beliefs, best, **some.truth)
    assert outcome.mean_cost == pytest.approx(best.cost, rel=1e-12)
    assert outcome.mean_quality == pytest.approx(best.quality, rel=1e-12)
    if k == 1:
        assert outcome.run.all()
        assert frontier.cost.tolist() == pytest.approx([some.cost.mean()])
        assert frontier.quality.tolist() == pytest.approx([some.quality.mean()])


@EVERY
def test_where_all_is_alike_one_model_answers(name):
    same = np.full((6, 3), 0.5)
    beliefs = Beliefs(same, same, cost=np.ones(3), sd=np.zeros(3))
    truth = {"quality": same, "cost": np.ones((6, 3))}
    strategy, frontier = tune(name, beliefs, **truth)
    for budget in (1.0, np.inf):
        outcome = simulate(strategy, beliefs, frontier.at(budget), **truth)
        assert outcome.mean_quality == 0.5
        assert outcome.mean_cost == 1


@EVERY
def test_where_all_is_free_no_budget_is_needed(name):
    some = world(30, 3, 2)
    beliefs = Beliefs(some.beliefs.before, some.beliefs.after, cost=np.zeros(3), sd=some.beliefs.sd)
    truth = {"quality": some.quality, "cost": np.zeros((30, 3))}
    strategy, frontier = tune(name, beliefs, **truth)
    policy = frontier.at(0.0)
    assert policy.cost == 0
    assert simulate(strategy, beliefs, policy, **truth).mean_quality == pytest.approx(
        policy.quality
    )


def textbook(before, after, cov, seen):
    """Mean and covariance of the models not seen, given the others' values."""
    left = [i for i in range(len(before)) if i not in seen]
    inverse = np.linalg.inv(cov[np.ix_(seen, seen)])
    gain = cov[np.ix_(left, seen)] @ inverse
    mean = before[left] + gain @ (after[seen] - before[seen])
    return left, mean, cov[np.ix_(left, left)] - gain @ cov[np.ix_(seen, left)]


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("seen", [[0], [2], [0, 3], [1, 2, 3]])
def test_answers_move_the_others_as_jointly_gaussian_changes_would(seen, own):
    rng = np.random.default_rng(0)
    n, k = 7, 4
    before, after = rng.random((n, k)), rng.random((n, k))
    roots = rng.normal(size=(n if own else 1, k, k))
    cov = roots @ roots.transpose(0, 2, 1)
    beliefs = Beliefs(before, after, cost=np.ones(k), cov=cov if own else cov[0])
    run = np.broadcast_to(np.isin(np.arange(k), seen), (n, k))
    rows = np.arange(n)[::-1]
    estimates = beliefs(rows, run)
    for at, row in enumerate(rows):
        mine = cov[row if own else 0]
        left, mean, spread = textbook(before[row], after[row], mine, seen)
        assert estimates.quality[at, left] == pytest.approx(mean, abs=1e-9)
        assert estimates.quality[at, seen].tolist() == after[row, seen].tolist()
        assert estimates.cov[at][np.ix_(left, left)] == pytest.approx(spread, abs=1e-9)
        assert (estimates.cov[at][seen] == 0).all()
        assert (estimates.cov[at][:, seen] == 0).all()
        assert estimates.sd[at] ** 2 == pytest.approx(np.diagonal(estimates.cov[at]), abs=1e-12)


def test_rows_in_different_states_are_each_conditioned_on_their_own():
    rng = np.random.default_rng(1)
    root = rng.normal(size=(3, 3))
    beliefs = Beliefs(rng.random((5, 3)), rng.random((5, 3)), cost=np.ones(3), cov=root @ root.T)
    rows = np.array([0, 4, 4, 2, 1, 3])
    run = rng.random((6, 3)) < 0.5
    together = beliefs(rows, run)
    for i in range(6):
        alone = beliefs(rows[[i]], run[[i]])
        assert together.quality[i] == pytest.approx(alone.quality[0], abs=1e-13)
        assert together.cov[i] == pytest.approx(alone.cov[0], abs=1e-13)


def test_without_conditioning_answers_move_nothing_else():
    fixed = Beliefs(BEFORE, AFTER, cost=[1, 2], cov=COV, condition=False)
    moved = Beliefs(BEFORE, AFTER, cost=[1, 2], cov=COV)
    run = np.tile([True, False], (4, 1))
    assert fixed(np.arange(4), run).quality[0].tolist() == [0.6, 0.5]
    assert moved(np.arange(4), run).quality[0] == pytest.approx([0.6, 0.5 + 0.1 * 0.01 / 0.04])
    assert fixed(np.arange(4), run).cov[0, 1, 1] == 0.09
    assert moved(np.arange(4), run).cov[0, 1, 1] == pytest.approx(0.09 - 0.01**2 / 0.04)


def test_singular_covariances_say_that_one_answer_tells_the_other():
    cov = np.full((2, 2), 0.04)
    beliefs = Beliefs([[0.5, 0.4]], [[0.7, 0.6]], cost=[1, 1], cov=cov)
    estimates = beliefs(np.array([0]), np.array([[True, False]]))
    assert estimates.quality[0] == pytest.approx([0.7, 0.6])
    assert estimates.sd[0] == pytest.approx([0, 0], abs=1e-9)


def test_conditioning_on_what_is_correlated_pays():
    rng = np.random.default_rng(3)
    n, k = 4000, 3
    cov = 0.04 * (0.6 + 0.4 * np.eye(k))
    before = rng.uniform(0.3, 0.6, (n, k))
    after = before + rng.multivariate_normal(np.zeros(k), cov, n)
    truth = {"quality": after, "cost": np.tile([1.0, 2.0, 3.0], (n, 1))}
    earned = {}
    for condition in (True, False):
        beliefs = Beliefs(before, after, cost=[1, 2, 3], cov=cov, condition=condition)
        outcome = simulate("reservation_index", beliefs, 0.02, **truth)
        earned[condition] = outcome.quality - 0.02 * outcome.cost
    more = earned[True] - earned[False]
    assert more.mean() > 2 * more.std() / np.sqrt(n)


def test_many_correlated_models_are_refused_with_a_way_out():
    k = 13
    beliefs = Beliefs(np.zeros((2, k)), np.zeros((2, k)), cost=np.ones(k), cov=np.eye(k))
    truth = {"quality": np.zeros((2, k)), "cost": np.ones((2, k))}
    with pytest.raises(ConfigurationError, match=r"at most 12 models, not 13: leave out .*index"):
        simulate(CascadeRouting(), beliefs, 0.1, **truth)
    assert simulate("reservation_index", beliefs, 0.1, **truth).run.any(axis=1).all()


def test_what_was_given_is_not_changed():
    some = world(20, 3, 5)
    tables = [some.beliefs.before, some.beliefs.after, some.beliefs.sd, some.quality, some.cost]
    copies = [table.copy() for table in tables]
    for name in STRATEGIES:
        strategy, frontier = tune(name, some.beliefs, **some.truth)
        simulate(strategy, some.beliefs, frontier.at(np.inf), **some.truth)
    assert all((a == b).all() for a, b in zip(tables, copies, strict=True))


def test_duplicate_names_are_refused_before_anything_is_learned():
    with pytest.raises(ConfigurationError, match=r"\['a'\] appear more than once: give each"):
        CascadeRouter(["a", "b", "a"], strategy="reservation_index")
