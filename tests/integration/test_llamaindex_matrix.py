"""LlamaIndex's components on a cascade of real clients.

Each scenario runs six times: with children that call functions, with mixed ones and with models
that only complete texts; with the first child's answers taken, and with an escalation at each call.
"""

from __future__ import annotations

import copy
import inspect
import io
import json
import pickle
from contextlib import redirect_stdout

import pytest

pytest.importorskip("llama_index.llms.openai_like")

from llama_index.core import PromptTemplate, Settings
from llama_index.core.agent.workflow import AgentWorkflow, CodeActAgent, FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.evaluation import FaithfulnessEvaluator
from llama_index.core.tools import FunctionTool, QueryEngineTool
from pydantic import BaseModel, Field

from cascade_engine import ConfigurationError
from llamaindex_cascade import CascadeRoutingLLM
from tests.llamaindex_fixtures import (
    ASKED,
    KINDS,
    Llamas,
    acting,
    add,
    facts,
    memory,
    no_loop,
    record,
)
from tests.scripted import Reply, plain

# Upstream's own, in its agents and its structured LLM.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called from within a step"),
]

QUESTION = "Which is the capital of Peru?"


class Sum(BaseModel):
    """A sum."""

    a: int = Field(description="the first number")
    b: int


PROMPT = PromptTemplate("Tell me: {text}")


@pytest.fixture(autouse=True)
def _alone(request):
    if not inspect.iscoroutinefunction(request.function):
        no_loop()


@pytest.fixture(params=["weak", "strong"], ids=["accepted", "escalated"])
def answering(request):
    return request.param


@pytest.fixture(params=KINDS)
def llamas(request, scripted_server, answering):
    return Llamas(scripted_server, request.param, answering)


@pytest.fixture(params=["functions", "mixed"])
def callers(request, scripted_server, answering):
    """Those of which one at least calls functions."""
    return Llamas(scripted_server, request.param, answering)


# Query engines.


def test_query_engine(llamas):
    engine = facts().as_query_engine(llm=llamas.make(), similarity_top_k=2)
    response = engine.query(QUESTION)
    assert str(response) == f"{llamas.answering} answers"
    assert response.source_nodes[0].text == "Lima is the capital of Peru."
    assert llamas.asked() == llamas.rounds(1)


def test_query_engine_in_streams(llamas):
    engine = facts().as_query_engine(llm=llamas.make(), streaming=True)
    assert "".join(engine.query(QUESTION).response_gen) == f"{llamas.answering} answers"
    assert llamas.asked() == llamas.rounds(1)


async def test_query_engine_without_blocking(llamas):
    response = await facts().as_query_engine(llm=llamas.make()).aquery(QUESTION)
    assert str(response) == f"{llamas.answering} answers"
    assert llamas.asked() == llamas.rounds(1)


async def test_query_engine_in_streams_without_blocking(llamas):
    engine = facts().as_query_engine(llm=llamas.make(), streaming=True)
    response = await engine.aquery(QUESTION)
    said = "".join([token async for token in response.async_response_gen()])
    assert said == f"{llamas.answering} answers"


@pytest.mark.parametrize("mode", ["refine", "tree_summarize", "simple_summarize", "accumulate"])
def test_response_modes(llamas, mode):
    engine = facts().as_query_engine(llm=llamas.make(), response_mode=mode, similarity_top_k=2)
    assert f"{llamas.answering} answers" in str(engine.query(QUESTION))


# Chat engines, in each of the five modes.

MODES = ["simple", "context", "condense_question", "condense_plus_context", "best"]


@pytest.mark.parametrize("mode", MODES)
def test_chat_engine(llamas, mode):
    engine = facts().as_chat_engine(chat_mode=mode, llm=llamas.make(), memory=memory())
    for _ in range(2):
        assert str(engine.chat(QUESTION)) == f"{llamas.answering} answers"
    assert len(engine.chat_history) == 4
    streamed = engine.stream_chat(QUESTION)
    assert "".join(streamed.response_gen) == f"{llamas.answering} answers"
    assert engine.chat_history[-1].content == f"{llamas.answering} answers"


@pytest.mark.parametrize("mode", MODES)
async def test_chat_engine_without_blocking(llamas, mode):
    engine = facts().as_chat_engine(chat_mode=mode, llm=llamas.make(), memory=memory())
    assert str(await engine.achat(QUESTION)) == f"{llamas.answering} answers"
    streamed = await engine.astream_chat(QUESTION)
    said = "".join([token async for token in streamed.async_response_gen()])
    assert said == f"{llamas.answering} answers"


def test_chat_engine_with_memory(llamas):
    llm = llamas.make()
    kept = memory()
    engine = SimpleChatEngine.from_defaults(llm=llm, memory=kept)
    engine.chat("My name is Ada.")
    engine.chat("What is my name?")
    told = json.dumps(llamas.server.asked(llamas.answering)[-1])
    assert "My name is Ada." in told
    assert len(kept.get_all()) == 4


# Agents.


@pytest.mark.parametrize("streaming", [True, False])
async def test_function_agent(callers, streaming):
    agent = FunctionAgent(tools=[add], llm=callers.make(plain), streaming=streaming)
    response = await agent.run(ASKED, memory=memory())
    assert str(response) == f"{callers.calling()} answers: {ASKED}"
    assert [call.tool_output.content for call in response.tool_calls] == ["42"]
    assert callers.asked() == callers.tool_rounds(2)


async def test_function_agent_without_functions(scripted_server):
    llm = Llamas(scripted_server, "completion").make()
    with pytest.raises(ValueError, match="FunctionCallingLLM"):
        await FunctionAgent(tools=[add], llm=llm).run(ASKED, memory=memory())
    with pytest.raises(ConfigurationError, match=r"none of the models \['weak', 'strong'\]"):
        llm.chat_with_tools([FunctionTool.from_defaults(add)], ASKED)


@pytest.mark.parametrize("streaming", [True, False])
async def test_react_agent(llamas, streaming):
    agent = ReActAgent(tools=[add], llm=llamas.make(), streaming=streaming)
    assert str(await agent.run(ASKED, memory=memory())) == f"{llamas.answering} found 42"
    assert llamas.asked() == llamas.rounds(2)


@pytest.mark.parametrize("streaming", [True, False])
async def test_code_act_agent(llamas, streaming):
    def execute(code: str) -> str:
        """Runs code."""
        with redirect_stdout(io.StringIO()) as printed:
            exec(code, {"add": add})  # noqa: S102  our own
        return printed.getvalue()

    agent = CodeActAgent(execute, tools=[add], llm=llamas.make(), streaming=streaming)
    assert str(await agent.run(ASKED, memory=memory())) == f"{llamas.answering} found 42"
    assert llamas.asked() == llamas.rounds(2)


async def test_agent_workflow_with_a_hand_off(callers):
    def script(request):
        offered = [tool["function"]["name"] for tool in request["tools"]]
        if "add" in offered:
            added = any(message["content"] == "42" for message in request["messages"])
            return "It is 42." if added else Reply.call("add", a=2, b=40)
        return Reply.call("handoff", to_agent="adder", reason="it adds")

    llm = callers.make(script)
    first = FunctionAgent(name="first", description="hands on", llm=llm, can_handoff_to=["adder"])
    adder = FunctionAgent(name="adder", description="adds", llm=llm, tools=[add])
    run = AgentWorkflow(agents=[first, adder], root_agent="first").run(ASKED, memory=memory())
    called = [event.tool_name async for event in run.stream_events() if is_result(event)]
    response = await run
    assert response.current_agent_name == "adder"
    assert str(response) == "It is 42."
    assert called == ["handoff", "add"]


def is_result(event):
    return type(event).__name__ == "ToolCallResult"


async def test_agent_with_memory(callers):
    kept = memory()
    agent = FunctionAgent(tools=[add], llm=callers.make(plain))
    await agent.run(ASKED, memory=kept)
    await agent.run("And 1 + 1?", memory=kept)
    asked = callers.server.asked(callers.calling())[-1]["messages"]
    roles = ["user", "assistant", "tool", "assistant"] * 2
    assert [message["role"] for message in asked] == roles[:-1]


async def test_agent_with_a_query_engine_as_tool(callers):
    def script(request):
        return plain(request) if "tools" in request else acting(request)

    llm = callers.make(script)
    tool = QueryEngineTool.from_defaults(facts().as_query_engine(llm=llm), name="facts")
    response = await FunctionAgent(tools=[tool], llm=llm).run(QUESTION, memory=memory())
    assert response.tool_calls[0].tool_output.content == f"{callers.answering} answers"
    assert str(response) == f"{callers.calling()} answers: {QUESTION}"


def test_predict_and_call(llamas):
    tool = FunctionTool.from_defaults(add)
    response = llamas.make().predict_and_call([tool], ASKED)
    assert str(response) == "42"
    assert llamas.asked() == llamas.tool_rounds(1)


async def test_predict_and_call_without_blocking(llamas):
    tool = FunctionTool.from_defaults(add)
    assert str(await llamas.make().apredict_and_call([tool], ASKED)) == "42"


# Structured answers.


def test_structured_predict(llamas):
    llm = llamas.make()
    assert llm.structured_predict(Sum, PROMPT, text=ASKED) == Sum(a=2, b=40)
    assert llamas.asked() == llamas.rounds(1)
    assert PROMPT.output_parser is None  # upstream leaves its own behind


async def test_structured_predict_without_blocking(llamas):
    assert await llamas.make().astructured_predict(Sum, PROMPT, text=ASKED) == Sum(a=2, b=40)
    assert llamas.asked() == llamas.rounds(1)


def test_structured_predict_in_streams(llamas):
    *_, last = llamas.make().stream_structured_predict(Sum, PROMPT, text=ASKED)
    assert last == Sum(a=2, b=40)
    assert llamas.asked() == llamas.rounds(1)


async def test_structured_predict_in_streams_without_blocking(llamas):
    stream = await llamas.make().astream_structured_predict(Sum, PROMPT, text=ASKED)
    assert [each async for each in stream][-1] == Sum(a=2, b=40)


def test_structured_llm(llamas):
    llm = llamas.make().as_structured_llm(Sum)
    assert llm.complete(ASKED).raw == Sum(a=2, b=40)
    assert llm.chat([ChatMessage(content=ASKED)]).raw == Sum(a=2, b=40)
    assert list(llm.stream_chat([ChatMessage(content=ASKED)]))[-1].raw == Sum(a=2, b=40)


async def test_structured_llm_without_blocking(llamas):
    llm = llamas.make().as_structured_llm(Sum)
    assert (await llm.achat([ChatMessage(content=ASKED)])).raw == Sum(a=2, b=40)
    stream = await llm.astream_chat([ChatMessage(content=ASKED)])
    assert [chunk async for chunk in stream][-1].raw == Sum(a=2, b=40)


def test_structured_query_engine(llamas):
    engine = facts().as_query_engine(llm=llamas.make().as_structured_llm(Sum))
    assert engine.query(ASKED).response == Sum(a=2, b=40)


# Evaluators, copies, and what is written down.


async def test_evaluator(llamas):
    evaluator = FaithfulnessEvaluator(llm=llamas.make())
    found = await evaluator.aevaluate(QUESTION, response="Lima", contexts=["Lima is it."])
    assert found.passing


def test_settings(llamas):
    Settings.llm = llamas.make()
    try:
        assert str(facts().as_query_engine().query(QUESTION)) == f"{llamas.answering} answers"
        assert Settings.llm.predict(PROMPT, text="Hi") == f"{llamas.answering} answers"
    finally:
        Settings._llm = None


def check(llm, llamas):
    made = record(llm.chat([ChatMessage(role=MessageRole.USER, content="Hi")]))
    assert made["chosen"] == llamas.answering


def test_copies(llamas):
    llm = llamas.make()
    check(llm.model_copy(), llamas)
    check(copy.copy(llm), llamas)
    check(copy.deepcopy(llm), llamas)


def test_pickles(llamas):
    again = pickle.loads(pickle.dumps(llamas.make()))  # noqa: S301  our own
    for child in again.llms.values():
        assert (child.is_chat_model, child.api_base) == (
            llamas.kind != "completion",
            llamas.server.base_url,
        )
    check(again, llamas)
    close(again)


def test_plain_values(llamas, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "test")
    llm = llamas.make(max_cost=1.0)
    told = json.dumps(llm.to_dict())
    assert '"test"' not in told
    assert "api_key" not in told
    again = CascadeRoutingLLM.from_dict(json.loads(told))
    assert (again.max_cost, again.prices) == (1.0, llm.prices)
    assert again.metadata == llm.metadata
    check(again, llamas)
    close(again)
    check(CascadeRoutingLLM.from_json(llm.to_json(), llms=llm.llms), llamas)


def close(llm):
    for child in llm.llms.values():
        child._get_client().close()
