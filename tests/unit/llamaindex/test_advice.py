"""An LLM as judge, and one as router, in the LlamaIndex adapter."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
)
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import LLM, CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from pydantic import Field

from cascade_engine import ConfigurationError, Price
from cascade_engine.routing import ChatJudge
from llamaindex_cascade import CascadeRoutingLLM

QUESTIONS = [f"{'hard' if i % 3 == 0 else 'easy'} question number {i}?" for i in range(30)]
HARD, EASY = QUESTIONS[3], QUESTIONS[4]
PRICES = {
    "small": Price(1, 1),
    "large": Price(10, 10),
    "judge": Price(0.1, 0.1),
    "llm_router": Price(0.1, 0.1),
}


def answer_to(model, asked):
    if model == "judge":
        return "0.1" if "\nno\n" in asked else "0.9"
    if model == "router":
        return json.dumps({"small": 0.2 if "hard" in asked else 0.9, "large": 0.9})
    return "no" if model == "small" and asked.startswith("hard") else "yes"


class Scripted(CustomLLM):
    """Answers as `answer_to` has it; its log-probs are not told."""

    model: str
    seen: list = Field(default_factory=list)
    error: Exception | None = None

    @property
    def metadata(self):
        return LLMMetadata(model_name=self.model)

    def _say(self, asked, kwargs):
        if self.error is not None:
            raise self.error
        self.seen.append((asked, kwargs))
        return answer_to(self.model, asked)

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
    fields = {
        "judge": Scripted(model="judge"),
        "llm_router": Scripted(model="router"),
        "strategy": "cascading",
        "prices": PRICES,
        **fields,
    }
    return CascadeRoutingLLM([Scripted(model="small"), Scripted(model="large")], **fields)


@pytest.fixture(scope="module")
def learned():
    """A router that has learned, from what the advisers said too."""
    return make().fit(QUESTIONS, ["yes"] * 30, progress=False).router


@pytest.fixture
def llm(learned):
    made = make()
    made._router = learned
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


def test_fitting_asks_the_advisers_and_charges_for_them():
    llm = make().fit(QUESTIONS, ["yes"] * 30, progress=False)
    assert len(llm.llm_router.seen) == 30
    assert len(llm.judge.seen) == 40  # the same answer to 20 of the questions is judged once
    assert llm.router.frontier_.cost[0] == pytest.approx((13 + 1.3 + 1.3) / 1e6)


async def test_fitting_can_be_asynchronous():
    llm = make()
    await llm.afit(QUESTIONS, ["yes"] * 30, progress=False)
    assert len(llm.judge.seen) == 40


async def test_a_draft_is_judged_in_every_way_of_asking(llm):
    responses = await every_way(llm, HARD)
    assert len(responses) == 8  # streams too are one chunk: nothing of a draft or of advice
    for response in responses:
        made = response.additional_kwargs["cascade"]
        assert made["chosen"] == "large"
        assert made["models_run"] == ["small", "large"]
        told = [(a["name"], a["about"], a["input_tokens"]) for a in made["advice"]]
        assert told == [("llm_router", None, 10), ("judge", "small", 10)]
        assert made["advice"][1]["signals"] == {"judge": 0.1}
        assert made["total_cost"] == pytest.approx((13 + 130 + 1.3 + 1.3) / 1e6)
    assert len(llm.judge.seen) == len(llm.llm_router.seen) == 8


async def test_a_good_draft_is_kept(llm):
    for response in await every_way(llm, EASY):
        made = response.additional_kwargs["cascade"]
        assert made["models_run"] == ["small"]
        assert made["advice"][1]["signals"] == {"judge": 0.9}


def test_every_call_is_counted_once(llm):
    counter = TokenCountingHandler(tokenizer=str.split)
    llm.callback_manager = CallbackManager([counter])
    made = llm.chat([ChatMessage(content=HARD)]).additional_kwargs["cascade"]
    assert len(counter.llm_token_counts) == 4
    inputs = sum(each["input_tokens"] for each in made["calls"] + made["advice"])
    assert counter.prompt_llm_token_count == inputs == 40


def test_an_adviser_gets_its_prompt_and_no_keywords_of_the_call(llm):
    llm.chat([ChatMessage(role="system", content="Be brief."), ChatMessage(content=HARD)], stop=".")
    ((asked, options),) = llm.judge.seen
    assert HARD in asked
    assert "Be brief." not in asked
    assert options == {}
    assert llm.llms["small"].seen == [(HARD, {"stop": "."})]


async def test_an_adviser_that_fails_does_no_harm(learned):
    down = ConnectionError("down")
    llm = make(
        judge=Scripted(model="judge", error=down), llm_router=Scripted(model="r", error=down)
    )
    llm._router = learned
    for response in await every_way(llm, HARD):
        made = response.additional_kwargs["cascade"]
        assert made["chosen"]
        assert made["failures"] == []
        assert all("down" in each["error"] for each in made["advice"])


def test_bad_advisers_are_refused():
    with pytest.raises(ConfigurationError, match="judge must be a LlamaIndex LLM, or a pair"):
        make(judge="gpt")
    with pytest.raises(ConfigurationError, match="among the models"):
        make(judge=None)


def test_copies_and_pickles_keep_the_advisers(llm):
    for again in (copy.deepcopy(llm), pickle.loads(pickle.dumps(llm))):  # noqa: S301  our own
        assert isinstance(again.judge, LLM)
        made = again.complete(HARD).additional_kwargs["cascade"]
        assert [each["name"] for each in made["advice"]] == ["llm_router", "judge"]
        assert made["chosen"] == "large"


def test_advisers_are_written_down_as_children_are(llm):
    assert "Scripted" not in repr(llm)
    again = CascadeRoutingLLM.from_dict(json.loads(json.dumps(llm.to_dict())))
    assert (again.judge.model, again.llm_router.model) == ("judge", "router")
    pair = make(judge=(ChatJudge("judge"), Scripted(model="judge")))
    again = CascadeRoutingLLM.from_dict(json.loads(json.dumps(pair.to_dict())))
    assert (again.judge[0].name, again.judge[1].model) == ("judge", "judge")


def test_saving_and_loading(llm, tmp_path):
    llm.save(tmp_path)
    fresh = make()
    advisers = {"judge": fresh.judge, "llm_router": fresh.llm_router}
    found = CascadeRoutingLLM.load(tmp_path, fresh.llms, **advisers)
    made = found.complete(HARD).additional_kwargs["cascade"]
    assert [each["name"] for each in made["advice"]] == ["llm_router", "judge"]
    with pytest.raises(ConfigurationError, match="saved with a llm_router"):
        CascadeRoutingLLM.load(tmp_path, fresh.llms, judge=fresh.judge)
