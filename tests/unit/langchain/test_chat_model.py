"""Answering: every entrance, acceptance and escalation, the record, failures, ids."""

from __future__ import annotations

import copy
import json
import math

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableGenerator, RunnableLambda

from cascade_engine import AllModelsFailedError
from langchain_cascade import CascadeRoutingLLM
from langchain_cascade._messages import query_of
from tests.helpers import whole


def record(message):
    return message.response_metadata["cascade"]


async def test_a_sure_answer_is_accepted(fakes, ask):
    llm = fakes.cascade(fakes.Say("hello there", 0.95))
    message = await ask(llm, "Hi")
    assert message.text == "hello there"
    assert record(message)["models_run"] == ["weak"]
    assert message.response_metadata["model_name"] == "weak"
    assert llm.models["strong"].log == []


async def test_an_answer_in_doubt_is_escalated(fakes, ask):
    message = await ask(fakes.cascade(), "Hi")
    assert message.text == "the right answer"
    assert record(message)["models_run"] == ["weak", "strong"]
    assert message.response_metadata["model_name"] == "strong"


@pytest.mark.parametrize(("probability", "runs"), [(0.91, 1), (0.89, 2)])
def test_the_threshold_is_at_nine_tenths(fakes, probability, runs):
    message = fakes.cascade(fakes.Say("x y z", probability)).invoke("Hi")
    assert len(record(message)["models_run"]) == runs


@pytest.mark.parametrize("probability", [None, math.nan])
async def test_unknown_log_probs_are_not_accepted_while_another_can_run(fakes, ask, probability):
    llm = fakes.cascade(fakes.Say("hm", probability), fakes.Say("yes", probability))
    message = await ask(llm, "Hi")
    assert message.text == "yes"  # the last one is returned all the same
    quality = record(message)["decisions"][-1]["quality"]
    assert quality == pytest.approx({"weak": 0.5, "strong": 0.8})  # the priors


async def test_the_record_says_what_happened(fakes, ask):
    made = record(await ask(fakes.cascade(), "Hi"))
    assert made["chosen"] == "strong"
    assert [call["model"] for call in made["calls"]] == ["weak", "strong"]
    assert [call["cost"] for call in made["calls"]] == pytest.approx([7e-6, 7e-5])
    assert [(c["input_tokens"], c["output_tokens"]) for c in made["calls"]] == [(3, 4), (3, 4)]
    assert made["total_cost"] == pytest.approx(7.7e-5)
    assert made["fitted"] is False
    assert made["stopped_because"].startswith("strong is estimated at 0.99 and no")
    assert made["decisions"][1]["quality"]["weak"] == pytest.approx(0.5)
    assert made["decisions"][1]["after"] == ["weak"]
    assert made["failures"] == []
    assert made["model_name"] == "strong"
    json.dumps(made, allow_nan=False)


async def test_usage_is_the_accepted_calls_alone(fakes, ask):
    assert (await ask(fakes.cascade(), "Hi")).usage_metadata == fakes.USAGE


async def test_no_id_of_a_childs_run_leaks(fakes, ask):
    tracer = fakes.Tracer()
    message = await ask(fakes.cascade(), "Hi", {"callbacks": [tracer]})
    (root,) = tracer.roots
    assert message.id.startswith(f"lc_run--{root.id}")
    assert not any(str(child.id) in message.id for child in root.child_runs)


async def test_a_providers_id_is_kept(fakes, ask):
    strong = fakes.StreamChat(script=fakes.Say("yes", 0.99), message_id="chatcmpl-1")
    assert (await ask(fakes.cascade(strong=strong), "Hi")).id == "chatcmpl-1"


async def test_a_failing_child_is_passed_over(fakes, ask):
    broken = fakes.Say("x", error=ConnectionError("weak is down"))
    message = await ask(fakes.cascade(broken), "Hi")
    assert message.text == "the right answer"
    assert record(message)["models_run"] == ["strong"]
    (failure,) = record(message)["failures"]
    assert failure["model"] == "weak"
    assert "weak is down" in failure["error"]


async def test_the_answer_held_is_returned_when_the_next_child_fails(fakes, ask):
    message = await ask(fakes.cascade(strong=fakes.Say("x", error=OSError("down"))), "Hi")
    assert message.text == "a poor draft"
    assert record(message)["chosen"] == "weak"


async def test_when_all_fail_each_childs_error_is_told(fakes, ask):
    errors = {"weak": ConnectionError("no route"), "strong": TimeoutError("too slow")}
    llm = fakes.cascade(*[fakes.Say("x", error=error) for error in errors.values()])
    with pytest.raises(AllModelsFailedError, match=r"(?s)weak.*no route.*strong.*too slow") as e:
        await ask(llm, "Hi")
    assert e.value.errors == errors


async def test_a_conversation_too_long_for_all_is_said_to_be_so(fakes, ask):
    long = fakes.Say("x", error=ContextOverflowError("9 tokens are too many"))
    with pytest.raises(ContextOverflowError, match="9 tokens") as raised:
        await ask(fakes.cascade(long, long), "Hi")
    assert isinstance(raised.value, AllModelsFailedError)
    assert list(raised.value.errors) == ["weak", "strong"]
    again = copy.copy(raised.value)
    assert (type(again), str(again)) == (type(raised.value), str(raised.value))
    away = fakes.Say("x", error=TimeoutError("away"))
    with pytest.raises(AllModelsFailedError, match="away") as raised:
        await ask(fakes.cascade(long, away), "Hi")
    assert not isinstance(raised.value, ContextOverflowError)


async def test_a_child_that_returns_no_message_is_a_failure(fakes, ask):
    llm = CascadeRoutingLLM(models={"odd": RunnableLambda(lambda _: 42)})
    with pytest.raises(AllModelsFailedError, match="'odd' returned int and no AIMessage"):
        await ask(llm, "Hi")


async def test_a_fault_in_the_estimator_is_not_blamed_on_a_child(fakes, ask):
    llm = fakes.cascade()

    def observe(*args):
        raise ZeroDivisionError("estimator")

    llm.router._unfitted.quality.observe = observe
    with pytest.raises(ZeroDivisionError, match="estimator"):
        await ask(llm, "Hi")
    assert llm.models["strong"].log == []


async def test_one_model_works_alone(fakes, ask):
    for kind in (fakes.StreamChat, fakes.WholeChat):
        llm = CascadeRoutingLLM(models=[kind(model_name="only", script=fakes.Say("hm", 0.3))])
        assert (await ask(llm, "Hi")).text == "hm"


async def test_children_are_chat_models_bindings_or_chains(fakes, ask):
    weak = fakes.StreamChat(model_name="small", script=fakes.Say("hm", 0.3))
    strong = fakes.StreamChat(model_name="large", script=fakes.Say("yes", 0.99))
    as_list = CascadeRoutingLLM(models=[weak, strong.bind(temperature=0)])
    assert list(as_list.models) == ["small", "large"]
    assert list(CascadeRoutingLLM(models=[weak, strong.bind(model="own")]).models) == [
        "small",
        "own",
    ]
    chain = RunnableLambda(lambda messages: messages) | strong
    ending = strong | RunnableLambda(lambda m: AIMessage(m.text.upper()))
    for child, text in ((strong.bind(stop=["x"]), "yes"), (chain, "yes"), (ending, "YES")):
        message = await ask(CascadeRoutingLLM(models={"a": weak, "b": child}), "Hi")
        assert message.text == text
        alone = await ask(CascadeRoutingLLM(models={"b": child}), "Hi")
        assert alone.text == text


async def test_a_childs_cache_hit_without_token_counts_is_an_answer(fakes, ask):
    cache = InMemoryCache()
    models = {
        name: fakes.WholeChat(
            model_name=name, script=said, counts_tokens=False, cache=cache, message_id=f"id-{name}"
        )
        for name, said in (("weak", fakes.Say("hm", 0.5)), ("strong", fakes.Say("yes", 0.99)))
    }
    llm = CascadeRoutingLLM(models=models)
    for _ in range(2):
        message = await ask(llm, "Hi")
        assert record(message)["models_run"] == ["weak", "strong"]
        assert record(message)["failures"] == []
        assert message.text == "yes"
    assert models["weak"].log == ["asked Hi"]


def test_a_chain_that_adds_up_a_stream_gives_a_whole_message():
    call = {"name": "add", "args": '{"a": 1}', "id": "1", "index": 0}

    def stream(_):
        yield from (AIMessageChunk("", tool_call_chunks=[call]), AIMessageChunk("so"))

    llm = CascadeRoutingLLM(models={"chain": RunnableGenerator(stream)})
    message = llm.invoke("Hi")
    assert type(message) is AIMessage
    assert (message.text, message.tool_calls[0]["args"]) == ("so", {"a": 1})
    assert record(message)["chosen"] == "chain"
    assert whole(list(llm.stream("Hi"))).tool_calls[0]["args"] == {"a": 1}


async def test_tool_calls_of_the_accepted_answer_survive(fakes, ask):
    call = {"name": "add", "args": {"a": 1, "b": 2}, "id": "call-1", "type": "tool_call"}
    strong = RunnableLambda(lambda _: AIMessage("", tool_calls=[call]))
    weak = fakes.StreamChat(model_name="weak", script=fakes.Say("hm", 0.3))
    message = await ask(CascadeRoutingLLM(models={"weak": weak, "strong": strong}), "Hi")
    assert message.tool_calls == [call]


async def test_stop_and_other_keywords_reach_the_children(fakes, ask):
    seen = []

    class Spy(fakes.WholeChat):
        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            seen.append((stop, kwargs))
            return super()._generate(messages, stop, run_manager, **kwargs)

    llm = CascadeRoutingLLM(models=[Spy(script=fakes.Say("hm", 0.3))])
    await ask(llm, "Hi", stop=["\n"], temperature=0.5)
    assert seen == [(["\n"], {"temperature": 0.5})]


def test_the_last_human_message_is_the_question():
    query = query_of(
        [
            SystemMessage("Be brief."),
            HumanMessage([{"type": "text", "text": "Why?"}]),
            AIMessage("So."),
        ]
    )
    assert (query.text, query.context_length) == ("Why?", len("Be brief.So."))


def test_batches_keep_their_order(fakes):
    llm = fakes.cascade(fakes.StreamChat(model_name="weak", script=lambda q: fakes.Say(q, 0.99)))
    questions = [f"q{i}" for i in range(12)]
    assert [m.text for m in llm.batch(questions, {"max_concurrency": 4})] == questions
    pairs = dict(llm.batch_as_completed(questions))
    assert {i: m.text for i, m in pairs.items()} == dict(enumerate(questions))


async def test_async_batches_keep_their_order(fakes):
    llm = fakes.cascade(fakes.StreamChat(model_name="weak", script=lambda q: fakes.Say(q, 0.99)))
    questions = [f"q{i}" for i in range(12)]
    assert [m.text for m in await llm.abatch(questions)] == questions
    pairs = {i: m.text async for i, m in llm.abatch_as_completed(questions)}
    assert pairs == dict(enumerate(questions))
