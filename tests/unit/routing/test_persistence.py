"""Routers that are saved and loaded decide as they did, and nothing else is loaded."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import threading
from collections import OrderedDict
from itertools import product

import numpy as np
import pytest

from cascade_engine import (
    STRATEGIES,
    Answer,
    CascadeRouter,
    ConfigurationError,
    CostEstimator,
    GaussianCombiner,
    NotFittedError,
    Price,
    Query,
    Usage,
    drive,
    estimators,
    strategies,
)
from cascade_engine.answers.extractors import json_field, label, number
from cascade_engine.errors import PersistenceError
from cascade_engine.estimators import (
    Agreement,
    CallableSignal,
    CombinedEstimator,
    LinearCostEstimator,
    LogprobEstimator,
    LogprobSignal,
    PoissonCostEstimator,
    PriorEstimator,
    StructureSignal,
    TextEstimator,
    TokenCostEstimator,
)
from cascade_engine.routing.persistence import save
from cascade_engine.storage.json_objects import Decoder, Encoder
from cascade_engine.storage.registry import fitting_data_of, persistent, registration_of
from cascade_engine.strategies import CascadeRouting, Cascading, ReservationIndex, SingleModel


@pytest.fixture(scope="module")
def data(make_data):
    return make_data(50, 3, 1)


@pytest.fixture(scope="module")
def held_out(make_data):
    return make_data(40, 3, 2)


@pytest.fixture(scope="module")
def router(data):
    return CascadeRouter(data.models).fit(data)


def light():
    """An estimator that is fitted quickly."""
    return CombinedEstimator(LogprobSignal(), folds=2)


def again(router, folder, **options):
    """Saved and loaded."""
    save(router, folder, **options)
    return CascadeRouter.load(folder)


def assert_decide_alike(one, other, data):
    """In every state that the data's queries can come to, to the last bit."""
    every = [one.quality.read(data), other.quality.read(data)]
    costs = [router.cost.predict(data.queries) for router in (one, other)]
    assert costs[0].tobytes() == costs[1].tobytes()
    for marks in product([False, True], repeat=len(data.models)):
        run = np.tile(marks, (len(data), 1))
        first, second = (
            r.quality.estimate(e, run) for r, e in zip((one, other), every, strict=True)
        )
        assert first[0].tobytes() == second[0].tobytes()
        assert first[1].tobytes() == second[1].tobytes()
    outcomes = [router.replay(data) for router in (one, other)]
    assert np.array_equal(outcomes[0].run, outcomes[1].run)
    assert outcomes[0].cost.tobytes() == outcomes[1].cost.tobytes()


def own_charge(model, answer):
    return 2.0 if model == "model-0" else 3.0


def long_enough(query, answer):
    return float(len(answer.text) > 20)


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_every_strategy_decides_as_before(strategy, data, held_out, tmp_path):
    router = CascadeRouter(data.models, strategy=strategy, quality=light(), seed=3).fit(data)
    router = router.with_budget(float(router.frontier_.cost.mean()))
    loaded = again(router, tmp_path)
    assert_decide_alike(router, loaded, held_out)
    assert loaded.strategy.name == router.strategy.name
    assert loaded.policy_ == router.policy_
    assert (loaded.models, loaded.budget, loaded.seed) == (router.models, router.budget, 3)


@pytest.mark.parametrize(
    "strategy",
    [
        Cascading(max_depth=2, per_step=True),
        CascadeRouting(per_step=True),
        ReservationIndex(max_depth=1),
        SingleModel(1),
    ],
    ids=lambda strategy: strategy.name,
)
def test_the_options_of_a_strategy_are_kept(strategy, data, held_out, tmp_path):
    router = CascadeRouter(data.models, strategy=strategy, quality=light()).fit(data)
    loaded = again(router, tmp_path)
    assert vars(loaded.strategy) == vars(router.strategy)
    assert_decide_alike(router, loaded, held_out)


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"quality": LogprobEstimator(folds=3, seed=4)},
        {"quality": CombinedEstimator()},
        {"quality": CombinedEstimator(LogprobSignal())},
        {
            "quality": CombinedEstimator(
                TextEstimator(folds=3),
                StructureSignal(schema={"type": "string"}),
                Agreement(number),
            )
        },
        {"quality": CombinedEstimator(LogprobSignal(), Agreement(label(["a", "b"])))},
        {"quality": CombinedEstimator(LogprobSignal(), Agreement(json_field("a.0")))},
        {"cost": PoissonCostEstimator(penalty=5.0)},
        {"cost": LinearCostEstimator()},
    ],
    ids=[
        "default",
        "logprob",
        "combined",
        "one signal",
        "parts",
        "label",
        "field",
        "poisson",
        "linear",
    ],
)
def test_every_estimator_decides_as_before(parts, data, held_out, tmp_path):
    router = CascadeRouter(data.models, **parts).fit(data)
    assert save(router, tmp_path) == ()
    assert_decide_alike(router, CascadeRouter.load(tmp_path), held_out)


def test_prices_and_cost_of_tokens(data, held_out, tmp_path):
    prices = {name: Price(1.5 * i, 4, cached=0.1) for i, name in enumerate(data.models)}
    cost = TokenCostEstimator(data.models, prices, output_tokens=100)
    router = CascadeRouter(data.models, cost=cost, prices=prices, quality=light()).fit(data)
    loaded = again(router, tmp_path)
    assert loaded.prices == prices
    assert_decide_alike(router, loaded, held_out)


def test_a_combiner_alone(tmp_path):
    rng = np.random.default_rng(0)
    quality = (rng.random((60, 3)) < 0.6).astype(float)
    before, after = 0.4 + 0.3 * quality, 0.2 + 0.6 * quality
    combiner = GaussianCombiner().fit(before, after, quality)
    encoder = Encoder()
    encoded = json.loads(json.dumps(encoder.encode(combiner)))
    loaded = Decoder(encoder.arrays).decode(encoded)
    assert vars(loaded).keys() == vars(combiner).keys()
    assert loaded.share_after_ == combiner.share_after_
    assert np.array_equal(loaded.covariance_, combiner.covariance_)


def test_a_router_that_is_not_fitted(data, tmp_path):
    prices = {name: Price(1, 2) for name in data.models}
    router = CascadeRouter(data.models, prices=prices, priors=[0.2, 0.5, 0.7], charge="seconds")
    loaded = again(router, tmp_path)
    assert not loaded.is_fitted
    with pytest.raises(NotFittedError):
        loaded.replay(data)
    run = {"model-0": Answer("a", (-1.0,)), "model-1": Answer("b", (-0.01,)), "model-2": None}
    traces = [drive(r.session("why?"), lambda call: run[call.model]) for r in (router, loaded)]
    assert traces[0] == traces[1]
    assert traces[1].models_run == ("model-0", "model-1")
    assert loaded.fit(data).is_fitted


def test_a_loaded_router_can_be_used_as_any_other(data, held_out, router, tmp_path):
    loaded = again(router, tmp_path)
    budget = float(router.frontier_.cost.mean())
    assert_decide_alike(router.with_budget(budget), loaded.with_budget(budget), held_out)
    refitted = loaded.refit(data)
    assert_decide_alike(router.refit(data), refitted, held_out)
    session = loaded.session(Query("a tricky one?"), max_cost=1.0)
    assert session.pending.model in data.models


def test_sessions_decide_alike(router, held_out, tmp_path):
    loaded = again(router, tmp_path)

    def trace(router, row):
        said = dict(zip(held_out.models, held_out.answers[row], strict=True))
        return drive(router.session(held_out.queries[row]), lambda call: said[call.model])

    for row in range(len(held_out)):
        assert trace(router, row) == trace(loaded, row)


def test_fitting_data_is_kept_on_request_only(data, held_out, tmp_path):
    router = CascadeRouter(data.models, quality=light()).fit(data)
    save(router, tmp_path / "without")
    save(router, tmp_path / "with", include_fitting_data=True)
    loaded = CascadeRouter.load(tmp_path / "with")
    tuned = loaded.with_strategy("cascading")
    assert_decide_alike(router.with_strategy("cascading"), tuned, held_out)
    assert loaded._data.believe._evidence is loaded.quality.cross_evidence()
    assert not hasattr(CascadeRouter.load(tmp_path / "without"), "_data")
    with pytest.raises(NotFittedError, match="include_fitting_data=True"):
        fitting_data_of(CascadeRouter.load(tmp_path / "without"), "_data")


@pytest.mark.parametrize("include", [False, True])
def test_no_query_and_no_answer_is_written(include, make_data, tmp_path):
    data = make_data(40, 2, 5)
    save(CascadeRouter(data.models).fit(data), tmp_path, include_fitting_data=include)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not any(query.text.encode() in written for query in data.queries)
    assert not any(answer.text.encode() in written for row in data.answers for answer in row)


def test_names_are_in_any_language(data, held_out, tmp_path):
    folder = tmp_path / "Модель ✓" / "a b"
    names = ["малая", "中 'x' \"y\"", "\U0001f600 $dict"]
    router = CascadeRouter(names, prices={names[2]: Price(1, 2)})
    loaded = again(router, str(folder))
    assert loaded.models == tuple(names)
    assert loaded.prices == router.prices
    router = CascadeRouter(data.models, quality=light()).fit(data)
    assert_decide_alike(router, again(router, os.fspath(folder)), held_out)


# What cannot be stored.


def test_a_function_of_ones_own_is_asked_for(data, held_out, tmp_path):
    quality = CombinedEstimator(LogprobSignal(), CallableSignal(long_enough))
    router = CascadeRouter(data.models, charge=own_charge, quality=quality).fit(data)
    places = save(router, tmp_path)
    assert set(places) == {"charge.by", "quality.signals[1].function"}
    with pytest.raises(PersistenceError) as caught:
        CascadeRouter.load(tmp_path)
    for words in (*places, "own_charge", "long_enough", "supply="):
        assert words in str(caught.value)
    supply = {"charge.by": own_charge, "quality.signals[1].function": long_enough}
    loaded = CascadeRouter.load(tmp_path, supply=supply)
    assert_decide_alike(router, loaded, held_out)
    assert loaded.charge("model-0", Answer("a")) == 2.0
    with pytest.raises(PersistenceError, match=r"quality\.signals\[1\]"):
        CascadeRouter.load(tmp_path, supply={"charge.by": own_charge})
    with pytest.raises(PersistenceError, match="does not ask for"):
        CascadeRouter.load(tmp_path, supply={**supply, "charge.bye": own_charge})


def test_what_is_supplied_must_fit(data, tmp_path):
    class Mine(CombinedEstimator):
        pass

    router = CascadeRouter(data.models, quality=Mine(LogprobSignal())).fit(data)
    assert save(router, tmp_path) == ("quality",)
    with pytest.raises(PersistenceError, match="quality is int, no QualityEstimator"):
        CascadeRouter.load(tmp_path, supply={"quality": 3})
    assert (
        CascadeRouter.load(tmp_path, supply={"quality": router.quality}).quality is router.quality
    )
    save(CascadeRouter(data.models, charge=own_charge), tmp_path)
    with pytest.raises(PersistenceError, match=r"charge\.by.*function"):
        CascadeRouter.load(tmp_path, supply={"charge.by": 3})


@persistent("tests.HalfCost", version=2, upgrade=lambda state, version: {"share": state["half"]})
class HalfCost(CostEstimator):
    def __init__(self, share=0.5):
        self.share = share

    def fit(self, data):
        return self

    def predict(self, queries):
        return np.full((len(queries), 3), self.share)


@persistent("tests.flat_charge")
def flat_charge(model, answer):
    return 1.0


def test_what_users_register_is_stored(data, held_out, tmp_path):
    cost = HalfCost(0.25)
    router = CascadeRouter(data.models, cost=cost, charge=flat_charge, quality=light()).fit(data)
    assert save(router, tmp_path) == ()
    loaded = CascadeRouter.load(tmp_path)
    assert loaded.cost.share == 0.25
    assert loaded.charge.by is flat_charge
    assert_decide_alike(router, loaded, held_out)


def test_a_name_means_one_thing():
    with pytest.raises(ConfigurationError, match=r"tests\.HalfCost.*another name"):
        persistent("tests.HalfCost")(flat_charge)


@pytest.mark.parametrize("base", [list, dict, OrderedDict, int, Exception, np.ndarray, tuple])
def test_a_class_whose_content_would_be_lost_is_not_registered(base):
    with pytest.raises(ConfigurationError, match="would be lost"):
        persistent("tests.More")(type("More", (base,), {}))


def parts(base):
    """The classes of the library below one of its contracts."""
    for below in base.__subclasses__():
        yield from parts(below)
        if not inspect.isabstract(below) and below.__name__ in PUBLIC:
            yield below


PUBLIC = {*estimators.__all__, *strategies.__all__}
CONTRACTS = (
    *(estimators.QualityEstimator, estimators.CostEstimator, estimators.ExAnteEstimator),
    *(estimators.AnswerSignal, strategies.Strategy),
)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
def test_every_part_of_the_library_is_registered(contract):
    public = [part for part in parts(contract) if part.__module__.startswith("cascade_engine")]
    assert public
    assert [part for part in public if registration_of(part) is None] == []


def test_a_cell_that_is_run_again_registers_again(data, tmp_path):
    def cell():
        @persistent("tests.Cell", fields=("value",))
        class Cell(HalfCost):
            def __init__(self, value):
                self.value = self.share = value

        del Cell.__init__
        return Cell

    first, second = cell(), cell()
    made = second()
    made.value = 1.5
    del made.share
    assert first is not second
    assert type(again(CascadeRouter(data.models, cost=made), tmp_path).cost) is second


def test_attributes_that_a_registration_does_not_name_are_not_lost(data, tmp_path):
    cost = HalfCost()
    cost.extra = 3
    with pytest.raises(PersistenceError, match=r"cost.*'tests\.HalfCost'.*\['extra'\].*registered"):
        save(CascadeRouter(data.models, cost=cost), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "value",
    [
        np.array([{"a": 1}], dtype=object),
        np.array([1j]),
        np.array(["2026-01-01"], dtype="datetime64[D]"),
        np.zeros(2, dtype=[("a", float)]),
        np.ma.masked_array([1.0], [True]),
        np.longdouble(1) / 3 if np.dtype(np.longdouble).itemsize > 8 else np.array([1j]),
    ],
    ids=lambda value: str(value.dtype),
)
def test_other_arrays_are_refused(value, data, tmp_path):
    with pytest.raises(PersistenceError, match=r"cost\.share is .*only plain numpy arrays"):
        save(CascadeRouter(data.models, cost=HalfCost(value)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_contains_itself_is_refused(data, tmp_path):
    loop, deep = [], []
    loop.append({"again": loop})
    for _ in range(200):
        deep = [deep]
    for value in (loop, deep, HalfCost()):
        cost = HalfCost(value)
        if isinstance(value, HalfCost):
            value.share = cost
        with pytest.raises(PersistenceError, match="contains itself"):
            save(CascadeRouter(data.models, cost=cost), tmp_path)


# Files that are not as they should be.


@pytest.fixture(scope="module")
def template(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    save(CascadeRouter(data.models, cost=HalfCost(), quality=light()).fit(data), folder)
    return folder


@pytest.fixture
def saved(template, tmp_path):
    return shutil.copytree(template, tmp_path / "router")


def changed(folder, change):
    """Rewrites `router.json`."""
    path = folder / "router.json"
    content = json.loads(path.read_bytes())
    change(content)
    path.write_bytes(json.dumps(content).encode())


def refused(folder, words):
    with pytest.raises(PersistenceError, match=words) as caught:
        CascadeRouter.load(folder)
    assert str(folder) in str(caught.value)
    return str(caught.value)


def cost_node(content):
    return content["router"]["state"]["cost"]


def advised(content, **fields):
    """Makes it a router with advice."""
    advising = {"$class": "Advising", "version": 1, "state": {"cost": {}, "judging": 0, **fields}}
    content["router"]["state"].update(_advising=advising)


def judged(content, **fields):
    """Makes it a router with a judge."""
    judge = {"name": "judge", "prompt": {"$named": "advisers.judge_prompt"}}
    judge |= {"read": {"$named": "advisers.read_score"}, **fields}
    node = {"$class": "ChatJudge", "version": 1, "state": judge}
    content["router"]["state"].update(advisers={"$tuple": [node]})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(format="something else"), "not of the format"),
        (lambda c: c.update(version=2), "of version 2 of the format.*upgrade cascade-routing"),
        (lambda c: c.pop("version"), "of version None"),
        (lambda c: c["router"].update({"$class": "os.system"}), "class 'os.system'.*not known"),
        (lambda c: c["router"].update({"$class": ["os", "system"]}), "damaged"),
        (lambda c: c["router"].update({"$class": "extraction.number"}), "not known"),
        (lambda c: cost_node(c).update(version=3), r"cost is 'tests.HalfCost' of version 3.*newer"),
        (lambda c: cost_node(c).update(version=0), "version 0"),
        (lambda c: cost_node(c).update(version=True), "version True"),
        (lambda c: cost_node(c)["state"].update(__class__=1), r"not known, \['__class__'\]"),
        (lambda c: cost_node(c)["state"].clear(), r"cost.*lacks, \['share'\]"),
        (lambda c: cost_node(c).update(extra=1), "is marked"),
        (lambda c: cost_node(c).update({"$other": 1}), "is marked"),
        (
            lambda c: c["router"]["state"].update(cost={"$code": "1"}),
            r"cost is marked \['\$code'\]",
        ),
        (lambda c: c["router"]["state"].update(cost={"$named": "os.system"}), "not known"),
        (lambda c: c["router"]["state"].update(cost={"$named": "Price"}), "not known"),
        (lambda c: c["router"]["state"].update(cost={"$named": []}), "damaged"),
        (lambda c: c["router"]["state"].update(cost={"$same": "nowhere"}), "cost is damaged"),
        (lambda c: c["router"]["state"].update(cost={"$array": 10**6}), "cost is damaged"),
        (lambda c: c["router"]["state"].update(cost={"$array": -1}), "cost is damaged"),
        (lambda c: c["router"]["state"].update(cost={"$number": ["O", 1]}), "cost.*not known|'O'"),
        (lambda c: c["router"]["state"].update(cost={"$number": ["V99999999999", 1]}), "not known"),
        (lambda c: c["router"]["state"].update(cost={"$tuple": "abc"}), "cost is damaged"),
        (lambda c: c["router"]["state"].update(cost={"$set": [[]]}), "cost is damaged"),
        (lambda c: c["router"]["state"].update(cost={"$float": "1"}), "cost is damaged"),
        (lambda c: c["router"]["state"].update(cost={"$int": 5}), "cost is damaged"),
        (lambda c: c["router"]["state"].update(cost={"$text": "xyz"}), "cost is damaged"),
        (lambda c: c["router"]["state"].update(cost=7), "cost is int, no CostEstimator"),
        (lambda c: c["router"]["state"].update(charge=7, _unfitted=7), "charge is int, no Charge"),
        (lambda c: c["router"]["state"].update(_unfitted=7), "_unfitted is int, no Decider"),
        (lambda c: c["router"]["state"].update(advisers=7), "advisers is int, no tuple"),
        (
            lambda c: c["router"]["state"].update(advisers={"$tuple": [cost_node(c)]}),
            "an adviser is a ChatJudge or a ChatRouter, not .*HalfCost",
        ),
        (lambda c: c["router"]["state"].update(_advising=7), "_advising is int, no AdvicePlan"),
        (lambda c: advised(c, advisers=7), "_advising.advisers is int, no tuple"),
        (lambda c: advised(c, advisers={"$tuple": ["judge"]}), "an adviser is .*, not 'judge'"),
        (lambda c: judged(c, name=7), "name.*must be.*7"),
        (lambda c: judged(c, prompt="What?"), "must be functions, not 'What[?]'"),
        (lambda c: c["router"]["state"].update(budget=-1), "budget must be a number"),
        (lambda c: c["router"]["state"].update(models={"$tuple": []}), "no models given"),
        (lambda c: c["router"]["state"].pop("policy_"), r"lacks, \['policy_'\]"),
        (lambda c: c["router"]["state"].update(seed=c["router"]["state"]["seed"] + 1), "not as it"),
        (lambda c: c["models"].append("other"), "other"),
        (lambda c: c.update(router=cost_node(c)), "HalfCost is no router"),
        (lambda c: c.pop("router"), "damaged"),
        (lambda c: c.update(settings=[1]), "settings is list, no dict"),
        (lambda c: c.pop("arrays"), "no checksum"),
        (lambda c: c["arrays"].update(sha256="../../../etc/passwd"), "no checksum"),
        (lambda c: c["arrays"].update(sha256="0" * 64), "arrays-0000000000000000.npz is missing"),
        (lambda c: c["arrays"]["declared"].pop(), "not those that are declared"),
        (lambda c: c["arrays"].pop("declared"), "damaged"),
        (lambda c: c["arrays"].update(declared=None), "arrays"),
    ],
)
def test_what_is_not_known_is_refused(change, words, saved):
    changed(saved, change)
    refused(saved, words)


def test_an_older_version_is_brought_up_to_date(saved):
    def older(content):
        del content["sha256"]
        cost_node(content).update(version=1, state={"half": 0.125})

    changed(saved, older)
    assert CascadeRouter.load(saved).cost.share == 0.125


def test_an_older_version_without_a_way_up_is_refused(data, saved):
    @persistent("tests.Old", version=3)
    class Old(HalfCost):
        pass

    changed(saved, lambda c: cost_node(c).update({"$class": "tests.Old", "version": 2}))
    refused(saved, "'tests.Old' of version 2, which is read no more: fit and save again")


@pytest.mark.parametrize("value", [0.75, "x", None, []])
def test_a_value_that_was_changed_is_noticed(value, saved):
    changed(saved, lambda c: c.update(library=c["library"]))  # laid out anew, it is the same
    assert CascadeRouter.load(saved).cost.share == 0.5
    changed(saved, lambda c: cost_node(c)["state"].update(share=value))
    refused(saved, "router.json is not as it was saved")


def nodes(node):
    """Every list and mapping in JSON, with the keys of their parts."""
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], (dict, list)):
            yield from nodes(node[key])


def test_whatever_is_changed_there_is_a_clear_error_or_a_router(saved):
    """One part of `router.json` at a time becomes something else, or another of its parts."""
    rng = np.random.default_rng(0)
    text = (saved / "router.json").read_text("utf-8")
    strange = [None, True, -1, 1e9, "x", [], {}, {"$array": 0}, {"$same": "quality"}, [[1]]]
    refused = 0
    for _ in range(300):
        content = json.loads(text)
        places = list(nodes(content))
        (holder, key), (other, part) = (places[i] for i in rng.integers(0, len(places), 2))
        replaced = strange[rng.integers(len(strange))] if rng.random() < 0.6 else other[part]
        holder[key] = json.loads(json.dumps(replaced))
        (saved / "router.json").write_text(json.dumps(content), "utf-8")
        try:
            assert isinstance(CascadeRouter.load(saved), CascadeRouter)
        except PersistenceError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"[]", b"null", b"{}", b"1e5", b'"x"']
)
def test_torn_json_is_refused(content, saved):
    (saved / "router.json").write_bytes(content)
    refused(saved, "router.json is no")


@pytest.mark.parametrize(("open_", "close"), [("[", "]"), ('{"$tuple": [', "]}"), ('{"a": ', "}")])
def test_deep_nesting_is_refused(open_, close, saved):
    deep = open_ * 150 + "1" + close * 150
    text = (saved / "router.json").read_text("utf-8")
    whole = json.loads(text)
    cost_node(whole)["state"]["share"] = "HERE"
    (saved / "router.json").write_text(json.dumps(whole).replace('"HERE"', deep), "utf-8")
    refused(saved, "nested too deeply")


def test_other_arrays_than_those_saved_are_noticed(data, saved, tmp_path):
    save(CascadeRouter(data.models, priors=[0.1, 0.2, 0.3]), tmp_path / "other")
    (mine,), (theirs,) = saved.glob("*.npz"), (tmp_path / "other").glob("*.npz")
    content = mine.read_bytes()
    mine.write_bytes(theirs.read_bytes())
    refused(saved, "damaged, or not the one saved with this router.json")
    mine.write_bytes(content[:-1])
    refused(saved, "damaged")
    mine.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    refused(saved, "damaged")
    mine.unlink()
    refused(saved, "is missing")
    mine.write_bytes(content)
    assert CascadeRouter.load(saved).is_fitted


def test_there_must_be_a_router(tmp_path):
    refused(tmp_path, "no router is saved here")
    refused(tmp_path / "nowhere", "no router is saved here")
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file", "no router is saved here")
    with pytest.raises(PersistenceError, match="is a file"):
        save(CascadeRouter(["a"]), tmp_path / "file")


# Saving over what is there.


def test_a_router_takes_the_place_of_the_last(data, held_out, router, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    save(CascadeRouter(data.models), tmp_path)
    save(router, tmp_path)
    save(router, tmp_path)
    assert_decide_alike(router, CascadeRouter.load(tmp_path), held_out)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("content", ["{}", '{"format": "my own"}', "not JSON"])
def test_what_is_no_router_is_not_overwritten(content, router, tmp_path):
    (tmp_path / "router.json").write_text(content)
    with pytest.raises(PersistenceError, match="another folder, or delete it"):
        save(router, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["router.json"]
    assert (tmp_path / "router.json").read_text() == content


@pytest.mark.parametrize("syncs", [0, 1, 2, 3])
def test_a_writer_that_is_stopped_leaves_one_router_whole(syncs, router, tmp_path, monkeypatch):
    save(router, tmp_path)
    real, calls = os.fsync, []

    def stop(handle):
        calls.append(handle)
        if len(calls) > syncs:  # each file's and its folder's
            raise KeyboardInterrupt
        return real(handle)

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        save(CascadeRouter(["other"], seed=9), tmp_path)
    monkeypatch.undo()
    assert CascadeRouter.load(tmp_path).models == (("other",) if syncs == 3 else router.models)
    assert len(list(tmp_path.iterdir())) == (3 if syncs == 3 else 2)


def test_readers_find_one_router_or_the_other(tmp_path):
    routers = [CascadeRouter(["a", "b"], priors=[0.1, p], seed=s) for s, p in enumerate([0.2, 0.9])]
    save(routers[0], tmp_path)
    done, seen = threading.Event(), set()

    def write():
        for turn in range(60):
            save(routers[turn % 2], tmp_path)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        loaded = CascadeRouter.load(tmp_path)
        seen.add((loaded.seed, float(loaded._unfitted.quality.priors[1])))
    writer.join()
    assert seen <= {(0, 0.2), (1, 0.9)}


def test_the_same_router_is_the_same_bytes(router, tmp_path):
    save(router, tmp_path / "one")
    save(CascadeRouter.load(tmp_path / "one"), tmp_path / "two")
    files = [sorted((tmp_path / name).iterdir()) for name in ("one", "two")]
    assert [p.name for p in files[0]] == [p.name for p in files[1]]
    assert [p.read_bytes() for p in files[0]] == [p.read_bytes() for p in files[1]]


def test_priors_and_usage_survive(tmp_path):
    router = CascadeRouter(["a"], prices={"a": Price(1, 2, reasoning=3)}, priors=[0.95])
    loaded = again(router, tmp_path)
    assert isinstance(loaded._unfitted.quality, PriorEstimator)
    assert loaded.charge("a", Answer("x", usage=Usage(10, 20, reasoning_tokens=5))) == (
        router.charge("a", Answer("x", usage=Usage(10, 20, reasoning_tokens=5)))
    )
