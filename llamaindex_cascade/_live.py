"""A child's stream on its way to the user."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from typing import Any

from cascade_engine import Answer, Usage
from cascade_engine.answers.provider_reports import tokens_of
from llamaindex_cascade._messages import (
    answer_of,
    as_logprobs,
    calls_in,
    choice_of,
    noting,
)

__all__ = ["Live"]


class Live:
    """What a stream adds up to; the part that is the same with and without `async`."""

    def __init__(self, child: str) -> None:
        self._child = child
        self._seconds = 0.0
        self._first: float | None = None
        self._held = Answer("")
        self._calling: Any = None
        self._tokens: list[tuple[str, float]] = []
        self.listen()

    def listen(self) -> None:
        """The clock runs from here: the time the user takes over a chunk is not the child's."""
        self._since = time.perf_counter()

    def passing(self, chunk: Any) -> Any:
        """Takes note of a chunk, and returns it fit for the user."""
        self._seconds += time.perf_counter() - self._since
        part, held = answer_of(chunk, self._seconds), self._held
        if calls_in(chunk):
            self._calling = chunk
        if self._first is None and (chunk.delta or chunk.additional_kwargs.get("thinking_delta")):
            self._first = self._seconds
        if self._first is None and self._calling is not None:
            self._first = self._seconds
        self._tokens += tokens_of(choice_of(chunk.raw))
        self._held = replace(
            part,
            logprobs=(*(held.logprobs or ()), *(part.logprobs or ())) or None,
            usage=_larger(held.usage, part.usage),
            finish_reason=part.finish_reason or held.finish_reason,
            tool_calls=part.tool_calls or held.tool_calls,
        )
        return noting(chunk, {"chosen": self._child})

    @property
    def spoken(self) -> bool:
        """Whether there is something to be seen."""
        return self._first is not None

    @property
    def answer(self) -> Answer:
        """The whole answer, once there was a chunk."""
        last = self._held.payload
        update: dict[str, Any] = {"logprobs": last.logprobs or as_logprobs(self._tokens)}
        if self._calling is not None and not calls_in(last):
            update["message"] = self._calling.message
        whole = last.model_copy(update=update)
        return replace(self._held, seconds_to_first_token=self._first, payload=whole)


def _larger(one: Usage | None, other: Usage | None) -> Usage | None:
    """Usage over a stream: providers report it at the end, piecewise, or as it grows."""
    if one is None or other is None:
        return one or other
    counts = (each.name for each in fields(Usage))
    return Usage(*(max(getattr(one, name), getattr(other, name)) for name in counts))
