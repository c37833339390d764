"""Streams over real clients: what is live, what is heard, and never a token of a draft."""

from __future__ import annotations

from threading import Event

import pytest

pytest.importorskip("langchain_openai")

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph

from langchain_cascade import CascadeRoutingLLM
from tests.helpers import whole
from tests.scripted import Reply

DRAFT, ANSWER = "hush hush hush", "the right answer"


class Ears(BaseCallbackHandler):
    def __init__(self):
        self.tokens = []

    def on_llm_new_token(self, token, **kwargs):
        self.tokens.append(token if isinstance(token, str) else repr(token))

    def on_stream_event(self, event, **kwargs):
        self.tokens.append(str(event.get("delta", "")))


@pytest.fixture(params=["plain", "streaming", "bound", "chained", "responses"])
def llm(request, scripted_server):
    """A cascade that rejects its draft, with children of every build."""
    options = {"streaming": True} if request.param == "streaming" else {}
    if request.param == "responses":
        options = {"output_version": "v1"}
    weak = scripted_server.chat("weak", Reply(DRAFT, probability=0.3), **options)
    strong = scripted_server.chat("strong", Reply(ANSWER), **options)
    models = {"weak": weak, "strong": strong}
    if request.param == "bound":
        models = {name: child.bind(user="me") for name, child in models.items()}
    if request.param == "chained":
        models = {name: RunnableLambda(lambda m: m) | child for name, child in models.items()}
    return CascadeRoutingLLM(models=models)


@pytest.mark.filterwarnings("ignore:astream_log is deprecated")
@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
async def test_no_path_shows_a_draft(llm):
    ears = Ears()
    config = {"callbacks": [ears]}
    chain = ChatPromptTemplate.from_template("{q}") | llm
    graph = StateGraph(MessagesState)
    graph.add_node("ask", lambda state: {"messages": [llm.invoke(state["messages"])]})
    graph.add_edge(START, "ask")
    graph = graph.compile()
    given, asked = {"q": "Hi"}, {"messages": "Hi"}
    shown = [
        list(llm.stream("Hi", config)),
        [chunk async for chunk in llm.astream("Hi", config)],
        list(chain.stream(given, config)),
        [event async for event in chain.astream_events(given, config, version="v2")],
        [patch async for patch in chain.astream_log(given, config)],
        list(llm.stream_events("Hi", config, version="v3")),
        [event async for event in await llm.astream_events("Hi", config, version="v3")],
        list(graph.stream(asked, config, stream_mode=["messages", "updates", "values"])),
        [p async for p in graph.astream(asked, config, stream_mode="messages")],
        [event async for event in graph.astream_events(asked, config, version="v2")],
        list(graph.stream_events(asked, config, version="v3")),
        [llm.invoke("Hi", config), await llm.ainvoke("Hi", config)],
        [llm.batch(["Hi"] * 2, config), await llm.abatch(["Hi"] * 2, config)],
    ]
    for number, each in enumerate(shown):
        assert "hush" not in repr(each), number
        assert "right" in repr(each), number
    assert "hush" not in repr(ears.tokens)


def test_a_final_step_is_shown_as_it_is_written(scripted_server):
    gates = [Event() for _ in range(3)]
    # The first chunk of the server has no text; then one for each word.
    script = Reply("one two three", holds=dict(enumerate(gates, start=2)))
    ears = Ears()
    llm = CascadeRoutingLLM(models=[scripted_server.chat("only", script)])
    stream = llm.stream("Hi", {"callbacks": [ears]})
    seen = []
    for chunk in stream:
        if chunk.text:
            seen.append(chunk.text)
            assert len([token for token in ears.tokens if token]) == len(seen)
            gates[len(seen) - 1].set()  # the next word is written only now
    assert seen == ["one", " two", " three"]


async def test_a_final_step_is_shown_as_it_is_written_async(scripted_server):
    gates = [Event() for _ in range(3)]
    script = Reply("one two three", holds=dict(enumerate(gates, start=2)))
    llm = CascadeRoutingLLM(models=[scripted_server.chat("only", script)])
    chunks = []
    async for chunk in llm.astream("Hi"):
        chunks.append(chunk)
        if chunk.text:
            gates[sum(bool(each.text) for each in chunks) - 1].set()
    message = whole(chunks)
    assert message.text == "one two three"
    (call,) = message.response_metadata["cascade"]["calls"]
    assert 0 < call["seconds_to_first_token"] <= call["seconds"]
    assert call["tokens_per_second"] == pytest.approx(call["output_tokens"] / call["seconds"])


def test_what_surrounds_a_stream_is_not_changed_between_its_chunks(scripted_server):
    from langchain_core.runnables.config import var_child_runnable_config

    llm = CascadeRoutingLLM(models=[scripted_server.chat("only", Reply("one two"))])
    before = var_child_runnable_config.get()
    assert all(var_child_runnable_config.get() is before for _ in llm.stream("Hi"))
