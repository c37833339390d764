"""Tokens: those of the answer are heard once, and those of a draft never, whoever listens."""

from __future__ import annotations

from contextvars import ContextVar

import pytest
from langchain_core.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
    UsageMetadataCallbackHandler,
)
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers.context import _configure_hooks, register_configure_hook

from langchain_cascade import CascadeRoutingLLM
from langchain_cascade._callbacks import without_tokens


class Listening:
    """What a handler hears."""

    def __init__(self):
        super().__init__()
        self.tokens, self.started, self.ended = [], [], []


class Plain(Listening, BaseCallbackHandler):
    def on_llm_new_token(self, token, **kwargs):
        self.tokens.append(token)

    def on_chat_model_start(self, serialized, messages, **kwargs):
        self.started.append(kwargs["name"])

    def on_llm_end(self, response, **kwargs):
        self.ended.append(kwargs["run_id"])


class Awaited(Listening, AsyncCallbackHandler):
    async def on_llm_new_token(self, token, **kwargs):
        self.tokens.append(token)

    async def on_chat_model_start(self, serialized, messages, **kwargs):
        self.started.append(kwargs["name"])

    async def on_llm_end(self, response, **kwargs):
        self.ended.append(kwargs["run_id"])


def talking(fakes, **fields):
    """A cascade whose children emit their tokens even where no one streams."""

    class Talking(fakes.StreamChat):
        streaming: bool = True

    models = [
        Talking(model_name="weak", script=fakes.Say("a poor draft", 0.5), streaming=True),
        Talking(model_name="strong", script=fakes.Say("the right answer", 0.9), streaming=True),
    ]
    return CascadeRoutingLLM(models=models, prices=fakes.PRICES, **fields)


@pytest.mark.parametrize("kind", [Plain, Awaited])
async def test_no_handler_hears_a_draft(fakes, ask, request, kind):
    handler = kind()
    await ask(talking(fakes), "Hi", {"callbacks": [handler]})
    streams = "stream" in request.node.callspec.params["ask"]
    assert "".join(handler.tokens) == ("the right answer" if streams else "")
    assert handler.started == [None, "weak", "strong"]
    assert len(set(handler.ended)) == len(handler.ended) == 3


@pytest.mark.parametrize("kind", [Plain, Awaited])
async def test_live_tokens_are_heard_once(fakes, ask, request, kind):
    handler = kind()
    message = await ask(talking(fakes), "Hi", {"callbacks": [handler]}, model="strong")
    assert message.text == "the right answer"
    if "stream" in request.node.callspec.params["ask"]:
        assert [token for token in handler.tokens if token] == ["the", " right", " answer"]
    else:
        assert handler.tokens == []


async def test_a_streaming_cascade_tells_its_tokens(fakes, ask):
    handler = Plain()
    await ask(talking(fakes, streaming=True), "Hi", {"callbacks": [handler]})
    assert "".join(handler.tokens) == "the right answer"


async def test_a_bound_child_inside_a_chain_tells_nothing(fakes, ask):
    # A binding merges the handlers of what surrounds it into its own.
    llm = talking(fakes)
    bound = {name: child.bind(temperature=0) for name, child in llm.models.items()}
    chain = RunnableLambda(lambda q: q) | CascadeRoutingLLM(models=bound, prices=fakes.PRICES)
    for handler in (Plain(), fakes.StreamedTokens(), fakes.StreamedEvents()):
        tracer = fakes.Tracer()
        await ask(chain, "Hi", {"callbacks": [handler, tracer]})
        seen = "".join(getattr(handler, "tokens", None) or getattr(handler, "seen", ()))
        assert "draft" not in seen
        assert seen in {"", "the right answer"}
        assert tracer.tree() == [
            ("RunnableSequence", "RunnableLambda", ("CascadeRoutingLLM", "weak", "strong"))
        ]


@pytest.mark.filterwarnings("ignore:astream_log is deprecated")
async def test_logs_and_events_show_no_draft(fakes):
    llm = talking(fakes)
    patches = [patch async for patch in llm.astream_log("Hi")]
    assert "draft" not in repr(patches)
    assert "right" in repr(patches)
    events = [event async for event in llm.astream_events("Hi", version="v2")]
    assert "draft" not in repr(events)


async def test_a_counter_in_the_context_counts_once(fakes, ask):
    handler = Plain()
    holder = ContextVar("holder", default=None)
    register_configure_hook(holder, inheritable=True)
    token = holder.set(handler)
    try:
        await ask(talking(fakes), "Hi")
    finally:
        holder.reset(token)
        _configure_hooks[:] = [hook for hook in _configure_hooks if hook[0] is not holder]
    assert handler.started == [None, "weak", "strong"]
    assert len(set(handler.ended)) == len(handler.ended) == 3


def test_a_childs_own_handler_hears_it_once(fakes):
    handler = Plain()
    llm = talking(fakes)
    llm.models["weak"].callbacks = [handler]
    llm.invoke("Hi", {"callbacks": [handler]})
    assert handler.started.count("weak") == 1


async def test_a_cascades_own_handler_hears_of_its_decisions(fakes, ask):
    told = []

    class Decisions(BaseCallbackHandler):
        def on_custom_event(self, name, data, **kwargs):
            told.append((name, data["action"]))

    await ask(fakes.cascade(callbacks=[Decisions()]), "Hi")
    assert told == [("cascade_decision", action) for action in ("weak", "strong", None)]


def test_a_tracer_keeps_the_tokens_with_the_childs_run(fakes):
    tracer = fakes.Tracer()
    talking(fakes).invoke("Hi", {"callbacks": [tracer]})
    weak, strong = tracer.roots[0].child_runs
    assert sum(event["name"] == "new_token" for event in weak.events) >= 3
    assert sum(event["name"] == "new_token" for event in strong.events) >= 3


def test_a_handler_without_tokens_stays_itself():
    plain, usage = Plain(), UsageMetadataCallbackHandler()
    (deaf, same) = without_tokens([plain, usage], is_async=False)
    assert same is usage
    assert isinstance(deaf, Plain)
    assert deaf == plain
    assert plain in (deaf, None)  # as LangChain looks for a handler that is there already
    assert deaf.run_inline is plain.run_inline
    assert hash(deaf) == hash(plain)
    assert without_tokens([deaf], is_async=False) == [deaf]


def test_generating_with_a_streaming_handler_loses_no_child(fakes):
    llm = talking(fakes)
    for handler in (fakes.StreamedTokens(), fakes.StreamedEvents()):
        tracer, usage = fakes.Tracer(), UsageMetadataCallbackHandler()
        asked = [[HumanMessage("Hi")], [HumanMessage("Ho")]]
        llm.generate(asked, callbacks=[handler, tracer, usage])
        assert tracer.tree() == [("CascadeRoutingLLM", "weak", "strong")] * 2
        assert {m: u["total_tokens"] for m, u in usage.usage_metadata.items()} == {
            "weak": 14,
            "strong": 14,
        }


async def test_generating_with_a_streaming_handler_loses_no_child_async(fakes):
    tracer = fakes.Tracer()
    await talking(fakes).agenerate(
        [[HumanMessage("Hi")]], callbacks=[fakes.StreamedTokens(), tracer]
    )
    assert tracer.tree() == [("CascadeRoutingLLM", "weak", "strong")]


async def test_the_lowest_methods_hang_the_children_below_what_surrounds_them(fakes):
    llm, tracer = talking(fakes), fakes.Tracer()

    def below(question):
        return [chunk.text for chunk in llm._stream([HumanMessage(question)])][-1]

    async def abelow(question):
        return [chunk.text async for chunk in llm._astream([HumanMessage(question)])][-1]

    RunnableLambda(below).invoke("Hi", {"callbacks": [tracer]})
    await RunnableLambda(abelow).ainvoke("Hi", {"callbacks": [tracer]})
    assert tracer.tree() == [("below", "weak", "strong"), ("abelow", "weak", "strong")]


async def test_a_counter_of_tokens_that_the_cascade_holds_counts_its_children(fakes, ask):
    own = UsageMetadataCallbackHandler()
    llm = fakes.cascade(callbacks=[own])

    def used():
        return {name: counted["total_tokens"] for name, counted in own.usage_metadata.items()}

    await ask(llm, "Hi")
    assert used() == {"weak": 7, "strong": 7}
    await ask(llm, "Hi", {"callbacks": [own]})  # once, though given twice
    assert used() == {"weak": 14, "strong": 14}
    llm.generate([[HumanMessage("Hi")]])
    await llm.agenerate([[HumanMessage("Hi")]])
    assert used() == {"weak": 28, "strong": 28}
    await ask(CascadeRoutingLLM(models={"inner": llm}, callbacks=[own]), "Hi")
    assert used() == {"weak": 35, "strong": 35}
