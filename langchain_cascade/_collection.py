"""How a cascade's children are asked, for it to learn from what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig

from cascade_engine import Call
from cascade_engine.plugin.training_data import Children
from langchain_cascade._callbacks import CallContext
from langchain_cascade._calls import Request
from langchain_cascade._tracing import LogInput, conversation_key, prepared

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.language_models import LanguageModelInput

    from cascade_engine import Query
    from cascade_engine.routing import Adviser
    from langchain_cascade._settings import Settings


def children_to_ask(cascade: Settings) -> Children:
    """The children, as the engine's `collect` asks them: a question is what a chat model takes."""
    router, run = cascade._router, CallContext({}, RunnableConfig())
    calls = {name: Call(name) for name in cascade.models}

    def read(question: LanguageModelInput | LogInput) -> tuple[Query, Request, str]:
        if not isinstance(question, LogInput):
            question = LogInput(cascade._convert_input(question).to_messages(), {})
        children, query, options = prepared(question, cascade.models)
        options = {**cascade._parameters, **options}
        request = Request(cascade, run, question.messages, children, options)
        return query, request, conversation_key(question.messages, question.form)

    def ask(call: Call) -> Callable[[Request], Any]:
        return lambda request: request.ask(call)

    def aask(call: Call) -> Callable[[Request], Any]:
        return lambda request: request.aask(call)

    def advice(adviser: Adviser) -> tuple[Callable[[str], Any], Callable[[str], Any]]:
        def call(prompt: str) -> Call:
            return Call(adviser.name, purpose=adviser.purpose, prompt=prompt)

        blank = Request(cascade, run, [], cascade.models, cascade._parameters)
        return lambda prompt: blank.ask(call(prompt)), lambda prompt: blank.aask(call(prompt))

    return Children(
        {name: ask(call) for name, call in calls.items()},
        {name: aask(call) for name, call in calls.items()},
        router.charge,
        read,
        {adviser: advice(adviser) for adviser in router.advisers},
        router.samples,
        LogInput.of,
    )
