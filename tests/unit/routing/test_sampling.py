"""Self-consistency: sessions that ask a model again, and fits that pay for it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from cascade_engine import (
    Answer,
    CascadeDataset,
    CascadeRouter,
    ConfigurationError,
    DataError,
    Price,
    Query,
    ToolCall,
    Usage,
    adrive,
    collect,
    drive,
    evaluate,
)
from cascade_engine.core.explain import explain
from cascade_engine.core.prices import Charge
from cascade_engine.estimators import CombinedEstimator, ConsistencySignal, LogprobSignal
from cascade_engine.routing import ChatJudge, advise
from cascade_engine.routing.persistence import save
from cascade_engine.routing.samples import take_samples

MODELS = ("small", "large")
JUDGE = ChatJudge("judge")
MORE = 3


def world(n=160, seed=0, more=MORE):
    """A model that says the same again where it is right, and seldom where it is wrong."""
    rng = np.random.default_rng(seed)
    right = rng.random((n, 2)) < (0.55, 0.9)
    answers, samples = [], []
    for row in right:
        own = [str(rng.integers(100)) for _ in MODELS]
        answers.append([Answer(text) for text in own])
        samples.append([])
        for text, good in zip(own, row, strict=True):
            same = rng.random(more) < (0.9 if good else 0.3)
            texts = [text if s else str(rng.integers(100, 999)) for s in same]
            samples[-1].append([Answer(t, cost=float(rng.uniform(0.8, 1.2))) for t in texts])
    queries = [f"What is the number {i}?" for i in range(n)]
    cost = [[1.0, 10.0]] * n
    return CascadeDataset(MODELS, queries, answers, right.astype(float), cost, samples=samples)


@pytest.fixture(scope="module")
def data():
    return world()


@pytest.fixture(scope="module")
def router(data):
    return CascadeRouter(MODELS, samples={"small": MORE}, strategy="cascading").fit(data)


def answering(data, row, log=None):
    """Runs calls as they were recorded, samples one after the other."""
    asked = dict.fromkeys(data.models, 0)

    def run(call):
        if log is not None:
            log.append((call.purpose, call.model, call.about))
        if call.purpose == "judge":
            return Answer("0.5", cost=0.25)
        column = data.models.index(call.model)
        if call.purpose == "sample":
            asked[call.model] += 1
            return data.samples[row][column][asked[call.model] - 1]
        recorded = replace(data.answers[row][column], samples=(), signals={}, advice_cost={})
        return replace(recorded, cost=float(data.cost[row, column]))

    return run


def at_a_price(data, cost):
    """The data with samples that cost so much."""
    new = data.take(range(len(data)))
    new.samples = [[[replace(a, cost=cost) for a in cell] for cell in row] for row in data.samples]
    return new


def asked_of(session):
    """The pending call, as a log has it."""
    return session.pending.purpose, session.pending.model, session.pending.about


# Options.


def test_bad_options_are_refused():
    for bad, why in [
        ({"huge": 2}, r"samples are asked of \['huge'\], which are not among"),
        ({"small": 0}, "samples of 'small' must be an integer >= 1, not 0"),
        ({"small": 1.5}, "not 1.5"),
        ({"small": True}, "not True"),
        ({"small": "3"}, "not '3'"),
        (3, r"a mapping of models .* \{'small': 3\} say, not 3"),
        (["small"], r"not \['small'\]"),
    ]:
        with pytest.raises(ConfigurationError, match=why):
            CascadeRouter(MODELS, samples=bad)


def test_numbers_of_numpy_are_numbers():
    router = CascadeRouter(MODELS, samples={"large": np.int64(2), "small": 1})
    assert json.dumps(router.samples) == '{"small": 1, "large": 2}'
    assert CascadeRouter(MODELS).samples == CascadeRouter(MODELS, samples={}).samples == {}


def test_the_default_estimator_reads_samples_and_one_that_is_given_is_left():
    def reads(router):
        return sum(isinstance(s, ConsistencySignal) for s in router.quality.signals)

    both = {"small": 1, "large": 1}
    assert reads(CascadeRouter(MODELS, samples=both, advisers=[JUDGE])) == 1
    assert reads(CascadeRouter(MODELS)) == 0
    own = CombinedEstimator(LogprobSignal())
    assert CascadeRouter(MODELS, samples=both, quality=own).quality is own


# Sessions.


def test_a_draft_is_followed_by_its_samples_and_an_answer_that_is_last_is_not(router, data):
    ran = set()
    for row in range(40):
        log = []
        session = router.session(data.queries[row], budget=8.0)
        trace = drive(session, answering(data, row, log))
        ran.add(trace.models_run)
        samples = [("sample", "small", "small")] * MORE
        rest = [("answer", "large", None)] if "large" in trace.answers else []
        assert log == [("answer", "small", None), *samples, *rest]
        texts = tuple(each.text for each in data.samples[row][0])
        assert trace.answers["small"].samples == texts
        paid = sum(each.cost for each in data.samples[row][0])
        assert trace.answers["small"].advice_cost == {"small": pytest.approx(paid)}
        assert trace.costs["small"] == 1.0
        assert trace.total_cost == pytest.approx(sum(trace.costs.values()) + paid)
        assert trace.chosen in MODELS
    assert ran == {("small",), MODELS}


def test_samples_tell_right_from_wrong(router, data):
    thrifty = router.with_budget(8.0)
    traces = [drive(thrifty.session(q), answering(data, i)) for i, q in enumerate(data.queries)]
    kept = np.array([trace.models_run == ("small",) for trace in traces])
    assert 20 < kept.sum() < 140
    assert data.quality[kept, 0].mean() > data.quality[~kept, 0].mean() + 0.3


def test_samples_make_a_better_cascade(data):
    # At a price that is worth paying; without them an answer says nothing.
    cheap, fresh = at_a_price(data, 0.1), at_a_price(world(400, seed=1), 0.1)
    asked = CascadeRouter(MODELS, samples={"small": MORE}, strategy="cascading").fit(cheap)
    plain = CascadeRouter(MODELS, strategy="cascading").fit(cheap)
    better, worse = (each.replay(fresh, budget=5.5) for each in (asked, plain))
    assert better.mean_quality > worse.mean_quality + 0.03
    assert better.mean_cost < 5.5 * 1.15


def test_calls_say_what_they_are_for(router):
    session = router.session("What is the number 3?", max_cost=20.0)
    session.answer(Answer("3", cost=1.0))
    call = session.pending
    assert (call.model, call.about, call.purpose) == ("small", "small", "sample")
    assert call.is_advice
    assert not call.final
    assert call.prompt is None
    assert call.max_cost == pytest.approx(19.0)


def test_samples_come_before_judges(data):
    judged = advise(data, {JUDGE: lambda prompt: Answer("0.5", cost=0.25)}, progress=False)
    router = CascadeRouter(
        MODELS, samples={"small": 2}, advisers=[JUDGE], strategy="cascading"
    ).fit(judged)
    log = []
    trace = drive(router.session(data.queries[0]), answering(data, 0, log))
    assert [purpose for purpose, *_ in log][:4] == ["answer", "sample", "sample", "judge"]
    small = trace.answers["small"]
    paid = sum(each.cost for each in data.samples[0][0][:2])
    assert small.advice_cost == {"small": pytest.approx(paid), "judge": 0.25}
    assert small.signals == {"judge": 0.5}
    assert f"{paid + 0.25:.3g} of it for advice" in explain(trace)


def test_the_record_tells_of_samples(router, data):
    trace = drive(router.session(data.queries[0]), answering(data, 0))
    assert [each.purpose for each in trace.advice] == ["sample"] * MORE
    assert {(each.name, each.about, each.score) for each in trace.advice} == {
        ("small", "small", None)
    }
    record = json.loads(json.dumps(trace.to_dict(), allow_nan=False))
    assert [each["cost"] for each in record["advice"]] == [a.cost for a in data.samples[0][0]]
    assert record["total_cost"] == trace.total_cost
    assert data.samples[0][0][0].text not in record["advice"][0].values()


def test_what_an_answer_carries_is_not_asked_for(router, data):
    session = router.session(data.queries[0])
    session.answer(replace(data.answers[0][0], samples=("1", "2"), cost=1.0))
    assert asked_of(session) == ("sample", "small", "small")
    session.answer(Answer("3", cost=1.0))
    assert session.trace.answers["small"].samples == ("1", "2", "3")
    assert session.pending is None or session.pending.purpose == "answer"


def test_more_samples_than_are_asked_for_do_not_count_and_are_not_lost(router, data):
    texts = tuple(each.text for each in data.samples[0][0])
    decisions = []
    for carried in (texts, (*texts, "no", "never", "nothing")):
        session = router.session(data.queries[0])
        session.answer(replace(data.answers[0][0], samples=carried, cost=1.0))
        assert session.trace.answers["small"].samples == carried
        decisions.append(session.decision)
    assert decisions[0] == decisions[1]


def test_a_failing_sample_changes_nothing_but_the_record(router, data):
    def run(call):
        if call.purpose == "sample":
            raise TimeoutError("away")
        return answering(data, 0)(call)

    session = router.session(data.queries[0])
    trace = drive(session, run)
    assert trace.failures == ()
    assert [str(each.error) for each in trace.advice] == ["away"] * MORE
    assert [each.cost for each in trace.advice] == [0.0] * MORE
    assert trace.answers["small"].samples == ()
    assert trace.answers["small"].advice_cost == {}
    assert trace.total_cost == sum(trace.costs.values())
    assert session.result.text in {a.text for a in data.answers[0]}
    assert json.dumps(trace.to_dict(), allow_nan=False)


def test_one_failing_sample_leaves_the_others(router, data):
    ask = answering(data, 0)
    numbers = iter(range(9))

    def run(call):
        if call.purpose == "sample" and next(numbers) == 1:
            raise TimeoutError("away")
        return ask(call)

    trace = drive(router.session(data.queries[0]), run)
    assert len(trace.answers["small"].samples) == MORE - 1
    assert [each.error is None for each in trace.advice] == [True, False, True]


def test_samples_are_priced_like_the_model_s_own_calls(data):
    prices = {"small": Price(1e6, 1e6), "large": Price(1e7, 1e7)}
    router = CascadeRouter(MODELS, samples={"small": 1}, prices=prices, strategy="cascading")
    router.fit(data)

    def run(call):
        return Answer("7", usage=Usage(0, 2 if call.purpose == "sample" else 1))

    trace = drive(router.session(data.queries[0]), run)
    assert trace.advice[0].cost == 2.0
    assert trace.advice[0].usage == Usage(0, 2)
    assert trace.total_cost == 2.0 + sum(trace.costs.values())


def test_a_sample_of_unknown_cost_makes_the_total_unknown(router, data):
    def run(call):
        return replace(answering(data, 0)(call), cost=None if call.purpose == "sample" else 1.0)

    trace = drive(router.session(data.queries[0]), run)
    assert trace.advice[0].cost is None
    assert trace.total_cost is None
    assert "small" not in trace.answers["small"].advice_cost


@pytest.mark.parametrize(
    ("cap", "asked"), [(1.0, 0), (5.0, 0), (11.5, 0), (12.1, 1), (13.3, 2), (14.4, 3), (30.0, 3)]
)
def test_the_hard_cap_counts_samples(cap, asked, router, data):
    """Small costs 1, large 10, a sample about 1: none is asked that leaves large too little."""
    trace = drive(router.session(data.queries[1], max_cost=cap), answering(data, 1))
    assert len(trace.advice) == asked
    assert trace.chosen
    assert trace.total_cost <= cap + 0.25  # a sample costs up to a quarter more than expected


def test_tool_calls_are_compared_too(router):
    session = router.session("What is the weather in Oslo?")
    session.answer(Answer("", tool_calls=(ToolCall("weather", {"city": "Oslo"}),), cost=1.0))
    for city in ("Oslo", "Oslo", "Rome"):
        session.answer(Answer("", tool_calls=(ToolCall("weather", {"city": city}),), cost=1.0))
    small = session.trace.answers["small"]
    assert len(set(small.samples)) == 2
    read = ConsistencySignal().read([Query("What is the weather in Oslo?")], [small])
    assert read[0, 0] < 1.0
    same = replace(small, samples=small.samples[:2])
    assert ConsistencySignal().read([Query("What is the weather in Oslo?")], [same])[0, 0] == 1.0


def test_a_router_that_never_drafts_asks_for_nothing(router, data):
    for strategy in ("routing", "random_mixing", "single_model"):
        tuned = router.with_strategy(strategy)
        trace = drive(tuned.session(data.queries[0]), answering(data, 0))
        assert trace.advice == ()
    assert router.with_strategy("routing").frontier_.cost[0] == pytest.approx(1.0)


def test_before_a_fit_nobody_is_asked_again():
    router = CascadeRouter(MODELS, samples={"small": 3})
    trace = drive(router.session("q"), lambda call: Answer(call.model, (-2.0,), Usage(1, 1), 1.0))
    assert trace.advice == ()
    assert trace.models_run == MODELS


async def test_sync_and_async_agree(router, data):
    ask = answering(data, 5)

    async def run(call):
        return ask(call)

    one = drive(router.session(data.queries[5]), answering(data, 5))
    other = await adrive(router.session(data.queries[5]), run)
    assert one.to_dict() == other.to_dict()
    assert one.answers == other.answers


# Data.


@pytest.mark.parametrize("strategy", ["cascading", "fitted_value_iteration", "threshold_cascade"])
@pytest.mark.parametrize("asked", [{"small": 2}, {"small": 3, "large": 1}])
def test_sessions_decide_and_pay_as_replayed(strategy, asked, data):
    router = CascadeRouter(MODELS, samples=asked, strategy=strategy).fit(data)
    fresh = world(40, seed=3)
    low, high = router.frontier_.cost[[0, -1]]
    for budget in (low, low + 0.4 * (high - low), np.inf):
        outcome = router.replay(fresh, budget=float(budget))
        for row, query in enumerate(fresh.queries):
            trace = drive(router.session(query, budget=float(budget)), answering(fresh, row))
            assert [model in trace.answers for model in MODELS] == outcome.run[row].tolist()
            assert trace.total_cost == pytest.approx(outcome.cost[row], rel=1e-12)


def test_the_frontier_pays_for_samples(router, data):
    paid = np.mean([sum(a.cost for a in row[0]) for row in data.samples])
    assert router.frontier_.cost[0] == pytest.approx(1.0 + paid)
    trace = drive(router.session(data.queries[0]), answering(data, 0))
    assert trace.decisions[0].cost["small"] == pytest.approx(1.0 + paid, rel=0.05)


def test_a_fit_without_samples_is_refused(data):
    bare = CascadeDataset(MODELS, data.queries, data.answers, data.quality, data.cost)
    want = r"160 of 160 answers of 'small' have fewer than 3 .*collect\(\.\.\., samples=4\)"
    router = CascadeRouter(MODELS, samples={"small": 3})
    with pytest.raises(DataError, match=want):
        router.fit(bare)
    assert not router.is_fitted
    with pytest.raises(DataError, match=r"fewer than 5 samples.*samples=6"):
        CascadeRouter(MODELS, samples={"small": 5}).fit(data)
    with pytest.raises(DataError, match=r"samples=6"):
        CascadeRouter(MODELS, samples={"small": 1, "large": 5}).fit(data)
    data_of_others = world(20).select(["large", "small"])
    with pytest.raises(DataError, match=r"select\(router\.models\)"):
        CascadeRouter(MODELS, samples={"small": 1}).fit(data_of_others)


def test_one_row_without_is_refused_too(data):
    holes = data.take(range(40))
    holes.samples[7] = [[], holes.samples[7][1]]
    with pytest.raises(DataError, match="1 of 40 answers of 'small'"):
        CascadeRouter(MODELS, samples={"small": 1}).fit(holes)
    CascadeRouter(MODELS, samples={"large": 1}).fit(holes)


def test_a_replay_needs_samples_too(router, data):
    bare = CascadeDataset(MODELS, data.queries, data.answers, data.quality, data.cost)
    with pytest.raises(DataError, match="have fewer than 3 samples"):
        router.replay(bare)


def test_data_is_left_as_it_is(data):
    before = [list(row) for row in data.answers]
    CascadeRouter(MODELS, samples={"small": 1}).fit(data)
    assert data.answers == before
    assert all(answer.samples == () for row in data.answers for answer in row)


def one(answer, spare=(), cost=2.0):
    """One answer of one model, alone in a data set."""
    return CascadeDataset(["m"], ["q"], [[answer]], [[1.0]], [[cost]], samples=[[list(spare)]])


def taken(data, count):
    ((answer,),) = take_samples(data, {"m": count}, Charge({"m": Price(1e6, 1e6)})).answers
    return answer.samples, answer.advice_cost


def test_the_first_samples_are_taken_with_what_they_cost():
    spare = [Answer("b", cost=0.5), Answer("c", usage=Usage(1, 2)), Answer("d"), Answer("e")]
    assert taken(one(Answer("a"), spare), 1) == (("b",), {"m": 0.5})
    assert taken(one(Answer("a"), spare), 2) == (("b", "c"), {"m": 3.5})
    # Nothing is known of what the third cost: as much as the answer.
    assert taken(one(Answer("a"), spare), 3) == (("b", "c", "d"), {"m": 5.5})


def test_texts_beside_an_answer_come_first():
    texts = Answer("a", samples=("x", "y"))
    spare = [Answer("b", cost=0.5)]
    assert taken(one(texts), 2) == (("x", "y"), {"m": 4.0})
    assert taken(one(texts), 1) == (("x",), {"m": 2.0})
    assert taken(one(texts, spare), 3) == (("x", "y", "b"), {"m": 4.5})
    told = replace(texts, advice_cost={"m": 0.8, "judge": 9.0})
    assert taken(one(told), 2) == (("x", "y"), {"m": 0.8, "judge": 9.0})
    assert taken(one(told), 1) == (("x",), {"m": 0.4, "judge": 9.0})
    assert taken(one(told, spare), 3) == (("x", "y", "b"), {"m": 1.3, "judge": 9.0})


def test_taking_samples_twice_changes_nothing(data):
    charge = Charge({})
    once = take_samples(data, {"small": 2}, charge)
    twice = take_samples(once, {"small": 2}, charge)
    assert twice.answers == once.answers
    assert take_samples(data, {}, charge) is data


def test_what_sessions_answered_is_data_to_fit_on(router, data):
    traces = [drive(router.session(q), answering(data, i)) for i, q in enumerate(data.queries)]
    answers = [
        [trace.answers.get(m, data.answers[i][j]) for j, m in enumerate(MODELS)]
        for i, trace in enumerate(traces)
    ]
    again = CascadeDataset(MODELS, data.queries, answers, data.quality, data.cost)
    refit = router.refit(again)
    assert refit.frontier_.cost == pytest.approx(router.frontier_.cost, rel=1e-12)
    assert refit.frontier_.quality == pytest.approx(router.frontier_.quality, rel=1e-12)


@pytest.mark.parametrize("name", ["data.jsonl", "data.parquet"])
def test_samples_survive_a_file(name, data, router, tmp_path):
    data.save(tmp_path / name)
    found = router.refit(CascadeDataset.load(tmp_path / name))
    assert found.frontier_.cost.tobytes() == router.frontier_.cost.tobytes()


def test_collecting_then_fitting(data):
    asked = {}

    def model(name):
        def ask(query):
            seen = asked[name, query.text] = asked.get((name, query.text), -1) + 1
            row, column = int(query.text.split()[-1][:-1]), MODELS.index(name)
            cell = [data.answers[row][column], *data.samples[row][column]]
            return replace(cell[seen], cost=1.0 if name == "small" else 10.0)

        return ask

    found = collect(
        {name: model(name) for name in MODELS},
        data.queries[:40],
        samples=3,
        max_concurrency=1,
        progress=False,
    ).dataset(grade=lambda question, answer, reference: float(int(answer) < 50))
    router = CascadeRouter(MODELS, samples={"small": 2}, strategy="cascading").fit(found)
    assert router.frontier_.cost[0] == pytest.approx(3.0)


def test_a_saved_router_asks_as_before(router, data, tmp_path):
    save(router, tmp_path)
    found = CascadeRouter.load(tmp_path)
    assert found.samples == {"small": MORE}
    for row in range(5):
        first, second = (
            drive(each.session(data.queries[row]), answering(data, row)) for each in (router, found)
        )
        assert first.to_dict() == second.to_dict()
        assert len(first.advice) == MORE


def test_what_was_saved_before_there_were_samples_is_read(data, tmp_path):
    judged = advise(data, {JUDGE: lambda prompt: Answer("0.5", cost=0.25)}, progress=False)
    CascadeRouter(MODELS, advisers=[JUDGE], strategy="cascading").fit(judged).save(tmp_path)
    content = json.loads((tmp_path / "router.json").read_text())
    del content["sha256"]
    router = content["router"]
    for node in (router, router["state"]["_advising"]):
        del node["state"]["samples"]
        node["version"] = 1
    (tmp_path / "router.json").write_text(json.dumps(content))
    found = CascadeRouter.load(tmp_path)
    assert found.samples == {}
    trace = drive(found.session(data.queries[0]), answering(data, 0))
    assert [each.purpose for each in trace.advice] == ["judge"]


def test_reports_work_on_data_with_samples(router):
    found = evaluate(router, world(60, seed=5), replications=20)
    assert found.at_budget[0].cost > 1.0
