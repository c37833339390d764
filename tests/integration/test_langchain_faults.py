"""Real clients whose provider fails, in every way that one can: what the cascade makes of it."""

from __future__ import annotations

import asyncio
from threading import Event

import pytest

pytest.importorskip("langchain_openai")

import httpx
import openai
from pydantic import BaseModel

from cascade_engine import AllModelsFailedError
from langchain_cascade import CascadeRoutingLLM
from tests.helpers import whole
from tests.scripted import Reply, plain, question_of, sure


class Sum(BaseModel):
    """A sum."""

    a: int
    b: int


def record(message):
    return message.response_metadata["cascade"]


async def test_a_draft_out_of_form_is_not_taken(cascades):
    llm = cascades.make(weak=Reply('{"a": 2, "b": "thr'))
    sums = llm.with_structured_output(Sum)
    found = [sums.invoke("2 + 3?"), await sums.ainvoke("2 + 3?"), *sums.stream("2 + 3?")]
    assert found == [Sum(a=2, b=3)] * 3
    raw = llm.with_structured_output(Sum, include_raw=True).invoke("2 + 3?")
    assert (raw["parsed"], raw["parsing_error"]) == (Sum(a=2, b=3), None)
    assert record(raw["raw"])["chosen"] == "strong"
    assert cascades.asked() == (4, 4)


def test_fallbacks(cascades):
    spare = cascades.server.chat("spare")
    broken = cascades.make(Reply.error(500)).with_fallbacks([spare])
    assert broken.invoke("Hi").text == "spare answers: Hi"
    assert "".join(chunk.text for chunk in broken.stream("Hi")) == "spare answers: Hi"
    main = cascades.server.chat("main", Reply.error(429))
    behind = main.with_fallbacks([cascades.make()])
    assert behind.invoke("Hi").text == f"{cascades.answering} answers: Hi"


def test_fallbacks_take_tools_and_forms(cascades):
    """LangChain hands both on to all of them, if it can read what the method returns."""
    spare = cascades.server.chat("spare")
    for llm in (cascades.make(), cascades.make(Reply.error(500)), cascades.make().bind(n=1)):
        safe = llm.with_fallbacks([spare])
        (call,) = safe.bind_tools([Sum]).invoke("2 + 3?").tool_calls
        assert (call["name"], call["args"]) == ("Sum", {"a": 2, "b": 3})
        assert safe.with_structured_output(Sum).invoke("2 + 3?") == Sum(a=2, b=3)


def test_retries(cascades):
    replies = {"weak": [Reply.error(500), "well"], "strong": [Reply.error(500), "well"]}
    llm = cascades.make(lambda request: replies[request["model"]].pop(0))
    again = llm.with_retry(
        retry_if_exception_type=(AllModelsFailedError,),
        stop_after_attempt=2,
        wait_exponential_jitter=False,
    )
    assert again.invoke("Hi").text == "well"
    assert cascades.asked() == (2, 1 + cascades.rounds(1)[1])


FAULTS = {
    "error": Reply.error(500),
    "rate limit": Reply.error(429),
    "too long": Reply.error(400, "too long", code="context_length_exceeded"),
    "dropped": Reply("a b c", cut=0),
    "cut off": Reply("a b c", cut=2),
    "malformed": Reply("a b c", malformed=True),
    "no choices": Reply("a b c", no_choices=True),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_draft_that_breaks_is_made_good(scripted_server, fault):
    models = [
        scripted_server.chat("weak", sure(0.99, FAULTS[fault])),
        scripted_server.chat("strong"),
    ]
    llm = CascadeRoutingLLM(models=models)
    answers = [
        llm.invoke("Hi"),
        await llm.ainvoke("Hi"),
        whole(list(llm.stream("Hi"))),
        whole([chunk async for chunk in llm.astream("Hi")]),
    ]
    for answer in answers:
        assert answer.text == "strong answers: Hi"
        assert record(answer)["models_run"] == ["strong"]
        assert [f["model"] for f in record(answer)["failures"]] == ["weak"]


async def test_a_live_stream_that_is_cut_off_is_not_begun_again(scripted_server):
    models = [
        scripted_server.chat("weak", sure(0.5)),
        scripted_server.chat("strong", Reply("one two three", cut=3)),
    ]
    llm, shown = CascadeRoutingLLM(models=models), []
    with pytest.raises(httpx.RemoteProtocolError):
        shown.extend(chunk.text for chunk in llm.stream("Hi"))
    assert "".join(shown) == "one two"
    with pytest.raises(httpx.RemoteProtocolError):
        await _drained(llm.astream("Hi"), shown)
    assert "".join(shown) == "one two" * 2
    assert len(scripted_server.asked("strong")) == 2


async def test_a_refusal_is_no_answer(cascades):
    llm = cascades.make(weak=Reply(refusal="I would rather not"))
    for answer in (llm.invoke("Hi"), await llm.ainvoke("Hi")):
        assert answer.text == "strong answers: Hi"


def test_a_child_that_takes_too_long(scripted_server):
    gate = Event()
    models = [
        scripted_server.chat("weak", Reply("late", gate=gate), timeout=0.1),
        scripted_server.chat("strong"),
    ]
    answer = CascadeRoutingLLM(models=models).invoke("Hi")
    gate.set()
    assert answer.text == "strong answers: Hi"
    assert "timed out" in record(answer)["failures"][0]["error"].lower()


async def test_cancelling_asks_no_other_child(cascades):
    gate = Event()
    llm = cascades.make(weak=Reply("late", gate=gate))
    for asking in (llm.ainvoke("Hi"), _drained(llm.astream("Hi"), [])):
        count = len(cascades.server.requests)
        task = asyncio.create_task(asking)
        await asyncio.to_thread(cascades.server.wait_for, count + 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    gate.set()
    assert cascades.asked() == (2, 0)


async def _drained(stream, shown):
    async for chunk in stream:
        shown.append(chunk.text)


def test_errors_in_a_batch_stand_where_they_belong(cascades):
    def script(request):
        return Reply.error(500) if "bad" in question_of(request) else plain(request)

    good, bad = cascades.make(script).batch(["good", "bad"], return_exceptions=True)
    assert good.text == f"{cascades.answering} answers: good"
    assert isinstance(bad, AllModelsFailedError)
    assert isinstance(bad.errors["strong"], openai.InternalServerError)
