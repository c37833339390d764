"""A final answer on its way to the user, token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages.ai import add_ai_message_chunks

from cascade_engine.plugin.clock import StreamClock
from langchain_cascade._errors import stops_the_graph
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

    from cascade_engine import Answer, Trace


class LiveStream:
    """What has come of an answer that is streamed; the same with and without `async`.

    Attributes:
        is_shown: whether part of it was: no other answer can take its place.
    """

    def __init__(self) -> None:
        self.is_shown = False
        self._is_whole = False
        self._parts: list[AIMessageChunk] = []
        self._unshown: list[ChatGenerationChunk] = []

    def start(self) -> None:
        """A child is asked: its clock runs."""
        self._clock = StreamClock()

    def begin(self) -> None:
        """The child's stream begins: what came of an earlier try counts no more."""
        self._parts, self._unshown = [], []

    def pass_on(self, child: str, chunk: Any) -> list[ChatGenerationChunk]:
        """A child's chunk, and what may be shown now.

        What comes before the first token is held back: should the child fail, another can answer.
        """
        message = as_chunk(as_message(child, chunk))
        self._clock.hear(is_visible=bool(message.content or message.tool_call_chunks))
        self.is_shown = self._clock.seconds_to_first_token is not None
        self._parts.append(message)
        self._unshown.append(passing_chunk(message))
        return self._released() if self.is_shown else []

    def wait(self) -> None:
        """The user has taken what was shown, and the child goes on."""
        self._clock.listen()

    def _released(self) -> list[ChatGenerationChunk]:
        chunks, self._unshown = self._unshown, []
        return chunks

    def answer(self, child: str) -> Answer:
        """What the child has answered, once its stream has ended or broken off."""
        clock = self._clock
        clock.hear(is_visible=False)
        # Added up once: one by one, long answers would be copied for each of their chunks.
        whole = add_ai_message_chunks(*self._parts) if self._parts else None
        message = as_message(child, whole)
        self._is_whole = True
        return answer_of(message, clock.seconds, clock.seconds_to_first_token)

    def is_fatal(self, error: Exception) -> bool:
        """Whether an error ends the query: no other child can answer, or none is to."""
        return self.is_shown or stops_the_graph(error)

    def is_broken_off(self, error: BaseException) -> bool:
        """Whether part of an answer was shown, and there will be no more."""
        return self.is_shown and not self._is_whole and not stops_the_graph(error)

    def end(self, message: AIMessage, trace: Trace) -> list[ChatGenerationChunk]:
        """The last chunks: the whole answer, or after a live stream the decision record alone."""
        if not self._is_whole:
            return [whole_chunk(with_record(message, trace))]
        return [*self._released(), last_chunk(message, trace, self._parts[-1].id)]
