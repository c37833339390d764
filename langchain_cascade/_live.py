"""A final answer on its way to the user, token by token."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from langchain_cascade._messages import (
    answer_of,
    as_chunk,
    as_message,
    last_chunk,
    passing_chunk,
    whole_chunk,
    with_record,
)

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.outputs import ChatGenerationChunk

    from cascade_engine import Answer, Call, Session


class Live:
    """The part of streaming that is the same with and without `async`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._start = time.perf_counter()
        self._whole: AIMessageChunk | None = None
        self._shown = False

    def passing(self, call: Call, chunk: Any) -> ChatGenerationChunk:
        """A chunk of a final answer on its way to the user."""
        message = as_chunk(as_message(call.model, chunk))
        self._shown = self._shown or bool(message.content or message.tool_call_chunks)
        self._whole = message if self._whole is None else self._whole + message
        return passing_chunk(message)

    def end(self, call: Call) -> Answer:
        """The child's stream has ended: it is an answer."""
        seconds = time.perf_counter() - self._start
        return answer_of(as_message(call.model, self._whole), seconds)

    def failed(self, error: Exception) -> None:
        """A child raised. Once part of its answer has been shown no other can take its place."""
        if self._shown:
            raise error
        self._whole = None
        self._session.fail(error)
        self._start = time.perf_counter()

    def close(self) -> ChatGenerationChunk:
        """The last chunk: the whole answer, or after a live stream the decision record alone."""
        message: AIMessage = self._session.result.payload
        if self._whole is None:
            return whole_chunk(with_record(message, self._session.trace))
        return last_chunk(message, self._session.trace)
