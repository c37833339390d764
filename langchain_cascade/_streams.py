"""A final answer on its way to the user, token by token."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from langchain_core.messages.ai import add_ai_message_chunks

from langchain_cascade._errors import result_of
from langchain_cascade._interrupts import stops_the_graph
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
        self._start = 0.0
        self._first: float | None = None
        self._parts: list[AIMessageChunk] = []
        self._held: list[ChatGenerationChunk] = []
        #: Whether part of the answer was: no other can take its place.
        self.shown = False

    def start(self) -> None:
        """A child is asked."""
        self._start, self._first = time.perf_counter(), None

    def passing(self, call: Call, chunk: Any) -> list[ChatGenerationChunk]:
        """A chunk of a final answer, and what of it may be shown now.

        What comes before the first token is held back: should the child fail, another can answer.
        """
        message = as_chunk(as_message(call.model, chunk))
        if self._first is None and (message.content or message.tool_call_chunks):
            self._first, self.shown = time.perf_counter() - self._start, True
        self._parts.append(message)
        self._held.append(passing_chunk(message))
        return self._released() if self.shown else []

    def _released(self) -> list[ChatGenerationChunk]:
        held, self._held = self._held, []
        return held

    def end(self, call: Call) -> Answer:
        """The child's stream has ended: it is an answer."""
        seconds = time.perf_counter() - self._start
        # Added up once: one by one, long answers would be copied for each of their chunks.
        whole = add_ai_message_chunks(*self._parts) if self._parts else None
        return answer_of(as_message(call.model, whole), seconds, self._first)

    def broken_off(self, error: BaseException) -> bool:
        """Whether this ends the query: part of an answer was shown, and there will be no more."""
        call = self._session.pending
        if call is None or not self.shown or stops_the_graph(error):
            return False
        partial = self.end(call)
        self._session.interrupt(error, partial, seconds=partial.seconds)
        return True

    def failed(self, error: Exception) -> None:
        """A child raised. Once part of its answer has been shown no other can take its place."""
        if self.shown or stops_the_graph(error):
            raise error
        self.forget()
        self._session.fail(error, seconds=time.perf_counter() - self._start)

    def forget(self) -> None:
        """What came of an answer that failed before its first token counts no more."""
        self._parts, self._held = [], []

    def close(self) -> list[ChatGenerationChunk]:
        """The end: the whole answer, or after a live stream the decision record alone."""
        message: AIMessage = result_of(self._session).payload
        if not self._parts:
            return [whole_chunk(with_record(message, self._session.trace))]
        end = last_chunk(message, self._session.trace, self._parts[-1].id)
        return [*self._released(), end]
