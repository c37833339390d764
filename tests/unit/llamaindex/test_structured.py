"""Answers in a form, and tools that have to be called: what does not fit is a failure."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("llama_index.llms.openai_like")

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.program import FunctionCallingProgram
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel, Field, ValidationError

from cascade_engine import AllModelsFailedError, ConfigurationError
from llamaindex_cascade import CascadeRoutingLLM
from llamaindex_cascade._structured_output import form_call
from tests.llamaindex_fixtures import ASKED, PRICES, Llamas, acting, add, record
from tests.scripted import Reply, ToolCall, plain

PROMPT = PromptTemplate("{text}")
TOOL = FunctionTool.from_defaults(add)
#: The three ways in which a child can give a form, by options of its client.
OWN = {
    "tools": {},
    "words": {"is_function_calling_model": False},
    "schema": {"is_function_calling_model": False, "should_use_structured_outputs": True},
}


class Sum(BaseModel):
    """A sum."""

    a: int = Field(ge=0)
    b: int


def unfit(request):
    """An answer that is in no way a `Sum`."""
    if "tools" in request:
        return Reply(calls=(ToolCall("Sum", {"a": -1}),))
    return '{"a": -1}'


@pytest.fixture(params=OWN)
def own(request):
    return OWN[request.param]


def cascade(server, weak, options, **fields):
    llms = [server.llm("weak", weak, **options), server.llm("strong", acting, **options)]
    return CascadeRoutingLLM(llms, **{"prices": PRICES, **fields})


async def every_way(llm, text=ASKED):
    *_, streamed = llm.stream_structured_predict(Sum, PROMPT, text=text)
    astream = await llm.astream_structured_predict(Sum, PROMPT, text=text)
    return [
        llm.structured_predict(Sum, PROMPT, text=text),
        await llm.astructured_predict(Sum, PROMPT, text=text),
        streamed,
        [each async for each in astream][-1],
    ]


async def test_what_does_not_fit_is_asked_of_another(scripted_server, own, monkeypatch):
    def script(request):
        if "tools" in request or "response_format" in request:
            return plain(request)
        return acting(request)

    llm = cascade(scripted_server, unfit, own)
    scripted_server.script("strong", script)
    assert await every_way(llm) == [Sum(a=2, b=40)] * 4
    assert len(scripted_server.asked("weak")) == len(scripted_server.asked("strong")) == 4


def test_a_child_gives_the_form_in_its_own_way(scripted_server, own):
    llm = cascade(scripted_server, plain if own != OWN["words"] else acting, own)
    assert llm.structured_predict(Sum, PROMPT, text=ASKED, llm_kwargs={"model": "weak"}) == Sum(
        a=2, b=40
    )
    (request,) = scripted_server.requests
    assert ("tools" in request) == (own == OWN["tools"])
    assert ("response_format" in request) == (own == OWN["schema"])
    said = json.dumps(request["messages"])
    assert ("JSON schema" in said) == (own == OWN["words"])
    assert "{{" not in said


def test_the_draft_that_does_not_fit_is_paid_for(scripted_server):
    llm = cascade(scripted_server, unfit, {})
    run = llm._open(*form_call(llm, Sum, PROMPT, None, {"text": ASKED}))
    made = record(run.answer().response)
    (failure,) = made["failures"]
    assert failure["model"] == "weak"
    assert "not what was asked for" in failure["error"]
    assert failure["cost"] > 0
    (call,) = made["calls"]
    assert made["total_cost"] == pytest.approx(failure["cost"] + call["cost"])


async def test_an_answer_about_log_probabilities_is_no_refusal_of_them(scripted_server):
    """What does not fit is quoted in the error; it is not taken for the server's word."""
    llm = cascade(scripted_server, "logprobs are no sum", OWN["words"])
    llm.structured_predict(Sum, PROMPT, text=ASKED)
    await llm.astructured_predict(Sum, PROMPT, text=ASKED)
    asked = scripted_server.asked("weak")
    assert [request["logprobs"] for request in asked] == [True, True]


async def test_where_no_answer_fits_the_parsers_error_is_raised(scripted_server):
    llm = cascade(scripted_server, unfit, {})
    scripted_server.script("strong", unfit)
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        llm.structured_predict(Sum, PROMPT, text=ASKED)
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        await llm.astructured_predict(Sum, PROMPT, text=ASKED)
    with pytest.raises(ValidationError):
        llm.as_structured_llm(Sum).complete(ASKED)
    # The last child's stream is live: its pieces are seen, and at the end it does not fit.
    with pytest.raises(ValidationError):
        list(llm.stream_structured_predict(Sum, PROMPT, text=ASKED))


def test_a_child_that_is_away_is_told_apart(scripted_server):
    llm = cascade(scripted_server, Reply.error(500), {})
    scripted_server.script("strong", Reply.error(500))
    with pytest.raises(AllModelsFailedError):
        llm.structured_predict(Sum, PROMPT, text=ASKED)


def test_modes(scripted_server):
    llm = Llamas(scripted_server, "mixed").make(pydantic_program_mode="llm")
    assert llm.pydantic_program_mode is PydanticProgramMode.LLM
    assert llm.structured_predict(Sum, PROMPT, text=ASKED) == Sum(a=2, b=40)
    assert all("tools" not in request for request in scripted_server.requests)
    llm = Llamas(scripted_server, "mixed").make(pydantic_program_mode="function")
    assert llm.structured_predict(Sum, PROMPT, text=ASKED) == Sum(a=2, b=40)
    assert scripted_server.requests[-1]["model"] == "strong"
    llm = Llamas(scripted_server, "completion").make(pydantic_program_mode="function")
    with pytest.raises(ConfigurationError, match=r"none of the models .* can answer in that form"):
        llm.structured_predict(Sum, PROMPT, text=ASKED)


def test_a_system_prompt_and_a_chat_prompt(scripted_server):
    prompt = ChatPromptTemplate([ChatMessage(content="{text}"), ChatMessage(content="Now.")])
    llm = Llamas(scripted_server).make(system_prompt="Be brief.")
    llm.structured_predict(Sum, prompt, text=ASKED)
    roles = [message["role"] for message in scripted_server.requests[0]["messages"]]
    assert roles == ["system", "user", "user"]


def test_growing_objects(scripted_server):
    llm = CascadeRoutingLLM([scripted_server.llm("only", plain)])
    seen = list(llm.stream_structured_predict(Sum, PROMPT, text=ASKED))
    assert len(seen) > 2
    assert seen[-1] == Sum(a=2, b=40)


# Tools that have to be called.


def test_a_tool_that_has_to_be_called_and_is_not(scripted_server):
    llm = cascade(scripted_server, "Let us see", {})
    response = llm.chat_with_tools([TOOL], ASKED, tool_required=True)
    made = record(response)
    assert made["chosen"] == "strong"
    assert "no tool was called, but said: 'Let us see'" in made["failures"][0]["error"]
    assert llm.chat_with_tools([TOOL], ASKED).message.content == "Let us see"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (ToolCall("add", {"a": 1}), "b\\n  Field required"),
        (ToolCall("add", "{broken"), "Field required"),
        (ToolCall("subtract", {"a": 1}), "no tool 'subtract', only ['add']"),
    ],
)
def test_a_call_that_does_not_fit(scripted_server, call, words):
    llm = cascade(scripted_server, Reply(calls=(call,)), {})
    made = record(llm.chat_with_tools([TOOL], ASKED, tool_required=True))
    assert made["chosen"] == "strong"
    assert words in made["failures"][0]["error"]


async def test_where_none_calls_as_required_the_last_answer_is_returned(scripted_server):
    llm = cascade(scripted_server, "no", {})
    scripted_server.script("strong", "never")
    for response in (
        llm.chat_with_tools([TOOL], ASKED, tool_required=True),
        await llm.achat_with_tools([TOOL], ASKED, tool_required=True),
    ):
        assert response.message.content == "never"
        assert record(response)["chosen"] is None
        with pytest.raises(ValueError, match="holds no tool call"):
            llm.get_tool_calls_from_response(response)


def test_upstreams_own_programs_escalate_too(scripted_server):
    llm = cascade(scripted_server, unfit, {})
    program = FunctionCallingProgram.from_defaults(Sum, prompt=PROMPT, llm=llm)
    assert program(text=ASKED) == Sum(a=2, b=40)
    assert [request["model"] for request in scripted_server.requests] == ["weak", "strong"]
