"""The cascade over real clients of a real, small model."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("langchain_openai")

import httpx
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_cascade import CascadeRoutingLLM, Price
from tests.capitals import QUESTIONS, REFERENCES, chat, holds
from tests.helpers import whole
from tests.scripted.clients import LOOPBACK

pytestmark = [pytest.mark.local_models, pytest.mark.slow]

QUESTION = "What is the capital of France?"
#: The same model, cut off after 4 tokens or after 10: the second is dearer and says more.
LENGTHS = {"short": 4, "long": 10}
PRICES = {"short": Price(1, 1), "long": Price(1, 1)}
SUMS = {f"What is {a} + {b}? Answer with a number.": str(a + b) for a, b in ((2, 2), (3, 5))}


def clients(server):
    """Two clients with connections of their own: event loops cannot share them."""
    return {
        name: chat(server, tokens, http_async_client=httpx.AsyncClient(**LOOPBACK))
        for name, tokens in LENGTHS.items()
    }


@pytest.fixture
def make(local_server):
    """The factory of cascades."""
    made = []

    def build(**fields):
        models = clients(local_server)
        made.extend(models.values())
        return CascadeRoutingLLM(models=models, **{"prices": PRICES, **fields})

    yield build
    for client in made:
        client.http_client.close()


@pytest.fixture(scope="module")
def learned(local_server):
    """A router that has learned to route from the real answers, at a budget."""
    models = clients(local_server)
    llm = CascadeRoutingLLM(
        models=models, prices=PRICES, strategy="routing", max_expected_cost=1e-4
    )
    llm.fit([*QUESTIONS, *SUMS], [*REFERENCES, *SUMS.values()], grade=holds)
    for client in models.values():
        client.http_client.close()
    return llm.router


def check_escalated(message):
    """The short answer was in doubt, so the long one is returned."""
    made = message.response_metadata["cascade"]
    assert made["models_run"] == ["short", "long"]
    short, long = made["calls"]
    assert short["output_tokens"] == 4
    assert short["finish_reason"] == "length"
    assert message.usage_metadata["output_tokens"] == long["output_tokens"] > 4
    assert made["total_cost"] == pytest.approx(short["cost"] + long["cost"])
    assert short["cost"] == pytest.approx((short["input_tokens"] + 4) / 1e6)
    doubt = made["decisions"][1]["quality"]["short"]
    assert 0 < doubt < 0.9
    assert doubt != 0.5  # its own log-probs, not the prior
    assert len(message.response_metadata["logprobs"]["content"]) == long["output_tokens"]


@pytest.fixture(scope="module")
def doubtful(local_server):
    """A question whose short answer the rule does not accept, found by asking."""
    models = clients(local_server)
    found = []
    for question in (QUESTION, "Write a poem about rain.", "List three colours."):
        tokens = models["short"].invoke(question).response_metadata["logprobs"]["content"]
        if math.exp(sum(t["logprob"] for t in tokens) / len(tokens)) < 0.85:
            found.append(question)
            break
    for client in models.values():
        client.http_client.close()
    assert found, "the small model is sure of everything"
    return found[0]


def test_sync(make, doubtful):
    llm = make()
    first = llm.invoke(doubtful)
    streamed = whole(list(llm.stream(doubtful)))
    for message in (first, streamed, *llm.batch([doubtful] * 2, {"max_concurrency": 2})):
        check_escalated(message)
        assert message.text == first.text


async def test_async(make, doubtful):
    llm = make()
    message = await llm.ainvoke(doubtful)
    check_escalated(message)
    chunks = [chunk async for chunk in llm.astream(doubtful)]
    check_escalated(whole(chunks))
    assert whole(chunks).text == message.text
    for other in await llm.abatch([doubtful] * 2):
        assert other.text == message.text
    shown = [
        event["data"]["chunk"].text
        async for event in llm.astream_events(doubtful, version="v2")
        if event["event"] == "on_chat_model_stream"
    ]
    assert "".join(shown) == message.text
    await close(llm)


def test_usage_is_exact(make, local_server, doubtful):
    llm = make()
    for ask in (llm.invoke, lambda q: whole(list(llm.stream(q)))):
        with get_usage_metadata_callback() as counted:
            made = ask(doubtful).response_metadata["cascade"]
        (used,) = counted.usage_metadata.values()
        assert set(counted.usage_metadata) == {local_server.model}
        for side in ("input_tokens", "output_tokens"):
            assert used[side] == sum(call[side] for call in made["calls"])


def test_in_a_chain_with_a_cap(make, doubtful):
    llm = make()
    chain = ChatPromptTemplate.from_template("{q}") | llm
    free = chain.invoke({"q": doubtful})
    check_escalated(free)
    assert (chain | StrOutputParser()).invoke({"q": doubtful}) == free.text
    capped = chain.invoke({"q": doubtful}, {"configurable": {"max_cost": 0.0003}})
    made = capped.response_metadata["cascade"]
    assert made["models_run"] == ["short"]  # 256 tokens are expected of the next
    assert made["total_cost"] <= 0.0003


def test_a_fitted_policy_keeps_to_its_budget(make, learned):
    llm = make(strategy="routing")
    llm._router = learned
    cheapest = float(learned.frontier_.cost[0])
    llm = llm.with_budget(cheapest)
    made = llm.invoke(QUESTION).response_metadata["cascade"]
    assert made["fitted"] is True
    assert made["lambda"] >= 0
    assert made["budget"] == cheapest
    assert made["models_run"] == ["short"]


def test_a_routed_answer_streams_live(make, learned):
    llm = make(strategy="routing")
    llm._router = learned
    with get_usage_metadata_callback() as counted:
        chunks = list(llm.stream(QUESTION))
    message = whole(chunks)
    made = message.response_metadata["cascade"]
    assert made["decisions"][0]["final"] is True
    assert sum(bool(chunk.text) for chunk in chunks) > 2
    assert [i for i, c in enumerate(chunks) if "cascade" in c.response_metadata] == [
        len(chunks) - 1
    ]
    (call,) = made["calls"]
    assert call["output_tokens"] == message.usage_metadata["output_tokens"]
    assert len(message.response_metadata["logprobs"]["content"]) == call["output_tokens"]
    (used,) = counted.usage_metadata.values()
    assert used["output_tokens"] == call["output_tokens"]


async def test_a_routed_answer_streams_live_without_blocking(make, learned):
    llm = make(strategy="routing")
    llm._router = learned
    chunks = [chunk async for chunk in llm.astream(QUESTION)]
    assert sum(bool(chunk.text) for chunk in chunks) > 2
    assert whole(chunks).response_metadata["cascade"]["chosen"] in LENGTHS
    await close(llm)


async def close(llm):
    """Ends the connections of this event loop."""
    for client in llm.models.values():
        await client.http_async_client.aclose()
