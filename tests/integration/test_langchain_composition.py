"""A cascade of real clients as a part of something larger: chains, fallbacks, caches, cascades."""

from __future__ import annotations

import base64
import json
from threading import Event

import pytest

pytest.importorskip("langchain_openai")

from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import (
    ConfigurableField,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import BaseModel

from langchain_cascade import CascadeRoutingLLM
from tests.helpers import whole
from tests.scripted import Reply, plain, question_of, sure

PROMPT = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{q}")])


class Sum(BaseModel):
    """A sum."""

    a: int
    b: int


def record(message):
    return message.response_metadata["cascade"]


# Chains.


async def test_a_chain_in_every_way(cascades):
    chain = PROMPT | cascades.make() | StrOutputParser()
    told = f"{cascades.answering} answers: Hi"
    assert chain.invoke({"q": "Hi"}) == told
    assert await chain.ainvoke({"q": "Hi"}) == told
    assert "".join(chain.stream({"q": "Hi"})) == told
    assert "".join([piece async for piece in chain.astream({"q": "Hi"})]) == told
    assert chain.batch([{"q": "Hi"}] * 2) == await chain.abatch([{"q": "Hi"}] * 2) == [told] * 2
    assert cascades.asked() == cascades.rounds(8)
    assert cascades.server.requests[0]["messages"][0] == {"role": "system", "content": "Be brief."}


async def test_events_of_a_chain_show_no_draft(cascades):
    chain = PROMPT | cascades.make() | StrOutputParser()
    shown = {"on_chat_model_stream": "", "on_parser_stream": "", "on_chain_stream": ""}
    async for event in chain.astream_events({"q": "Hi"}, version="v2"):
        if event["event"] in shown:
            chunk = event["data"]["chunk"]
            shown[event["event"]] += chunk if isinstance(chunk, str) else chunk.text
    assert set(shown.values()) == {f"{cascades.answering} answers: Hi"}


def test_in_parallel(cascades):
    llm = cascades.make()
    parallel = RunnableParallel(long=PROMPT | llm, short=RunnableLambda(lambda x: x["q"]) | llm)
    answers = parallel.invoke({"q": "Hi"})
    for message in answers.values():
        assert record(message)["chosen"] == cascades.answering
    sizes = [record(message)["calls"][0]["input_tokens"] for message in answers.values()]
    assert sizes[0] > sizes[1]
    pieces = {"long": "", "short": ""}
    for piece in parallel.stream({"q": "Hi"}):
        for key, chunk in piece.items():
            pieces[key] += chunk.text
    assert set(pieces.values()) == {f"{cascades.answering} answers: Hi"}


async def test_within_a_function(cascades):
    llm = cascades.make()

    async def ask(question):
        return (await llm.ainvoke(question)).text

    chain = RunnableLambda(lambda question: llm.invoke(question).text, afunc=ask)
    told = f"{cascades.answering} answers: Hi"
    with get_usage_metadata_callback() as counted:
        assert chain.invoke("Hi") == await chain.ainvoke("Hi") == told
    assert counted.usage_metadata[cascades.answering]["output_tokens"] == 2 * 3


def test_what_is_bound_reaches_the_children(cascades):
    llm = cascades.make(Reply("one two three"))
    assert llm.bind(stop=["two"]).invoke("Hi").text == "one "
    cut = llm.bind(max_tokens=2).invoke("Hi")
    assert (cut.text, record(cut)["calls"][-1]["finish_reason"]) == ("one two", "length")
    assert (PROMPT | llm.bind(stop=["three"])).invoke({"q": "Hi"}).text == "one two "
    assert "".join(c.text for c in llm.bind(stop=["two"]).stream("Hi")) == "one "


def test_structured_output_in_a_chain(cascades):
    chain = PROMPT | cascades.make().with_structured_output(Sum)
    assert chain.invoke({"q": "2 + 3?"}) == Sum(a=2, b=3)
    assert list(chain.stream({"q": "2 + 3?"}))[-1] == Sum(a=2, b=3)


def test_a_cap_as_a_configurable_field(cascades):
    cap = ConfigurableField(id="cap")
    llm = cascades.make().configurable_fields(max_cost=cap).with_config(configurable={"cap": 0.001})
    for asking in (llm, llm.bind_tools([Sum]), llm.with_structured_output(Sum)):
        asking.invoke("2 + 3?")
    assert cascades.asked() == (3, 0)


def test_a_parser_of_json_streams_no_draft(cascades):
    def script(request):
        return Reply(json.dumps({"by": request["model"], "n": [1, 2]}))

    chain = cascades.make(script) | JsonOutputParser()
    seen = list(chain.stream("Hi"))
    assert seen[-1] == {"by": cascades.answering, "n": [1, 2]}
    other = "weak" if cascades.answering == "strong" else "strong"
    assert all(other not in str(piece) for piece in seen)


def test_retrieval(cascades):
    store = InMemoryVectorStore(cascades.server.embeddings())
    facts = ["Lima is the capital of Peru.", "Oslo lies in Norway.", "Cats sleep a lot."]
    store.add_documents([Document(fact) for fact in facts])
    prompt = ChatPromptTemplate.from_template("Given: {facts}\nAnswer: {q}")

    def joined(documents):
        return " ".join(document.page_content for document in documents)

    retrieved = store.as_retriever(search_kwargs={"k": 1}) | joined
    chain = {"facts": retrieved, "q": RunnablePassthrough()} | prompt | cascades.make()
    answer = chain.invoke("What is the capital of Peru?")
    assert record(answer)["chosen"] == cascades.answering
    for request in cascades.server.requests:
        assert "Lima" in question_of(request)
        assert "Oslo" not in question_of(request)


def test_images_reach_every_child(cascades):
    image = base64.b64encode(b"\x89PNG no real image").decode()
    url = f"data:image/png;base64,{image}"
    blocks = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image", "base64": image, "mime_type": "image/png"},
    ]
    llm = cascades.make()
    for block in blocks:
        answer = llm.invoke([HumanMessage([{"type": "text", "text": "What is it?"}, block])])
        assert answer.text == f"{cascades.answering} answers: What is it?"
        assert record(answer)["calls"][0]["input_tokens"] > 85
    for request in cascades.server.requests:
        assert request["messages"][0]["content"][1]["image_url"]["url"] == url


# Many at once.


def test_the_first_to_finish_comes_first(cascades):
    gate = Event()

    def script(request):
        return Reply(question_of(request), gate=gate if question_of(request) == "slow" else None)

    llm = cascades.make(script)
    finished = llm.batch_as_completed(["slow", "quick"], {"max_concurrency": 2})
    index, answer = next(finished)
    assert (index, answer.text) == (1, "quick")
    gate.set()
    index, answer = next(finished)
    assert (index, answer.text) == (0, "slow")


async def test_no_more_at_once_than_asked_for(cascades):
    llm = cascades.make()
    questions = [f"{i}?" for i in range(6)]
    config = {"max_concurrency": 2}
    for answers in (llm.batch(questions, config), await llm.abatch(questions, config)):
        assert [a.text for a in answers] == [
            f"{cascades.answering} answers: {q}" for q in questions
        ]
    assert cascades.server.most_at_once <= 2
    assert cascades.asked() == cascades.rounds(12)


# What LangChain puts around a model.


def test_a_cache(cascades):
    llm = cascades.make(cache=InMemoryCache())
    first = llm.invoke("Hi")
    once = cascades.asked()
    again = llm.invoke("Hi")
    assert cascades.asked() == once == cascades.rounds(1)
    assert again.text == first.text
    assert record(again)["chosen"] == record(first)["chosen"]
    llm.invoke("Hi", {"configurable": {"max_cost": 1.0}})
    assert cascades.asked() == cascades.rounds(2)
    llm.invoke("Ho")
    assert cascades.asked() == cascades.rounds(3)


def test_a_child_with_a_cache_of_its_own(cascades):
    llm = cascades.make(options={"cache": InMemoryCache()})
    first, again = llm.invoke("Hi"), llm.invoke("Hi")
    assert cascades.asked() == cascades.rounds(1)
    assert (again.text, record(again)["chosen"]) == (first.text, record(first)["chosen"])


class Turns(InMemoryRateLimiter):
    """Counts whom it lets through."""

    def __init__(self):
        super().__init__(requests_per_second=1e6, check_every_n_seconds=1e-4, max_bucket_size=100)
        self.count = 0

    def acquire(self, *, blocking=True):
        self.count += 1
        return super().acquire(blocking=blocking)

    async def aacquire(self, *, blocking=True):
        self.count += 1
        return await super().aacquire(blocking=blocking)


async def test_rate_limits(cascades):
    whole_cascade, each_child = Turns(), Turns()
    llm = cascades.make(rate_limiter=whole_cascade, options={"rate_limiter": each_child})
    llm.invoke("Hi")
    await llm.ainvoke("Hi")
    list(llm.stream("Hi"))
    assert whole_cascade.count == 3
    assert each_child.count == sum(cascades.rounds(3))


async def test_rate_limits_of_forms(cascades):
    limiter = Turns()
    schema = {"title": "look", "type": "object", "properties": {"where": {"type": "string"}}}
    form = cascades.make(rate_limiter=limiter).with_structured_output(
        schema, method="function_calling"
    )
    assert form.invoke("Hi") == await form.ainvoke("Hi") == {"where": "Hi"}
    assert limiter.count == 2


@pytest.mark.parametrize("switch", [True, "tool_calling"])
async def test_streaming_switched_off(cascades, switch):
    llm = cascades.make(disable_streaming=switch)
    schema = {"title": "look", "type": "object", "properties": {"where": {"type": "string"}}}
    bound = llm.bind_tools([schema])
    streams = [list(bound.stream("Hi")), [c async for c in bound.astream("Hi")]]
    for (message,) in streams:
        assert message.tool_calls[0]["args"] == {"where": "Hi"}
    assert not any(request.get("stream") for request in cascades.server.requests)
    pieces = list(llm.stream("Hi"))
    assert len(pieces) == 1 or switch == "tool_calling"
    assert whole(pieces).text == f"{cascades.answering} answers: Hi"


# Children that are more than a chat model.


def inner(server, level):
    """A cascade of two that stands for one child."""
    models = [server.chat("tiny", sure(level)), server.chat("small", sure(level))]
    return CascadeRoutingLLM(models=models, name="inner")


async def test_a_cascade_in_a_cascade(cascades):
    llm = CascadeRoutingLLM(
        models={
            "inner": inner(cascades.server, cascades.level),
            "strong": cascades.server.chat("strong"),
        }
    )
    answering = "tiny" if cascades.answering == "weak" else "strong"
    with get_usage_metadata_callback() as counted:
        answers = [
            llm.invoke("Hi"),
            await llm.ainvoke("Hi"),
            whole(list(llm.stream("Hi"))),
            whole([chunk async for chunk in llm.astream("Hi")]),
        ]
    for answer in answers:
        assert answer.text == f"{answering} answers: Hi"
        assert answer.response_metadata["model_name"] == answering
    ran = ["tiny"] if answering == "tiny" else ["tiny", "small", "strong"]
    used = dict.fromkeys(ran, 4 * 3)
    assert {m: u["output_tokens"] for m, u in counted.usage_metadata.items()} == used
    shown = [
        event["data"]["chunk"].text
        async for event in llm.astream_events("Hi", version="v2")
        if event["event"] == "on_chat_model_stream"
    ]
    assert "".join(shown) == f"{answering} answers: Hi"


async def test_a_child_that_is_a_chain(cascades):
    server = cascades.server
    chain = ChatPromptTemplate.from_messages(
        [("system", "You are small."), ("placeholder", "{messages}")]
    ) | server.chat("weak", sure(cascades.level))
    llm = CascadeRoutingLLM(
        models={
            "weak": (lambda messages: {"messages": messages}) | chain,
            "strong": server.chat("strong"),
        }
    )
    answers = [llm.invoke("Hi"), await llm.ainvoke("Hi"), whole(list(llm.stream("Hi")))]
    for answer in answers:
        assert answer.text == f"{cascades.answering} answers: Hi"
    told = [[m["role"] for m in request["messages"]] for request in server.asked("weak")]
    assert told == [["system", "user"]] * 3
    assert cascades.asked() == cascades.rounds(3)


async def test_a_bound_child_belongs_to_the_cascade(cascades):
    """LangChain merges a binding's configuration with the one of whatever surrounds the call."""
    names = {"weak": sure(cascades.level), "strong": plain}
    models = {
        name: cascades.server.chat(name, script).bind(stop=["never"])
        for name, script in names.items()
    }
    llm, ran = CascadeRoutingLLM(models=models), RunCollectorCallbackHandler()
    chain = RunnableLambda(llm.invoke, afunc=llm.ainvoke, name="around")
    config = {"callbacks": [ran]}
    list(chain.stream("Hi", config))
    await chain.ainvoke("Hi", config)
    shown = [
        event["data"]["chunk"].text
        async for event in chain.astream_events("Hi", config, version="v2")
        if event["event"] == "on_chat_model_stream"
    ]
    assert "".join(shown) == f"{cascades.answering} answers: Hi"
    for around in ran.traced_runs:
        (cascade,) = around.child_runs
        children = [child.name for child in cascade.child_runs]
        assert children == ["weak", "strong"][: sum(cascades.rounds(1))]
    assert len(ran.traced_runs) == 3


def test_a_child_with_fallbacks_and_one_that_is_bound(cascades):
    server = cascades.server
    spare = server.chat("spare", sure(cascades.level))
    weak = server.chat("weak", Reply.error(500)).with_fallbacks([spare])
    strong = server.chat("strong", Reply("one two")).bind(stop=["two"])
    answer = CascadeRoutingLLM(models={"weak": weak, "strong": strong}).invoke("Hi")
    told = {"weak": "spare answers: Hi", "strong": "one "}[cascades.answering]
    assert answer.text == told
    assert record(answer)["failures"] == []
