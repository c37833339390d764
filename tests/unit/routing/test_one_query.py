"""A live query costs little, and what makes it quick changes nothing else."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cascade_engine import STRATEGIES, CascadeRouter, CombinedEstimator, drive
from cascade_engine.answers.question_form import form_of
from cascade_engine.answers.text import excerpt
from cascade_engine.estimators import (
    AnswerSignal,
    Estimates,
    LogprobSignal,
    PoissonCostEstimator,
    StructureSignal,
    TextEstimator,
)
from cascade_engine.estimators.base import RowSignal
from cascade_engine.estimators.features.query_text import QueryFeatures, read
from cascade_engine.strategies import (
    CascadeRouting,
    FittedValueIteration,
    ReservationIndex,
    Strategy,
)
from tests.helpers import states


@pytest.fixture
def fresh(data):
    """A router that nobody has used."""
    return CascadeRouter(data.models, budget=1e-3).fit(data)


def traces(router, data):
    """What sessions do on a data set, and why."""
    return [
        drive(router.session(query), lambda call, r=row: r[data.models.index(call.model)]).to_dict()
        for query, row in zip(data.queries, data.answers, strict=True)
    ]


def test_threads_share_a_router_that_is_new(fresh, held_out):
    alone = traces(copy.deepcopy(fresh), held_out)
    with ThreadPoolExecutor(8) as pool:
        every = list(pool.map(lambda _: traces(fresh, held_out.take(range(40))), range(8)))
    assert all(one == alone[:40] for one in every)


def test_a_router_in_use_is_copied_pickled_and_saved_as_a_new_one(fresh, held_out, tmp_path):
    few = held_out.take(range(30))
    fresh.save(tmp_path / "new")
    before = traces(fresh, few)
    fresh.save(tmp_path / "used")
    for path in (tmp_path / "new").iterdir():
        assert path.read_bytes() == (tmp_path / "used" / path.name).read_bytes()
    loaded = CascadeRouter.load(tmp_path / "used")
    unpickled = pickle.loads(pickle.dumps(fresh))  # noqa: S301  made here
    for other in (copy.deepcopy(fresh), unpickled, loaded):
        assert traces(other, few) == before


def test_features_that_are_fitted_again_forget_their_words():
    features = QueryFeatures(components=2, min_count=1).fit(["one two", "two three", "one three"])
    assert features.words(["one two"]).any()
    features.fit(["four five", "five six", "four six"])
    assert not features.words(["one two"]).any()
    assert features.words(["four five"]).any()


def test_estimators_fitted_on_the_same_texts_weigh_a_query_once():
    texts = ["one two", "two three", "one three"]
    one, other = (QueryFeatures(components=k, min_count=1).fit(texts) for k in (1, 2))
    assert one._vocabulary is other._vocabulary is copy.deepcopy(one)._vocabulary
    assert one.fit(["four five", "five six"])._vocabulary is not other._vocabulary


def test_of_a_long_prompt_both_ends_are_read():
    middle = "lorem ipsum " * 7_000
    start, end = ("Say yes or no? " * 70, "How many is 7 + 8? " * 60)
    assert excerpt(start, 2_000) == start
    one, other = (read(f"{start}{text}{end}") for text in (middle, middle.upper()))
    assert one.counts == other.counts
    assert one.shape.tolist() == other.shape.tolist()
    assert one.shape[0] == pytest.approx(np.log1p(len(start + middle + end)))
    assert "7 +" in one.counts
    assert form_of(f"{start}{middle}{end}").number
    # Counts are those of the whole, as far as the ends tell.
    half, whole = read(end), read(end * 50)
    assert np.expm1(whole.shape[[1, 4]]) == pytest.approx(
        50 * np.expm1(half.shape[[1, 4]]), rel=0.05
    )
    assert whole.shape[[2, 3, 7, 8, 9]] == pytest.approx(half.shape[[2, 3, 7, 8, 9]], rel=0.05)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x = [1];", True),
        ("if (a) {\n  b", True),
        ("a; b", False),
        ("def f(x)", True),
        ("def f", False),
        ("I return it", True),
        ("returned", False),
        ("print(1)", True),
        ("sprint(1)", False),
        ("a == b", True),
        ("```", True),
        ("`a`", False),
    ],
)
def test_code_is_told_by_its_signs(text, code):
    assert read(text).shape[-1] == code


@pytest.mark.parametrize("text", ["", "Ä1²3 B", "AB12", "\ud800A1", "١٢"])
def test_digits_and_capitals_are_counted_in_any_script(text):
    digits, capitals = read(text).shape[[3, 8]] * max(len(text), 1)
    assert digits == pytest.approx(sum(map(str.isdigit, text)))
    assert capitals == pytest.approx(sum(map(str.isupper, text)))


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_the_answer_of_one_query_is_chosen_as_of_many(name):
    rng, strategy = np.random.default_rng(0), STRATEGIES[name]()
    for run, _ in states(4):
        rows = rng.uniform(0, 1, (3, 4)).round(1)
        if any(run):
            many = strategy.choose(Estimates(*rows[:, None]), np.array([run]))[0]
            assert strategy.choose_one(*rows.tolist(), run=run) == many


def test_what_a_subclass_changes_of_many_it_changes_of_one(data):
    class Doubtful(LogprobSignal):
        def read(self, queries, answers):
            return super().read(queries, answers) * 2

    class Quicker(Doubtful):
        def read_one(self, query, answer):
            return [0.5]

    class Even(TextEstimator):
        def predict(self, queries):
            return np.full((len(queries), 3), 0.5)

    class Hopeful(CombinedEstimator):
        def estimate(self, evidence, run):
            quality, sd = super().estimate(evidence, run)
            return quality**0.5, sd

    class Strict(StructureSignal):
        def read(self, queries, answers):
            return super().read(queries, answers) - 1

    class Dearer(PoissonCostEstimator):
        def predict(self, queries):
            return super().predict(queries) * 2

    query, answer = data.queries[0], data.answers[0][0]
    plain = LogprobSignal().read_one(query, answer)
    assert Doubtful().read_one(query, answer) == pytest.approx([2 * x for x in plain])
    assert Quicker().read_one(query, answer) == [0.5]
    assert LogprobSignal().read_one(query, answer) == plain
    assert Even().fit(data).predict_one(query) == [0.5] * 3
    fitted = Hopeful().fit(data)
    evidence = fitted.begin([query])
    many = fitted.estimate(evidence, np.zeros((1, 3), dtype=bool))[0][0]
    assert fitted.follow(query).estimate([False] * 3)[0] == pytest.approx(many.tolist())
    structure = StructureSignal().read_one(query, answer)
    assert Strict().read_one(query, answer) == [x - 1 for x in structure]
    dearer, cost = Dearer().fit(data), PoissonCostEstimator().fit(data).predict_one(query)
    assert dearer.predict_one(query) == pytest.approx([2 * x for x in cost])


@pytest.mark.parametrize("kind", [CascadeRouting, FittedValueIteration, ReservationIndex])
def test_a_strategy_that_changes_only_what_it_does_with_many_does_so_with_one(kind):
    class Never(kind):
        def decide(self, estimates, run, available, lam):
            return np.full(len(run), -1)

    class Always(Never):
        def decide_one(self, quality, sd, cost, *, run, available, lam):
            return 0

    given = {"quality": [0.5], "sd": [0.1], "cost": [1.0], "run": [False], "available": [True]}
    assert Never().decide_one(**given, lam=0.0) == -1
    assert Always().decide_one(**given, lam=0.0) == 0
    # On a grid too: here a model has answered, which the reservation index has a short cut for.
    estimates = Estimates(*np.array([[[0.1, 0.9]], [[0.0, 0.1]], [[1.0, 1.0]]]))
    run = np.array([[True, False]])
    spans = np.zeros(1, dtype=int), np.full(1, 2)
    pieces = Never().pieces_on(np.array([1.0, 0.0]), estimates, run, ~run, spans)
    assert [piece.action.tolist() for piece in pieces if (piece.low < piece.high).any()] == [[-1]]


def test_a_choice_of_ones_own_is_heeded():
    class Last(Strategy):
        name = "last"

        def decide(self, estimates, run, available, lam):
            return np.full(len(run), -1)

        def choose(self, estimates, run):
            return run.shape[1] - 1 - run[:, ::-1].argmax(axis=1)

    assert Last().choose_one([0.9, 0.1, 0.5], [0] * 3, [1] * 3, run=[True, True, False]) == 1


def test_a_signal_may_be_read_row_by_row(data):
    class Length(RowSignal):
        def row(self, query, answer):
            return [float(len(answer.text))]

    answers = [row[1] for row in data.answers]
    lengths = [len(answer.text) for answer in answers]
    assert Length().read(data.queries, answers)[:, 0].tolist() == lengths
    assert Length().read_one(data.queries[0], answers[0]) == lengths[:1]


def test_a_signal_needs_but_to_read_many(data):
    class Length(AnswerSignal):
        def read(self, queries, answers):
            return np.array([[len(answer.text)] for answer in answers])

    assert Length().read_one(data.queries[0], data.answers[0][1]) == [len(data.answers[0][1].text)]
