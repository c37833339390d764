"""What is announced and logged of a query at its end, and how it is read from a log again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
)
from langchain_core.messages import ToolMessage, messages_from_dict, messages_to_dict

from cascade_engine import ConfigurationError, DataError, LoggedTrace, TraceLog
from cascade_engine.storage.json_values import content_key, value_to_json
from langchain_cascade._callbacks import STREAMING
from langchain_cascade._messages import RECORD, query_of
from langchain_cascade._tools import answer_schema, bind, query_tools

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike
    from uuid import UUID

    from langchain_core.messages import BaseMessage

    from cascade_engine import Answer, Query, Trace
    from langchain_cascade._callbacks import CallContext


#: The custom event at the end of each query, with a `LoggedTrace` as its data. Streams do not have
#: it: it holds the drafts that were rejected.
TRACE = "cascade_trace"
#: Keywords of a call that change what is asked, and not only how.
OF_QUERY = ("tools", "tool_choice", "response_format")


class TraceLogHandler(BaseCallbackHandler):
    """Writes every query of a cascade to a log.

    Give it to a cascade, or to any call that comes to use one:

    ```python
    log = TraceLogHandler("traffic.jsonl")
    chain.invoke(question, {"callbacks": [log]})
    ```

    What is logged can be read by `cascade_engine.read_traces`, compared with the fitting data by
    `drift`, and fitted on: `llm.fit(read_traces("traffic.jsonl"), references)` asks the children
    that have not answered yet. The event that it hears is "cascade_trace".

    Args:
        log: a `TraceLog`, or the path of one.
    """

    def __init__(self, log: TraceLog | str | PathLike[str]) -> None:
        super().__init__()
        self.log = log if isinstance(log, TraceLog) else TraceLog(log)

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Hears of a query's end."""
        del run_id, kwargs
        if name == TRACE:
            self.log.write(data)


#: The base classes' own methods, which hear nothing.
_DEAF = (BaseCallbackHandler.on_custom_event, AsyncCallbackHandler.on_custom_event)


def trace_listeners(run: CallContext) -> list[BaseCallbackHandler]:
    """Handlers that may hear of a trace."""
    handlers = [] if run.events is None else run.events.handlers
    return [
        handler
        for handler in handlers
        if type(handler).on_custom_event not in _DEAF and not isinstance(handler, STREAMING)
    ]


def logged_trace(
    messages: Sequence[BaseMessage],
    form: Mapping[str, Any],
    trace: Trace,
    others: Mapping[str, Answer] | None,
) -> LoggedTrace:
    """A query for the log.

    Args:
        messages: the conversation.
        form: what else was asked, as JSON values; see `CascadeCall.form`.
        trace: what came of it.
        others: in shadow mode, what was answered outside of it.
    """
    content: Any = {"messages": messages_to_dict([_bare(m) for m in messages]), **form}
    key: str | None = conversation_key(messages, form)
    try:
        value_to_json(content)
    except DataError:  # a message holds some object: nobody can be asked that again from a file
        content = key = None
    return LoggedTrace(trace, content, key, shadow=others is not None, beside=others or {})


def _bare(message: BaseMessage) -> BaseMessage:
    """A message without what no model is sent.

    That is the record of how an earlier answer came about, which may be long, and a tool's
    artifact, which may be any object.
    """
    if isinstance(message, ToolMessage) and message.artifact is not None:
        return message.model_copy(update={"artifact": None})
    metadata = message.response_metadata
    if RECORD not in metadata:
        return message
    rest = {name: value for name, value in metadata.items() if name != RECORD}
    return message.model_copy(update={"response_metadata": rest})


class LogInput(NamedTuple):
    """What was asked, as a log has it.

    Attributes:
        messages: the conversation.
        form: what else was asked; see `CascadeCall.form`.
    """

    messages: list[BaseMessage]
    form: Mapping[str, Any]

    @classmethod
    def of(cls, content: Any) -> LogInput:
        """From the input of a `LoggedTrace`.

        Raises:
            DataError: it is none of LangChain's.
        """
        try:
            form = {name: value for name, value in content.items() if name != "messages"}
            return cls(messages_from_dict(content["messages"]), form)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"a logged input is none of LangChain's ({error!r}): {content!r:.80}"
            ) from error


def prepared(logged: LogInput, models: Mapping[str, Any]) -> tuple[Mapping[str, Any], Query, Any]:
    """The children that can be asked again, the query, and keywords of the calls.

    Args:
        logged: what was asked.
        models: the children.

    Raises:
        DataError: an answer in a form was asked for, which only `with_structured_output` does.
    """
    messages, form = logged
    if "form" in form:
        raise DataError(
            f"{str(messages[-1].text)[:80]!r} was asked with a form for the answer, and children "
            "cannot be asked for one again: leave out traces with `trace.input['form']`"
        )
    if "binding" in form:
        bound = bind(models, form["tools"], form["binding"])
        query = query_of(messages, bound.offered, bound.schema)
        return _ToolCallers(bound.children), query, {}
    tools = query_tools(form.get("tools"))
    return models, query_of(messages, tools, answer_schema(form, tools)), form


class _ToolCallers(dict[str, Any]):
    """The children that take the tools, by name; looking up any other says why it is missing."""

    def __missing__(self, name: str) -> Any:
        raise ConfigurationError(f"{name!r} does not take the tools that were offered")


def conversation_key(messages: Sequence[BaseMessage], form: Mapping[str, Any] | None = None) -> str:
    """What tells a conversation from others; a message's id may be new each time, and says nothing.

    Args:
        messages: the conversation.
        form: what else is asked; see `CascadeCall.form`.
    """
    content = [_bare(message).model_dump(exclude={"id"}) for message in messages]
    return content_key([content, form] if form else content)
