"""A child that is asked again, to see whether it says the same, in the LlamaIndex adapter."""

from __future__ import annotations

import copy
import pickle
from collections import Counter

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
)
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from pydantic import Field

from cascade_engine import ConfigurationError, Price
from llamaindex_cascade import CascadeRoutingLLM

QUESTIONS = [f"{'hard' if i % 3 == 0 else 'easy'} question number {i}?" for i in range(30)]
HARD, EASY = QUESTIONS[3], QUESTIONS[4]
PRICES = {"small": Price(1, 1), "large": Price(10, 10)}


class Varying(CustomLLM):
    """Says yes; the small one, to what is hard, something else each time."""

    model: str
    seen: list = Field(default_factory=list)

    @property
    def metadata(self):
        return LLMMetadata(model_name=self.model)

    def _say(self, asked, kwargs):
        self.seen.append((asked, kwargs))
        sure = self.model == "large" or asked.startswith("easy")
        return "yes" if sure else f"number {len(self.seen)}"

    @property
    def _raw(self):
        return {"usage": {"prompt_tokens": 10, "completion_tokens": 3}}

    @llm_chat_callback()
    def chat(self, messages, **kwargs):
        text = self._say(messages[-1].content, kwargs)
        return ChatResponse(message=ChatMessage(content=text, role="assistant"), raw=self._raw)

    @llm_completion_callback()
    def complete(self, prompt, **kwargs):
        return CompletionResponse(text=self._say(prompt, kwargs), raw=self._raw)

    def stream_complete(self, prompt, **kwargs):
        raise AssertionError("only final answers stream")


def make(**fields):
    fields = {"samples": {"small": 2}, "strategy": "cascading", "prices": PRICES, **fields}
    return CascadeRoutingLLM([Varying(model="small"), Varying(model="large")], **fields)


@pytest.fixture(scope="module")
def learned():
    """Not to be changed."""
    return make().fit(QUESTIONS, ["yes"] * 30, progress=False)


@pytest.fixture
def llm(learned):
    made = make()
    made._router = learned.router
    return made


async def every_way(llm, question):
    messages = [ChatMessage(content=question)]
    return [
        llm.chat(messages),
        llm.complete(question),
        *llm.stream_chat(messages),
        *llm.stream_complete(question),
        await llm.achat(messages),
        await llm.acomplete(question),
        *[chunk async for chunk in await llm.astream_chat(messages)],
        *[chunk async for chunk in await llm.astream_complete(question)],
    ]


async def test_fitting_asks_as_often_as_it_needs_and_charges_for_it():
    for way in ("fit", "afit"):
        llm = make()
        made = getattr(llm, way)(QUESTIONS, ["yes"] * 30, progress=False)
        if way == "afit":
            await made
        assert Counter(asked for asked, _ in llm.llms["small"].seen) == dict.fromkeys(QUESTIONS, 3)
        assert llm.router.frontier_.cost[0] == pytest.approx(3 * 13 / 1e6)


async def test_a_draft_is_sampled_in_every_way_of_asking(llm):
    for response in await every_way(llm, HARD):
        made = response.additional_kwargs["cascade"]
        assert made["chosen"] == "large"
        assert [(a["name"], a["purpose"]) for a in made["advice"]] == [("small", "sample")] * 2
        assert made["total_cost"] == pytest.approx((3 * 13 + 130) / 1e6)
    for response in await every_way(llm, EASY):
        assert response.additional_kwargs["cascade"]["models_run"] == ["small"]
    assert len(llm.llms["small"].seen) == 2 * 8 * 3


def test_a_sample_gets_the_same_keywords(llm):
    llm.chat([ChatMessage(content=HARD)], stop=".")
    assert llm.llms["small"].seen == [(HARD, {"stop": "."})] * 3


def test_every_call_is_counted_once(llm):
    counter = TokenCountingHandler(tokenizer=str.split)
    llm.callback_manager = CallbackManager([counter])
    made = llm.chat([ChatMessage(content=HARD)]).additional_kwargs["cascade"]
    assert len(counter.llm_token_counts) == 4
    inputs = sum(each["input_tokens"] for each in made["calls"] + made["advice"])
    assert counter.prompt_llm_token_count == inputs == 40


def test_copies_pickles_and_files_keep_the_samples(llm, learned, tmp_path):
    learned.save(tmp_path)
    loaded = CascadeRoutingLLM.load(tmp_path, make().llms)
    copies = copy.deepcopy(llm), pickle.loads(pickle.dumps(llm))  # noqa: S301  our own
    for again in (loaded, *copies):
        assert again.samples == {"small": 2}
        made = again.complete(HARD).additional_kwargs["cascade"]
        assert [each["purpose"] for each in made["advice"]] == ["sample"] * 2


def test_bad_options_are_refused():
    for bad, why in [({"huge": 1}, "not among the models"), ({"small": 0}, ">= 1"), (2, "mapping")]:
        with pytest.raises(ConfigurationError, match=why):
            make(samples=bad)
