from __future__ import annotations

import asyncio
import math

import pytest

pytest.importorskip("llama_index.llms.openai_like")

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.llms.openai_like import OpenAILike

from cascade_engine import Price
from llamaindex_cascade import CascadeRoutingLLM

PROMPT = "Is 'I loved it' positive or negative? One word."
QUESTION = [ChatMessage(content=PROMPT)]

pytestmark = [pytest.mark.local_models, pytest.mark.slow]


@pytest.fixture(scope="module")
def direct(local_server):
    return local_server.complete(PROMPT, max_tokens=16)


def cascade(server, *, children=2, **kwargs):
    """A cascade of a model with itself."""
    names = ["first", "second"][:children]
    llms = {
        name: OpenAILike(
            model=server.model,
            api_base=server.base_url,
            api_key="local",
            is_chat_model=True,
            temperature=0,
            max_tokens=16,
            additional_kwargs={
                "logprobs": True,
                "stream_options": {"include_usage": True},
            },
        )
        for name in names
    }
    return CascadeRoutingLLM(llms, prices={name: Price(1, 1) for name in names}, **kwargs)


def confidence(logprobs):
    return math.exp(sum(logprobs) / len(logprobs))


def check(response, direct, *, calls, live=False):
    """The record holds what the server says of the answer when it is asked directly."""
    record = response.additional_kwargs["cascade"]
    believed = record["decisions"][-1]["quality"][record["chosen"]]
    # In a stream the server says nothing of the end marker, the last token.
    known = direct.logprobs[:-1] if live else direct.logprobs
    assert believed == pytest.approx(confidence(known), abs=1e-3)
    assert len(record["calls"]) == calls
    for call in record["calls"]:
        assert call["input_tokens"] == direct.input_tokens
        assert call["output_tokens"] == direct.output_tokens
        assert call["finish_reason"] == direct.finish_reason
    tokens = direct.input_tokens + direct.output_tokens
    assert record["total_cost"] == pytest.approx(calls * tokens / 1e6)


def close(llm):
    for child in llm.llms.values():
        child._get_client().close()


async def aclose(llm):
    for child in llm.llms.values():
        await child._get_aclient().close()


def test_answers_carry_their_logprobs_and_usage(local_server, direct):
    assert direct.finish_reason == "stop"
    calls = 1 if confidence(direct.logprobs) >= 0.9 else 2
    counter = TokenCountingHandler(tokenizer=str.split)
    llm = cascade(local_server, callback_manager=CallbackManager([counter]))
    response = llm.chat(QUESTION)
    assert response.message.content == direct.text
    check(response, direct, calls=calls)
    completion = llm.complete(PROMPT)
    assert completion.text == direct.text
    check(completion, direct, calls=calls)
    tokens = direct.input_tokens + direct.output_tokens
    assert counter.total_llm_token_count == 2 * calls * tokens
    close(llm)


def test_a_live_stream_carries_them_too(local_server, direct):
    llm = cascade(local_server, children=1)
    for stream in (llm.stream_chat(QUESTION), llm.stream_complete(PROMPT)):
        chunks = list(stream)
        assert "".join(chunk.delta for chunk in chunks) == direct.text
        assert len(chunks) > 2
        check(chunks[-1], direct, calls=1, live=True)
    close(llm)


def test_without_blocking(local_server, direct):
    async def run():
        llm = cascade(local_server, children=1)
        check(await llm.achat(QUESTION), direct, calls=1)
        chunks = [chunk async for chunk in await llm.astream_chat(QUESTION)]
        assert "".join(chunk.delta for chunk in chunks) == direct.text
        check(chunks[-1], direct, calls=1, live=True)
        await aclose(llm)

    asyncio.run(run())


def test_a_dead_server_is_skipped(local_server, direct):
    llm = cascade(local_server)
    llm.llms["first"].api_base = "http://127.0.0.1:9"
    llm.llms["first"].max_retries = 0
    chunks = list(llm.stream_chat(QUESTION))
    record = chunks[-1].additional_kwargs["cascade"]
    assert [failure["model"] for failure in record["failures"]] == ["first"]
    check(chunks[-1], direct, calls=1, live=True)
    close(llm)
