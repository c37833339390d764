from __future__ import annotations

import asyncio
import copy
import math
import pickle
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import Settings
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    LogProb,
    ToolCallBlock,
)
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.span import BaseSpan
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools import FunctionTool
from pydantic import Field, ValidationError

from cascade_engine import (
    AllModelsFailedError,
    BudgetWarning,
    ConfigurationError,
    DataError,
    InfeasibleBudgetError,
    NotFittedError,
    Price,
)
from cascade_engine.errors import UnknownPriceError
from llamaindex_cascade import CascadeRoutingLLM
from tests.helpers import finished

QUESTION = [ChatMessage(role="system", content="Be brief."), ChatMessage(content="Why?")]


class Fake(FunctionCallingLLM):
    """An LLM in the manner of the OpenAI integration: what is said of a call is in `raw`."""

    model: str
    text: str = "because of it"
    confidence: float | None = 0.99
    window: int = 1000
    outputs: int = -1
    tools: bool = True
    error: Exception | None = None
    breaks_after: int | None = None
    silent: bool = False
    calls: list = Field(default_factory=list)
    seen: list = Field(default_factory=list)

    @property
    def metadata(self):
        return LLMMetadata(
            context_window=self.window,
            num_output=self.outputs,
            is_chat_model=True,
            is_function_calling_model=self.tools,
            model_name=self.model,
        )

    def _begin(self, method, asked, kwargs):
        self.calls.append(method)
        self.seen.append((copy.deepcopy(asked), kwargs))
        if isinstance(asked, list):
            asked.append(ChatMessage(content="as providers do"))  # mutates its argument
        if self.error is not None:
            raise self.error

    def _raw(self, tokens, *, last=True):
        logprobs = None
        if self.confidence is not None:
            logprobs = {"content": [{"logprob": math.log(self.confidence)} for _ in tokens]}
        return {
            "choices": [{"logprobs": logprobs, "finish_reason": "stop" if last else None}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 3} if last else None,
        }

    def _blocks(self, kwargs):
        if not kwargs.get("tools"):
            return {"content": self.text}
        call = ToolCallBlock(tool_call_id="1", tool_name="add", tool_kwargs={"a": 1, "b": 2})
        return {"blocks": [call]}

    def _message(self, kwargs):
        return ChatMessage(role="assistant", **self._blocks(kwargs))

    def _pieces(self, kwargs):
        words, so_far = [] if self.silent else self.text.split(" "), ""
        for i, word in enumerate(words):
            if i == self.breaks_after:
                raise ConnectionError("the line is dead")
            delta = word if i == 0 else " " + word
            so_far += delta
            last = i == len(words) - 1
            raw = self._raw([word], last=last)
            if kwargs.get("tools"):
                yield self._message(kwargs), so_far, "", raw
            else:
                yield ChatMessage(role="assistant", content=so_far), so_far, delta, raw

    @llm_chat_callback()
    def chat(self, messages, **kwargs):
        self._begin("chat", messages, kwargs)
        return ChatResponse(message=self._message(kwargs), raw=self._raw("abc"))

    @llm_chat_callback()
    async def achat(self, messages, **kwargs):
        self._begin("achat", messages, kwargs)
        await asyncio.sleep(0)
        return ChatResponse(message=self._message(kwargs), raw=self._raw("abc"))

    @llm_completion_callback()
    def complete(self, prompt, **kwargs):
        self._begin("complete", prompt, kwargs)
        return CompletionResponse(text=self.text, raw=self._raw("abc"))

    @llm_completion_callback()
    async def acomplete(self, prompt, **kwargs):
        self._begin("acomplete", prompt, kwargs)
        return CompletionResponse(text=self.text, raw=self._raw("abc"))

    @llm_chat_callback()
    def stream_chat(self, messages, **kwargs):
        self._begin("stream_chat", messages, kwargs)

        def gen():
            for message, _, delta, raw in self._pieces(kwargs):
                yield ChatResponse(message=message, delta=delta, raw=raw)

        return gen()

    @llm_chat_callback()
    async def astream_chat(self, messages, **kwargs):
        self._begin("astream_chat", messages, kwargs)

        async def gen():
            for message, _, delta, raw in self._pieces(kwargs):
                yield ChatResponse(message=message, delta=delta, raw=raw)

        return gen()

    @llm_completion_callback()
    def stream_complete(self, prompt, **kwargs):
        self._begin("stream_complete", prompt, kwargs)

        def gen():
            for _, text, delta, raw in self._pieces(kwargs):
                yield CompletionResponse(text=text, delta=delta, raw=raw)

        return gen()

    @llm_completion_callback()
    async def astream_complete(self, prompt, **kwargs):
        self._begin("astream_complete", prompt, kwargs)

        async def gen():
            for _, text, delta, raw in self._pieces(kwargs):
                yield CompletionResponse(text=text, delta=delta, raw=raw)

        return gen()

    def _prepare_chat_with_tools(self, tools, chat_history=None, *, tool_required=False, **kwargs):
        return {"messages": chat_history, "tools": tools, "required": tool_required}

    def get_tool_calls_from_response(self, response, **kwargs):
        return [
            ToolSelection(tool_id="1", tool_name=self.model, tool_kwargs=block.tool_kwargs)
            for block in response.message.blocks
            if isinstance(block, ToolCallBlock)
        ]


class SyncOnly(CustomLLM):
    """A local model: blocking, and without asynchronous methods."""

    model: str = "local"
    threads: list = Field(default_factory=list)

    @property
    def metadata(self):
        return LLMMetadata(context_window=512, model_name=self.model)

    @llm_completion_callback()
    def complete(self, prompt, **kwargs):
        self.threads.append(threading.current_thread())
        time.sleep(0.05)
        logprobs = [[LogProb(logprob=math.log(0.99))]]
        return CompletionResponse(text="slow", logprobs=logprobs)

    @llm_completion_callback()
    def stream_complete(self, prompt, **kwargs):
        self.threads.append(threading.current_thread())

        def gen():
            for text, delta in (("sl", "sl"), ("slow", "ow")):
                self.threads.append(threading.current_thread())
                time.sleep(0.05)
                yield CompletionResponse(text=text, delta=delta)

        return gen()


def sure(name="small", **kwargs):
    return Fake(model=name, **kwargs)


def unsure(name="small", **kwargs):
    return Fake(model=name, **{"text": "a draft", "confidence": 0.3, **kwargs})


def record(response):
    return response.additional_kwargs["cascade"]


async def every_way(llm, messages=QUESTION, prompt="Why?"):
    """The cascade's answer through each of the eight methods, the last chunk of streams."""
    chat, complete = llm.chat(messages), llm.complete(prompt)
    streams = [list(llm.stream_chat(messages))[-1], list(llm.stream_complete(prompt))[-1]]
    achat, acomplete = await llm.achat(messages), await llm.acomplete(prompt)
    astreams = [
        [chunk async for chunk in await llm.astream_chat(messages)][-1],
        [chunk async for chunk in await llm.astream_complete(prompt)][-1],
    ]
    return [chat, complete, *streams, achat, acomplete, *astreams]


def text_of(response):
    return response.message.content if isinstance(response, ChatResponse) else response.text


class TestAnswering:
    async def test_the_first_answer_is_accepted_if_sure(self):
        small, large = sure(), sure("large")
        for response in await every_way(CascadeRoutingLLM(llms=[small, large])):
            assert text_of(response) == "because of it"
            assert record(response)["models_run"] == ["small"]
        assert large.calls == []
        assert len(small.calls) == 8

    async def test_each_method_asks_children_by_its_like(self):
        small, large = unsure(), sure("large", text="an answer")
        llm = CascadeRoutingLLM(models=[small, large])
        for response in await every_way(llm):
            assert text_of(response) == "an answer"
            assert record(response)["models_run"] == ["small", "large"]
        plain = ["chat", "complete"]
        asynchronous = ["achat", "acomplete"]
        assert small.calls == plain * 2 + asynchronous * 2
        # The last model's answer is returned whatever it says: where a stream is asked for, live.
        live = [f"stream_{name}" for name in plain], [f"astream_{name}" for name in plain]
        assert large.calls == [*plain, *live[0], *asynchronous, *live[1]]

    async def test_a_failing_child_is_skipped(self):
        llm = CascadeRoutingLLM([sure(error=ConnectionError("down")), sure("large")])
        for response in await every_way(llm):
            assert record(response)["chosen"] == "large"
            (failure,) = record(response)["failures"]
            assert (failure["model"], failure["error"]) == ("small", "ConnectionError('down')")

    async def test_when_all_fail_each_error_is_told(self):
        small, large = ConnectionError("down"), ValueError("no credit")
        llm = CascadeRoutingLLM([sure(error=small), sure("large", error=large)])
        for method in ("chat", "complete", "stream_chat", "stream_complete"):
            asked = QUESTION if method.endswith("chat") else "Why?"
            with pytest.raises(AllModelsFailedError, match="no credit") as info:
                getattr(llm, method)(asked)
            assert info.value.errors == {"small": small, "large": large}
            with pytest.raises(AllModelsFailedError):
                await getattr(llm, "a" + method)(asked)

    def test_a_held_draft_is_returned_when_the_rest_fails(self):
        llm = CascadeRoutingLLM([unsure(), sure("large", error=ConnectionError("down"))])
        assert llm.chat(QUESTION).message.content == "a draft"
        assert [c.delta for c in llm.stream_chat(QUESTION)] == ["a draft"]

    def test_the_record_says_what_was_run_and_why(self):
        llm = CascadeRoutingLLM(
            {"a": unsure(), "b": sure("large")}, prices={"a": Price(1, 2), "b": Price(10, 20)}
        )
        response = llm.chat(QUESTION)
        entry = record(response)
        assert entry["chosen"] == "b"
        assert entry["total_cost"] == pytest.approx((10 * 1 + 3 * 2 + 10 * 10 + 3 * 20) / 1e6)
        assert [d["action"] for d in entry["decisions"]] == ["a", "b", None]
        assert entry["decisions"][1]["quality"]["a"] == pytest.approx(0.3)
        assert [c["finish_reason"] for c in entry["calls"]] == ["stop", "stop"]
        assert response.message.additional_kwargs == {}
        assert response.raw["usage"]["completion_tokens"] == 3

    def test_unknown_logprobs_are_not_low(self):
        llm = CascadeRoutingLLM([sure(confidence=None), unsure("large")])
        quality = record(llm.chat(QUESTION))["decisions"][-1]["quality"]
        assert quality["small"] == pytest.approx(0.5)  # its prior
        assert quality["large"] == pytest.approx(0.3)

    def test_children_cannot_change_what_others_get(self):
        small, large = unsure(), sure("large")
        extra = {"stop": ["\n"]}
        messages = copy.deepcopy(QUESTION)
        CascadeRoutingLLM([small, large]).chat(messages, extra=extra)
        assert messages == QUESTION
        assert large.seen[0] == (QUESTION, {"extra": extra})
        assert large.seen[0][1]["extra"] is not extra

    def test_limits_of_one_call_do_not_reach_the_children(self):
        small, large = unsure(), sure("large")
        prices = {"small": Price(1, 1), "large": Price(1e6, 1e6)}
        llm = CascadeRoutingLLM([small, large], prices=prices)
        assert record(llm.chat(QUESTION, max_cost=0.01))["chosen"] == "small"
        assert record(llm.complete("Why?", max_expected_cost=0.01))["budget"] == 0.01
        assert [kwargs for _, kwargs in small.seen] == [{}, {"formatted": False}]
        with pytest.raises(InfeasibleBudgetError):
            llm.chat(QUESTION, max_cost=1e-12)

    def test_a_call_costs_seconds_or_what_a_function_says(self):
        entry = record(CascadeRoutingLLM([sure()], cost="seconds").chat(QUESTION))
        assert entry["total_cost"] == entry["calls"][0]["seconds"]
        flat = CascadeRoutingLLM([sure()], cost=lambda name, answer: len(name + answer.text))
        assert record(flat.chat(QUESTION))["total_cost"] == len("smallbecause of it")

    def test_the_rate_limiter_is_asked_once_per_call(self):
        class Limiter:
            acquired = 0

            def acquire(self):
                self.acquired += 1

            async def async_acquire(self):
                self.acquired += 1

        limiter = Limiter()
        llm = CascadeRoutingLLM([unsure(), sure("large")], rate_limiter=limiter)
        assert len(finished(every_way(llm))) == limiter.acquired == 8


class TestStreaming:
    @staticmethod
    async def chunks(llm, method, asked):
        if method.startswith("a"):
            return [chunk async for chunk in await getattr(llm, method)(asked)]
        return list(getattr(llm, method)(asked))

    async def test_no_rejected_draft_is_seen(self):
        llm = CascadeRoutingLLM([unsure(), sure("large")])
        for method in ("stream_chat", "astream_chat"):
            chunks = await self.chunks(llm, method, QUESTION)
            assert "".join(chunk.delta for chunk in chunks) == "because of it"
            assert chunks[-1].message.content == "because of it"
        for method in ("stream_complete", "astream_complete"):
            chunks = await self.chunks(llm, method, "Why?")
            assert "".join(chunk.delta for chunk in chunks) == chunks[-1].text == "because of it"

    @pytest.mark.parametrize(
        "method", ["stream_chat", "astream_chat", "stream_complete", "astream_complete"]
    )
    async def test_a_final_answer_streams_live(self, method):
        small = sure(confidence=0.8)
        asked = QUESTION if method.endswith("chat") else "Why?"
        prices = {"small": Price(1, 1)}
        chunks = await self.chunks(CascadeRoutingLLM([small], prices=prices), method, asked)
        assert small.calls == [method]
        assert [chunk.delta for chunk in chunks] == ["because", " of", " it", ""]
        assert [text_of(chunk) for chunk in chunks] == [
            "because",
            "because of",
            "because of it",
            "because of it",
        ]
        assert [record(chunk)["chosen"] for chunk in chunks] == ["small"] * 4
        entry = record(chunks[-1])
        assert entry["decisions"][-1]["quality"]["small"] == pytest.approx(0.8)
        assert entry["total_cost"] == pytest.approx(13 / 1e6)
        assert entry["calls"][0]["finish_reason"] == "stop"

    @pytest.mark.parametrize(
        "trouble", [{"error": ConnectionError("down")}, {"breaks_after": 0}, {"silent": True}]
    )
    @pytest.mark.parametrize("method", ["stream_chat", "astream_chat"])
    async def test_a_child_that_fails_before_it_speaks_is_replaced(self, method, trouble):
        small, large = sure(), sure("large", text="an answer")
        prices = {"small": Price(1, 1), "large": Price(20, 20)}
        llm = CascadeRoutingLLM([small, large], prices=prices, strategy="routing")
        llm.fit([f"Question {i}?" for i in range(12)], grade=_all_good)
        chunks = await self.chunks(llm, method, QUESTION)
        assert small.calls[-1] == method
        assert record(chunks[-1])["chosen"] == "small"
        for name, value in trouble.items():
            setattr(small, name, value)
        chunks = await self.chunks(llm, method, QUESTION)
        assert small.calls[-1] == large.calls[-1] == method
        assert [chunk.delta for chunk in chunks] == ["an", " answer", ""]
        assert [entry["model"] for entry in record(chunks[-1])["failures"]] == ["small"]

    @pytest.mark.parametrize("method", ["stream_chat", "astream_chat"])
    async def test_a_stream_that_breaks_is_not_continued_by_another(self, method):
        llm = CascadeRoutingLLM([sure(breaks_after=1)])
        seen = []
        with pytest.raises(ConnectionError, match="dead"):  # noqa: PT012
            if method == "stream_chat":
                for chunk in llm.stream_chat(QUESTION):
                    seen.append(chunk.delta)  # noqa: PERF401
            else:
                async for chunk in await llm.astream_chat(QUESTION):
                    seen.append(chunk.delta)  # noqa: PERF401
        assert seen == ["because"]

    def test_a_live_stream_is_closed_with_the_cascades(self):
        closed = []

        class Watched(Fake):
            def stream_chat(self, messages, **kwargs):
                try:
                    yield from super().stream_chat(messages, **kwargs)
                finally:
                    closed.append(True)

        stream = CascadeRoutingLLM([Watched(model="small")]).stream_chat(QUESTION)
        next(stream)
        stream.close()
        assert closed == [True]

    def test_the_users_time_is_not_the_childs(self):
        llm = CascadeRoutingLLM([sure()], cost="seconds")
        chunks = []
        for chunk in llm.stream_chat(QUESTION):
            chunks.append(chunk)
            time.sleep(0.03)
        assert record(chunks[-1])["total_cost"] < 0.03


class TestAsync:
    async def test_a_sync_child_does_not_block(self):
        local = SyncOnly()
        llm = CascadeRoutingLLM([local])
        done = asyncio.Event()

        async def beat():
            beats = 0
            while not done.is_set():
                await asyncio.sleep(0.005)
                beats += 1
            return beats

        beating = asyncio.create_task(beat())
        assert (await llm.achat(QUESTION)).message.content == "slow"
        assert (await llm.acomplete("Why?")).text == "slow"
        deltas = [chunk.delta async for chunk in await llm.astream_chat(QUESTION)]
        done.set()
        assert deltas == ["sl", "ow", ""]
        assert await beating > 5
        assert threading.main_thread() not in local.threads

    async def test_the_logprobs_field_is_read_where_raw_has_none(self):
        response = await CascadeRoutingLLM([SyncOnly()]).acomplete("Why?")
        assert record(response)["decisions"][-1]["quality"]["local"] == pytest.approx(0.99)


class Parents(BaseSpanHandler[BaseSpan]):
    """Notes the parent of each span of a child."""

    seen: list = Field(default_factory=list)

    def new_span(self, id_, bound_args, instance=None, parent_span_id=None, **kwargs):
        if isinstance(instance, (Fake, SyncOnly)):
            self.seen.append((id_.split("-")[0], (parent_span_id or "nobody").split("-")[0]))

    def prepare_to_exit_span(self, *args, **kwargs):
        """Nothing is kept."""

    def prepare_to_drop_span(self, *args, **kwargs):
        """Nothing is kept."""


async def test_the_spans_of_children_hang_below_the_cascades():
    handler = Parents()
    root = get_dispatcher()
    root.add_span_handler(handler)
    try:
        await every_way(CascadeRoutingLLM([unsure(), sure("large")]))
        await every_way(CascadeRoutingLLM([sure()]))
        await CascadeRoutingLLM([SyncOnly()]).acomplete("Why?")
    finally:
        root.span_handlers.remove(handler)
    assert len(handler.seen) == 16 + 8 + 1
    assert {parent.split(".")[0] for _, parent in handler.seen} == {"CascadeRoutingLLM"}


class TestConstruction:
    def test_metadata_holds_for_every_child(self):
        small, large = sure(window=500, tools=False, outputs=100), sure("large", outputs=200)
        llm = CascadeRoutingLLM([small, large])
        assert llm.metadata.context_window == 500
        assert llm.metadata.num_output == 200
        assert llm.metadata.is_chat_model
        assert llm.metadata.is_function_calling_model
        assert CascadeRoutingLLM([sure(), large]).metadata.num_output == -1
        assert not CascadeRoutingLLM([small]).metadata.is_function_calling_model
        assert not CascadeRoutingLLM([SyncOnly()]).metadata.is_function_calling_model

    @pytest.mark.parametrize(
        ("llms", "words"),
        [
            ([], "no models given"),
            (None, "pass either"),
            ("small", "must be a list"),
            ([sure(), sure()], "same name"),
            (["gpt-4"], "no LlamaIndex LLM"),
        ],
    )
    def test_bad_llms_are_refused(self, llms, words):
        with pytest.raises(ConfigurationError, match=words):
            CascadeRoutingLLM(llms)

    def test_bad_options_are_refused(self):
        with pytest.raises(ConfigurationError, match="prices"):
            CascadeRoutingLLM([sure()], prices={"other": Price(1, 1)})
        with pytest.raises(ConfigurationError, match="cost must be"):
            CascadeRoutingLLM([sure()], cost="euros")
        with pytest.raises(ConfigurationError, match="max_cost must be"):
            CascadeRoutingLLM([sure()], max_cost=-1)
        with pytest.raises(ConfigurationError, match="strategy"):
            CascadeRoutingLLM([sure()], strategy="best")
        with pytest.raises(ConfigurationError, match="pass either"):
            CascadeRoutingLLM([sure()], models=[sure()])
        with pytest.raises(ValidationError):
            CascadeRoutingLLM([sure()], seed="x")
        with pytest.raises(ConfigurationError, match="no messages"):
            CascadeRoutingLLM([sure()]).chat([])

    def test_children_are_not_shown(self):
        assert "because" not in repr(CascadeRoutingLLM([sure()]))

    def test_the_import_brings_no_other_framework(self):
        code = (
            "import sys, llamaindex_cascade; "
            "print([m for m in ('sklearn', 'langchain', 'langchain_core') if m in sys.modules])"
        )
        ran = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
        )
        assert ran.stdout.strip() == "[]"


class TestTokenCounting:
    @staticmethod
    def counter():
        return TokenCountingHandler(tokenizer=str.split)

    @staticmethod
    def check(llm, counter):
        finished(every_way(llm))
        assert [count.total_token_count for count in counter.llm_token_counts] == [13] * 16

    def test_the_handler_comes_after_the_children(self):
        children = [unsure(), sure("large")]
        counter = self.counter()
        self.check(
            CascadeRoutingLLM(children, callback_manager=CallbackManager([counter])), counter
        )

    def test_the_handler_comes_before_the_children(self):
        counter = self.counter()
        Settings.callback_manager = CallbackManager([counter])
        try:
            self.check(CascadeRoutingLLM([unsure(), sure("large")]), counter)
        finally:
            Settings._callback_manager = None

    def test_the_handler_comes_last_and_is_exchanged(self):
        first, counter, own = self.counter(), self.counter(), self.counter()
        llm = CascadeRoutingLLM([sure()])
        llm.callback_manager = CallbackManager([first])
        llm.chat(QUESTION)
        llm.callback_manager = CallbackManager([counter])
        llm.chat(QUESTION)
        assert (first.total_llm_token_count, counter.total_llm_token_count) == (13, 13)
        llm = CascadeRoutingLLM(
            [sure(callback_manager=CallbackManager([own]))],
            callback_manager=CallbackManager([counter]),
        )
        llm.chat(QUESTION)
        assert (own.total_llm_token_count, counter.total_llm_token_count) == (13, 13)

    def test_a_live_stream_is_counted_once(self):
        counter = self.counter()
        llm = CascadeRoutingLLM([sure()], callback_manager=CallbackManager([counter]))
        list(llm.stream_chat(QUESTION))
        assert [count.total_token_count for count in counter.llm_token_counts] == [13]


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


class TestTools:
    tool = FunctionTool.from_defaults(add)

    def test_tools_go_to_children_that_can_call_functions(self):
        plain, large = sure(tools=False), sure("large")
        local = SyncOnly()
        llm = CascadeRoutingLLM({"plain": plain, "local": local, "large": large})
        history = copy.deepcopy(QUESTION)
        response = llm.chat_with_tools(
            [self.tool], "And 1 + 2?", chat_history=history, tool_required=True, max_cost=None
        )
        assert (plain.calls, local.threads, large.calls) == ([], [], ["chat"])
        messages, kwargs = large.seen[0]
        assert history == QUESTION
        assert [m.content for m in messages] == ["Be brief.", "Why?", "And 1 + 2?"]
        assert kwargs == {"tools": [self.tool], "required": True}
        (call,) = llm.get_tool_calls_from_response(response)
        assert (call.tool_name, call.tool_kwargs) == ("large", {"a": 1, "b": 2})

    async def test_in_all_four_ways_and_escalating(self):
        llm = CascadeRoutingLLM([unsure(), sure("large")])
        responses = [
            llm.chat_with_tools([self.tool], "1 + 2?"),
            await llm.achat_with_tools([self.tool], "1 + 2?"),
            list(llm.stream_chat_with_tools([self.tool], "1 + 2?"))[-1],
            [c async for c in await llm.astream_chat_with_tools([self.tool], "1 + 2?")][-1],
        ]
        for response in responses:
            assert record(response)["models_run"] == ["small", "large"]
            assert llm.get_tool_calls_from_response(response)[0].tool_name == "large"

    def test_the_child_that_answered_reads_its_calls(self):
        llm = CascadeRoutingLLM([sure(), sure("large")])
        response = Fake(model="x").chat(QUESTION, tools=[self.tool])
        assert llm.get_tool_calls_from_response(response)[0].tool_name == "small"  # not recorded
        response.additional_kwargs["cascade"] = {"chosen": "large"}
        assert llm.get_tool_calls_from_response(response)[0].tool_name == "large"

    def test_no_call_is_an_error_unless_allowed(self):
        llm = CascadeRoutingLLM([sure()])
        response = llm.chat(QUESTION)
        assert llm.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []
        with pytest.raises(ValueError, match="no tool call"):
            llm.get_tool_calls_from_response(response)

    def test_without_a_child_for_it(self):
        with pytest.raises(ConfigurationError, match="can call functions"):
            CascadeRoutingLLM([sure(tools=False)]).chat_with_tools([self.tool], "1 + 2?")

    async def test_predict_and_call(self):
        llm = CascadeRoutingLLM({"sub": unsure(), "add": sure("add")})
        assert str(llm.predict_and_call([self.tool], "1 + 2?")) == "3"
        assert str(await llm.apredict_and_call([self.tool], "1 + 2?")) == "3"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_function_agent_runs_on_it():
    class Once(Fake):
        """Calls the tool, and answers once it has the result."""

        def _blocks(self, kwargs):
            asked = self.seen[-1][0]
            return super()._blocks({} if asked[-1].role == "tool" else kwargs)

        def get_tool_calls_from_response(self, response, **kwargs):
            calls = super().get_tool_calls_from_response(response)
            return [call.model_copy(update={"tool_name": "add"}) for call in calls]

    for children in ([unsure(tools=False), Once(model="large")], [Once(model="large")]):
        agent = FunctionAgent(
            tools=[FunctionTool.from_defaults(add)], llm=CascadeRoutingLLM(children), streaming=True
        )
        assert "because of it" in str(await agent.run("What is 1 + 2?"))
        assert children[-1].calls == ["astream_chat", "astream_chat"]


class TestLearning:
    questions = [f"What is {i} plus {i}?" for i in range(12)]  # noqa: RUF012
    prices = {"small": Price(1, 1), "large": Price(20, 20)}  # noqa: RUF012

    def cascade(self, **kwargs):
        llms = [unsure(text="right"), sure("large", text="right")]
        return CascadeRoutingLLM(llms, prices=self.prices, **kwargs)

    async def test_fit_teaches_the_router(self):
        references = ["right"] * 6 + ["other"] * 6
        fits = [
            self.cascade(strategy="routing").fit(self.questions, references),
            await self.cascade(strategy="routing").afit(
                [[ChatMessage(content=q)] for q in self.questions], references, max_concurrency=2
            ),
        ]
        for llm in fits:
            assert llm.router.is_fitted
            entry = record(llm.chat([ChatMessage(content="What is 3 plus 4?")]))
            assert entry["fitted"]
            assert entry["strategy"] == "routing"
            live = list(llm.stream_complete("What is 3 plus 4?"))
            assert live[0].delta == "right"  # a router's first choice is final
        assert fits[0].router.policy_ == fits[1].router.policy_
        shown = str(fits[0].evaluate(self.questions, references))
        assert "routing" in shown

    def test_a_budget_that_no_policy_meets_is_clamped_if_so_wished(self):
        llm = self.cascade(max_expected_cost=1e-12, clamp_budget=True)
        with pytest.warns(BudgetWarning, match="below the cheapest policy"):
            llm.fit(self.questions, ["right"] * 12)
        assert llm.router.is_fitted
        assert llm.complete("What is 3 plus 4?").text == "right"

    def test_no_child_is_asked_in_vain(self):
        small = sure()
        llm = CascadeRoutingLLM([small])
        with pytest.raises(UnknownPriceError, match="small"):
            llm.fit(self.questions, grade=_all_good)
        with pytest.raises(NotFittedError):
            llm.evaluate(self.questions, grade=_all_good)
        assert small.calls == []

    def test_with_budget_shares_the_fit(self):
        llm = self.cascade().fit(self.questions, grade=lambda *_: 1.0)
        other = llm.with_budget(0.001)
        assert (llm.router.budget, other.router.budget) == (None, 0.001)
        assert other.max_expected_cost == 0.001
        assert other.router.is_fitted
        assert other.chat(QUESTION).message.content == "right"

    def test_a_fit_survives_pickling_and_copies(self):
        llm = self.cascade().fit(self.questions, grade=_all_good)
        for other in (pickle.loads(pickle.dumps(llm)), copy.deepcopy(llm), llm.model_copy()):  # noqa: S301
            assert other.router.is_fitted
            assert record(other.chat(QUESTION))["fitted"]

    @pytest.mark.parametrize("method", ["fit", "afit"])
    async def test_bad_questions_are_refused(self, method):
        async def fit(*args, **kwargs):
            llm = self.cascade()
            llm.llms["large"].error = ConnectionError("down") if kwargs.pop("down", 0) else None
            fitted = getattr(llm, method)(*args, **kwargs)
            return await fitted if method == "afit" else fitted

        with pytest.raises(ConfigurationError, match="which answers are good"):
            await fit(self.questions)
        with pytest.raises(DataError, match="no questions"):
            await fit([], [])
        with pytest.raises(DataError, match="12 questions and 1 ref"):
            await fit(self.questions, ["one"])
        with pytest.raises(DataError, match=r"'large' failed on the question 'What is \d+.*down"):
            await fit(self.questions, ["right"] * 12, down=True)
        for bad in (3, None, [], ["Hi"], {"content": "Hi"}, ChatMessage(content="Hi")):
            with pytest.raises(ConfigurationError, match="chat"):
                await fit([bad] * 12, ["right"] * 12)


def _all_good(*_):
    return 1.0
