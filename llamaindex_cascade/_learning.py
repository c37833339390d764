"""Asking every child every question, for a `CascadeRoutingLLM` to learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llama_index.core.base.llms.types import ChatMessage, ChatResponse

from cascade_engine._gathering import Children
from cascade_engine._records import content_key
from llamaindex_cascade._children import Request
from llamaindex_cascade._messages import query_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from cascade_engine import Answer, Query
    from cascade_engine._advisers import Adviser
    from cascade_engine._costs import Charge
    from llamaindex_cascade._children import Child


def asked_children(
    children: Mapping[str, Child],
    charge: Charge,
    advisers: Mapping[Adviser, Child],
    samples: Mapping[str, int],
) -> Children:
    """The children, as the engine's `collect` asks them."""
    return Children(
        {name: child.ask for name, child in children.items()},
        {name: child.aask for name, child in children.items()},
        charge,
        _read,
        {adviser: _prompted(child) for adviser, child in advisers.items()},
        samples,
    )


def _prompted(
    child: Child,
) -> tuple[Callable[[str], Answer], Callable[[str], Awaitable[Answer]]]:
    def ask(prompt: str) -> Answer:
        return child.ask(Request.of_prompt(prompt))

    async def aask(prompt: str) -> Answer:
        return await child.aask(Request.of_prompt(prompt))

    return ask, aask


def _read(question: str | Sequence[ChatMessage]) -> tuple[Query, Request, str]:
    messages = [ChatMessage(content=question)] if isinstance(question, str) else question
    told = [message.model_dump() for message in messages]
    return query_of(messages), Request(ChatResponse, messages, {}), content_key(told)
