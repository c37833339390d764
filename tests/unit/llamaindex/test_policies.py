"""One policy for both adapters: what either saved the other loads, and decides the same by it."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms import LLM

import langchain_cascade
import langchain_cascade.replay
import llamaindex_cascade
import llamaindex_cascade.replay
from cascade_engine import DataError
from cascade_engine.datasets import load_everyday, local_price
from cascade_engine.local import MODELS
from llamaindex_cascade.replay import ReplayLLM

NAMES = ["SmolLM2-135M-Instruct", "Qwen2.5-Coder-0.5B-Instruct"]
#: What tells of the clock, or of a framework.
_OWN = {"model_name", "seconds", "seconds_to_first_token", "tokens_per_second"}


@pytest.fixture(scope="module")
def recorded():
    return load_everyday("test", models=NAMES)


@pytest.fixture(scope="module")
def train():
    return load_everyday("train", models=NAMES).take(range(300))


def langchain(data):
    kind = langchain_cascade.replay.ReplayChatModel
    return langchain_cascade.CascadeRoutingLLM, {n: kind(data=data, model=n) for n in NAMES}


def llamaindex(data):
    return llamaindex_cascade.CascadeRoutingLLM, {n: ReplayLLM(data=data, model=n) for n in NAMES}


def plain(value):
    """A record but for what differs anyway."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key not in _OWN}
    return [plain(item) for item in value] if isinstance(value, list) else value


def record_of(llm, question):
    if isinstance(llm, LLM):
        response = llm.chat([ChatMessage(content=question)])
        return plain(response.additional_kwargs["cascade"])
    return plain(llm.invoke(question).response_metadata["cascade"])


def fitted(way, recorded, train):
    kind, children = way(recorded)
    prices = {name: local_price(MODELS[name].parameters) for name in NAMES}
    llm = kind(models=children, prices=prices, max_expected_cost=float(train.cost.mean()))
    return llm.fit(train)


@pytest.mark.slow
@pytest.mark.parametrize(("saves", "loads"), [(langchain, llamaindex), (llamaindex, langchain)])
def test_what_one_saved_the_other_loads(saves, loads, recorded, train, tmp_path):
    before = fitted(saves, recorded, train)
    before.save(tmp_path, include_fitting_data=True)
    kind, children = loads(recorded)
    after = kind.load(tmp_path, children)
    assert after.router.policy_ == before.router.policy_
    questions = [query.text for query in recorded.queries[::10]]
    records = [record_of(before, question) for question in questions]
    assert [record_of(after, question) for question in questions] == records
    assert len({json.dumps(made["models_run"]) for made in records}) > 1  # there is a choice
    assert after.evaluate(recorded).to_dict() == before.evaluate(recorded).to_dict()


@pytest.mark.slow
def test_the_adapters_learn_the_same(recorded, train):
    one, other = (fitted(way, recorded, train) for way in (langchain, llamaindex))
    assert one.router.policy_ == other.router.policy_
    question = recorded.queries[3].text
    assert record_of(one, question) == record_of(other, question)


async def test_a_replayed_model_says_what_was_recorded(recorded):
    llm, query = ReplayLLM(data=recorded, model=NAMES[0]), recorded.queries[5]
    answer = recorded.answers[5][0]
    messages = [ChatMessage(content=query.text)]
    for response in (llm.chat(messages), await llm.achat(messages)):
        assert response.message.content == answer.text
    assert llm.complete(query.text).text == answer.text
    assert [chunk.delta for chunk in llm.stream_complete(query.text)] == [answer.text]
    cascade = llamaindex_cascade.CascadeRoutingLLM({"only": llm})
    (call,) = cascade.chat(messages).additional_kwargs["cascade"]["calls"]
    assert (call["input_tokens"], call["output_tokens"]) == (
        answer.usage.input_tokens,
        answer.usage.output_tokens,
    )
    with pytest.raises(DataError, match="no recorded answer to 'Whatever'"):
        llm.complete("Whatever")
    with pytest.raises(DataError, match="nobody"):
        ReplayLLM(data=recorded, model="nobody")
