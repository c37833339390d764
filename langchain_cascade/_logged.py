"""What was asked of a cascade, as JSON values for a log, and asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.messages import ToolMessage, messages_from_dict, messages_to_dict

from cascade_engine import ConfigurationError, DataError
from cascade_engine.data.traces import LoggedTrace
from cascade_engine.storage.json_values import content_key, value_to_json
from langchain_cascade._messages import RECORD, query_of
from langchain_cascade._tools import bind, form_of, offered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import BaseMessage

    from cascade_engine import Answer, Query, Trace
    from langchain_cascade._asking import Asking

__all__ = ["OF_QUERY", "Logged", "key_of", "logged", "prepared"]

#: Keywords of a call that change what is asked, and not only how.
OF_QUERY = ("tools", "tool_choice", "response_format")


def logged(asking: Asking, trace: Trace, beside: Mapping[str, Answer] | None) -> LoggedTrace:
    """A query for the log.

    Args:
        asking: what was asked.
        trace: what came of it.
        beside: in shadow mode, what was answered outside of it.
    """
    messages = [_bare(message) for message in asking.messages]
    given: Any = {"messages": messages_to_dict(messages), **asking.told}
    key: str | None = key_of(asking.messages, asking.told)
    try:
        value_to_json(given)
    except DataError:  # a message holds some object: nobody can be asked that again from a file
        given = key = None
    return LoggedTrace(trace, given, key, shadow=beside is not None, beside=beside or {})


def _bare(message: BaseMessage) -> BaseMessage:
    """A message without what no model is told.

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


class Logged(NamedTuple):
    """What was asked, as a log has it.

    Attributes:
        messages: the conversation.
        told: see `Asking.told`.
    """

    messages: list[BaseMessage]
    told: Mapping[str, Any]

    @classmethod
    def of(cls, given: Any) -> Logged:
        """From the input of a `LoggedTrace`.

        Raises:
            DataError: it is none of LangChain's.
        """
        try:
            told = {name: value for name, value in given.items() if name != "messages"}
            return cls(messages_from_dict(given["messages"]), told)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"a logged input is none of LangChain's ({error!r}): {given!r:.80}"
            ) from error


def prepared(logged: Logged, models: Mapping[str, Any]) -> tuple[Mapping[str, Any], Query, Any]:
    """The children that can be asked again, the query, and keywords of the calls.

    Args:
        logged: what was asked.
        models: the children.

    Raises:
        DataError: an answer in a form was asked for, which only `with_structured_output` does.
    """
    messages, told = logged
    if "form" in told:
        raise DataError(
            f"{str(messages[-1].text)[:80]!r} was asked with a form for the answer, and children "
            "cannot be asked for one again: leave out traces with `trace.input['form']`"
        )
    if "binding" in told:
        bound = bind(models, told["tools"], told["binding"])
        query = query_of(messages, bound.offered, bound.schema)
        return _Able(bound.children), query, {}
    tools = offered(told.get("tools"))
    return models, query_of(messages, tools, form_of(told, tools)), told


class _Able(dict[str, Any]):
    """The children that take the tools; of another it says why it cannot be asked."""

    def __missing__(self, name: str) -> Any:
        raise ConfigurationError(f"{name!r} does not take the tools that were offered")


def key_of(messages: Sequence[BaseMessage], told: Mapping[str, Any] | None = None) -> str:
    """What tells a conversation from others; a message's id may be new each time, and says nothing.

    Args:
        messages: the conversation.
        told: what else is asked: tools, and the form of the answer.
    """
    said = [_bare(message).model_dump(exclude={"id"}) for message in messages]
    return content_key([said, told] if told else said)
