"""How a cascade's children are asked, for it to learn from what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig

from cascade_engine import Call
from cascade_engine.plugin.call_options import Sessions
from cascade_engine.plugin.model import CascadeModel
from cascade_engine.plugin.training_data import Children
from langchain_cascade._asking import Asking
from langchain_cascade._callbacks import Run
from langchain_cascade._children import name_children
from langchain_cascade._logged import Logged, key_of, prepared
from langchain_cascade._settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import BaseMessage
    from typing_extensions import Self

    from cascade_engine import CascadeRouter, Query
    from cascade_engine.routing.advisers import Adviser

__all__ = ["Learning"]


class Learning(CascadeModel, Settings):
    """The part of `CascadeRoutingLLM` that learns: a question is whatever a chat model takes."""

    def _children_to_ask(self) -> Children:
        return children_of(self)

    @classmethod
    def _children_by_name(cls, models: Any) -> dict[str, Any]:
        return name_children(models)

    def _copy_with(self, router: CascadeRouter, max_expected_cost: float | None) -> Self:
        other = self.model_copy()
        other.__dict__["max_expected_cost"] = max_expected_cost
        other._router, other._sessions, other._identity = router, Sessions(), None
        return other


def children_of(cascade: Settings) -> Children:
    """The children, as the engine's `collect` asks them."""
    run = Run({}, RunnableConfig())

    def read(question: LanguageModelInput | Logged) -> tuple[Query, Asking, str]:
        logged = question if isinstance(question, Logged) else Logged(_read(cascade, question), {})
        children, query, options = prepared(logged, cascade.models)
        options = {**cascade._parameters, **options}
        given = Asking(cascade, run, logged.messages, children, options)
        return query, given, key_of(logged.messages, logged.told)

    def child(name: str) -> tuple[Callable[[Asking], Any], Callable[[Asking], Any]]:
        call = Call(name)
        return lambda given: given.ask(call), lambda given: given.aask(call)

    def adviser(each: Adviser) -> tuple[Callable[[str], Any], Callable[[str], Any]]:
        def call(prompt: str) -> Call:
            return Call(each.name, purpose=each.purpose, prompt=prompt)

        blank = Asking(cascade, run, [], cascade.models, cascade._parameters)
        return lambda prompt: blank.ask(call(prompt)), lambda prompt: blank.aask(call(prompt))

    ways = {name: child(name) for name in cascade.models}
    router = cascade.router
    advisers = {each: adviser(each) for each in router.advisers}
    return Children(
        {name: both[0] for name, both in ways.items()},
        {name: both[1] for name, both in ways.items()},
        router.charge,
        read,
        advisers,
        router.samples,
        Logged.of,
    )


def _read(cascade: Settings, question: LanguageModelInput) -> list[BaseMessage]:
    return cascade._convert_input(question).to_messages()
