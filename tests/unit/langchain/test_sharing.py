"""Many callers of one cascade, and one cache for many cascades."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.config import var_child_runnable_config

from cascade_engine import Price
from langchain_cascade import CascadeRoutingLLM
from tests.helpers import whole


def record(message):
    return message.response_metadata["cascade"]


def echoing(fakes):
    """A cascade whose answer, and the child that gives it, follow from the question."""

    def weak(question):
        number = int(question)
        return fakes.Say(f"weak {number}", 0.99 if number % 2 else 0.2)

    strong = fakes.StreamChat(model_name="strong", script=lambda q: fakes.Say(f"strong {q}", 0.9))
    return fakes.cascade(fakes.StreamChat(model_name="weak", script=weak), strong)


def check_unmixed(number, message):
    chosen = "weak" if number % 2 else "strong"
    assert message.text == f"{chosen} {number}"
    assert record(message)["chosen"] == chosen
    assert record(message)["models_run"] == (["weak"] if number % 2 else ["weak", "strong"])


def seen_by(number):
    """Two calls of three have a handler, and go another way."""
    return {"callbacks": [BaseCallbackHandler()]} if number % 3 else None


def test_threads_do_not_mix_their_records(fakes):
    llm, threads = echoing(fakes), 100
    together = Barrier(threads)

    def invoke(number):
        together.wait(timeout=60)
        return llm.invoke(str(number), seen_by(number))

    with ThreadPoolExecutor(threads) as pool:
        messages = list(pool.map(invoke, range(3 * threads)))
        streams = list(pool.map(lambda i: whole(llm.stream(str(i), seen_by(i))), range(threads)))
    for answers in (messages, streams):
        for number, message in enumerate(answers):
            check_unmixed(number, message)
        assert len({message.id for message in answers}) == len(answers)


@pytest.mark.slow
async def test_concurrent_calls_do_not_mix_their_records(fakes):
    llm = echoing(fakes)
    messages = await asyncio.gather(*(llm.ainvoke(str(i), seen_by(i)) for i in range(1000)))
    for number, message in enumerate(messages):
        check_unmixed(number, message)
    assert len({message.id for message in messages}) == 1000


async def test_calls_that_wait_for_each_other_do_not_mix_their_records():
    """All are under way at once: no child answers before every call has asked one."""
    waiting, every = [], asyncio.Event()

    async def say(messages):
        waiting.append(var_child_runnable_config.get()["configurable"]["number"])
        if len(waiting) == 1000:
            every.set()
        await every.wait()
        assert var_child_runnable_config.get()["configurable"]["number"] == messages[-1].text
        return AIMessage(messages[-1].text)

    llm = CascadeRoutingLLM(models={"only": RunnableLambda(say)})
    calls = (llm.ainvoke(str(i), {"configurable": {"number": str(i)}}) for i in range(1000))
    messages = await asyncio.wait_for(asyncio.gather(*calls), timeout=60)
    assert [message.text for message in messages] == [str(i) for i in range(1000)]
    assert {record(message)["chosen"] for message in messages} == {"only"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"max_expected_cost": 1}, {"max_expected_cost": 1e-3}),
        ({"max_cost": 1}, {"max_cost": 1e-3}),
        ({"priors": [0.1, 0.2]}, {"priors": [0.3, 0.4]}),
        ({}, {"prices": {"weak": Price(1, 2), "strong": Price(3, 4)}}),
        ({}, {"cost": "seconds"}),
    ],
)
def test_the_cache_keeps_different_cascades_apart(fakes, one, other):
    cache = InMemoryCache()
    first, second = fakes.cascade(cache=cache, **one), fakes.cascade(cache=cache, **other)
    first.models.update(second.models)  # the very same children
    answered = [record(llm.invoke("Hi")) for llm in (first, second)]
    assert len(cache._cache) == 2
    asked = list(second.models["weak"].log)
    assert [record(llm.invoke("Hi")) for llm in (first, second)] == answered
    assert second.models["weak"].log == asked  # now from the cache


def test_the_cache_keeps_budgets_of_a_call_apart(fakes):
    cache = InMemoryCache()
    llm = fakes.cascade(cache=cache)
    cheap = {"configurable": {"max_cost": 1e-3}}
    assert record(llm.invoke("Hi"))["models_run"] == ["weak", "strong"]
    assert record(llm.invoke("Hi", cheap))["models_run"] == ["weak"]
    assert record(llm.invoke("Hi"))["models_run"] == ["weak", "strong"]
    assert len(cache._cache) == 2
