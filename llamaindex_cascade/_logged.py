"""What was asked of a cascade, as JSON values for a log, and asked again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from cascade_engine import DataError
from cascade_engine.data.traces.trace_log import LoggedTrace
from cascade_engine.storage.json_values import content_key, value_to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine import Answer, Trace
    from llamaindex_cascade._requests import Request

__all__ = ["key_of", "logged", "question_of"]


def logged(request: Request, trace: Trace, others: Mapping[str, Answer] | None) -> LoggedTrace:
    """A query for the log.

    Args:
        request: what was asked.
        trace: what came of it.
        others: in shadow mode, what was answered outside of it.
    """
    asked = request.asked
    messages = [ChatMessage(content=asked)] if isinstance(asked, str) else asked
    given: Any
    key: str | None
    try:
        given, key = _given(asked), key_of(messages)
        if trace.query.tools or trace.query.schema is not None:
            given["form"] = "tools" if trace.query.schema is None else "schema"
            key = content_key([key, trace.query.tools, trace.query.schema])
        value_to_json(given)
    except (DataError, PydanticSerializationError):
        # A message holds some object: nobody can be asked that again from a file.
        given = key = None
    return LoggedTrace(trace, given, key, shadow=others is not None, beside=others or {})


def _given(asked: Any) -> dict[str, Any]:
    if isinstance(asked, str):
        return {"prompt": asked}
    return {"messages": [message.model_dump(mode="json") for message in asked]}


def question_of(given: Any) -> str | list[ChatMessage]:
    """A question, from the input of a `LoggedTrace`.

    Raises:
        DataError: it is none of LlamaIndex's, or the answer had to be in a form.
    """
    if not isinstance(given, Mapping) or not given.keys() & {"prompt", "messages"}:
        raise DataError(f"a logged input is none of LlamaIndex's: {given!r:.80}")
    if "form" in given:
        raise DataError(
            "a logged query offered tools, or asked for a form, and children cannot be asked for "
            'that again: leave out traces with "form" in `trace.input`'
        )
    if "prompt" in given:
        return str(given["prompt"])
    try:
        return [ChatMessage.model_validate(message) for message in given["messages"]]
    except (TypeError, ValidationError) as error:
        raise DataError(f"a logged input is none of LlamaIndex's: {given!r:.80}") from error


def key_of(messages: Sequence[ChatMessage]) -> str:
    """What tells a conversation from others."""
    return content_key([message.model_dump() for message in messages])
