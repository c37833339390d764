"""The record: latency, speed, tokens; and calls that came to nothing."""

from __future__ import annotations

import json

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableLambda

from cascade_engine import AllModelsFailedError, Answer, CascadeRouter, Price, Usage, drive
from cascade_engine.errors import InvalidAnswerError
from langchain_cascade import CascadeRoutingLLM
from tests.helpers import whole

PRICES = {"weak": Price(1, 1), "strong": Price(10, 10)}


def record(message):
    return message.response_metadata["cascade"]


class Clock:
    """Seconds that pass only when a child says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in ("langchain_cascade._calls", "cascade_engine.plugin.clock"):
        monkeypatch.setattr(f"{module}.time.perf_counter", clock)
    return clock


@pytest.fixture
def timed(fakes, clock):
    """A cascade whose children take a second to think and one for each word."""

    class Timed(fakes.StreamChat):
        def pieces(self, messages):
            clock.now += 1.0
            for piece in super().pieces(messages):
                yield piece
                clock.now += 1.0

        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            clock.now += 5.0
            return super()._generate(messages, stop, run_manager, **kwargs)

    return fakes.cascade(kind=Timed)


async def test_latency_and_speed_of_each_call(timed, ask, request):
    made = record(await ask(timed, "Hi"))
    weak, strong = made["calls"]
    assert (weak["seconds"], weak["tokens_per_second"]) == (5.0, 0.8)
    assert weak["seconds_to_first_token"] is None
    if "stream" in request.node.callspec.params["ask"]:
        # Three words, each with its second, and the end.
        assert strong["seconds_to_first_token"] == 1.0
        assert (strong["seconds"], strong["tokens_per_second"]) == (5.0, 0.8)
    else:
        assert strong["seconds_to_first_token"] is None
    json.dumps(made, allow_nan=False)


async def test_tokens_of_each_child_and_of_all(fakes, ask):
    made = record(await ask(fakes.cascade(), "Hi"))
    assert [(c["input_tokens"], c["output_tokens"]) for c in made["calls"]] == [(3, 4), (3, 4)]
    assert (made["total_input_tokens"], made["total_output_tokens"]) == (6, 8)


async def test_tokens_that_one_does_not_count_are_unknown_in_all(fakes, ask):
    strong = fakes.StreamChat(
        model_name="strong", script=fakes.Say("yes", 0.9), counts_tokens=False
    )
    made = record(await ask(fakes.cascade(strong=strong), "Hi"))
    assert made["calls"][1]["tokens_per_second"] is None
    assert (made["total_input_tokens"], made["total_output_tokens"]) == (None, None)


async def test_a_call_that_raised_used_nothing_that_is_known(fakes, ask):
    down = fakes.Say("x", error=ConnectionError("down"))
    made = record(await ask(fakes.cascade(down), "Hi"))
    assert made["failures"][0].keys() == {"model", "error", "seconds"}  # and no cost
    assert made["total_output_tokens"] == 4


async def test_the_first_token_is_the_first_that_is_seen(fakes, clock):
    class Slow(fakes.StreamChat):
        def _stream(self, messages, stop=None, run_manager=None, **kwargs):
            for text in ("", "", "now", " then"):
                clock.now += 1.0
                yield ChatGenerationChunk(message=AIMessageChunk(text))

    message = whole(list(CascadeRoutingLLM(models={"slow": Slow()}).stream("Hi")))
    (call,) = record(message)["calls"]
    assert (call["seconds_to_first_token"], call["seconds"]) == (3.0, 4.0)


async def test_the_time_that_the_reader_takes_is_not_the_childs(fakes, clock):
    class Slow(fakes.StreamChat):
        def _stream(self, messages, stop=None, run_manager=None, **kwargs):
            for text in ("now", " then", " last"):
                clock.now += 1.0
                yield ChatGenerationChunk(message=AIMessageChunk(text))

    chunks = []
    for chunk in CascadeRoutingLLM(models={"slow": Slow()}).stream("Hi"):
        chunks.append(chunk)
        clock.now += 50.0
    (call,) = record(whole(chunks))["calls"]
    assert (call["seconds_to_first_token"], call["seconds"]) == (1.0, 3.0)


async def test_a_stream_that_is_begun_again_is_timed_anew(fakes, fitted_router, clock):
    class Timed(fakes.StreamChat):
        def pieces(self, messages):
            clock.now += 2.0
            yield from super().pieces(messages)

    llm = fakes.learning(strategy="routing")
    models = {
        "weak": Timed(model_name="weak", script=fakes.Say("x", error=OSError("cut"))),
        "strong": Timed(model_name="strong", script=fakes.Say("yes")),
    }
    llm.models.update(models)
    llm._router = fitted_router
    made = record(whole(list(llm.with_budget(7e-6).stream("easy question number 1?"))))
    assert [failure["model"] for failure in made["failures"]] == ["weak"]
    assert made["calls"][0]["seconds_to_first_token"] == 2.0


def test_an_answer_that_cannot_be_used_is_paid_for():
    router = CascadeRouter(["weak", "strong"], prices=PRICES)
    answer = Answer("?", usage=Usage(100, 50), seconds=2.0)

    def run(call):
        if call.model == "weak":
            raise InvalidAnswerError("no JSON", answer)
        return Answer("{}", usage=Usage(100, 50))

    trace = drive(router.session("q", max_cost=0.01), run)
    (failure,) = trace.failures
    assert (failure.answer, failure.seconds) == (answer, 2.0)
    assert failure.cost == pytest.approx(150e-6)
    assert trace.total_cost == pytest.approx(150e-6 + 1500e-6)
    assert trace.total_tokens("input_tokens") == 200
    told = trace.to_dict()["failures"][0]
    assert (told["cost"], told["output_tokens"]) == (failure.cost, 50)
    assert trace.chosen == "strong"


def test_what_an_unusable_answer_cost_is_taken_from_the_cap():
    router = CascadeRouter(["weak", "strong"], prices=PRICES)
    dear = Answer("?", usage=Usage(0, 8000))

    def run(call):
        raise InvalidAnswerError("no JSON", dear)

    session = router.session("q", max_cost=0.01)
    trace = drive(session, run)
    assert [failure.model for failure in trace.failures] == ["weak"]
    with pytest.raises(AllModelsFailedError, match="cost more than is left of max_cost"):
        _ = session.result


def test_an_unusable_answer_of_unknown_cost():
    router = CascadeRouter(["weak", "strong"])

    def run(call):
        if call.model == "weak":
            raise InvalidAnswerError("no JSON", Answer("?"))
        return Answer("{}", cost=1.0)

    trace = drive(router.session("q"), run)
    assert trace.total_cost is None
    assert trace.total_tokens("output_tokens") is None


async def test_a_child_that_returns_no_message(fakes, ask):
    for nothing in (None, "text", {}, 0):
        odd = RunnableLambda(lambda _, nothing=nothing: nothing)
        llm = CascadeRoutingLLM(models={"odd": odd, "strong": fakes.cascade().models["strong"]})
        made = record(await ask(llm, "Hi"))
        assert made["chosen"] == "strong"
        (failure,) = made["failures"]
        assert f"returned {type(nothing).__name__} and no AIMessage" in failure["error"]


async def test_a_child_whose_response_is_empty(ask, fakes):
    class Empty(fakes.WholeChat):
        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            return ChatResult(generations=[])

    llm = fakes.cascade(Empty(model_name="weak"))
    made = record(await ask(llm, "Hi"))
    assert made["chosen"] == "strong"
    assert "IndexError" in made["failures"][0]["error"]


async def test_an_empty_answer_is_an_answer(ask, fakes):
    class Blank(fakes.WholeChat):
        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            return ChatResult(generations=[ChatGeneration(message=AIMessage(""))])

    llm = CascadeRoutingLLM(models=[Blank(model_name="only")])
    message = await ask(llm, "Hi")
    assert (message.text, record(message)["chosen"]) == ("", "only")


async def test_nothing_of_a_child_that_failed_before_its_first_token_is_shown(
    fakes, fitted_router, ask
):
    class Opening(fakes.StreamChat):
        def pieces(self, messages):
            meta = {"system_fingerprint": self.model_name}
            chunk = AIMessageChunk("", id=f"id-{self.model_name}", response_metadata=meta)
            yield ChatGenerationChunk(message=chunk)
            yield from super().pieces(messages)

    broken = fakes.Say("x", error=OSError("cut"))
    llm = fakes.learning(strategy="routing")
    for name, said in (("weak", broken), ("strong", fakes.Say("yes"))):
        llm.models[name] = Opening(model_name=name, script=said, message_id=f"id-{name}")
    llm._router = fitted_router
    message = await ask(llm.with_budget(7e-6), "easy question number 1?")
    assert (message.text, message.id) == ("yes", "id-strong")
    assert message.response_metadata.get("system_fingerprint") in {None, "strong"}
    assert record(message)["chosen"] == "strong"


async def test_a_stream_without_a_token_is_an_answer(fakes, ask):
    only = fakes.StreamChat(model_name="only", script=fakes.Say(""))
    message = await ask(CascadeRoutingLLM(models=[only]), "Hi")
    assert message.text == ""
    assert message.usage_metadata == fakes.USAGE
    assert record(message)["calls"][0]["finish_reason"] == "stop"
