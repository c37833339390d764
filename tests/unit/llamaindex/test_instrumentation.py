"""What LlamaIndex's handlers are told: events, spans, and tokens counted."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("llama_index.llms.openai_like")

from llama_index.core import Settings
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span import BaseSpan
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel, Field

from cascade_engine import Price
from cascade_engine.routing import ChatJudge
from llamaindex_cascade import CascadeDecisionEvent, CascadeRoutingLLM
from tests.llamaindex_fixtures import ASKED, PRICES, Llamas, add, facts, record
from tests.scripted import plain, sure

ASK = [ChatMessage(content="Hi")]


class Sum(BaseModel):
    """A sum."""

    a: int
    b: int


class Heard(BaseEventHandler):
    """Keeps what cascades decided."""

    events: list = Field(default_factory=list)

    def handle(self, event, **kwargs):
        if isinstance(event, CascadeDecisionEvent):
            self.events.append(event)


class Spans(BaseSpanHandler[BaseSpan]):
    """Keeps the parent of each span."""

    parents: dict = Field(default_factory=dict)

    def new_span(self, id_, bound_args, instance=None, parent_span_id=None, **kwargs):
        self.parents[id_] = parent_span_id

    def prepare_to_exit_span(self, *args, **kwargs):
        """Nothing more is kept."""

    def prepare_to_drop_span(self, *args, **kwargs):
        """Nothing more is kept."""


@pytest.fixture
def heard():
    root, handler = get_dispatcher(), Heard()
    root.add_event_handler(handler)
    yield handler.events
    root.event_handlers.remove(handler)


@pytest.fixture
def spans():
    root, handler = get_dispatcher(), Spans()
    root.add_span_handler(handler)
    yield handler.parents
    root.span_handlers.remove(handler)


@pytest.fixture
def llamas(scripted_server):
    """Every call escalates."""
    return Llamas(scripted_server)


async def every_way(llm):
    tool = FunctionTool.from_defaults(add)
    prompt = PromptTemplate("{text}")
    llm.chat(ASK)
    llm.complete("Hi")
    list(llm.stream_chat(ASK))
    list(llm.stream_complete("Hi"))
    await llm.achat(ASK)
    await llm.acomplete("Hi")
    async for _ in await llm.astream_chat(ASK):
        pass
    async for _ in await llm.astream_complete("Hi"):
        pass
    llm.chat_with_tools([tool], ASKED)
    async for _ in await llm.astream_chat_with_tools([tool], ASKED):
        pass
    llm.structured_predict(Sum, prompt, text=ASKED)
    await llm.astructured_predict(Sum, prompt, text=ASKED)
    list(llm.stream_structured_predict(Sum, prompt, text=ASKED))


WAYS = 13


async def test_each_decision_is_an_event_in_the_span_of_the_call(llamas, heard, spans):
    await every_way(llamas.make(plain))
    assert [event.decision["action"] for event in heard] == ["weak", "strong", None] * WAYS
    records = [event.record for event in heard]
    assert [made is None for made in records] == [True, True, False] * WAYS
    assert all(made["models_run"] == ["weak", "strong"] for made in records[2::3])
    for event in heard:
        assert event.span_id.startswith("CascadeRoutingLLM.")
        assert event.span_id in spans
    assert len({event.span_id for event in heard}) == WAYS
    assert heard[0].model_dump()["class_name"] == "CascadeDecisionEvent"


def test_the_last_event_has_the_record_of_the_answer(llamas, heard):
    made = record(llamas.make(plain).chat(ASK))
    found = heard[-1].record
    assert found == {key: value for key, value in made.items() if key != "model_name"}
    costs = [call["cost"] for call in made["calls"]]
    assert made["total_cost"] == sum(costs) > costs[-1]


def children_of(spans):
    """Which kind of span the spans of children's methods are below."""
    return {
        (parent or "nobody").split(".")[0]
        for name, parent in spans.items()
        if name.startswith("OpenAILike.")
        and not (parent or "").startswith("OpenAILike.")  # upstream's own nest
    }


async def test_spans_of_children_are_below_the_cascades(llamas, spans):
    await every_way(llamas.make(plain))
    assert children_of(spans) == {"CascadeRoutingLLM"}


def test_spans_in_threads(llamas, spans):
    llm = llamas.make(plain)
    engine = facts().as_query_engine(llm=llm)
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(contextvars.copy_context().run, engine.query, "Who?") for _ in "ab"]
        for job in jobs:
            job.result()
    assert children_of(spans) == {"CascadeRoutingLLM"}
    tops = [name for name, parent in spans.items() if parent is None]
    assert [name.split("-")[0] for name in tops].count("RetrieverQueryEngine.query") == 2


async def test_spans_of_tasks_are_not_mixed(llamas, spans, heard):
    llm = llamas.make(plain)
    await asyncio.gather(*(llm.achat(ASK) for _ in range(5)))
    by_span = {event.span_id for event in heard}
    assert len(by_span) == 5
    assert children_of(spans) == {"CascadeRoutingLLM"}


def test_nobody_listening_costs_no_event(llamas, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("an event was made")

    monkeypatch.setattr("llamaindex_cascade._calls.CascadeDecisionEvent", refuse)
    llamas.make(plain).chat(ASK)


# Tokens.


def counter(**options):
    return TokenCountingHandler(tokenizer=str.split, **options)


async def test_counts_with_the_handler_on_the_cascade(llamas):
    handler = counter()
    await every_way(llamas.make(plain, callback_manager=CallbackManager([handler])))
    assert len(handler.llm_token_counts) == len(llamas.server.requests) == 2 * WAYS


async def test_counts_with_the_handler_there_first(llamas):
    handler = counter()
    Settings.callback_manager = CallbackManager([handler])
    try:
        await every_way(llamas.make(plain))
    finally:
        Settings._callback_manager = None
    assert len(handler.llm_token_counts) == 2 * WAYS


@pytest.mark.parametrize("method", ["chat", "stream_chat", "achat", "astream_chat"])
async def test_counts_are_those_of_the_record(llamas, method):
    """The rejected draft's too; in streams the children are asked to count."""
    handler = counter()
    llm = llamas.make(plain, callback_manager=CallbackManager([handler]))
    found = getattr(llm, method)(ASK)
    found = await found if method.startswith("a") else found
    if "stream" in method:
        found = [c async for c in found][-1] if method.startswith("a") else [*found][-1]
    made = record(found)
    assert handler.prompt_llm_token_count == made["total_input_tokens"] > 0
    assert handler.completion_llm_token_count == made["total_output_tokens"] > 0
    assert made["total_cost"] == pytest.approx(
        sum(PRICES[c["model"]].input * c["input_tokens"] for c in made["calls"]) / 1e6
        + sum(PRICES[c["model"]].output * c["output_tokens"] for c in made["calls"]) / 1e6
    )


def test_judges_are_counted_and_paid_for(llamas, heard):
    server, handler = llamas.server, counter()
    judge = server.llm("judge", lambda request: "0.1" if "\nno\n" in str(request) else "0.9")
    weak = server.llm("weak", lambda r: "no" if "hard" in str(r["messages"]) else "yes")
    llm = CascadeRoutingLLM(
        [weak, server.llm("strong", sure(0.97, "yes"))],
        prices={**PRICES, "judge": Price(1, 1)},
        judge=(ChatJudge("judge"), judge),
        strategy="cascading",
    )
    questions = [f"{'hard' if i % 3 == 0 else 'easy'} question {i}?" for i in range(30)]
    llm.fit(questions, ["yes"] * 30, progress=False)
    llm.callback_manager = CallbackManager([handler])
    made = record(llm.chat([ChatMessage(content="hard question 3?")]))
    assert [each["name"] for each in made["advice"]] == ["judge"]
    assert len(handler.llm_token_counts) == len(made["calls"]) + 1
    assert handler.total_llm_token_count == (
        made["total_input_tokens"] + made["total_output_tokens"]
    )
    assert heard[-1].record["total_cost"] == made["total_cost"] > made["advice"][0]["cost"] > 0


@pytest.mark.parametrize("method", ["chat", "complete", "stream_chat", "stream_complete"])
async def test_a_spent_token_budget_is_no_failure_of_a_child(llamas, method):
    """The draft spends it, whose callback then raises; the next child must not be asked."""
    for prefix in ("", "a"):
        llm = llamas.make(plain, callback_manager=CallbackManager([counter(token_budget=1)]))
        asked = ASK if method.endswith("chat") else "Hi"
        before = llamas.asked()
        with pytest.raises(ValueError, match="Token budget exceeded"):  # noqa: PT012
            found = getattr(llm, prefix + method)(asked)
            if prefix:
                found = await found
        weak, strong = llamas.asked()
        assert (weak - before[0], strong - before[1]) == (1, 0)


async def test_a_spent_token_budget_stops_structured_answers(llamas):
    llm = llamas.make(plain, callback_manager=CallbackManager([counter(token_budget=1)]))
    with pytest.raises(ValueError, match="Token budget exceeded"):
        llm.structured_predict(Sum, PromptTemplate("{text}"), text=ASKED)
    assert llamas.asked() == (1, 0)
