"""Traces of a cascade's calls: written to a log, and read from it as questions to ask again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from cascade_engine import CascadeError, DataError
from cascade_engine.data.traffic import LoggedTrace, TraceLog
from cascade_engine.storage.json_values import content_key, value_to_json
from llamaindex_cascade.events import CascadeTraceEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.instrumentation.events import BaseEvent

    from cascade_engine import Answer, Trace

_LOG = logging.getLogger("cascade_engine")


class TraceLogHandler(BaseEventHandler):
    """Writes every query of a cascade to a log.

    ```python
    get_dispatcher().add_event_handler(TraceLogHandler("traffic.jsonl"))
    ```

    What is logged can be read by `cascade_engine.read_traces`, compared with the fitting data by
    `drift`, and fitted on: `llm.fit(read_traces("traffic.jsonl"), references)` asks the children
    that have not answered yet.

    Args:
        log: a `TraceLog`, or the path of one.
    """

    log: Any

    def __init__(self, log: Any, **fields: Any) -> None:
        log = log if isinstance(log, TraceLog) else TraceLog(log)
        super().__init__(**{"log": log, **fields})

    @classmethod
    def class_name(cls) -> str:
        """Name of the kind of handler."""
        return "CascadeTraceLogHandler"

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        """Writes the trace of a `CascadeTraceEvent`; a failure to do so is a warning in the log."""
        del kwargs
        if not isinstance(event, CascadeTraceEvent):
            return
        try:
            self.log.write(event.logged)
        except (OSError, CascadeError) as error:  # LlamaIndex drops what handlers raise
            _LOG.warning("a trace could not be logged: %r", error)


def logged_trace(
    content: Sequence[ChatMessage] | str, trace: Trace, beside: Mapping[str, Answer] | None
) -> LoggedTrace:
    """A query for the log.

    Args:
        content: the messages of the chat, or the prompt of the completion.
        trace: what came of it.
        beside: in shadow mode, the answers given outside of the trace; else None.
    """
    record: dict[str, Any] | None
    key: str | None
    try:
        if isinstance(content, str):
            record = {"prompt": content}
        else:
            record = {"messages": [message.model_dump(mode="json") for message in content]}
        key = conversation_key(content)
        if trace.query.tools or trace.query.schema is not None:
            record["form"] = "tools" if trace.query.schema is None else "schema"
            key = content_key([key, trace.query.tools, trace.query.schema])
        value_to_json(record)
    except (DataError, PydanticSerializationError):
        # Some object in a message has no JSON: from a file nobody could be asked that again.
        record = key = None
    return LoggedTrace(trace, record, key, shadow=beside is not None, beside=beside or {})


def logged_question(record: Any) -> str | list[ChatMessage]:
    """The question of which a `LoggedTrace` has the input.

    Raises:
        DataError: the input is none of LlamaIndex's, or the answer had to be in a form.
    """
    if not isinstance(record, Mapping) or not record.keys() & {"prompt", "messages"}:
        raise DataError(f"a logged input is none of LlamaIndex's: {record!r:.80}")
    if "form" in record:
        raise DataError(
            "a logged query offered tools, or asked for a form, and children cannot be asked for "
            'that again: leave out traces with "form" in `trace.input`'
        )
    if "prompt" in record:
        return str(record["prompt"])
    try:
        return [ChatMessage.model_validate(message) for message in record["messages"]]
    except (TypeError, ValidationError) as error:
        raise DataError(f"a logged input is none of LlamaIndex's: {record!r:.80}") from error


def conversation_key(content: Sequence[ChatMessage] | str) -> str:
    """A digest that tells a conversation from all others; a prompt is one of a single message."""
    messages = [ChatMessage(content=content)] if isinstance(content, str) else content
    return content_key([message.model_dump() for message in messages])
