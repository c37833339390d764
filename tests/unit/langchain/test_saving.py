"""Cascades that are saved and loaded, on children that are given again."""

from __future__ import annotations

import json

import pytest

from cascade_engine import ConfigurationError, NotFittedError, Price
from cascade_engine.errors import PersistenceError
from cascade_engine.estimators import CombinedEstimator, LogprobSignal
from langchain_cascade import CascadeRoutingLLM


@pytest.fixture(scope="module")
def fitted(fakes):
    """Shared and not to be changed."""
    llm = fakes.learning(
        max_expected_cost=3e-5,
        max_cost=1e-3,
        seed=5,
        priors=[0.3, 0.9],
        clamp_budget=True,
        quality_estimator=CombinedEstimator(LogprobSignal()),
    )
    return llm.fit(fakes.questions, fakes.references)


def flat(model, answer):
    return 1.0 if model == "weak" else 5.0


def record(message):
    """The record of a call, but for its latency."""
    found = json.loads(json.dumps(message.response_metadata["cascade"]))
    for call in found["calls"]:
        del call["seconds"], call["tokens_per_second"]
    return found


def test_a_cascade_answers_as_before(fitted, fakes, tmp_path):
    assert fitted.save(tmp_path / "policy") == ()
    children = fakes.learning().models
    loaded = CascadeRoutingLLM.load(tmp_path / "policy", models=children)
    for question in ["easy question 101?", "hard question 102?", *fakes.questions]:
        assert record(loaded.invoke(question)) == record(fitted.invoke(question))
    assert loaded.models == children


def test_settings_come_back(fitted, fakes, tmp_path):
    fitted.save(tmp_path)
    loaded = CascadeRoutingLLM.load(tmp_path, fakes.learning().models)
    for name in ("prices", "cost", "max_expected_cost", "max_cost", "priors", "seed"):
        assert getattr(loaded, name) == getattr(fitted, name), name
    assert loaded.clamp_budget is True
    assert loaded.router.strategy.name == fitted.router.strategy.name
    assert loaded.with_budget(5e-5).router.policy_ == fitted.with_budget(5e-5).router.policy_


def test_no_child_and_no_key_is_written(fakes, tmp_path):
    llm = fakes.learning()
    llm.models["weak"].model_name = "sk-secret"
    llm.fit(fakes.questions, fakes.references).save(tmp_path, include_fitting_data=True)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"secret" not in written
    assert b"StreamChat" not in written
    assert not any(question.encode() in written for question in fakes.questions)


def test_children_are_told_apart_by_name(fitted, fakes, tmp_path):
    fitted.save(tmp_path)
    weak, strong = fakes.learning().models.values()
    swapped = CascadeRoutingLLM.load(tmp_path, models=[strong, weak])
    assert list(swapped.models.items()) == [("weak", weak), ("strong", strong)]
    question = "hard question 102?"
    assert record(swapped.invoke(question)) == record(fitted.invoke(question))
    for models in ([weak], {"weak": weak, "large": strong}, {"a": weak, "b": strong, "c": weak}):
        with pytest.raises(ConfigurationError, match=r"saved with the models \['weak', 'strong'\]"):
            CascadeRoutingLLM.load(tmp_path, models=models)
    with pytest.raises(ConfigurationError, match="no models given"):
        CascadeRoutingLLM.load(tmp_path, models=[])


def test_other_fields_are_taken_and_saved_ones_are_not(fitted, fakes, tmp_path):
    fitted.save(tmp_path)
    children = fakes.learning().models
    assert CascadeRoutingLLM.load(tmp_path, children, tags=["mine"]).tags == ["mine"]
    for field in ("max_expected_cost", "priors", "strategy"):
        with pytest.raises(ConfigurationError, match=f"'{field}'.*with_budget"):
            CascadeRoutingLLM.load(tmp_path, children, **{field: 1})


def test_a_cost_of_ones_own_is_given_again(fakes, tmp_path):
    llm = fakes.learning(cost=flat, prices={}).fit(fakes.questions, fakes.references)
    assert llm.save(tmp_path) == ("charge.by",)
    children = fakes.learning().models
    with pytest.raises(PersistenceError, match=r"(?s)'charge\.by': \.\.\.}.*flat"):
        CascadeRoutingLLM.load(tmp_path, children)
    loaded = CascadeRoutingLLM.load(tmp_path, children, supply={"charge.by": flat})
    assert loaded.cost is flat
    assert record(loaded.invoke("easy question 1?"))["total_cost"] in {1.0, 6.0, 5.0}


def test_a_cascade_before_its_fit(fakes, tmp_path):
    llm = fakes.cascade(max_cost=1.0, strategy="routing")
    llm.save(tmp_path)
    loaded = CascadeRoutingLLM.load(tmp_path, fakes.cascade().models)
    assert record(loaded.invoke("why?")) == record(llm.invoke("why?"))
    with pytest.raises(NotFittedError):
        loaded.evaluate(fakes.questions, fakes.references)
    fresh = CascadeRoutingLLM.load(tmp_path, fakes.learning().models)
    assert fresh.fit(fakes.questions, fakes.references).router.is_fitted


def test_a_loaded_cascade_learns_anew(fitted, fakes, tmp_path):
    fitted.save(tmp_path)
    loaded = CascadeRoutingLLM.load(tmp_path, fakes.learning().models)
    loaded.fit(fakes.questions, fakes.references)
    assert loaded.router.policy_ == fitted.router.policy_


def test_with_the_fitting_data_it_is_evaluated_as_before(fitted, fakes, tmp_path):
    fitted.save(tmp_path, include_fitting_data=True)
    loaded = CascadeRoutingLLM.load(tmp_path, fakes.learning().models)
    assert str(loaded.evaluate(fakes.questions, fakes.references)) == str(
        fitted.evaluate(fakes.questions, fakes.references)
    )


def test_without_the_fitting_data_it_is_evaluated_beside_its_children(fitted, fakes, tmp_path):
    fitted.save(tmp_path)
    loaded = CascadeRoutingLLM.load(tmp_path, fakes.learning().models)
    found = loaded.evaluate(fakes.questions, fakes.references)
    before = fitted.evaluate(fakes.questions, fakes.references)
    (name,) = found.curves
    assert [point.name for point in found.singles] == ["weak", "strong"]
    assert [p.to_dict() for p in found.curves[name]] == [p.to_dict() for p in before.curves[name]]
    assert found.over_mixing(name) == before.over_mixing(name)


def test_prices_for_children_that_are_there(fakes, tmp_path):
    prices = {"weak": Price(1, 1, cached=0.5), "strong": Price(0, 0)}
    fakes.cascade(prices=prices).save(tmp_path)
    assert CascadeRoutingLLM.load(tmp_path, fakes.cascade().models).prices == prices


def test_settings_that_are_not_known_are_refused(fitted, fakes, tmp_path):
    fitted.save(tmp_path)
    content = json.loads((tmp_path / "router.json").read_text("utf-8"))
    content["settings"]["surprise"] = 1
    del content["sha256"]
    (tmp_path / "router.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(PersistenceError, match="surprise"):
        CascadeRoutingLLM.load(tmp_path, fakes.learning().models)
    with pytest.raises(PersistenceError, match="no router is saved"):
        CascadeRoutingLLM.load(tmp_path / "nowhere", fakes.learning().models)
