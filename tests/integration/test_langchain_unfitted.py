"""Before any fit, over real clients: answers that certainly fail are not taken, however sure."""

from __future__ import annotations

import pytest

pytest.importorskip("langchain_openai")

from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_cascade import CascadeRoutingLLM
from tests.helpers import whole
from tests.langchain_agents import ASKED, add, look, records, user
from tests.scripted import Reply, ToolCall, plain, sure


class Sum(BaseModel):
    """A sum."""

    a: int
    b: int


async def in_every_way(llm, given):
    """The message in each of the four ways of asking."""
    yield llm.invoke(given)
    yield await llm.ainvoke(given)
    yield whole(list(llm.stream(given)))
    yield whole([chunk async for chunk in llm.astream(given)])


def cascade(server, weak, **options):
    """The first child is as sure as can be of whatever it says."""
    models = [server.chat("weak", sure(0.99, weak), **options), server.chat("strong", **options)]
    return CascadeRoutingLLM(models=models)


def run_of(message):
    return message.response_metadata["cascade"]["models_run"]


BROKEN = {
    "no json": Reply(calls=(ToolCall("add", '{"a": '),)),
    "an argument missing": Reply.call("add", a=1),
    "an argument of the wrong type": Reply.call("add", a=1, b="two"),
    "no such tool": Reply.call("multiply", a=1, b=2),
    "one of two": Reply(calls=(ToolCall("add", {"a": 1, "b": 2}), ToolCall("add", {}))),
    "nothing": Reply(""),
    "cut off": Reply("One could add them, and", finish_reason="length"),
}


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_draft_that_certainly_fails_escalates(scripted_server, broken):
    llm = cascade(scripted_server, BROKEN[broken]).bind_tools([add, look])
    async for message in in_every_way(llm, ASKED):
        assert run_of(message) == ["weak", "strong"]
        (call,) = message.tool_calls
        assert (call["name"], call["args"]) == ("add", {"a": 2, "b": 40})
        assert message.invalid_tool_calls == []


@pytest.mark.parametrize("choice", ["any", "required", True, "add"])
async def test_words_escalate_where_a_call_is_required(scripted_server, choice):
    llm = cascade(scripted_server, "It is 42.").bind_tools([add], tool_choice=choice)
    async for message in in_every_way(llm, ASKED):
        assert run_of(message) == ["weak", "strong"]
        assert message.tool_calls[0]["name"] == "add"


@pytest.mark.parametrize("options", [{}, {"tool_choice": "auto"}, {"tool_choice": "none"}])
async def test_words_do_where_they_may(scripted_server, options):
    llm = cascade(scripted_server, "It is 42.").bind_tools([add], **options)
    async for message in in_every_way(llm, ASKED):
        assert run_of(message) == ["weak"]


async def test_a_required_call_that_is_made_does(scripted_server):
    llm = cascade(scripted_server, plain).bind_tools([add], tool_choice="any")
    async for message in in_every_way(llm, ASKED):
        assert run_of(message) == ["weak"]


def test_words_are_returned_where_no_child_calls(scripted_server):
    models = [scripted_server.chat(name, sure(0.99, "No.")) for name in ("weak", "strong")]
    message = CascadeRoutingLLM(models=models).bind_tools([add], tool_choice="any").invoke(ASKED)
    assert (message.text, run_of(message)) == ("No.", ["weak", "strong"])


def test_the_tools_may_come_as_a_keyword(scripted_server):
    llm = cascade(scripted_server, "It is 42.")
    tools = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
    assert run_of(llm.invoke(ASKED, tools=tools)) == ["weak"]
    assert run_of(llm.invoke(ASKED, tools=tools, tool_choice="required")) == ["weak", "strong"]


def test_a_call_of_a_tool_that_is_not_described_may_be_right(scripted_server):
    tools = [add, {"type": "custom", "name": "shell"}]
    llm = cascade(scripted_server, Reply.call("shell", line="ls")).bind_tools(tools)
    assert run_of(llm.invoke(ASKED)) == ["weak"]


async def test_an_answer_against_the_form_escalates(scripted_server):
    form = {
        "type": "json_schema",
        "json_schema": {"name": "Sum", "schema": Sum.model_json_schema()},
    }
    llm = cascade(scripted_server, Reply('{"a": 1}')).bind(response_format=form)
    async for message in in_every_way(llm, "2 + 3?"):
        assert run_of(message) == ["weak", "strong"]
        assert Sum.model_validate_json(message.text) == Sum(a=2, b=3)


@pytest.mark.parametrize("said", ["I don't know.", "I'm sorry, but I can't help with that."])
async def test_a_refusal_escalates(scripted_server, said):
    async for message in in_every_way(cascade(scripted_server, said), "Who?"):
        assert run_of(message) == ["weak", "strong"]


async def test_an_agent_never_sees_the_broken_call(scripted_server):
    def weak(request):
        has_asked = request["messages"][-1]["role"] == "user"
        return Reply.call("add", a=1) if has_asked else plain(request)

    agent = create_agent(cascade(scripted_server, weak), [add])
    for state in (agent.invoke(user()), await agent.ainvoke(user())):
        assert [m.content for m in state["messages"] if isinstance(m, ToolMessage)] == ["42"]
        assert [record["models_run"] for record in records(state)] == [["weak", "strong"], ["weak"]]


@tool
def greet(name: str, times: int = 1, title: str | None = None) -> str:
    """Greets somebody."""
    return name


@pytest.mark.parametrize(
    "given", [{"name": "Ada"}, {"name": "Ada", "times": 2}, {"name": "Ada", "title": None}]
)
def test_what_need_not_be_given_may_be_left_out(scripted_server, given):
    llm = cascade(scripted_server, Reply.call("greet", **given)).bind_tools([greet])
    assert run_of(llm.invoke("Greet Ada.")) == ["weak"]
