"""Many callers of one cascade, and one cache for many cascades."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.caches import InMemoryCache

from cascade_engine import Price
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


def test_threads_do_not_mix_their_records(fakes):
    llm = echoing(fakes)
    with ThreadPoolExecutor(50) as pool:
        for number, message in enumerate(pool.map(lambda i: llm.invoke(str(i)), range(100))):
            check_unmixed(number, message)
        streams = pool.map(lambda i: whole(llm.stream(str(i))), range(50))
        for number, chunk in enumerate(streams):
            check_unmixed(number, chunk)


async def test_concurrent_calls_do_not_mix_their_records(fakes):
    llm = echoing(fakes)
    messages = await asyncio.gather(*(llm.ainvoke(str(i)) for i in range(200)))
    for number, message in enumerate(messages):
        check_unmixed(number, message)


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
