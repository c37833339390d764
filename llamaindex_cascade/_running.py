"""Carrying out what a session says: sync, async, and in streams."""

from __future__ import annotations

import time
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse

from cascade_engine import Answer, Usage, adrive, drive
from llamaindex_cascade._children import Request
from llamaindex_cascade._messages import answer_of, chunk_of, recording, response_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping

    from cascade_engine import Call, Session
    from llamaindex_cascade._children import Child

R = TypeVar("R", ChatResponse, CompletionResponse)


@dataclass(frozen=True)
class Run(Generic[R]):
    """One call of the cascade.

    In a stream the drafts, and the first chunk of a live answer, are fetched before the generator
    is handed over: until then a child that fails can be replaced, and children's spans have the
    cascade's as their parent.

    Attributes:
        children: and advisers, by name.
        session: says which to ask.
        request: what to ask them.
        limiter: the cascade's own rate limiter, if any.
    """

    children: Mapping[str, Child]
    session: Session
    request: Request
    limiter: Any = None

    def answer(self) -> R:
        """The accepted answer, with its record."""
        if self.limiter is not None:
            self.limiter.acquire()
        drive(self.session, self._ask)
        chosen: R = response_of(self.session)
        return chosen

    async def aanswer(self) -> R:
        """The same, without blocking the event loop."""
        if self.limiter is not None:
            await self.limiter.async_acquire()
        await adrive(self.session, self._aask)
        chosen: R = response_of(self.session)
        return chosen

    def stream(self) -> Generator[R, None, None]:
        """The accepted answer in chunks, the last with its record."""
        if self.limiter is not None:
            self.limiter.acquire()
        while (call := self.session.pending) is not None:
            child = self.children[call.model]
            try:
                if call.final:
                    live, chunks = _Live(child), child.stream(self.request)
                    return self._pass_on(live, live.passing(next(chunks, None)), chunks)
                answer = self._ask(call)
            except Exception as error:  # noqa: BLE001  the session takes it
                self.session.fail(error)
            else:
                self.session.answer(answer)
        whole: R = chunk_of(self.session, live=False)
        return (chunk for chunk in (whole,))

    async def astream(self) -> AsyncGenerator[R, None]:
        """The same, without blocking the event loop."""
        if self.limiter is not None:
            await self.limiter.async_acquire()
        while (call := self.session.pending) is not None:
            child = self.children[call.model]
            try:
                if call.final:
                    live, chunks = _Live(child), await child.astream(self.request)
                    return self._apass_on(live, live.passing(await anext(chunks, None)), chunks)
                answer = await self._aask(call)
            except Exception as error:  # noqa: BLE001  the session takes it
                self.session.fail(error)
            else:
                self.session.answer(answer)
        return _once(chunk_of(self.session, live=False))

    def _ask(self, call: Call) -> Answer:
        return self.children[call.model].ask(self._asked(call))

    async def _aask(self, call: Call) -> Answer:
        return await self.children[call.model].aask(self._asked(call))

    def _asked(self, call: Call) -> Request:
        """What is asked: an adviser gets its prompt, and no tools."""
        return self.request if call.prompt is None else Request.of_prompt(call.prompt)

    def _pass_on(
        self, live: _Live, first: R, chunks: Generator[Any, None, None]
    ) -> Generator[R, None, None]:
        with closing(chunks):
            yield first
            live.listen()
            for chunk in chunks:
                yield live.passing(chunk)
                live.listen()
        self.session.answer(live.answer)
        yield chunk_of(self.session, live=True)

    async def _apass_on(
        self, live: _Live, first: R, chunks: AsyncGenerator[Any, None]
    ) -> AsyncGenerator[R, None]:
        async with aclosing(chunks):
            yield first
            live.listen()
            async for chunk in chunks:
                yield live.passing(chunk)
                live.listen()
        self.session.answer(live.answer)
        yield chunk_of(self.session, live=True)


class _Live:
    """A child's stream on its way to the user, and the answer it adds up to."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._seconds = 0.0
        self._held = Answer("")
        self.listen()

    def listen(self) -> None:
        """The clock runs from here: the time the user takes over a chunk is not the child's."""
        self._since = time.perf_counter()

    def passing(self, response: Any) -> Any:
        """Takes note of a chunk, and returns it fit for the user.

        Raises:
            RuntimeError: there is none.
        """
        if response is None:
            raise RuntimeError(f"child {self._child.name!r} streamed nothing")
        self._seconds += time.perf_counter() - self._since
        part, held = answer_of(response, self._seconds), self._held
        self._held = Answer(
            text=part.text,
            logprobs=(*(held.logprobs or ()), *(part.logprobs or ())) or None,
            usage=_larger(held.usage, part.usage),
            seconds=self._seconds,
            finish_reason=part.finish_reason or held.finish_reason,
            payload=response,
        )
        return recording(response, {"chosen": self._child.name})

    @property
    def answer(self) -> Answer:
        """The answer so far."""
        return self._held


def _larger(one: Usage | None, other: Usage | None) -> Usage | None:
    """Usage over a stream: providers report it at the end, piecewise, or as it grows."""
    if one is None or other is None:
        return one or other
    return Usage(
        max(one.input_tokens, other.input_tokens), max(one.output_tokens, other.output_tokens)
    )


async def _once(chunk: Any) -> AsyncGenerator[Any, None]:
    yield chunk
