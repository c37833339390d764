"""Drafts that are asked for by streaming, so that they can be broken off while they are written."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.messages.utils import count_tokens_approximately, message_chunk_to_message

from cascade_engine import Usage
from cascade_engine.answers.provider_reports import token_logprobs
from cascade_engine.errors import DraftAbandonedError
from cascade_engine.routing.abandonment import CHARACTERS_PER_TOKEN, DraftWatch
from langchain_cascade._messages import answer_of, as_chunk, as_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import AIMessageChunk, BaseMessage

    from cascade_engine import Answer, Call, Session

__all__ = ["Draft"]


class Draft:
    """What a child has written so far.

    Args:
        session: with the call pending.
        call: to the child.
        messages: what it was asked.
    """

    def __init__(self, session: Session, call: Call, messages: Sequence[BaseMessage]) -> None:
        self._watch = DraftWatch(session)
        self._child = call.model
        self._messages = messages
        self._whole: AIMessageChunk | None = None
        self._tokens = 0
        self._start = time.perf_counter()

    def take(self, chunk: Any) -> None:
        """Adds a chunk.

        Raises:
            DraftAbandonedError: it is to be written no further.
        """
        message = as_chunk(as_message(self._child, chunk))
        self._whole = message if self._whole is None else self._whole + message
        reported = token_logprobs(message.response_metadata)
        guessed = -(-len(str(message.text)) // CHARACTERS_PER_TOKEN)
        self._tokens += len(reported) if reported else guessed
        if self._watch.abandons(self._tokens, self._partial):
            raise DraftAbandonedError(
                f"the draft of {self._child!r} was abandoned after {self._tokens} tokens",
                self._partial(),
            )

    def _partial(self) -> Answer:
        """The answer so far; its tokens are counted where the child has not reported them yet."""
        seconds = time.perf_counter() - self._start
        answer = answer_of(as_message(self._child, self._whole), seconds)
        if answer.usage is not None and answer.usage.output_tokens:
            return answer
        sent = answer.usage.input_tokens if answer.usage else 0
        counted = sent or count_tokens_approximately(self._messages)
        return replace(answer, usage=Usage(counted, self._tokens))

    @property
    def message(self) -> Any:
        """The whole message, as the child would have returned it at once."""
        return None if self._whole is None else message_chunk_to_message(self._whole)
