"""How a cascade's children are asked, for it to learn from what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse

from cascade_engine.plugin.learner import Learner
from cascade_engine.plugin.training_data import Children
from llamaindex_cascade._answering import Answering, checked
from llamaindex_cascade._children import name_children
from llamaindex_cascade._logged import key_of, question_of
from llamaindex_cascade._requests import Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from typing_extensions import Self

    from cascade_engine import Answer, CascadeRouter, Query
    from llamaindex_cascade._children import Child

__all__ = ["Learning"]


class Learning(Learner, Answering):
    """The part of `CascadeRoutingLLM` that learns: a question is a string, or messages."""

    def _asked(self) -> Children:
        self._lend()
        router = self._router
        return Children(
            {name: child.ask for name, child in self._children.items()},
            {name: child.aask for name, child in self._children.items()},
            router.charge,
            self._read,
            {each: _prompted(self._advisers[each.name]) for each in router.advisers},
            router.samples,
            question_of,
        )

    def _read(self, question: str | Sequence[ChatMessage]) -> tuple[Query, Request, str]:
        asked = [ChatMessage(content=question)] if isinstance(question, str) else question
        messages = checked(ChatResponse, asked)
        request = Request(ChatResponse, messages, {})
        return self._query(request, self._options({})), request, key_of(messages)

    @classmethod
    def _named(cls, models: Any) -> dict[str, Any]:
        return name_children(models)

    def _rebudgeted(self, max_expected_cost: float | None, router: CascadeRouter) -> Self:
        other = self.model_copy(update={"max_expected_cost": max_expected_cost})
        other._router, other._sessions = router, type(self._sessions)()
        return other


def _prompted(
    child: Child,
) -> tuple[Callable[[str], Answer], Callable[[str], Awaitable[Answer]]]:
    def ask(prompt: str) -> Answer:
        return child.ask(Request.of_prompt(prompt))

    async def aask(prompt: str) -> Answer:
        return await child.aask(Request.of_prompt(prompt))

    return ask, aask
