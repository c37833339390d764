"""What children get, and what is read from them: real clients of a scripted server."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import math
import threading
import time

import pytest

pytest.importorskip("llama_index.llms.openai_like")

from llama_index.core import Settings
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import LLM, CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from openai.types.chat.chat_completion_message_tool_call import (
    ChatCompletionMessageToolCall,
    Function,
)
from pydantic import ConfigDict, Field

from cascade_engine import AllModelsFailedError, ConfigurationError
from llamaindex_cascade import CascadeRoutingLLM
from llamaindex_cascade._messages import readable
from tests.llamaindex_fixtures import ASKED, Llamas, add, record
from tests.scripted import Reply, ToolCall, plain, sure

ASK = [ChatMessage(content="Hi")]
TOOL = FunctionTool.from_defaults(add)


@pytest.fixture
def llamas(scripted_server):
    """Every call escalates."""
    return Llamas(scripted_server)


async def last(stream):
    """The last chunk of a stream of either kind."""
    if hasattr(stream, "__aiter__"):
        return [chunk async for chunk in stream][-1]
    return [*stream][-1]


# Log-probabilities and tokens used.


async def test_logprobs_are_asked_for_read_and_filled_in(scripted_server):
    llm = CascadeRoutingLLM([scripted_server.llm("only", Reply("a b", probability=(0.5, 0.25)))])
    child = llm.llms["only"]
    before = child.model_dump()
    found = [
        llm.chat(ASK),
        await llm.achat(ASK),
        llm.complete("Hi"),
        await last(llm.stream_chat(ASK)),
        await last(await llm.astream_chat(ASK)),
        await last(llm.stream_complete("Hi")),
        await last(await llm.astream_complete("Hi")),
    ]
    for response in found:
        tokens = [(top[0].token, top[0].logprob) for top in response.logprobs]
        assert tokens == [("a", math.log(0.5)), (" b", math.log(0.25))]
        made = record(response)
        assert made["decisions"][-1]["quality"]["only"] == pytest.approx(math.sqrt(0.125))
        (call,) = made["calls"]
        assert call["input_tokens"] >= 1
        assert call["output_tokens"] == 2
        assert call["seconds"] > 0
        assert call["tokens_per_second"] > 0
        assert call["finish_reason"] == "stop"
        assert made["model_name"] == "only"
        json.dumps(made, allow_nan=False)
        assert response.raw.model == "only"
    streamed = [record(response)["calls"][0]["seconds_to_first_token"] for response in found]
    assert [first is None for first in streamed] == [True] * 3 + [False] * 4
    assert child.model_dump() == before
    assert all(request["logprobs"] is True for request in scripted_server.requests)


def test_completions_have_logprobs_too(scripted_server):
    options = {"is_chat_model": False, "is_function_calling_model": False}
    llm = CascadeRoutingLLM([scripted_server.llm("only", Reply("a b", probability=0.5), **options)])
    for response in (llm.complete("Hi"), llm.chat(ASK), [*llm.stream_complete("Hi")][-1]):
        assert [round(top[0].logprob, 6) for top in response.logprobs] == [
            round(math.log(0.5), 6)
        ] * 2
        assert record(response)["decisions"][-1]["quality"]["only"] == pytest.approx(0.5)


def test_alternatives_that_a_child_was_asked_for_stay(scripted_server):
    options = {"logprobs": True, "top_logprobs": 3}
    llm = CascadeRoutingLLM([scripted_server.llm("only", "a b", **options)])
    assert [len(top) for top in llm.chat(ASK).logprobs] == [3, 3]


def test_what_a_child_was_told_itself_is_left(scripted_server):
    given = {"logprobs": False, "stream_options": {"include_usage": False}}
    llm = CascadeRoutingLLM([scripted_server.llm("only", additional_kwargs=given)])
    assert record(llm.chat(ASK))["decisions"][-1]["quality"]["only"] == 0.5  # its prior
    list(llm.stream_chat(ASK))
    assert [r["logprobs"] for r in scripted_server.requests] == [False, False]
    off = CascadeRoutingLLM([scripted_server.llm("only", logprobs=False)])
    off.chat(ASK)
    assert "logprobs" not in scripted_server.requests[-1]
    off.chat(ASK, logprobs=True)
    assert scripted_server.requests[-1]["logprobs"] is True


@pytest.mark.parametrize("keyword", ["logprobs", "stream_options"])
@pytest.mark.parametrize("method", ["stream_chat", "astream_chat", "achat"])
async def test_what_a_server_refuses_is_not_asked_for_again(scripted_server, keyword, method):
    def script(request):
        if keyword in request:
            return Reply.error(400, f"'{keyword}' is not supported with this model")
        return "well"

    llm = CascadeRoutingLLM([scripted_server.llm("only", script)])
    for _ in range(2):
        found = getattr(llm, method)(ASK)
        found = await found if method.startswith("a") else found
        response = found if method == "achat" else await last(found)
        assert response.message.content == "well"
        assert record(response)["failures"] == []
    refused = [keyword in request for request in scripted_server.requests]
    assert refused == (
        [True, False, False] if method != "achat" or keyword == "logprobs" else [False] * 2
    )


async def test_a_stream_adds_up_what_comes_in_parts(scripted_server):
    llm = CascadeRoutingLLM([scripted_server.llm("only", plain)])
    for stream in (
        llm.stream_chat_with_tools([TOOL], ASKED),
        await llm.astream_chat_with_tools([TOOL], ASKED),
    ):
        response = await last(stream)
        (call,) = llm.get_tool_calls_from_response(response)
        assert (call.tool_name, call.tool_kwargs) == ("add", {"a": 2, "b": 40})
        (made,) = record(response)["calls"]
        assert (made["output_tokens"], made["finish_reason"]) == (4, "tool_calls")
        assert made["seconds_to_first_token"] is not None


async def test_the_session_hears_of_tools_called_in_a_stream(scripted_server):
    llm = CascadeRoutingLLM([scripted_server.llm("only", plain)])
    prepared = llm._prepare_chat_with_tools([TOOL], ASKED)
    run = llm._open(ChatResponse, prepared.pop("messages"), prepared)
    list(run.stream())
    (call,) = run.session.result.tool_calls
    assert (call.name, call.arguments) == ("add", {"a": 2, "b": 40})


class Parts(CustomLLM):
    """Tells of its tokens piecewise, and of its tool call in a chunk that is not the last."""

    @property
    def metadata(self):
        return LLMMetadata(model_name="parts")

    def complete(self, prompt, **kwargs):
        raise NotImplementedError

    def stream_complete(self, prompt, **kwargs):
        raise NotImplementedError

    def stream_chat(self, messages, **kwargs):
        call = ToolCallBlock(tool_call_id="1", tool_name="add", tool_kwargs={"a": 1})
        usages = [
            {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 1},
            {"output_tokens": 7},
            None,
        ]
        blocks = [[TextBlock(text="so")], [TextBlock(text="so"), call], [TextBlock(text="so")]]
        for usage, held in zip(usages, blocks, strict=True):
            message = ChatMessage(role="assistant", blocks=held)
            delta = "so" if usage is usages[0] else ""
            yield ChatResponse(message=message, delta=delta, raw={"usage": usage})


def test_nothing_of_a_stream_is_lost():
    run = CascadeRoutingLLM([Parts()])._open(ChatResponse, ASK, {})
    *_, end = run.stream()
    answer = run.session.result
    used = answer.usage
    assert (used.input_tokens, used.cached_tokens, used.output_tokens) == (100, 90, 7)
    assert [call.name for call in answer.tool_calls] == ["add"]
    assert [type(block).__name__ for block in end.message.blocks] == ["TextBlock", "ToolCallBlock"]


# Conversations.


def called(**extra):
    function = Function(name="add", arguments='{"a": 1, "b": 2}')
    entry = ChatCompletionMessageToolCall(id="7", function=function, type="function")
    return ChatMessage(role="assistant", additional_kwargs={"tool_calls": [entry], **extra})


@pytest.mark.parametrize("arguments", ['{"a": 1, "b": 2}', {"a": 1, "b": 2}])
def test_calls_in_a_history_are_blocks_alone(arguments):
    block = ToolCallBlock(tool_call_id="7", tool_name="add", tool_kwargs=arguments)
    both = called()
    both.blocks.append(block)
    given = [called(), both]
    before = copy.deepcopy(given)
    for message in readable(given):
        assert message.additional_kwargs == {}
        (found,) = message.blocks
        assert (found.tool_call_id, found.tool_name) == ("7", "add")
        assert found.tool_kwargs == {"a": 1, "b": 2}
    assert given == before


def test_broken_arguments_in_a_history_are_none():
    block = ToolCallBlock(tool_name="add", tool_kwargs='{"a": ')
    (message,) = readable([ChatMessage(role="assistant", blocks=[block])])
    assert message.blocks[0].tool_kwargs == {}
    (message,) = readable([ChatMessage(role="assistant", additional_kwargs={"tool_calls": []})])
    assert message.additional_kwargs == {}


def test_a_history_of_another_provider_is_taken(llamas):
    """Arguments as a mapping, as Anthropic's integration keeps them; then the tool's result."""
    block = ToolCallBlock(tool_call_id="7", tool_name="add", tool_kwargs={"a": 1, "b": 2})
    result = ChatMessage(
        role=MessageRole.TOOL, content="3", additional_kwargs={"tool_call_id": "7"}
    )
    history = [ChatMessage(content=ASKED), ChatMessage(role="assistant", blocks=[block]), result]
    before = copy.deepcopy(history)
    llamas.make(plain).chat_with_tools([TOOL], chat_history=history)
    assert history == before
    for model in ("weak", "strong"):
        (request,) = llamas.server.asked(model)
        assert (
            request["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"a": 1, "b": 2}'
        )


def test_the_record_is_not_sent_back(llamas):
    llm = llamas.make(plain)
    response = llm.chat(ASK)
    llm.chat([*ASK, response.message, *ASK])
    for request in llamas.server.requests:
        assert all(set(message) == {"role", "content"} for message in request["messages"])


def test_no_child_sees_what_another_did_to_the_messages(llamas):
    history = list(ASK)
    llamas.make(plain).chat_with_tools([TOOL], ASKED, chat_history=history)
    assert [len(r["messages"]) for r in llamas.server.requests] == [2, 2]
    assert history == ASK


# Metadata.


class Costly(CustomLLM):
    """Asks its server for its metadata."""

    read: list = Field(default_factory=list)
    window: int = 100
    role: MessageRole = MessageRole.SYSTEM
    model: str = "costly"

    @property
    def metadata(self):
        self.read.append(True)
        return LLMMetadata(context_window=self.window, model_name="x", system_role=self.role)

    def complete(self, prompt, **kwargs):
        return CompletionResponse(text="yes")

    def stream_complete(self, prompt, **kwargs):
        yield CompletionResponse(text="yes", delta="yes")


def test_metadata_is_read_once():
    child = Costly()
    llm = CascadeRoutingLLM([child])
    assert [llm.metadata.context_window for _ in range(3)] == [100] * 3
    llm.complete("Hi")
    llm.predict_and_call  # noqa: B018  reading it is enough
    assert len(child.read) <= 1


def test_metadata_suits_every_child():
    roles = [Costly(model="a"), Costly(model="b", role=MessageRole.USER)]
    assert CascadeRoutingLLM(roles).metadata.system_role is MessageRole.USER
    assert CascadeRoutingLLM(roles[:1]).metadata.system_role is MessageRole.SYSTEM


class Away(Costly):
    """Its server is not there, for some time."""

    model: str = "away"
    is_away: bool = True

    @property
    def metadata(self):
        if self.is_away:
            raise ConnectionError("nobody there")
        return super().metadata

    def complete(self, prompt, **kwargs):
        raise ConnectionError("nobody there")


def test_a_child_that_is_away_tells_no_metadata_and_is_replaced():
    away = Away()
    llm = CascadeRoutingLLM([away, Costly(window=200)])
    assert llm.metadata.context_window == 200
    assert llm.predict(PromptTemplate("Hi")) == "yes"
    away.is_away = False
    assert llm.metadata.context_window == 100
    with pytest.raises(ConnectionError, match="nobody there"):
        CascadeRoutingLLM([Away()]).predict(PromptTemplate("Hi"))


# Callbacks.


def test_a_child_with_handlers_of_its_own_keeps_them_in_copies():
    child = Costly()
    llm = CascadeRoutingLLM([child])
    other = llm.with_budget(None)
    first, second = (CallbackManager([_Handler()]) for _ in "ab")
    llm.callback_manager, other.callback_manager = first, second
    llm.complete("Hi")
    assert child.callback_manager is first
    other.complete("Hi")
    assert child.callback_manager is second
    llm.complete("Hi")
    assert child.callback_manager is first


def test_handlers_that_a_child_has_from_the_settings_are_not_its_own():
    """A manager made without handlers takes those in force: the cascade's come in their place."""
    later, given = CallbackManager([_Handler()]), CallbackManager([_Handler()])
    Settings.callback_manager = CallbackManager([_Handler()])
    try:
        child, other = Costly(), Costly()
        assert child.callback_manager.handlers
        CascadeRoutingLLM([child], callback_manager=given).complete("Hi")
        assert child.callback_manager is given
        Settings.llm = CascadeRoutingLLM([other])
        Settings.callback_manager = later
        Settings.llm.complete("Hi")
        assert other.callback_manager is later
    finally:
        Settings._llm = Settings._callback_manager = None


def test_cascades_that_share_a_child_lend_it_their_own_handlers_in_turn():
    child = Costly()
    first, second = (
        CascadeRoutingLLM([child], callback_manager=CallbackManager([_Handler()])) for _ in "ab"
    )
    for llm in (first, second, first):
        llm.complete("Hi")
        assert child.callback_manager is llm.callback_manager
    third = CascadeRoutingLLM([child], callback_manager=CallbackManager([_Handler()]))
    third.complete("Hi")
    assert child.callback_manager is third.callback_manager
    own = child.callback_manager = CallbackManager([_Handler()])
    first.complete("Hi")
    assert child.callback_manager is own


class _Handler:
    event_starts_to_ignore = event_ends_to_ignore = ()


# The event loop.


class Exhausted(Costly):
    """A fake whose answers have come to their end."""

    def complete(self, prompt, **kwargs):
        raise StopIteration

    def stream_complete(self, prompt, **kwargs):
        raise StopIteration


@pytest.mark.parametrize("method", ["achat", "acomplete", "astream_chat", "astream_complete"])
async def test_nobody_waits_for_a_child_that_raises_stop_iteration(method):
    llm = CascadeRoutingLLM({"weak": Exhausted(), "strong": Costly()})
    asked = ASK if method.endswith("chat") else "Hi"
    response = await asyncio.wait_for(getattr(llm, method)(asked), 10)
    final = response if hasattr(response, "raw") else await last(response)
    (failure,) = record(final)["failures"]
    assert "StopIteration" in failure["error"]


class Slow(Costly):
    """Holds the thread that asks it until a gate is opened."""

    model: str = "slow"
    gate: threading.Event = Field(default_factory=threading.Event, exclude=True)
    entered: threading.Event = Field(default_factory=threading.Event, exclude=True)
    threads: list = Field(default_factory=list)

    model_config = ConfigDict(arbitrary_types_allowed=True)

    def _wait(self):
        self.threads.append(threading.current_thread())
        self.entered.set()
        assert self.gate.wait(10)

    def complete(self, prompt, **kwargs):
        self._wait()
        return CompletionResponse(text="slow")

    def stream_complete(self, prompt, **kwargs):
        self._wait()
        yield CompletionResponse(text="slow", delta="slow")


class Unfinished(Slow):
    """An integration that has no asynchronous methods, and says so."""

    async def achat(self, messages, **kwargs):
        raise NotImplementedError

    async def acomplete(self, prompt, **kwargs):
        raise NotImplementedError

    async def astream_chat(self, messages, **kwargs):
        raise NotImplementedError

    async def astream_complete(self, prompt, **kwargs):
        raise NotImplementedError


@pytest.mark.parametrize("kind", [Slow, Unfinished])
@pytest.mark.parametrize("method", ["achat", "acomplete", "astream_chat", "astream_complete"])
async def test_the_loop_goes_on_while_a_child_is_held(kind, method):
    child = kind()
    llm = CascadeRoutingLLM([child])

    async def ask():
        found = await getattr(llm, method)("Hi" if "complete" in method else ASK)
        return await last(found) if "stream" in method else found

    task = asyncio.create_task(ask())
    await asyncio.to_thread(child.entered.wait, 10)  # the loop turns while the child is held
    assert not task.done()
    child.gate.set()
    response = await task
    assert record(response)["chosen"] == "slow"
    assert threading.main_thread() not in child.threads


async def test_the_loop_goes_on_while_a_server_is_slow(scripted_server):
    gate = threading.Event()
    llm = CascadeRoutingLLM([scripted_server.llm("only", Reply("well", gate=gate))])
    task = asyncio.create_task(llm.achat(ASK))
    await asyncio.to_thread(scripted_server.wait_for, 1)
    assert not task.done()
    gate.set()
    assert (await task).message.content == "well"


# Streams that are left.


class Held(LLM):
    """Its streams are within those of upstream's decorator, which does not close them."""

    closed: list = Field(default_factory=list)

    @property
    def metadata(self):
        return LLMMetadata(model_name="held", is_chat_model=True)

    @llm_chat_callback()
    def stream_chat(self, messages, **kwargs):
        def chunks():
            try:
                for i in range(3):
                    yield ChatResponse(message=ChatMessage(content="x" * (i + 1)), delta="x")
            finally:
                self.closed.append("sync")

        return chunks()

    @llm_chat_callback()
    async def astream_chat(self, messages, **kwargs):
        async def chunks():
            try:
                for i in range(3):
                    yield ChatResponse(message=ChatMessage(content="x" * (i + 1)), delta="x")
            finally:
                self.closed.append("async")

        return chunks()

    def chat(self, messages, **kwargs):
        raise NotImplementedError

    complete = stream_complete = achat = acomplete = astream_complete = chat


async def test_a_stream_that_is_left_is_closed():
    child = Held()
    llm = CascadeRoutingLLM([child])
    stream = llm.stream_chat(ASK)
    assert next(stream).delta == "x"
    stream.close()
    stream = await llm.astream_chat(ASK)
    assert (await anext(stream)).delta == "x"
    await stream.aclose()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert child.closed == ["sync", "async"]


async def test_a_stream_from_a_thread_that_is_left_is_closed():
    closed = []

    class Threaded(Costly):
        def stream_complete(self, prompt, **kwargs):
            try:
                yield CompletionResponse(text="a", delta="a")
                yield CompletionResponse(text="ab", delta="b")
            finally:
                closed.append(threading.current_thread())

    stream = await CascadeRoutingLLM([Threaded()]).astream_complete("Hi")
    await anext(stream)
    await stream.aclose()
    assert len(closed) == 1
    assert closed[0] is not threading.main_thread()


def test_a_connection_is_given_back_when_a_stream_is_left(scripted_server):
    gate = threading.Event()
    reply = Reply("a b c d", holds={3: gate})
    llm = CascadeRoutingLLM([scripted_server.llm("only", reply)])
    stream = llm.stream_chat(ASK)
    assert next(chunk for chunk in stream if chunk.delta).delta == "a"
    stream.close()
    gc.collect()
    gate.set()


# Bad children.


class Odd(Costly):
    """Answers with something else, or nothing."""

    answer: object = None
    model: str = "odd"

    def chat(self, messages, **kwargs):
        return self.answer

    def stream_chat(self, messages, **kwargs):
        yield self.answer

    def complete(self, prompt, **kwargs):
        return self.answer


def _chunks():
    texts = ("a", "a b")
    return [
        ChatResponse(message=ChatMessage(role="assistant", content=text), delta=text[-2:])
        for text in texts
    ]


class _Unclosable:
    """No generator: it cannot be closed."""

    def __init__(self):
        self._chunks = iter(_chunks())

    def __aiter__(self):
        return self

    async def __anext__(self):
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration


class Iterators(Costly):
    """Its streams are whatever can be gone through."""

    kind: object = list

    def stream_chat(self, messages, **kwargs):
        return self.kind(_chunks())

    async def astream_chat(self, messages, **kwargs):
        return _Unclosable()


@pytest.mark.parametrize("kind", [list, iter])
async def test_streams_that_cannot_be_closed(kind):
    llm = CascadeRoutingLLM([Iterators(kind=kind)])
    assert [chunk.delta for chunk in llm.stream_chat(ASK)] == ["a", " b", ""]
    assert [chunk.delta async for chunk in await llm.astream_chat(ASK)] == ["a", " b", ""]


class Silent(Costly):
    """It does not stream."""

    model: str = "silent"

    def complete(self, prompt, **kwargs):
        time.sleep(0.01)
        return CompletionResponse(text="no stream", raw={"usage": {"output_tokens": 2}})

    def stream_complete(self, prompt, **kwargs):
        raise NotImplementedError


async def test_a_child_that_does_not_stream_answers_in_one_piece():
    llm = CascadeRoutingLLM([Odd(answer=None), Silent()])
    astream = await llm.astream_complete("Hi")
    for chunks in ([*llm.stream_complete("Hi")], [chunk async for chunk in astream]):
        assert [chunk.delta for chunk in chunks] == ["no stream", ""]
        (call,) = record(chunks[-1])["calls"]
        assert (call["model"], call["output_tokens"]) == ("silent", 2)
        assert call["seconds"] >= 0.01


@pytest.mark.parametrize("answer", [None, "text", CompletionResponse(text="x")])
def test_a_child_that_returns_something_else_fails(answer):
    llm = CascadeRoutingLLM([Odd(answer=answer)])
    for ask in (llm.chat, lambda asked: [*llm.stream_chat(asked)]):
        with pytest.raises(AllModelsFailedError, match=r"child 'odd' returned .*, and no ChatResp"):
            ask(ASK)


def test_a_child_that_says_nothing_is_replaced(scripted_server):
    weak = scripted_server.llm("weak", Reply(no_choices=True))
    llm = CascadeRoutingLLM([weak, scripted_server.llm("strong", "well")])
    response = llm.chat(ASK)
    assert response.message.content == "well"
    assert [failure["model"] for failure in record(response)["failures"]] == ["weak"]


@pytest.mark.parametrize("method", ["stream_chat", "astream_chat"])
async def test_a_stream_that_breaks(scripted_server, method):
    """Before its first word another child takes over; after it the error is the user's."""

    async def words(llm, seen):
        found = getattr(llm, method)(ASK)
        if method == "astream_chat":
            async for chunk in await found:
                seen.append(chunk.delta)
        else:
            seen.extend(chunk.delta for chunk in found)
        return seen

    strong = scripted_server.llm("strong", "well")
    for cut, rest in ((1, []), (0, [])):
        first = scripted_server.llm("first", Reply("a b c", cut=cut))
        llm = CascadeRoutingLLM([first, strong])
        with llm.using(model="first"), pytest.raises(AllModelsFailedError):
            await words(llm, rest)
        assert "".join(filter(None, await words(llm, []))) == "well"
    seen = []
    llm = CascadeRoutingLLM([scripted_server.llm("only", Reply("a b c", cut=3))])
    with pytest.raises(Exception, match="peer closed connection"):
        await words(llm, seen)
    assert "".join(filter(None, seen)) == "a b"


def test_bad_questions_are_refused(llamas):
    llm = llamas.make()
    for bad in ("Hi", [], ["Hi"], None, 3, [ASK]):
        with pytest.raises(ConfigurationError, match="chat"):
            llm.chat(bad)
    for bad in (None, ASK, 3):
        with pytest.raises(ConfigurationError, match="a completion takes a prompt"):
            llm.complete(bad)
    assert llamas.server.requests == []
    assert llm.chat(iter(ASK)).message.content == "strong answers"


def test_unknown_arguments_are_refused(llamas):
    llm = llamas.make()
    with pytest.raises(ConfigurationError, match="did you mean 'max_expected_cost'"):
        CascadeRoutingLLM(llm.llms, max_expected_costs=1)
    with pytest.raises(ConfigurationError, match="temperature belongs to the children"):
        CascadeRoutingLLM(llm.llms, temperature=0)
    with pytest.raises(ConfigurationError, match="signals must map"):
        CascadeRoutingLLM(llm.llms, signals=3)


def test_what_the_router_is_built_from_cannot_be_assigned(llamas):
    """It would not hear of it."""
    llm = llamas.make(max_expected_cost=0.1)
    with pytest.raises(ConfigurationError, match=r"with_budget\(\.\.\.\)"):
        llm.max_expected_cost = 1e-9
    for name in ("llms", "prices", "strategy", "judge", "samples"):
        with pytest.raises(ConfigurationError, match=f"{name} cannot be assigned"):
            setattr(llm, name, None)
    assert llm.max_expected_cost == 0.1
    llm.max_cost, llm.system_prompt, llm.shadow = 1.0, "Be brief.", "weak"
    assert record(llm.chat(ASK))["chosen"] == "weak"


def test_tools_that_the_given_model_cannot_call(scripted_server):
    llm = Llamas(scripted_server, "mixed").make()
    with pytest.raises(ConfigurationError, match="'weak' cannot answer this call"):
        llm.chat_with_tools([TOOL], ASKED, model="weak")
    assert scripted_server.requests == []


def test_no_tools_are_no_request_for_tools(scripted_server):
    llm = Llamas(scripted_server, "completion").make()
    assert llm.chat_with_tools([], "Hi").message.content == "strong answers"


def test_parallel_calls(scripted_server):
    calls = tuple(ToolCall("add", {"a": i, "b": 1}) for i in range(2))
    llm = CascadeRoutingLLM([scripted_server.llm("only", sure(0.9, Reply(calls=calls)))])
    response = llm.chat_with_tools([TOOL], ASKED, allow_parallel_tool_calls=True)
    found = llm.get_tool_calls_from_response(response)
    assert [call.tool_kwargs["a"] for call in found] == [0, 1]
    assert len(llm.get_tool_calls_from_response(llm.chat_with_tools([TOOL], ASKED))) == 1
