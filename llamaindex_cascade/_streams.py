"""A child's stream on its way to the user, and what it adds up to."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing, suppress
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from cascade_engine import Answer, Usage
from cascade_engine.answers.provider_reports import tokens_of
from cascade_engine.plugin.clock import StreamClock
from llamaindex_cascade._messages import (
    answer_of,
    as_logprobs,
    choice_of,
    has_tool_calls,
    with_record,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator


class LiveStream:
    """A stream that is passed on while it is read.

    It is read up to the first chunk that shows something before the user gets any of it: until then
    the child can be replaced. The time that the user takes over a chunk is not the child's.

    Args:
        child: whose stream it is.
        check: refuses a chunk, until there is something to be seen.
    """

    def __init__(self, child: str, check: Callable[[Any], None]) -> None:
        self.rest: Any = closable(())
        self._child, self._check = child, check
        self._clock = StreamClock()
        self._forget()

    def begin(self, chunks: Any) -> LiveStream:
        """Reads until there is something to be seen; what came of an earlier try is forgotten.

        Raises:
            RuntimeError: the stream is empty.
        """
        self._forget()
        self.rest = closable(chunks)
        for chunk in self.rest:
            if self._shows_something(chunk):
                break
        return self._begun()

    async def abegin(self, chunks: Any) -> LiveStream:
        """The same, without blocking the event loop."""
        self._forget()
        self.rest = aclosable(chunks)
        async for chunk in self.rest:
            if self._shows_something(chunk):
                break
        return self._begun()

    def chunks(self) -> Generator[Any, None, None]:
        """All chunks, those that have come already first."""
        with closing(self.rest):
            yield from self._first_chunks
            self._clock.listen()
            for chunk in self.rest:
                yield self._noted(chunk)
                self._clock.listen()

    async def achunks(self) -> AsyncGenerator[Any, None]:
        """The same, without blocking the event loop."""
        async with aclosing(self.rest):
            for chunk in self._first_chunks:
                yield chunk
            self._clock.listen()
            async for chunk in self.rest:
                yield self._noted(chunk)
                self._clock.listen()

    @property
    def answer(self) -> Answer:
        """What the chunks so far add up to."""
        last = self._sum.payload
        update: dict[str, Any] = {"logprobs": last.logprobs or as_logprobs(self._tokens)}
        if self._calling is not None and not has_tool_calls(last):
            update["message"] = self._calling.message
        payload = last.model_copy(update=update)
        first = self._clock.seconds_to_first_token
        return replace(self._sum, seconds_to_first_token=first, payload=payload)

    def _forget(self) -> None:
        self._first_chunks: list[Any] = []
        self._sum = Answer("")
        self._calling: Any = None
        self._tokens: list[tuple[str, float]] = []

    def _shows_something(self, chunk: Any) -> bool:
        self._check(chunk)
        self._first_chunks.append(self._noted(chunk))
        self._clock.listen()
        return self._clock.seconds_to_first_token is not None

    def _begun(self) -> LiveStream:
        if not self._first_chunks:
            raise RuntimeError(f"child {self._child!r} streamed nothing")
        return self

    def _noted(self, chunk: Any) -> Any:
        """Adds a chunk to the answer, and returns it with the name of the child that speaks."""
        if has_tool_calls(chunk):
            self._calling = chunk
        is_visible = chunk.delta or chunk.additional_kwargs.get("thinking_delta") or self._calling
        self._clock.hear(is_visible=bool(is_visible))
        part, total = answer_of(chunk, self._clock.seconds), self._sum
        self._tokens += tokens_of(choice_of(chunk.raw))
        self._sum = replace(
            part,
            logprobs=(*(total.logprobs or ()), *(part.logprobs or ())) or None,
            usage=_larger(total.usage, part.usage),
            finish_reason=part.finish_reason or total.finish_reason,
            tool_calls=part.tool_calls or total.tool_calls,
        )
        return with_record(chunk, {"chosen": self._child})


class ThreadChunks:
    """The chunks of a synchronous stream, each fetched in a thread.

    It is no generator: one that is closed before its first step would not close the stream.
    """

    def __init__(self, chunks: Generator[Any, None, None]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> ThreadChunks:
        return self

    async def __anext__(self) -> Any:
        chunk = await asyncio.to_thread(next, self._chunks, None)
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        with suppress(ValueError):  # cancelled while a thread is still at work on a chunk
            await asyncio.to_thread(self._chunks.close)


def closable(chunks: Any) -> Any:
    """A stream that can be left: some LLMs return an iterator or a list, which cannot."""
    return chunks if hasattr(chunks, "close") else (chunk for chunk in chunks)


def aclosable(chunks: Any) -> Any:
    """The same for an asynchronous stream."""
    return chunks if hasattr(chunks, "aclose") else (chunk async for chunk in chunks)


def _larger(one: Usage | None, other: Usage | None) -> Usage | None:
    """Usage over a stream: providers report it at the end, piecewise, or as it grows."""
    if one is None or other is None:
        return one or other
    counts = (count.name for count in fields(Usage))
    return Usage(*(max(getattr(one, name), getattr(other, name)) for name in counts))
