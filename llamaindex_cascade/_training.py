"""How a cascade's children are asked, for it to learn from what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_engine.plugin.training_data import Children
from llamaindex_cascade._requests import Request
from llamaindex_cascade._tracing import logged_question

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from cascade_engine import Answer, CascadeRouter, Query
    from llamaindex_cascade._children import Child


def training_children(
    router: CascadeRouter,
    children: Mapping[str, Child],
    advisers: Mapping[str, Child],
    read: Callable[[Any], tuple[Query, Request, str]],
    max_retries: int,
) -> Children:
    """The children, as the engine's `collect` asks them.

    Args:
        router: says what calls cost, and what is sampled.
        children: by name.
        advisers: by name.
        read: a question as the engine's query, what children get, and a key of its content.
        max_retries: how often an adviser is asked again after an error that may pass.
    """
    return Children(
        {name: child.ask for name, child in children.items()},
        {name: child.aask for name, child in children.items()},
        router.charge,
        read,
        {adviser: _ways_to_ask(advisers[adviser.name], max_retries) for adviser in router.advisers},
        router.samples,
        logged_question,
    )


def _ways_to_ask(
    child: Child, max_retries: int
) -> tuple[Callable[[str], Answer], Callable[[str], Awaitable[Answer]]]:
    def ask(prompt: str) -> Answer:
        return child.ask(Request.of_prompt(prompt, retries=max_retries))

    async def aask(prompt: str) -> Answer:
        return await child.aask(Request.of_prompt(prompt, retries=max_retries))

    return ask, aask
