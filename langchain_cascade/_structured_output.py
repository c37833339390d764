"""Answers in a given form: each child gives them in its own way, and what does not fit fails."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.runnables import (
    Runnable,
    RunnableConfig,
    RunnableParallel,
    RunnableSequence,
    RunnableWithFallbacks,
)
from langchain_core.runnables.base import RunnableBindingBase
from pydantic import ValidationError

from cascade_engine import AllModelsFailedError
from cascade_engine.errors import InvalidAnswerError
from langchain_cascade._callbacks import CallContext, run_in, token_counters
from langchain_cascade._calls import CascadeCall, Request
from langchain_cascade._children import chat_model_of, with_each
from langchain_cascade._errors import result_of
from langchain_cascade._messages import answer_of, as_message, named, query_of, with_record
from langchain_cascade._options import SPECS, call_options
from langchain_cascade._tools import query_tools, schema_of, supporting, tool_of

if TYPE_CHECKING:
    from langchain_core.runnables.utils import ConfigurableFieldSpec

    from cascade_engine import Answer, Call, Session
    from langchain_cascade._settings import Settings


#: Errors that say that an answer is not in the form asked for.
_OF_FORM = (InvalidAnswerError, OutputParserException, ValidationError)


class StructuredCascade(Runnable[LanguageModelInput, Any]):
    """What `CascadeRoutingLLM.with_structured_output` returns.

    It is a chain of its own in traces, so that whoever counts chat models counts the children. A
    stream has one piece, the whole answer: a part of a draft that is rejected would be wrong.

    Args:
        cascade: whose children answer.
        schema: of the answer.
        include_raw: whether the child's message is returned too, and no error is raised.
        options: further ones of the children's own `with_structured_output`.

    Raises:
        ConfigurationError: no child can answer in a form.
    """

    def __init__(
        self, cascade: Settings, schema: Any, *, include_raw: bool, options: dict[str, Any]
    ) -> None:
        self.name = cascade.get_name()
        self._cascade = cascade
        self._include_raw = include_raw
        self._children = supporting(
            cascade.models,
            lambda model: model.with_structured_output(schema, include_raw=True, **options),
            "structured output",
            within=_structured,
        )
        tools = [] if (tool := tool_of(schema)) is None else [tool]
        self._schema, self._tools = schema_of(schema), query_tools(tools)

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """The options that a call may have; see the class of the cascade."""
        return list(SPECS)

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """Answers in the form."""
        return self._call_with_config(self._answer, input, config, **kwargs)

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """The same, without blocking the event loop."""
        return await self._acall_with_config(self._aanswer, input, config, **kwargs)

    def _answer(
        self, input: LanguageModelInput, run_manager: Any, config: RunnableConfig, **kwargs: Any
    ) -> Any:
        run = self._with_listeners(
            run_in(run_manager, config, self._cascade.models, is_async=False)
        )
        if (limiter := self._cascade.rate_limiter) is not None:
            limiter.acquire(blocking=True)
        call = self._call(run, input, kwargs)
        call.run()
        return self._result(call.session)

    async def _aanswer(
        self, input: LanguageModelInput, run_manager: Any, config: RunnableConfig, **kwargs: Any
    ) -> Any:
        run = self._with_listeners(run_in(run_manager, config, self._cascade.models, is_async=True))
        if (limiter := self._cascade.rate_limiter) is not None:
            await limiter.aacquire(blocking=True)
        await self._cascade._tune(kwargs.get("strategy") or run.options.get("strategy"))
        call = self._call(run, input, kwargs)
        await call.arun()
        return self._result(call.session)

    def _with_listeners(self, run: CallContext) -> CallContext:
        """The run, of which the cascade's own handlers hear too, as they do of other calls."""
        if run.events is None or not self._cascade.callbacks:
            return run
        events = type(run.events).configure(run.events, self._cascade.callbacks)
        below: Any = run.config["callbacks"]
        for handler in token_counters(events):
            below.add_handler(handler)
        return replace(run, events=events)

    def _call(
        self, run: CallContext, input: LanguageModelInput, kwargs: dict[str, Any]
    ) -> CascadeCall:
        cascade = self._cascade
        messages = cascade._convert_input(input).to_messages()
        options = call_options(run.options, kwargs, cascade.models)
        query = query_of(messages, self._tools, self._schema)
        session, shadow = cascade._open_session(query, options, self._children)
        keywords = {**cascade._parameters, **{k: v for k, v in kwargs.items() if v is not None}}
        children: Any = self._children
        if keywords:
            children = {name: with_keywords(chain, keywords) for name, chain in children.items()}
        form = {"form": self._schema, "tools": self._tools}
        return CascadeCall(
            _FormRequest(cascade, run, messages, children, {}), session, form, shadow
        )

    def _result(self, session: Session) -> Any:
        try:
            answer = result_of(session)
        except AllModelsFailedError as error:
            return self._failed(session, error)
        output: dict[str, Any] = answer.payload
        if not self._include_raw:
            return output["parsed"]
        return {**output, "raw": named(with_record(output["raw"], session.trace))}

    def _failed(self, session: Session, error: AllModelsFailedError) -> Any:
        """The last answer that does not fit, with the reason; or the parser's own error.

        Some clients parse an answer themselves, and raise: there is then no message to return.
        """
        errors = reversed(error.errors.values())
        last = next((cause for cause in errors if isinstance(cause, _OF_FORM)), None)
        if last is None:
            raise error
        if not isinstance(last, InvalidAnswerError):
            raise last from error
        if not self._include_raw:
            raise last.__cause__ or last from error
        raw = named(with_record(last.answer.payload["raw"], session.trace))
        return {"raw": raw, "parsed": None, "parsing_error": last.__cause__}


class _FormRequest(Request):
    """Asks the children for their messages and what their own parsers make of them."""

    def read(self, call: Call, output: Any, seconds: float) -> Answer:
        if call.prompt is not None:
            return Request.read(self, call, output, seconds)
        message = as_message(call.model, output["raw"])
        answer = replace(answer_of(message, seconds), payload=output)
        if call.is_advice or (output["parsed"] is not None and not output["parsing_error"]):
            return answer
        cause = output["parsing_error"] or OutputParserException(
            f"{call.model!r} did not answer in the form asked for: {message.text!r:.200}",
            llm_output=str(message.text),
        )
        raise InvalidAnswerError(f"not in the form asked for: {cause}", answer) from cause


def _structured(child: Any, change: Any) -> Any:
    """The child's chain for structured output; what is bound to the child is bound to its model."""
    if isinstance(child, RunnableBindingBase):
        inner = with_keywords(_structured(child.bound, change), dict(child.kwargs))
        return inner.with_config(child.config) if child.config else inner
    if isinstance(child, RunnableWithFallbacks):
        return with_each(child, lambda one: _structured(one, change))
    if isinstance(child, RunnableSequence):
        if chat_model_of(child.last) is None:
            raise NotImplementedError("the chain does not end in a chat model")
        steps = [child.first, *child.middle, _structured(child.last, change)]
        return RunnableSequence(*steps, name=child.name)
    try:
        return change(child)
    except AttributeError as error:
        raise NotImplementedError(str(error)) from error


def with_keywords(chain: Any, options: dict[str, Any]) -> Any:
    """A chain for structured output with keywords for the model at its beginning."""
    if not options:
        return chain
    if isinstance(chain, RunnableWithFallbacks):
        return with_each(chain, lambda one: with_keywords(one, options))
    first = chain.first if isinstance(chain, RunnableSequence) else None
    if isinstance(first, RunnableParallel) and "raw" in first.steps__:
        parts = {**first.steps__, "raw": first.steps__["raw"].bind(**options)}
        return RunnableSequence(RunnableParallel(parts), *chain.middle, chain.last, name=chain.name)
    return chain.bind(**options)
