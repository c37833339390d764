"""Tools of a LangChain agent, and what the tests of agents say to it."""

from __future__ import annotations

from langchain_core.messages import AIMessage
from langchain_core.tools import tool

ASKED = "What is 2 + 40?"
#: A conversation that is kept.
THREAD = {"configurable": {"thread_id": "one"}}


@tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@tool
def look(where: str) -> str:
    """Looks at a place."""
    return f"nothing at {where}"


def user(text=ASKED):
    return {"messages": [{"role": "user", "content": text}]}


def records(state):
    """What the cascade noted on each of its messages."""
    return [m.response_metadata["cascade"] for m in state["messages"] if isinstance(m, AIMessage)]
