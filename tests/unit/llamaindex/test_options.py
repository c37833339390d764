"""What one call of a cascade may change: by keywords, and for a block of code."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("llama_index.llms.openai_like")

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from cascade_engine import ConfigurationError, InfeasibleBudgetError
from llamaindex_cascade import CascadeRoutingLLM
from tests.llamaindex_fixtures import ASKED, Llamas, add, facts, memory, record
from tests.scripted import plain, sure

ASK = [ChatMessage(content="Hi")]


@pytest.fixture
def llamas(scripted_server):
    """Every call escalates."""
    return Llamas(scripted_server)


@pytest.fixture
def llm(llamas):
    return llamas.make(plain)


def fitted(llamas, **fields):
    """The weak one is right half of the time, and not sure then."""

    def weak(request):
        hard = "hard" in request["messages"][-1]["content"]
        return sure(0.5 if hard else 0.97, "no" if hard else "yes")(request)

    questions = [f"{'hard' if i % 2 else 'easy'} question {i}?" for i in range(24)]
    made = CascadeRoutingLLM(
        [llamas.server.llm("weak", weak), llamas.server.llm("strong", sure(0.97, "yes"))],
        **{"prices": llamas.make().prices, **fields},
    )
    llamas.server.script("weak", weak)
    llamas.server.script("strong", sure(0.97, "yes"))
    return made.fit(questions, ["yes"] * 24, progress=False)


class Sum(BaseModel):
    """A sum."""

    a: int
    b: int


async def every_way(llm, **options):
    """The record of each way of asking."""
    tool = FunctionTool.from_defaults(add)
    return [
        record(each)
        for each in (
            llm.chat(ASK, **options),
            await llm.achat(ASK, **options),
            llm.complete("Hi", **options),
            await llm.acomplete("Hi", **options),
            [*llm.stream_chat(ASK, **options)][-1],
            [c async for c in await llm.astream_chat(ASK, **options)][-1],
            [*llm.stream_complete("Hi", **options)][-1],
            [c async for c in await llm.astream_complete("Hi", **options)][-1],
            llm.chat_with_tools([tool], ASKED, **options),
            await llm.achat_with_tools([tool], ASKED, **options),
            [*llm.stream_chat_with_tools([tool], ASKED, **options)][-1],
            [c async for c in await llm.astream_chat_with_tools([tool], ASKED, **options)][-1],
        )
    ]


async def test_a_model_is_given(llm, llamas):
    for made in await every_way(llm, model="weak"):
        assert made["models_run"] == ["weak"]
    for made in await every_way(llm, model="strong"):
        assert made["models_run"] == ["strong"]
    assert all(body["model"] in {"weak", "strong"} for body in llamas.server.requests)


async def test_limits_are_given(llm):
    for made in await every_way(llm, max_cost=1e-3):
        assert made["models_run"] == ["weak"]
    for made in await every_way(llm, max_expected_cost=1e-3):
        assert (made["models_run"], made["budget"]) == (["weak"], 1e-3)
    with pytest.raises(InfeasibleBudgetError):
        llm.chat(ASK, max_cost=1e-12)


async def test_a_trade_off_and_a_strategy_are_given(llamas):
    llm = fitted(llamas)
    for made in await every_way(llm, lam=1e9):
        assert made["models_run"] == ["weak"]
        assert made["lambda"] == 1e9
    for made in await every_way(llm, strategy="routing"):
        assert made["strategy"] == "routing"
        assert len(made["models_run"]) == 1
    assert llm.chat(ASK).additional_kwargs["cascade"]["strategy"] == llm.router.strategy.name


async def test_a_strategy_is_tuned_off_the_event_loop_and_once(llamas, monkeypatch):
    llm, seen = fitted(llamas), []
    original = type(llm.router).with_strategy

    def with_strategy(self, strategy):
        seen.append(threading.current_thread())
        return original(self, strategy)

    monkeypatch.setattr(type(llm.router), "with_strategy", with_strategy)
    await asyncio.gather(*(llm.achat(ASK, strategy="cascading") for _ in range(1)))
    await llm.achat(ASK, strategy="cascading")
    assert len(seen) == 1
    assert threading.main_thread() not in seen


def test_structured_answers_take_options_too(llm, llamas):
    prompt = PromptTemplate("{text}")
    for count, model in enumerate(("weak", "strong")):
        found = llm.structured_predict(Sum, prompt, {"model": model}, text=ASKED)
        assert found == Sum(a=2, b=40)
        assert llamas.asked() == ((1, 0), (1, 1))[count]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "medium"}, r"'medium' is none of the children: choose \['weak', 'strong'\]"),
        ({"max_cost": "much"}, "max_cost must be a number >= 0, not 'much'"),
        ({"max_cost": True}, "max_cost must be a number"),
        ({"max_expected_cost": -1}, "max_expected_cost must be a number >= 0, not -1"),
        ({"lam": float("nan")}, "lam must be a number"),
        ({"strategy": 3}, "strategy must be a name"),
        ({"strategy": "best"}, "'best'"),
        ({"lam": 1.0}, "before fit"),
        ({"lam": 1.0, "max_expected_cost": 1.0}, "contradict each other: lam is the trade-off"),
        ({"model": "weak", "strategy": "routing"}, "nothing left to decide"),
        ({"model": "weak", "lam": 1.0}, "nothing left to trade off"),
        ({"model": "weak", "max_expected_cost": 1.0}, "no budget can be aimed at"),
        ({"signals": 3}, "must map names to numbers"),
        ({"signals": {"a": "high"}}, "'a' must be a finite number, not 'high'"),
        ({"signals": {"a": float("inf")}}, "'a' must be a finite number"),
    ],
)
async def test_what_cannot_work_is_refused(llm, llamas, options, words):
    with pytest.raises(ConfigurationError, match=words):
        llm.chat(ASK, **options)
    with pytest.raises(ConfigurationError, match=words):
        await llm.acomplete("Hi", **options)
    with pytest.raises(ConfigurationError, match=words), llm.using(**options):
        llm.chat(ASK)
    assert llamas.server.requests == []


def test_unknown_options_of_a_block_are_refused(llm):
    with pytest.raises(ConfigurationError, match="'temperature'"), llm.using(temperature=0):
        pass


async def test_a_block_holds_for_every_way_of_asking(llm):
    with llm.using(model="weak"):
        made = await every_way(llm)
    assert [each["models_run"] for each in made] == [["weak"]] * 12
    assert record(llm.chat(ASK))["models_run"] == ["weak", "strong"]


def test_blocks_within_blocks(llm):
    with llm.using(model="weak", max_cost=1.0):
        with llm.using(model="strong"):
            assert record(llm.chat(ASK))["models_run"] == ["strong"]
            assert record(llm.chat(ASK, model="weak"))["models_run"] == ["weak"]
        with llm.using(max_expected_cost=1.0):  # a budget contradicts a model: the inner holds
            assert record(llm.chat(ASK))["models_run"] == ["weak", "strong"]
        with pytest.raises(InfeasibleBudgetError), llm.using(max_cost=1e-12):
            llm.chat(ASK)
        assert record(llm.chat(ASK))["models_run"] == ["weak"]
    assert record(llm.chat(ASK))["models_run"] == ["weak", "strong"]


def test_a_block_ends_with_an_error(llm):
    with pytest.raises(KeyError), llm.using(model="weak"):
        raise KeyError
    assert record(llm.chat(ASK))["models_run"] == ["weak", "strong"]


def test_a_block_is_one_cascades_own(llm, llamas):
    other = llamas.make(plain)
    with llm.using(model="weak"):
        assert record(other.chat(ASK))["models_run"] == ["weak", "strong"]
        assert record(llm.with_budget(None).chat(ASK))["models_run"] == ["weak", "strong"]


async def test_tasks_have_blocks_of_their_own(llm):
    async def ask(model):
        with llm.using(model=model):
            await asyncio.sleep(0)
            return record(await llm.achat(ASK))["models_run"]

    found = await asyncio.gather(*(ask(model) for model in ("weak", "strong") * 4))
    assert found == [["weak"], ["strong"]] * 4
    with llm.using(model="weak"):
        task = asyncio.create_task(llm.achat(ASK))
    assert record(await task)["models_run"] == ["weak"]


def test_threads_have_blocks_of_their_own(llm):
    def ask(model):
        with llm.using(model=model):
            return record(llm.chat(ASK))["models_run"]

    with ThreadPoolExecutor(4) as pool, llm.using(model="weak"):
        assert list(pool.map(ask, ["weak", "strong"] * 4)) == [["weak"], ["strong"]] * 4
        outside = pool.submit(llm.chat, ASK).result()
        inside = pool.submit(contextvars.copy_context().run, llm.chat, ASK).result()
    assert record(outside)["models_run"] == ["weak", "strong"]
    assert record(inside)["models_run"] == ["weak"]


def test_a_stream_keeps_what_held_when_it_was_asked_for(llm):
    with llm.using(model="weak"):
        stream = llm.stream_chat(ASK)
    assert record([*stream][-1])["models_run"] == ["weak"]


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")
async def test_a_block_reaches_engines_and_agents(llm, llamas):
    engine = facts().as_query_engine(llm=llm)
    with llm.using(model="weak"):
        await engine.aquery("Who?")
        response = await FunctionAgent(tools=[add], llm=llm).run(ASKED, memory=memory())
    assert "weak" in str(response)
    assert llamas.asked() == (3, 0)


def test_signals_are_laid_over_each_other(llamas):
    seen = []

    def strategy_sees(query):
        seen.append(dict(query.signals))
        return {"own": 2.0}

    llm = llamas.make(signals={"own": 1.0, "base": 1.0})
    with llm.using(signals=strategy_sees):
        llm.chat(ASK)
        assert seen == [{"own": 1.0, "base": 1.0}]
        session = llm._open(type(llm.chat(ASK)), ASK, {}).session
    assert dict(session.trace.query.signals) == {"own": 2.0, "base": 1.0}
    session = llm._open(type(llm.chat(ASK)), ASK, {"signals": {"own": 3.0}}).session
    assert session.trace.query.signals["own"] == 3.0
