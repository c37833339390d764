"""Cascades that are saved and loaded, on LLMs that are given again."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, LLMMetadata
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import CustomLLM

from cascade_engine import ConfigurationError, Price
from cascade_engine.errors import PersistenceError
from llamaindex_cascade import CascadeRoutingLLM

QUESTIONS = [f"{'hard' if i % 3 == 0 else 'easy'} question number {i}?" for i in range(30)]
PRICES = {"small": Price(1, 1), "large": Price(20, 20, reasoning=30)}


class Child(CustomLLM):
    """Sure of the answer; a small one is not of hard questions, and gives another."""

    model: str

    @property
    def metadata(self):
        return LLMMetadata(model_name=self.model)

    def chat(self, messages, **kwargs):
        lost = self.model == "small" and str(messages[-1].content).startswith("hard")
        logprob = math.log(0.5 if lost else 0.97)
        raw = {
            "choices": [{"logprobs": {"content": [{"logprob": logprob}] * 3}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 3},
        }
        text = "no" if lost else "yes"
        return ChatResponse(message=ChatMessage(content=text, role="assistant"), raw=raw)

    def complete(self, prompt, **kwargs):
        raise NotImplementedError

    def stream_complete(self, prompt, **kwargs):
        raise NotImplementedError


def children():
    return [Child(model="small"), Child(model="large")]


@pytest.fixture(scope="module")
def fitted():
    """Shared and not to be changed."""
    llm = CascadeRoutingLLM(
        children(),
        prices=PRICES,
        max_expected_cost=1e-4,
        clamp_budget=True,
        max_cost=1.0,
        priors=[0.4, 0.6],
        seed=3,
    )
    return llm.fit([[ChatMessage(content=q)] for q in QUESTIONS], ["yes"] * 30)


def record(llm, question):
    """The record of a call, but for its latency."""
    found = llm.chat([ChatMessage(content=question)]).additional_kwargs["cascade"]
    timed = {"seconds": None, "tokens_per_second": None}
    calls = [{**call, **timed} for call in found["calls"]]
    return {**found, "calls": calls}


def test_a_cascade_answers_as_before(fitted, tmp_path):
    assert fitted.save(tmp_path) == ()
    loaded = CascadeRoutingLLM.load(tmp_path, models=children()[::-1])
    assert list(loaded.llms) == ["small", "large"]
    for question in QUESTIONS:
        assert record(loaded, question) == record(fitted, question)


def test_children_are_given_by_either_name(fitted, tmp_path):
    fitted.save(tmp_path)
    loaded = CascadeRoutingLLM.load(tmp_path, llms=children())
    assert record(loaded, QUESTIONS[0]) == record(fitted, QUESTIONS[0])
    for given in ({}, {"models": children(), "llms": children()}):
        with pytest.raises(ConfigurationError, match="either models="):
            CascadeRoutingLLM.load(tmp_path, **given)


def test_settings_come_back(fitted, tmp_path):
    fitted.save(tmp_path)
    manager = CallbackManager([])
    loaded = CascadeRoutingLLM.load(tmp_path, children(), callback_manager=manager)
    for name in ("prices", "max_expected_cost", "max_cost", "priors", "seed", "clamp_budget"):
        assert getattr(loaded, name) == getattr(fitted, name), name
    assert loaded.callback_manager is manager
    again = CascadeRoutingLLM.load(tmp_path, children())
    assert again.with_budget(None).router.policy_ == fitted.with_budget(None).router.policy_


def test_without_the_fitting_data_it_is_evaluated_beside_its_children(fitted, tmp_path):
    fitted.save(tmp_path)
    found = CascadeRoutingLLM.load(tmp_path, children()).evaluate(QUESTIONS, ["yes"] * 30)
    before = fitted.evaluate(QUESTIONS, ["yes"] * 30)
    (name,) = found.curves
    assert [p.to_dict() for p in found.curves[name]] == [p.to_dict() for p in before.curves[name]]
    assert [point.name for point in found.singles] == ["small", "large"]


def test_children_must_be_those_saved(fitted, tmp_path):
    fitted.save(tmp_path)
    with pytest.raises(ConfigurationError, match=r"saved with the models \['small', 'large'\]"):
        CascadeRoutingLLM.load(tmp_path, [Child(model="small"), Child(model="other")])
    with pytest.raises(ConfigurationError, match="'seed'"):
        CascadeRoutingLLM.load(tmp_path, children(), seed=1)
    with pytest.raises(PersistenceError, match="no router is saved here"):
        CascadeRoutingLLM.load(tmp_path / "nowhere", children())


def test_no_child_is_written(fitted, tmp_path):
    fitted.save(tmp_path, include_fitting_data=True)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"Child" not in written
    assert not any(question.encode() in written for question in QUESTIONS)


def test_what_langchain_saved_llamaindex_loads(fakes, tmp_path):
    llm = fakes.learning().fit(fakes.questions, fakes.references)
    llm.save(tmp_path)
    llms = {"weak": Child(model="small"), "strong": Child(model="large")}
    assert CascadeRoutingLLM.load(tmp_path, llms).router.policy_ == llm.router.policy_
