"""Calls that no one observes come to the same as those that LangChain tells handlers of."""

from __future__ import annotations

import uuid
from contextlib import aclosing

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.globals import set_debug, set_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompt_values import StringPromptValue
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.config import var_child_runnable_config

from cascade_engine import AllModelsFailedError, ConfigurationError
from langchain_cascade import CascadeRoutingLLM
from tests.helpers import whole

TIMES = ("seconds", "seconds_to_first_token", "tokens_per_second")
CALLS = [{"name": "look_up", "args": {"word": "llama"}, "id": "call_1", "type": "tool_call"}]
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.fixture(params=["invoke", "ainvoke"])
def call(request):
    """Calls in one of two ways: `message = await call(llm, "...", config)`."""

    async def run(llm, given, config=None, **kwargs):
        if request.param == "invoke":
            return llm.invoke(given, config, **kwargs)
        return await llm.ainvoke(given, config, **kwargs)

    return run


@pytest.fixture
def ways(monkeypatch):
    """Notes which calls of cascades LangChain runs itself."""
    taken = []

    def noting(name):
        langchains = getattr(CascadeRoutingLLM, name)

        def note(self, *args, **kwargs):
            taken.append(name)
            return langchains(self, *args, **kwargs)

        monkeypatch.setattr(CascadeRoutingLLM, name, note)

    for name in ("_get_invocation_params", "_get_ls_params"):
        noting(name)
    return taken


def told(message):
    """All that a message says, but for its times and the run's id."""
    fields = message.model_dump()
    record = fields["response_metadata"].get("cascade", {"calls": []})
    for made in record["calls"]:
        for name in TIMES:
            made[name] = made[name] is not None
    return type(message), {**fields, "id": str(fields["id"])[:8]}


class Told(BaseChatModel):
    """Answers with the very message it is given."""

    message: AIMessage

    @property
    def _llm_type(self):
        return "told"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return ChatResult(generations=[ChatGeneration(message=self.message.model_copy())])


MESSAGES = {
    "plain": AIMessage("Lima"),
    "named": AIMessage("Lima", response_metadata={"model_name": "m-1", "finish_reason": "stop"}),
    "nameless": AIMessage("Lima", response_metadata={"model_name": None, "x": [1]}),
    "of_a_provider": AIMessage("Lima", id="chatcmpl-1", name="guide"),
    "calling": AIMessage("", tool_calls=CALLS, additional_kwargs={"refusal": None}),
    "in_blocks": AIMessage([{"type": "text", "text": "Lima"}, {"type": "reasoning"}]),
    "counted": AIMessage(
        "Lima", usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
async def test_the_message_is_the_same(call, ways, name):
    llm = CascadeRoutingLLM(models={"only": Told(message=MESSAGES[name])})
    alone = await call(llm, "Which is the capital of Peru?")
    assert ways == []
    observed = await call(
        llm, "Which is the capital of Peru?", {"callbacks": [BaseCallbackHandler()]}
    )
    assert ways
    assert told(alone) == told(observed)


async def test_the_message_of_a_chain_is_the_same(call):
    chunk = RunnableLambda(lambda _: AIMessageChunk("Lima", response_metadata={"model_name": "m"}))
    llm = CascadeRoutingLLM(models={"only": chunk})
    observed = await call(llm, "Hi", {"callbacks": [BaseCallbackHandler()]})
    assert told(await call(llm, "Hi")) == told(observed)


@pytest.mark.parametrize(
    "given",
    [
        "Hi",
        StringPromptValue(text="Hi"),
        [("system", "Be brief."), ("human", "Hi")],
        [SystemMessage("Be brief."), HumanMessage("Hi")],
        [{"role": "user", "content": "Hi"}],
        [HumanMessage([{"type": "text", "text": "Hi"}, PICTURE])],
    ],
)
async def test_what_is_asked_is_the_same(call, given):
    seen = []

    def child(messages):
        seen.append(messages)
        return AIMessage("yes")

    llm = CascadeRoutingLLM(models={"only": RunnableLambda(child)})
    observed = await call(llm, given, {"callbacks": [BaseCallbackHandler()]})
    assert told(await call(llm, given)) == told(observed)
    assert seen[0] == seen[1]


async def test_a_drafts_escalation_is_the_same(fakes, call, ways):
    llm = fakes.cascade()
    run_id = uuid.uuid4()
    alone = await call(llm, "Hi", {"run_id": run_id, "tags": ["mine"], "metadata": {"user": 7}})
    assert ways == []
    observed = await call(llm, "Hi", {"run_id": run_id, "callbacks": [BaseCallbackHandler()]})
    assert told(alone) == told(observed)
    assert alone.id == observed.id == f"lc_run--{run_id}-0"


@pytest.fixture(params=["stream", "astream"])
def chunks(request):
    """Streams in one of two ways."""

    async def run(llm, given, config=None, **kwargs):
        if request.param == "stream":
            return list(llm.stream(given, config, **kwargs))
        return [chunk async for chunk in llm.astream(given, config, **kwargs)]

    return run


def only(fakes, **fields):
    """A cascade whose only step is final, and streams live."""
    return CascadeRoutingLLM(
        models={"only": fakes.StreamChat(script=fakes.Say("one two three", 0.9), **fields)}
    )


async def test_the_chunks_of_a_stream_are_the_same(fakes, chunks, ways):
    made = {
        "live": only(fakes),
        "live, named by the provider": only(fakes, message_id="chatcmpl-1"),
        "escalated": fakes.cascade(),
        "in blocks": CascadeRoutingLLM(models={"only": Told(message=MESSAGES["in_blocks"])}),
        "calling": CascadeRoutingLLM(models={"only": Told(message=MESSAGES["calling"])}),
    }
    for llm in made.values():
        ways.clear()
        run_id = uuid.uuid4()
        alone = await chunks(llm, "Hi", {"run_id": run_id}, stop=["x"])
        assert ways == []
        config = {"run_id": run_id, "callbacks": [BaseCallbackHandler()]}
        observed = await chunks(llm, "Hi", config, stop=["x"])
        assert ways
        assert list(map(told, alone)) == list(map(told, observed))
        assert [each.id for each in alone] == [each.id for each in observed]
        assert told(whole(alone)) == told(whole(observed))


@pytest.mark.parametrize("fields", [{"streaming": False}, {"disable_streaming": True}])
async def test_a_stream_that_is_switched_off_has_one_piece(fakes, chunks, fields):
    llm = fakes.cascade(**fields)
    (alone,) = await chunks(llm, "Hi")
    (observed,) = await chunks(llm, "Hi", {"callbacks": [BaseCallbackHandler()]})
    assert told(alone) == told(observed)


async def test_a_stream_that_breaks_raises_the_same(fakes, chunks):
    broken = fakes.Say("one two three", error=ConnectionError("down"), error_after=1)
    llm = CascadeRoutingLLM(models={"only": fakes.StreamChat(script=broken)})
    for config in (None, {"callbacks": [BaseCallbackHandler()]}):
        with pytest.raises(ConnectionError, match="down"):
            await chunks(llm, "Hi", config)


async def test_leaving_a_stream_that_no_one_observes_ends_the_childs(fakes):
    left = []

    class Endless(fakes.StreamChat):
        async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
            try:
                while True:
                    for piece in self.pieces(messages):
                        yield piece
            finally:
                left.append("left")

    llm = CascadeRoutingLLM(models={"only": Endless(script=fakes.Say("on and on", 0.9))})
    async with aclosing(llm.astream("Hi")) as stream:
        async for chunk in stream:
            if chunk.text:
                break
    assert left == ["left"]


async def test_ids_are_new_each_time(fakes, call):
    llm = fakes.cascade()
    ids = {(await call(llm, "Hi")).id for _ in range(3)}
    assert len(ids) == 3
    assert all(each.startswith("lc_run--") and each.endswith("-0") for each in ids)


async def test_answers_of_several_calls_share_nothing(fakes, call):
    llm = fakes.cascade()
    first, second = await call(llm, "Hi"), await call(llm, "Hi")
    first.response_metadata["cascade"]["calls"].clear()
    first.response_metadata["model_name"] = "changed"
    assert len(second.response_metadata["cascade"]["calls"]) == 2
    assert second.response_metadata["model_name"] == "strong"


@pytest.mark.parametrize(
    ("given", "kwargs", "kind"),
    [
        ("down", {}, AllModelsFailedError),
        ([], {}, ConfigurationError),
        (7, {}, ValueError),
        ([("nobody", "Hi")], {}, ValueError),
        ("Hi", {"model": "none such"}, ConfigurationError),
        ("Hi", {"tags": ["as a keyword"]}, TypeError),
    ],
)
async def test_errors_are_the_same(fakes, call, given, kwargs, kind):
    broken = fakes.Say("x", error=ConnectionError("down"))
    llm, raised = fakes.cascade(broken, broken), []
    for config in (None, {"callbacks": [BaseCallbackHandler()]}):
        with pytest.raises(kind) as caught:
            await call(llm, given, config, **kwargs)
        raised.append((type(caught.value), str(caught.value)))
    assert raised[0] == raised[1]


class Starts(BaseCallbackHandler):
    """Notes what it is told of each start of a chat model."""

    def __init__(self):
        self.seen = []

    def on_chat_model_start(self, serialized, messages, *, run_id, **told):
        self.seen.append((messages, told))


async def test_a_childs_own_handlers_see_the_same(fakes, call):
    starts, parent = Starts(), uuid.uuid4()
    weak = fakes.StreamChat(model_name="weak", script=fakes.Say("sure", 0.99), callbacks=[starts])
    config = {"tags": ["mine"], "metadata": {"user": 7}, "run_id": parent}
    llm = fakes.cascade(weak)
    await call(llm, "Hi", config)
    await call(llm, "Hi", {**config, "callbacks": [BaseCallbackHandler()]})
    alone, observed = starts.seen
    assert alone == observed
    told = alone[1]
    assert (told["name"], told["parent_run_id"], told["tags"]) == ("weak", parent, ["mine"])
    assert told["metadata"]["user"] == 7


@pytest.mark.parametrize("error", [None, ConnectionError("down")])
async def test_nothing_is_left_around_a_call(fakes, call, error):
    seen = []

    def child(_):
        seen.append(var_child_runnable_config.get()["configurable"])
        if error:
            raise error
        return AIMessage("yes")

    models = {"first": RunnableLambda(child), "last": Told(message=MESSAGES["plain"])}
    llm = CascadeRoutingLLM(models=models)
    await call(llm, "Hi", {"configurable": {"max_cost": None, "thread": 3}})
    assert seen == [{"thread": 3}]
    assert var_child_runnable_config.get() is None


class Printing(BaseCallbackHandler):
    """A handler of everything."""


class Logged(CascadeRoutingLLM):
    """A cascade with a way of its own."""

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        assert run_manager is not None
        return super()._generate(messages, stop, run_manager, **kwargs)

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        assert run_manager is not None
        return await super()._agenerate(messages, stop, run_manager, **kwargs)


OBSERVED = {
    "handler_of_the_cascade": {"callbacks": [Printing()]},
    "verbose": {"verbose": True},
    "cache": {"cache": InMemoryCache()},
    "rate_limiter": {"rate_limiter": InMemoryRateLimiter(requests_per_second=1e6)},
    "streaming": {"streaming": True},
    "output_version": {"output_version": "v1"},
}


@pytest.mark.parametrize("name", OBSERVED)
async def test_what_langchain_has_to_do_with_goes_its_way(call, ways, name):
    llm = CascadeRoutingLLM(models={"only": Told(message=MESSAGES["named"])}, **OBSERVED[name])
    message = await call(llm, "Hi")
    assert ways
    assert message.text == "Lima"
    assert message.response_metadata["model_name"] == "m-1"


@pytest.mark.parametrize("kwargs", [{"stream": True}, {"stream": False}])
async def test_a_call_that_says_whether_to_stream_goes_langchains_way(fakes, call, ways, kwargs):
    assert (await call(fakes.cascade(), "Hi", **kwargs)).text == "the right answer"
    assert ways


async def test_a_picture_goes_langchains_way(call, ways):
    llm = CascadeRoutingLLM(models={"only": Told(message=MESSAGES["plain"])})
    await call(llm, [HumanMessage([PICTURE])])
    assert ways


async def test_debugging_and_a_global_cache_go_langchains_way(call, ways, capsys):
    llm = CascadeRoutingLLM(models={"only": Told(message=MESSAGES["plain"])})
    set_debug(True)
    try:
        await call(llm, "Hi")
    finally:
        set_debug(False)
    assert "CascadeRoutingLLM" in capsys.readouterr().out
    assert ways
    ways.clear()
    cache = InMemoryCache()
    set_llm_cache(cache)
    try:
        first, second = await call(llm, "Hi"), await call(llm, "Hi")
    finally:
        set_llm_cache(None)
    assert ways
    assert first.response_metadata["cascade"] == second.response_metadata["cascade"]


async def test_a_cache_that_is_turned_off_is_none(call, ways):
    llm = CascadeRoutingLLM(models={"only": Told(message=MESSAGES["plain"])}, cache=False)
    await call(llm, "Hi")
    assert ways == []


async def test_a_missing_cache_is_refused_as_ever(call):
    llm = CascadeRoutingLLM(models={"only": Told(message=MESSAGES["plain"])}, cache=True)
    with pytest.raises(ValueError, match="no cache found"):
        await call(llm, "Hi")


async def test_a_subclass_is_not_passed_by(call):
    llm = Logged(models={"only": Told(message=MESSAGES["plain"])})
    assert (await call(llm, "Hi")).text == "Lima"


@pytest.mark.parametrize("name", ["invoke", "generate", "_generate_with_cache"])
def test_a_tool_that_watches_langchain_is_not_passed_by(monkeypatch, name):
    seen, langchains = [], getattr(BaseChatModel, name)

    def watched(self, *args, **kwargs):
        seen.append(type(self))
        return langchains(self, *args, **kwargs)

    monkeypatch.setattr(BaseChatModel, name, watched)
    CascadeRoutingLLM(models={"only": Told(message=MESSAGES["plain"])}).invoke("Hi")
    assert seen == [CascadeRoutingLLM, Told]
