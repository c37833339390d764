"""What handlers and tracers see: nesting, usage, tokens; and per-call options in chains."""

from __future__ import annotations

import uuid

import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler, get_usage_metadata_callback
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda

from cascade_engine import ConfigurationError, InfeasibleBudgetError
from langchain_cascade import CascadeRoutingLLM

NESTED = ("CascadeRoutingLLM", "weak", "strong")


def chain(llm):
    return ChatPromptTemplate.from_template("{q}") | llm | StrOutputParser()


async def test_children_run_below_the_cascades_run(fakes, ask):
    tracer = fakes.Tracer()
    await ask(fakes.cascade(), "Hi", {"callbacks": [tracer]})
    assert tracer.tree() == [NESTED]


async def test_children_run_below_the_cascade_in_a_chain(fakes, ask):
    tracer = fakes.Tracer()
    text = await ask(chain(fakes.cascade()), {"q": "Hi"}, {"callbacks": [tracer]})
    assert text == "the right answer"
    parts = ("ChatPromptTemplate", NESTED, "StrOutputParser")
    assert tracer.tree() == [("RunnableSequence", *parts)]


async def test_a_final_step_runs_below_the_cascade(fakes, ask):
    tracer = fakes.Tracer()
    only = fakes.StreamChat(model_name="only", script=fakes.Say("yes yes", 0.9))
    await ask(CascadeRoutingLLM(models=[only]), "Hi", {"callbacks": [tracer]})
    assert tracer.tree() == [("CascadeRoutingLLM", "only")]


async def test_generate_nests_as_well(fakes):
    tracer = fakes.Tracer()
    llm = fakes.cascade()
    llm.generate([[HumanMessage("Hi")], [HumanMessage("Ho")]], callbacks=[tracer])
    await llm.agenerate([[HumanMessage("Hi")]], callbacks=[tracer])
    assert tracer.tree() == [NESTED] * 3


async def test_what_describes_the_cascade_as_a_model_stays_with_it(fakes):
    weak = fakes.StreamChat(model_name="weak", script=fakes.Say("hm", 0.5))
    chained = RunnableLambda(lambda messages: messages) | weak
    llm, tracer = CascadeRoutingLLM(models={"chained": chained}), fakes.Tracer()
    llm.generate([[HumanMessage("Hi")]], callbacks=[tracer])
    await llm.agenerate([[HumanMessage("Hi")]], callbacks=[tracer])
    for root in tracer.roots:
        assert root.metadata["ls_model_type"] == "chat"
        assert not any(key.startswith("ls_") for key in root.child_runs[0].metadata)


async def test_tags_and_metadata_reach_the_children(fakes, ask):
    tracer = fakes.Tracer()
    config = {"callbacks": [tracer], "tags": ["mine"], "metadata": {"user": 7}, "run_name": "named"}
    await ask(fakes.cascade(), "Hi", config)
    (root,) = tracer.roots
    assert root.name == "named"
    assert root.tags == ["mine"]
    for run in (root, *root.child_runs):
        assert run.metadata["user"] == 7
        assert "mine" in run.tags
    kinds = [run.metadata["ls_model_type"] for run in root.child_runs]
    assert kinds == ["chat", "chat"]
    assert {run.metadata["ls_provider"] for run in root.child_runs} == {"stream"}


async def test_nothing_of_the_runs_plumbing_is_traced(fakes, ask):
    tracer = fakes.Tracer()
    await ask(fakes.cascade(), "Hi", {"callbacks": [tracer]})
    (root,) = tracer.roots
    assert "cascade_run" not in repr([run.extra for run in (root, *root.child_runs)])


async def test_a_given_run_id_is_used(fakes, ask):
    tracer, run_id = fakes.Tracer(), uuid.uuid4()
    await ask(fakes.cascade(), "Hi", {"callbacks": [tracer], "run_id": run_id})
    assert tracer.roots[0].id == run_id


async def test_a_failed_child_is_traced_as_failed(fakes, ask):
    tracer = fakes.Tracer()
    broken = fakes.Say("x", error=ConnectionError("down"))
    await ask(fakes.cascade(broken), "Hi", {"callbacks": [tracer]})
    weak, strong = tracer.roots[0].child_runs
    assert "down" in weak.error
    assert strong.error is tracer.roots[0].error is None


async def test_usage_is_counted_once_per_call(fakes, ask):
    handler = UsageMetadataCallbackHandler()
    llm = fakes.cascade()
    await ask(llm, "Hi", {"callbacks": [handler]})
    assert handler.usage_metadata == {"weak": fakes.USAGE, "strong": fakes.USAGE}
    with get_usage_metadata_callback() as counted:
        await ask(chain(llm), {"q": "Hi"})
    assert counted.usage_metadata == {"weak": fakes.USAGE, "strong": fakes.USAGE}


async def test_usage_of_a_live_stream_is_counted_once(fakes, ask):
    handler = UsageMetadataCallbackHandler()
    only = fakes.StreamChat(model_name="only", script=fakes.Say("yes yes", 0.9))
    llm = CascadeRoutingLLM(models=[only])
    message = await ask(llm, "Hi", {"callbacks": [handler]})
    assert handler.usage_metadata == {"only": fakes.USAGE}
    assert message.usage_metadata == fakes.USAGE


async def test_streaming_handlers_see_no_token_of_a_draft(fakes, ask):
    for handler in (fakes.StreamedTokens(), fakes.StreamedEvents()):
        message = await ask(fakes.cascade(), "Hi", {"callbacks": [handler]})
        assert "right answer" in message.text
        assert "draft" not in "".join(handler.seen)
        if isinstance(handler, fakes.StreamedTokens):
            assert "".join(handler.seen) == "the right answer"


def test_the_newer_stream_protocol_sees_no_token_of_a_draft(fakes):
    handler = fakes.StreamedEvents()
    fakes.cascade().invoke("Hi", {"callbacks": [handler]})
    assert "".join(handler.seen) == "the right answer"


async def test_event_streams_show_no_token_of_a_draft(fakes):
    llm = chain(fakes.cascade())
    events = [event async for event in llm.astream_events({"q": "Hi"}, version="v2")]
    shown = [e["data"]["chunk"].text for e in events if e["event"] == "on_chat_model_stream"]
    assert "".join(shown) == "the right answer"
    assert "draft" not in repr(events)
    (end,) = [e for e in events if e["event"] == "on_chat_model_end"]
    assert end["data"]["output"].response_metadata["cascade"]["chosen"] == "strong"
    assert sum(e["event"] == "on_chat_model_start" for e in events) == 1


def test_stream_events_of_the_third_version_show_no_draft(fakes):
    tracer = fakes.Tracer()
    stream = fakes.cascade().stream_events("Hi", {"callbacks": [tracer]}, version="v3")
    events = list(stream)
    assert "draft" not in repr(events)
    assert "the right answer" in repr(events)


async def test_options_of_one_call(fakes, ask):
    llm = fakes.cascade(max_expected_cost=1)
    for key in ("max_expected_cost", "max_cost"):
        config = {"configurable": {key: 1e-3}}
        made = (await ask(llm, "Hi", config)).response_metadata["cascade"]
        assert made["models_run"] == ["weak"]
        bound = llm.with_config(configurable={key: 1e-3})
        made = (await ask(bound, "Hi")).response_metadata["cascade"]
        assert made["models_run"] == ["weak"]
        assert "the query's limit" in made["stopped_because"]
    made = (await ask(llm, "Hi")).response_metadata["cascade"]
    assert made["models_run"] == ["weak", "strong"]
    assert made["budget"] == 1


async def test_options_of_one_call_in_a_chain(fakes, ask):
    config = {"configurable": {"max_cost": 1e-3}}
    llm = chain(fakes.cascade())
    assert await ask(llm, {"q": "Hi"}, config) == "a poor draft"
    assert await ask(llm.with_config(config), {"q": "Hi"}) == "a poor draft"
    assert await ask(llm, {"q": "Hi"}) == "the right answer"


def test_options_reach_a_cascade_called_from_within_a_function(fakes):
    llm = fakes.cascade()
    inner = RunnableLambda(lambda q: llm.invoke(q).text)
    assert inner.invoke("Hi", {"configurable": {"max_cost": 1e-3}}) == "a poor draft"
    assert inner.invoke("Hi") == "the right answer"


def test_batches_take_options_for_each(fakes):
    configs = [{"configurable": {"max_cost": limit}} for limit in (1e-3, 1)]
    texts = [m.text for m in fakes.cascade().batch(["a", "b"], configs)]
    assert texts == ["a poor draft", "the right answer"]


async def test_a_cascade_of_cascades_keeps_its_own_options(fakes, ask):
    inner = fakes.cascade(fakes.Say("inner weak", 0.2), fakes.Say("inner strong", 0.3))
    outer = CascadeRoutingLLM(models={"inner": inner, "last": inner.models["strong"]})
    tracer = fakes.Tracer()
    message = await ask(outer, "Hi", {"callbacks": [tracer]})
    assert message.response_metadata["cascade"]["models_run"] == ["inner", "last"]
    ((_, inside, last),) = tracer.tree()
    assert inside == ("inner", "weak", "strong")
    assert last == "last"


@pytest.mark.parametrize("key", ["max_expected_cost", "max_cost"])
@pytest.mark.parametrize("value", [-1, float("nan"), "cheap", [1]])
async def test_an_option_that_is_no_amount_is_refused(fakes, ask, key, value):
    with pytest.raises(ConfigurationError, match=rf"{key}.*must be a number >= 0, not"):
        await ask(fakes.cascade(), "Hi", {"configurable": {key: value}})


@pytest.mark.parametrize("key", ["max_expected_cost", "max_cost"])
async def test_an_option_below_the_cheapest_says_what_that_costs(fakes, ask, key):
    with pytest.raises(InfeasibleBudgetError, match=r"1e-09.*'weak', the cheapest, costs 0\.000"):
        await ask(fakes.cascade(), "Hi", {"configurable": {key: 1e-9}})
