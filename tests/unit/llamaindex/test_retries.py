"""Children that are asked again after errors that may pass: over a real client, and by fakes."""

from __future__ import annotations

import asyncio
import time

import pytest

pytest.importorskip("llama_index.llms.openai_like")

from llama_index.core.base.llms.types import ChatMessage, CompletionResponse, LLMMetadata
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_completion_callback
from pydantic import Field, ValidationError

from cascade_engine import AllModelsFailedError
from llamaindex_cascade import CascadeRoutingLLM
from tests.llamaindex_fixtures import record
from tests.scripted import Reply

ASK = [ChatMessage(content="Hi")]
WAYS = ["chat", "stream_chat", "achat", "astream_chat"]


async def answer(llm, way):
    """The last, or only, response to a call made in one of the ways."""
    response = getattr(llm, way)(ASK)
    response = await response if way.startswith("a") else response
    if hasattr(response, "__aiter__"):
        return [chunk async for chunk in response][-1]
    return [*response][-1] if "stream" in way else response


def busy(times, then="yes", status=429):
    """A script that refuses so many requests."""
    return [Reply.error(status)] * times + [then]


@pytest.fixture
def pauses(monkeypatch):
    """Seconds that would have been waited."""
    seconds = []

    async def asleep(pause):
        seconds.append(pause)

    monkeypatch.setattr(time, "sleep", seconds.append)
    monkeypatch.setattr(asyncio, "sleep", asleep)
    return seconds


@pytest.mark.parametrize("way", WAYS)
async def test_a_passing_error_is_tried_again_over_a_client(scripted_server, pauses, way):
    llm = CascadeRoutingLLM([scripted_server.llm("only", busy(2))], max_retries=2)
    response = await answer(llm, way)
    assert response.message.content == "yes"
    assert (record(response)["models_run"], record(response)["failures"]) == (["only"], [])
    assert len(pauses) == 2
    assert all(0.5 <= pause <= 2 for pause in pauses)
    assert len(scripted_server.requests) == 3


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "refusal", [(0, 1, 429), (1, 2, 503), (9, 1, 401)], ids=["none", "longer", "lasting"]
)
async def test_others_and_those_that_stay_are_failures(scripted_server, pauses, way, refusal):
    retries, times, status = refusal
    weak = scripted_server.llm("weak", busy(times, status=status))
    llm = CascadeRoutingLLM([weak, scripted_server.llm("strong", "no")], max_retries=retries)
    response = await answer(llm, way)
    assert record(response)["models_run"] == ["strong"]
    assert [failure["model"] for failure in record(response)["failures"]] == ["weak"]
    assert len(pauses) == (retries if status != 401 else 0)


async def test_a_stream_that_has_begun_to_speak_is_not_tried_again(scripted_server, pauses):
    cut = [Reply("a b c d", cut=3), "never"]
    llm = CascadeRoutingLLM([scripted_server.llm("only", cut)], max_retries=3)
    with pytest.raises(Exception, match=r"peer closed|incomplete"):
        list(llm.stream_chat(ASK))
    assert (len(scripted_server.requests), pauses) == (1, [])


async def test_what_is_learned_from_is_tried_again_too(scripted_server, pauses):
    llm = CascadeRoutingLLM([scripted_server.llm("only", busy(2))], max_retries=2)
    collection = llm.collect(["Hi"], progress=False)
    assert [result.text for result in collection.results.values()] == ["yes"]
    assert len(pauses) == 2


class Stalling(CustomLLM):
    """Raises as often as it is told, and then speaks after some chunks without a word."""

    errors: list[Exception] = Field(default_factory=list)
    silent: int = 0
    pause: float = 0.0

    @property
    def metadata(self):
        return LLMMetadata(model_name="stalling")

    @llm_completion_callback()
    def complete(self, prompt, **kwargs):
        if self.errors:
            raise self.errors.pop()
        return CompletionResponse(text="yes")

    @llm_completion_callback()
    def stream_complete(self, prompt, **kwargs):
        def chunks():
            for delta in [""] * self.silent + ["yes"]:
                time.sleep(self.pause)
                yield CompletionResponse(text=delta, delta=delta)
                if self.errors:
                    raise self.errors.pop()

        return chunks()


@pytest.mark.parametrize("way", ["complete", "stream_complete", "acomplete", "astream_complete"])
async def test_children_that_work_in_threads_are_tried_again(pauses, way):
    llm = CascadeRoutingLLM([Stalling(errors=[TimeoutError("slow")], silent=1)], max_retries=1)
    response = getattr(llm, way)("Hi")
    response = await response if way.startswith("a") else response
    if hasattr(response, "__aiter__"):
        response = [chunk async for chunk in response][-1]
    elif "stream" in way:
        response = [*response][-1]
    assert response.text == "yes"
    assert [pause for pause in pauses if pause] != []


def test_the_number_can_be_assigned_and_is_written_down(pauses):
    child = Stalling(errors=[TimeoutError("slow")])
    llm = CascadeRoutingLLM([child])
    llm.max_retries = 1
    assert llm.complete("Hi").text == "yes"
    assert CascadeRoutingLLM.from_dict(llm.to_dict()).max_retries == 1
    with pytest.raises(ValidationError, match="max_retries"):
        CascadeRoutingLLM([child], max_retries=-1)


def test_silence_before_the_first_word_is_counted_once():
    llm = CascadeRoutingLLM([Stalling(silent=4, pause=0.02)])
    start = time.perf_counter()
    response = [*llm.stream_complete("Hi")][-1]
    elapsed = time.perf_counter() - start
    (call,) = record(response)["calls"]
    assert 0.1 <= call["seconds_to_first_token"] <= call["seconds"] <= elapsed


# Errors of handlers, which are no child's.


class Limit(BaseCallbackHandler):
    """Raises when a call begins, or ends."""

    def __init__(self, error, at):
        super().__init__([], [])
        self.error, self.at = error, at

    def on_event_start(self, *args, **kwargs):
        if self.at == "start":
            raise self.error
        return ""

    def on_event_end(self, *args, **kwargs):
        if self.at == "end":
            raise self.error

    def start_trace(self, trace_id=None):
        """Nothing begins."""

    def end_trace(self, trace_id=None, trace_map=None):
        """Nothing ends."""


class Unrelated:
    """A handler that is none of LlamaIndex's."""

    event_starts_to_ignore = event_ends_to_ignore = ()

    def __init__(self, error, at):
        self._limit = Limit(error, at)
        self.on_event_start = self._limit.on_event_start
        self.on_event_end = self._limit.on_event_end

    def start_trace(self, trace_id=None):
        """Nothing begins."""

    def end_trace(self, trace_id=None, trace_map=None):
        """Nothing ends."""


@pytest.mark.parametrize("way", ["complete", "stream_complete", "acomplete", "astream_complete"])
@pytest.mark.parametrize("at", ["start", "end"])
@pytest.mark.parametrize("kind", [Limit, Unrelated])
async def test_a_handlers_error_is_raised_and_not_tried_again(pauses, way, at, kind):
    """Also one that would pass, were it the child's; and where the handler is the child's own."""
    for own in (False, True):
        manager = CallbackManager([kind(TimeoutError("budget"), at)])
        child = Stalling(callback_manager=manager if own else CallbackManager([]))
        fields = {} if own else {"callback_manager": manager}
        llm = CascadeRoutingLLM({"a": child, "b": Stalling()}, max_retries=2, **fields)
        with pytest.raises(TimeoutError, match="budget"):  # noqa: PT012
            response = getattr(llm, way)("Hi")
            response = await response if way.startswith("a") else response
            if hasattr(response, "__aiter__"):
                [chunk async for chunk in response]
            elif "stream" in way:
                list(response)
    assert not any(pauses)


def test_the_same_error_of_a_child_is_its_failure():
    with pytest.raises(AllModelsFailedError, match="budget"):
        CascadeRoutingLLM([Stalling(errors=[TimeoutError("budget")])]).complete("Hi")
