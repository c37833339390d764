"""Chat models that say what they are told to, for the tests of the LangChain adapter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tracers import BaseTracer
from langchain_core.tracers._streaming import _StreamingCallbackHandler, _V2StreamingCallbackHandler
from pydantic import Field

from langchain_cascade import CascadeRoutingLLM, Price
from tests.helpers import whole

USAGE = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
PRICES = {"weak": Price(1, 1), "strong": Price(10, 10)}  # 7 and 70 millionths per call


@dataclass(frozen=True)
class Say:
    """One answer: its words, and the probability of each."""

    text: str
    probability: float | None = 0.95
    error: Exception | None = None
    error_after: int = 0  # words streamed before the error


class WholeChat(BaseChatModel):
    """Answers in one piece. `log` records the prompts and every word as it leaves."""

    model_name: str = "scripted"
    script: Any = None
    counts_tokens: bool = True
    message_id: str | None = None
    log: list[str] = Field(default_factory=list, exclude=True, repr=False)

    @property
    def _llm_type(self):
        return "scripted"

    @property
    def _identifying_params(self):
        return {"model_name": self.model_name}

    def say(self, messages):
        question = str(messages[-1].text)
        self.log.append(f"asked {question}")
        return self.script(question) if callable(self.script) else self.script

    def fields(self, said, words):
        metadata = {}
        if said.probability is not None:
            value = math.log(said.probability)
            metadata = {"logprobs": {"content": [{"token": w, "logprob": value} for w in words]}}
        return metadata

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        said = self.say(messages)
        if said.error:
            raise said.error
        metadata = self.fields(said, said.text.split())
        message = AIMessage(
            said.text,
            id=self.message_id,
            response_metadata={"model_name": self.model_name, "finish_reason": "stop", **metadata},
            usage_metadata=USAGE if self.counts_tokens else None,
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


class StreamChat(WholeChat):
    """Answers word by word."""

    def pieces(self, messages):
        said = self.say(messages)
        words = said.text.split()
        for i, word in enumerate(words):
            if said.error and i == said.error_after:
                raise said.error
            self.log.append(f"said {word}")
            text = word if i == 0 else f" {word}"
            message = AIMessageChunk(
                text, id=self.message_id, response_metadata=self.fields(said, [word])
            )
            yield ChatGenerationChunk(message=message)
        if said.error:
            raise said.error
        self.log.append("done")
        end = {"model_name": self.model_name, "finish_reason": "stop"}
        usage = USAGE if self.counts_tokens else None
        yield ChatGenerationChunk(
            message=AIMessageChunk("", response_metadata=end, usage_metadata=usage)
        )

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        yield from self.pieces(messages)

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        for piece in self.pieces(messages):
            yield piece

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        return self._generate(messages, stop, run_manager, **kwargs)


class Tokens(BaseCallbackHandler):
    """An ordinary handler of tokens."""

    def __init__(self):
        self.seen = []

    def on_llm_new_token(self, token, **kwargs):
        self.seen.append(token)

    def on_stream_event(self, event, **kwargs):
        if event["event"] == "content-block-delta":
            self.seen.append(event["delta"]["text"])


class StreamedTokens(Tokens, _StreamingCallbackHandler):
    """One that turns tokens into a stream, as `astream_events` has it."""

    def tap_output_iter(self, run_id, output):
        return output

    def tap_output_aiter(self, run_id, output):
        return output


class StreamedEvents(Tokens, _V2StreamingCallbackHandler):
    """The same, of the newer protocol."""


class Tracer(BaseTracer):
    """Keeps every finished root run, and every error of its own."""

    def __init__(self):
        super().__init__()
        self.roots = []

    def _persist_run(self, run):
        self.roots.append(run)

    def tree(self):
        """Names of the runs, nested."""
        return [_branch(run) for run in self.roots]


def _branch(run):
    below = [_branch(child) for child in run.child_runs]
    return (run.name, *below) if below else run.name


def _cascade(weak=None, strong=None, *, kind=StreamChat, **fields):
    """Two children; by default a weak one in doubt and a strong one that is sure."""
    weak = weak or Say("a poor draft", 0.5)
    strong = strong or Say("the right answer", 0.99)
    models = {
        name: said if isinstance(said, BaseChatModel) else kind(model_name=name, script=said)
        for name, said in (("weak", weak), ("strong", strong))
    }
    return CascadeRoutingLLM(models=models, **{"prices": PRICES, **fields})


def _knows(easy, hard):
    """A script for easy questions and hard ones."""

    def script(question):
        return hard if question.startswith("hard") else easy

    return script


def _learning(**fields):
    """Children to learn from: the weak one is right, and sure, on easy questions only."""
    weak = StreamChat(model_name="weak", script=_knows(Say("yes", 0.97), Say("no", 0.5)))
    strong = StreamChat(model_name="strong", script=Say("yes", 0.98))
    return _cascade(weak, strong, **fields)


@pytest.fixture(scope="session")
def fakes():
    """What the tests build on."""
    return SimpleNamespace(
        PRICES=PRICES,
        USAGE=USAGE,
        Say=Say,
        WholeChat=WholeChat,
        StreamChat=StreamChat,
        StreamedEvents=StreamedEvents,
        StreamedTokens=StreamedTokens,
        Tokens=Tokens,
        Tracer=Tracer,
        cascade=_cascade,
        learning=_learning,
        questions=[f"{'hard' if i % 3 == 0 else 'easy'} question number {i}?" for i in range(30)],
        references=["yes"] * 30,
    )


@pytest.fixture(scope="session")
def fitted_router(fakes):
    """What `fakes.learning` learns, by routing; shared, and not to be changed."""
    return fakes.learning(strategy="routing").fit(fakes.questions, fakes.references).router


@pytest.fixture(params=["invoke", "ainvoke", "stream", "astream"])
def ask(request):
    """Asks in one of the four ways: `message = await ask(llm, "...", config)`."""

    async def run(llm, question, config=None, **kwargs):
        if request.param == "invoke":
            return llm.invoke(question, config, **kwargs)
        if request.param == "ainvoke":
            return await llm.ainvoke(question, config, **kwargs)
        if request.param == "stream":
            return whole(list(llm.stream(question, config, **kwargs)))
        return whole([chunk async for chunk in llm.astream(question, config, **kwargs)])

    return run
