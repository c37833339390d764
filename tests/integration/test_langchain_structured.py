"""Answers in a given form, over real clients of a scripted server.

Where the draft is not taken two chat models start: what six of LangChain's standard tests assert
with one start is asserted here with one for each child.
"""

from __future__ import annotations

import json
from typing import Annotated

import pytest

pytest.importorskip("langchain_openai")

from langchain_core.callbacks import (
    BaseCallbackHandler,
    UsageMetadataCallbackHandler,
    get_usage_metadata_callback,
)
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel, Field, ValidationError
from typing_extensions import TypedDict

from cascade_engine import AllModelsFailedError, ConfigurationError
from langchain_cascade import CascadeRoutingLLM
from tests.scripted import Reply, ToolCall


class Joke(BaseModel):
    """Joke to tell user."""

    setup: str = Field(description="question to set up a joke")
    punchline: str = Field(description="answer to resolve the joke")


class JokeDict(TypedDict):
    """Joke to tell user."""

    setup: Annotated[str, ..., "question to set up a joke"]
    punchline: Annotated[str, ..., "answer to resolve the joke"]


SCHEMAS = {"pydantic": Joke, "typeddict": JokeDict, "json_schema": Joke.model_json_schema()}
METHODS = ["function_calling", "json_schema", "json_mode"]
ASKED = 'A joke about cats, as JSON with "setup" and "punchline".'


class Starts(BaseCallbackHandler):
    def __init__(self):
        self.models, self.schemas, self.tokens = [], [], []

    def on_chat_model_start(self, serialized, messages, *, options=None, **kwargs):
        self.models.append(kwargs["invocation_params"]["model"])
        self.schemas.append(options["ls_structured_output_format"]["schema"])

    def on_llm_new_token(self, token, **kwargs):
        self.tokens.append(token)


async def in_every_way(runnable, given, config=None, **kwargs):
    """What it returns, in each of the four ways of asking."""
    yield runnable.invoke(given, config, **kwargs)
    yield await runnable.ainvoke(given, config, **kwargs)
    (whole,) = runnable.stream(given, config, **kwargs)
    yield whole
    (whole,) = [piece async for piece in runnable.astream(given, config, **kwargs)]
    yield whole


def record(message):
    return message.response_metadata["cascade"]


@pytest.mark.parametrize("kind", SCHEMAS)
async def test_each_child_starts_once_and_is_asked_for_the_schema(cascades, kind):
    schema = SCHEMAS[kind]
    chat = cascades.make().with_structured_output(schema)
    starts = Starts()
    async for found in in_every_way(chat, ASKED, {"callbacks": [starts]}):
        assert isinstance(found, Joke if kind == "pydantic" else dict)
        assert set(dict(found)) == {"setup", "punchline"}
    run = ["weak"] if cascades.answering == "weak" else ["weak", "strong"]
    assert starts.models == run * 4
    assert starts.schemas == [convert_to_json_schema(schema)] * len(starts.models)


@pytest.mark.parametrize("method", METHODS)
async def test_every_method(cascades, method):
    strict = None if method == "json_mode" else True
    chat = cascades.make().with_structured_output(Joke, method=method, strict=strict)
    async for found in in_every_way(chat, ASKED):
        assert found == Joke(setup=ASKED, punchline=ASKED)
    for request in cascades.server.requests:
        if method == "function_calling":
            assert request["tool_choice"]["function"]["name"] == "Joke"
            assert request["tools"][0]["function"]["strict"] is True
        else:
            assert request["response_format"]["type"] == method.replace("mode", "object")


async def test_the_record_comes_with_the_raw_message(cascades):
    chat = cascades.make().with_structured_output(Joke, include_raw=True)
    async for found in in_every_way(chat, ASKED):
        assert found["parsed"] == Joke(setup=ASKED, punchline=ASKED)
        assert found["parsing_error"] is None
        assert record(found["raw"])["chosen"] == cascades.answering
        assert found["raw"].response_metadata["model_name"] == cascades.answering


#: What the weak child says that is not in the form asked for, and sure of itself.
WRONG = {
    "function_calling": [
        Reply.call("Joke", setup="only"),
        Reply("no call at all"),
        Reply(calls=(ToolCall("Joke", '{"setup": '),)),
        Reply.call("Other", setup="x", punchline="y"),
    ],
    "json_schema": [Reply(refusal="No.")],
    "json_mode": [Reply('{"setup": 1}'), Reply("not JSON")],
}


@pytest.mark.parametrize(
    ("method", "wrong"), [(method, reply) for method, each in WRONG.items() for reply in each]
)
async def test_what_does_not_fit_is_asked_of_the_next_child(cascades, method, wrong):
    llm = cascades.make(weak=wrong)
    chat = llm.with_structured_output(Joke, method=method, include_raw=True)
    async for found in in_every_way(chat, ASKED):
        assert found["parsed"] == Joke(setup=ASKED, punchline=ASKED)
        made = record(found["raw"])
        assert (made["chosen"], made["models_run"]) == ("strong", ["strong"])
        (failure,) = made["failures"]
        assert failure["model"] == "weak"
        assert "not in the form asked for" in failure["error"]
        # It is paid for.
        assert failure["cost"] > 0
        assert failure["output_tokens"] > 0
        assert made["total_cost"] == pytest.approx(failure["cost"] + made["calls"][0]["cost"])
        both = failure["output_tokens"] + made["calls"][0]["output_tokens"]
        assert made["total_output_tokens"] == both


@pytest.mark.parametrize("wrong", [Reply('{"setup": "only"}'), Reply('{"setup": "cut')])
async def test_what_the_client_itself_refuses_is_asked_of_the_next_child(cascades, wrong):
    chat = cascades.make(weak=wrong).with_structured_output(Joke, include_raw=True)
    async for found in in_every_way(chat, ASKED):
        assert found["parsed"] == Joke(setup=ASKED, punchline=ASKED)
        (failure,) = record(found["raw"])["failures"]
        assert "ValidationError" in failure["error"] or "validation error" in failure["error"]
        assert "cost" not in failure  # the client keeps the answer to itself
    chat = cascades.make(wrong)
    for include_raw in (False, True):
        form = chat.with_structured_output(Joke, include_raw=include_raw)
        with pytest.raises(ValidationError, match="Joke") as raised:
            await form.ainvoke(ASKED)
        assert isinstance(raised.value.__cause__, AllModelsFailedError)


@pytest.mark.parametrize(
    ("method", "error"),
    [("function_calling", ValidationError), ("json_mode", OutputParserException)],
)
async def test_when_no_answer_fits_the_last_error_is_raised(cascades, method, error):
    wrong = Reply.call("Joke", setup="x") if method == "function_calling" else Reply('{"setup": 1}')
    llm = cascades.make(wrong)
    chat = llm.with_structured_output(Joke, method=method)
    for ask in (lambda: chat.ainvoke(ASKED), lambda: in_every_way(chat, ASKED).__anext__()):
        with pytest.raises(error, match="punchline") as raised:
            await ask()
        assert isinstance(raised.value.__cause__, AllModelsFailedError)
        assert set(raised.value.__cause__.errors) == {"weak", "strong"}
    raw = llm.with_structured_output(Joke, method=method, include_raw=True)
    async for found in in_every_way(raw, ASKED):
        assert found["parsed"] is None
        assert isinstance(found["parsing_error"], error)
        assert found["raw"].response_metadata["model_name"] == "strong"
        assert record(found["raw"])["chosen"] is None
        assert len(record(found["raw"])["failures"]) == 2


async def test_an_answer_without_a_call_is_an_error_too(cascades):
    chat = cascades.make(Reply("Just words."))
    form = chat.with_structured_output(Joke, method="function_calling")
    with pytest.raises(OutputParserException, match="'strong' did not answer in the form"):
        await form.ainvoke(ASKED)


async def test_errors_of_the_servers_stay_what_they_are(cascades):
    chat = cascades.make(Reply.error(500)).with_structured_output(Joke, include_raw=True)
    with pytest.raises(AllModelsFailedError, match=r"(?s)weak.*strong"):
        await chat.ainvoke(ASKED)


async def test_the_answer_held_is_returned_when_the_next_does_not_fit(cascades):
    def script(request):
        if request["model"] == "strong":
            return Reply("no JSON")
        return Reply('{"setup": "a", "punchline": "b"}')

    chat = cascades.make(script).with_structured_output(Joke)
    assert await chat.ainvoke(ASKED) == Joke(setup="a", punchline="b")


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # the client's own
async def test_no_token_of_a_form_is_heard(cascades):
    starts, chat = Starts(), cascades.make(options={"streaming": True})
    form = chat.with_structured_output(Joke)
    async for _ in in_every_way(form, ASKED, {"callbacks": [starts]}):
        pass
    events = [e async for e in form.astream_events(ASKED, version="v2")]
    assert starts.tokens == []
    assert not any(event["event"] == "on_chat_model_stream" for event in events)
    (end,) = [e for e in events if e["event"] == "on_chain_end" and not e["parent_ids"]]
    assert end["data"]["output"] == Joke(setup=ASKED, punchline=ASKED)


async def test_options_of_a_call(cascades):
    form = cascades.make().with_structured_output(Joke, include_raw=True)
    for config, run in (
        ({"configurable": {"model": "strong"}}, ["strong"]),
        ({"configurable": {"max_cost": 0.001}}, ["weak"]),
    ):
        async for found in in_every_way(form, ASKED, config):
            assert record(found["raw"])["models_run"] == run
        bound = form.with_config(config)
        assert record((await bound.ainvoke(ASKED))["raw"])["models_run"] == run
        kept = cascades.make().with_config(config).with_structured_output(Joke, include_raw=True)
        assert record(kept.invoke(ASKED)["raw"])["models_run"] == run
    with pytest.raises(ConfigurationError, match="model='gpt' is none of the children"):
        form.invoke(ASKED, model="gpt")
    assert record(form.invoke(ASKED, model="strong")["raw"])["models_run"] == ["strong"]
    assert "max_cost" in {spec.id for spec in form.config_specs}


@pytest.mark.parametrize("method", METHODS)
async def test_keywords_reach_the_models(cascades, method):
    llm = cascades.make(temperature=0.5)
    bound = {name: child.bind(user="me") for name, child in llm.models.items()}
    llm = CascadeRoutingLLM(models=bound, prices=llm.prices, temperature=0.5)
    form = llm.with_structured_output(Joke, method=method)
    async for found in in_every_way(form, ASKED, stop=["zzz"]):
        assert found == Joke(setup=ASKED, punchline=ASKED)
    for request in cascades.server.requests:
        assert (request["user"], request["stop"], request["temperature"]) == ("me", ["zzz"], 0.5)


async def test_in_chains_and_with_chains_as_children(cascades):
    llm = cascades.make()
    chain = ChatPromptTemplate.from_template("{q}") | llm.with_structured_output(Joke)
    async for found in in_every_way(chain, {"q": ASKED}):
        assert found == Joke(setup=ASKED, punchline=ASKED)
    loud = RunnableLambda(lambda messages: [HumanMessage(messages[-1].text.upper())])
    chained = {name: loud | child for name, child in llm.models.items()}
    form = CascadeRoutingLLM(models=chained, prices=llm.prices).with_structured_output(Joke)
    assert (await form.ainvoke("a joke")).setup == "A JOKE"
    ending = {"a": next(iter(llm.models.values())) | RunnableLambda(lambda m: m)}
    with pytest.raises(ConfigurationError, match="does not end in a chat model"):
        CascadeRoutingLLM(models=ending).with_structured_output(Joke)


def test_a_child_with_fallbacks_answers_in_a_form(cascades):
    server = cascades.server
    broken = server.chat("broken", Reply.error(400))
    child = broken.with_fallbacks([server.chat("spare").bind(user="me")])
    llm = CascadeRoutingLLM(models={"child": child}, temperature=0.25)
    found = llm.with_structured_output(Joke).invoke(ASKED)
    assert isinstance(found, Joke)
    assert [request["temperature"] for request in server.requests] == [0.25, 0.25]
    assert [request.get("user") for request in server.requests] == [None, "me"]


def test_tools_that_are_bound_do_not_disturb_a_form(cascades):
    llm = cascades.make().bind_tools([Joke]).bind(user="me")
    assert llm.with_structured_output(Joke).invoke(ASKED) == Joke(setup=ASKED, punchline=ASKED)
    for request in cascades.server.requests:
        assert (request["user"], request.get("tools")) == ("me", None)


async def test_usage_is_exact(cascades):
    own = UsageMetadataCallbackHandler()
    form = cascades.make(callbacks=[own]).with_structured_output(Joke, include_raw=True)
    with get_usage_metadata_callback() as counted:
        made = record((await form.ainvoke(ASKED))["raw"])
    assert own.usage_metadata == counted.usage_metadata
    used = {name: each["output_tokens"] for name, each in counted.usage_metadata.items()}
    assert used == {call["model"]: call["output_tokens"] for call in made["calls"]}
    assert sum(used.values()) == made["total_output_tokens"]


def test_the_engine_is_told_of_the_form(cascades, monkeypatch):
    llm, seen = cascades.make(), []
    session = llm.router.session
    monkeypatch.setattr(
        llm.router, "session", lambda query, **kw: seen.append(query) or session(query, **kw)
    )
    for schema in SCHEMAS.values():
        llm.with_structured_output(schema).invoke(ASKED)
    for query in seen:
        assert set(query.schema["properties"]) == {"setup", "punchline"}
        assert set(query.tools[0]["parameters"]["properties"]) == {"setup", "punchline"}


def test_a_schema_that_is_none(cascades):
    llm = cascades.make()
    with pytest.raises(ValueError, match="schema must be specified"):
        llm.with_structured_output(None, method="function_calling")
    with pytest.raises(ValueError, match="strict"):
        llm.with_structured_output(Joke, method="json_mode", strict=True)


def test_json_that_is_no_object_of_the_schema_is_seen(cascades):
    chat = cascades.make(Reply(json.dumps([1, 2]))).with_structured_output(Joke, method="json_mode")
    with pytest.raises(OutputParserException, match="Joke"):
        chat.invoke(ASKED)
