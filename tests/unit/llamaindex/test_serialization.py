"""A cascade as plain values, pickled, and made again."""

from __future__ import annotations

import json
import math
import pickle

import pytest

pytest.importorskip("llama_index.llms.openai_like")

from llama_index.core.base.llms.types import ChatMessage, CompletionResponse, LLMMetadata
from llama_index.core.extractors import TitleExtractor
from llama_index.core.ingestion.pipeline import get_transformation_hash
from llama_index.core.llms import CustomLLM
from llama_index.core.schema import TextNode
from llama_index.llms.openai_like import OpenAILike
from pydantic import SecretStr

from cascade_engine import ConfigurationError, Price
from cascade_engine.errors import PersistenceError
from cascade_engine.estimators import CombinedEstimator, LogprobSignal, QuerySignalEstimator
from cascade_engine.strategies import ThresholdCascade
from llamaindex_cascade import CascadeRoutingLLM

SECRETS = ("sk-very-secret", "Bearer-secret", "hidden-secret")


class Echo(CustomLLM):
    """Says what it is told."""

    model: str = "echo"
    password: SecretStr | None = None

    @property
    def metadata(self):
        return LLMMetadata(model_name=self.model)

    def complete(self, prompt, **kwargs):
        logprobs = {"content": [{"token": "a", "logprob": math.log(0.97)}]}
        return CompletionResponse(text=prompt, raw={"choices": [{"logprobs": logprobs}]})

    def stream_complete(self, prompt, **kwargs):
        yield self.complete(prompt)


class Outer:
    class Inner(Echo):
        """A class within a class."""


def local(_model, _answer):
    return 1.0


def make(**fields):
    return CascadeRoutingLLM(
        {"small": Echo(model="small"), "large": Outer.Inner(model="large")}, **fields
    )


def again(llm, **fields):
    return CascadeRoutingLLM.from_dict(json.loads(json.dumps(llm.to_dict())), **fields)


def test_all_settings_come_back():
    llm = make(
        prices={"small": Price(1, 2), "large": Price(3, 4, reasoning=5)},
        max_expected_cost=0.1,
        max_cost=1.0,
        strategy=ThresholdCascade(),
        quality_estimator=CombinedEstimator(QuerySignalEstimator("{model}"), LogprobSignal()),
        priors=[0.4, 0.6],
        seed=7,
        clamp_budget=True,
        samples={"small": 2},
        system_prompt="Be brief.",
    )
    found = again(llm)
    for name in ("prices", "max_expected_cost", "max_cost", "priors", "seed", "samples"):
        assert getattr(found, name) == getattr(llm, name), name
    assert found.system_prompt == "Be brief."
    assert found.strategy.name == "threshold_cascade"
    assert [type(part) for part in found.quality_estimator.before] == [QuerySignalEstimator]
    assert [type(child) for child in found.llms.values()] == [Echo, Outer.Inner]
    assert found.complete("Hi").text == "Hi"
    assert json.loads(found.to_json()) == json.loads(llm.to_json())


def test_no_key_is_written():
    first, second, third = SECRETS
    child = OpenAILike(
        model="m",
        api_key=first,
        default_headers={"Authorization": second, "X-Region": "north"},
        additional_kwargs={"extra_body": [{"access_token": third}], "max_tokens": 3},
    )
    llm = CascadeRoutingLLM([child, Echo(password=SecretStr(third))], llm_router=child)
    told = llm.to_json()
    assert not any(secret in told for secret in SECRETS)
    assert not any(secret in repr(llm) for secret in SECRETS)
    written = json.loads(told)["llms"]["m"]
    assert written["default_headers"] == {"X-Region": "north"}
    assert written["additional_kwargs"] == {"extra_body": [{}], "max_tokens": 3}


def test_children_may_be_given_again():
    llm = make()
    found = again(llm, llms=llm.llms)
    assert found.llms["small"] is llm.llms["small"]


def test_what_cannot_be_written_is_asked_for():
    llm = make(cost=local)
    told = json.loads(json.dumps(llm.to_dict()))
    with pytest.raises(ConfigurationError, match=r"cost is function.*from_dict\(data, cost=...\)"):
        CascadeRoutingLLM.from_dict(told)
    assert CascadeRoutingLLM.from_dict(told, cost=local).cost is local


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere.at.all:LLM", "there is no 'nowhere.at.all:LLM' here"),
        ("json:Nothing", "there is no"),
        ("json:JSONDecoder", "is no LlamaIndex LLM"),
        ("subprocess:run", "is no LlamaIndex LLM"),
    ],
)
def test_only_llms_are_made(path, words):
    told = make().to_dict()
    told["llms"]["small"]["import_path"] = path
    with pytest.raises(ConfigurationError, match=words):
        CascadeRoutingLLM.from_dict(told)


def test_a_cascade_may_be_a_child():
    inner = make()
    found = again(CascadeRoutingLLM({"inner": inner, "other": Echo()}))
    assert list(found.llms["inner"].llms) == ["small", "large"]
    made = found.complete("Hi").additional_kwargs["cascade"]
    assert made["chosen"] in {"inner", "other"}


def test_upstream_writes_it_where_it_writes_llms():
    structured = make().as_structured_llm(Echo)
    assert structured.to_dict()["llm"]["llms"]["small"]["model"] == "small"
    hashed = get_transformation_hash([TextNode(text="x", id_="1")], TitleExtractor(llm=make()))
    assert hashed


def test_pickles_keep_what_was_learned_and_say_what_they_cannot():
    questions = [f"question {i}?" for i in range(12)]
    prices = {"small": Price(1, 1), "large": Price(2, 2)}
    llm = make(prices=prices, cost="seconds").fit(questions, grade=all_good, progress=False)
    found = pickle.loads(pickle.dumps(llm))  # noqa: S301  our own
    assert found.router.is_fitted
    response = found.chat([ChatMessage(content="question 3?")])
    assert response.additional_kwargs["cascade"]["fitted"]
    with pytest.raises(PersistenceError, match=r"\['cost'\] cannot be pickled"):
        pickle.dumps(make(cost=lambda _model, _answer: 1.0))


def all_good(*_):
    return 1.0
