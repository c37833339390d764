"""Asking every child every question, for a `CascadeRoutingLLM` to learn from."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig

from cascade_engine import Call
from cascade_engine._gathering import Children
from cascade_engine._records import content_key
from langchain_cascade._messages import query_of
from langchain_cascade._runs import Run

if TYPE_CHECKING:
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import BaseMessage

    from cascade_engine import Query
    from cascade_engine._advisers import Adviser
    from langchain_cascade.chat_models import CascadeRoutingLLM


def children_of(cascade: CascadeRoutingLLM) -> Children:
    """The children, as the engine's `collect` asks them."""
    run = Run({}, RunnableConfig())

    def read(question: LanguageModelInput) -> tuple[Query, list[BaseMessage], str]:
        messages = cascade._convert_input(question).to_messages()
        # A message's id may be new each time, and says nothing.
        told = [message.model_dump(exclude={"id"}) for message in messages]
        return query_of(messages), messages, content_key(told)

    def asking(method: Any) -> dict[str, Any]:
        return {name: partial(method, Call(name), run=run) for name in cascade.models}

    def advising(adviser: Adviser, method: Any) -> Any:
        def ask(prompt: str) -> Any:
            call = Call(adviser.name, purpose=adviser.purpose, prompt=prompt)
            return method(call, [], run=run)

        return ask

    advisers = {
        each: (advising(each, cascade._ask), advising(each, cascade._aask))
        for each in cascade.router.advisers
    }
    asks = (asking(cascade._ask), asking(cascade._aask))
    return Children(*asks, cascade.router.charge, read, advisers)
