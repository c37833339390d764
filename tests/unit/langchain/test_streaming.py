"""Streams: what is shown when, the record on one chunk, failures halfway."""

from __future__ import annotations

import pytest
from langchain_core.callbacks import get_usage_metadata_callback

from cascade_engine import AllModelsFailedError
from langchain_cascade import CascadeRoutingLLM
from tests.helpers import whole


@pytest.fixture(params=["stream", "astream"])
def chunks(request):
    """Streams in one of the two ways, calling `between(chunk)` at each chunk."""

    async def run(llm, question="Hi", config=None, between=lambda _: None):
        got = []
        if request.param == "stream":
            for chunk in llm.stream(question, config):
                got.append(chunk)
                between(chunk)
        else:
            async for chunk in llm.astream(question, config):
                got.append(chunk)
                between(chunk)
        return got

    return run


def alone(fakes, said, **fields):
    """A cascade whose only step is final."""
    child = fakes.StreamChat(model_name="only", script=said)
    return CascadeRoutingLLM(models=[child], prices={"only": fakes.PRICES["weak"]}, **fields)


async def test_a_final_step_streams_live(fakes, chunks):
    llm = alone(fakes, fakes.Say("one two three four", 0.9))
    log, seen = llm.models["only"].log, []
    got = await chunks(llm, between=lambda chunk: seen.append((chunk.text, list(log))))
    live = [text for text, so_far in seen if "done" not in so_far]
    assert live == ["one", " two", " three", " four"]
    assert [len(so_far) for _, so_far in seen[:4]] == [2, 3, 4, 5]
    assert whole(got).text == "one two three four"


async def test_a_live_stream_carries_what_the_child_gave(fakes, chunks):
    got = await chunks(alone(fakes, fakes.Say("one two three", 0.9)))
    message = whole(got)
    assert len(message.response_metadata["logprobs"]["content"]) == 3
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.response_metadata["model_name"] == "only"
    assert message.usage_metadata == fakes.USAGE
    made = message.response_metadata["cascade"]
    assert made["calls"][0]["output_tokens"] == 4
    assert made["total_cost"] == pytest.approx(7e-6)
    assert made["decisions"][0]["final"] is True


async def test_the_record_is_on_the_last_chunk_alone(fakes, chunks):
    for llm in (alone(fakes, fakes.Say("one two three", 0.9)), fakes.cascade()):
        got = await chunks(llm)
        carrying = [i for i, c in enumerate(got) if "cascade" in c.response_metadata]
        assert carrying == [len(got) - 1]
        assert [c.chunk_position for c in got if c.chunk_position] == ["last"]
        assert got[-1].chunk_position == "last"
        assert whole(got).response_metadata["cascade"] == got[-1].response_metadata["cascade"]
        assert len({chunk.id for chunk in got}) == 1


async def test_a_message_with_an_id_of_its_provider_keeps_it_to_the_end(fakes, chunks):
    class Named(fakes.StreamChat):
        def pieces(self, messages):
            for piece in super().pieces(messages):
                piece.message.id = "msg_1"
                if "finish_reason" in piece.message.response_metadata:
                    piece.message.chunk_position = "last"
                yield piece

    child = Named(model_name="only", script=fakes.Say("one two", 0.9))
    got = await chunks(CascadeRoutingLLM([child]))
    assert {chunk.id for chunk in got} == {"msg_1"}


async def test_an_accepted_draft_is_shown_once(fakes, chunks):
    got = await chunks(fakes.cascade(fakes.Say("hello there", 0.99)))
    assert whole(got).text == "hello there"
    assert whole(got).usage_metadata == fakes.USAGE


async def test_no_chunk_of_a_rejected_draft_is_shown(fakes, chunks):
    got = await chunks(fakes.cascade())
    assert "".join(chunk.text for chunk in got) == "the right answer"


async def test_a_child_without_streaming_of_its_own_can_be_final(fakes, chunks):
    child = fakes.WholeChat(model_name="only", script=fakes.Say("all at once", 0.9))
    message = whole(await chunks(CascadeRoutingLLM(models=[child])))
    assert message.text == "all at once"
    assert message.usage_metadata == fakes.USAGE
    assert message.response_metadata["cascade"]["calls"][0]["finish_reason"] == "stop"


async def test_streaming_can_be_switched_off(fakes, chunks):
    tracer = fakes.Tracer()
    llm = alone(fakes, fakes.Say("one two", 0.9), disable_streaming=True)
    (message,) = await chunks(llm, config={"callbacks": [tracer]})
    assert message.text == "one two"
    assert message.response_metadata["cascade"]["chosen"] == "only"
    assert tracer.tree() == [("CascadeRoutingLLM", "only")]


def final_and_spare(fakes, fitted_router, said):
    """Fitted so that the first step is final, with a spare child behind."""
    llm = fakes.learning(strategy="routing")
    llm._router = fitted_router
    llm.models["weak"].script = said
    llm.models["strong"].script = fakes.Say("from strong", 0.9)
    return llm.with_budget(7e-6)  # enough for the weak child alone


async def test_a_failure_before_anything_was_shown_is_made_good(fakes, fitted_router, chunks):
    llm = final_and_spare(fakes, fitted_router, fakes.Say("one two", error=ConnectionError("cut")))
    got = await chunks(llm, "easy question number 1?")
    assert whole(got).text == "from strong"
    made = whole(got).response_metadata["cascade"]
    assert made["models_run"] == ["strong"]
    assert "cut" in made["failures"][0]["error"]


async def test_a_failure_halfway_is_the_childs_own_error(fakes, fitted_router, chunks):
    error = ConnectionError("cut off")
    llm = final_and_spare(fakes, fitted_router, fakes.Say("one two", error=error, error_after=1))
    shown, tracer = [], fakes.Tracer()
    with pytest.raises(ConnectionError, match="cut off") as raised:
        await chunks(
            llm,
            "easy question number 1?",
            {"callbacks": [tracer]},
            between=lambda c: shown.append(c.text),
        )
    assert raised.value is error
    assert shown == ["one"]
    assert llm.models["strong"].log == []
    assert "cut off" in tracer.roots[0].error


async def test_a_failure_halfway_is_not_tried_again(fakes, chunks):
    said = fakes.Say("one two", error=TimeoutError("cut"), error_after=1)
    llm = alone(fakes, said, max_retries=1)
    with pytest.raises(TimeoutError, match="cut"):
        await chunks(llm)
    assert llm.models["only"].log == ["asked Hi", "said one"]


async def test_a_stream_without_chunks_is_a_failure(fakes, chunks):
    class Silent(fakes.StreamChat):
        def pieces(self, messages):
            return iter(())

    with pytest.raises(AllModelsFailedError, match="only"):
        await chunks(CascadeRoutingLLM(models={"only": Silent(script=fakes.Say(""))}))


async def test_leaving_a_live_stream_ends_the_run(fakes):
    tracer = fakes.Tracer()
    llm = alone(fakes, fakes.Say("one two three", 0.9))
    stream = llm.stream("Hi", {"callbacks": [tracer]})
    assert next(stream).text == "one"
    stream.close()
    assert "said two" not in llm.models["only"].log
    assert len(tracer.roots) == 1
    live = llm.astream("Hi", {"callbacks": [tracer]})
    assert (await anext(live)).text == "one"
    await live.aclose()
    assert "said two" not in llm.models["only"].log


async def test_a_callable_cost_prices_a_live_stream(fakes, chunks):
    child = fakes.StreamChat(model_name="only", script=fakes.Say("one two", 0.9))
    llm = CascadeRoutingLLM(models=[child], cost=lambda name, answer: len(answer.text))
    assert whole(await chunks(llm)).response_metadata["cascade"]["total_cost"] == 7


async def test_a_final_step_of_a_cascade_in_a_cascade(fakes, chunks):
    inner = fakes.cascade()
    outer = CascadeRoutingLLM(models={"inner": inner}, prices={"inner": fakes.PRICES["strong"]})
    with get_usage_metadata_callback() as counted:
        got = await chunks(outer, config={"callbacks": [fakes.Tracer()]})
    message = whole(got)
    assert len(got) > 2
    assert message.text == "the right answer"
    assert message.response_metadata["cascade"]["models_run"] == ["inner"]
    used = {name: usage["total_tokens"] for name, usage in counted.usage_metadata.items()}
    assert used == {"weak": 7, "strong": 7}
