"""Carrying out what a session says: sync, async, and in streams."""

from __future__ import annotations

import time
from contextlib import aclosing, closing, contextmanager
from dataclasses import dataclass, field
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation.span import active_span_id
from llama_index_instrumentation import get_dispatcher

from cascade_engine import AllModelsFailedError, Answer, adrive, drive
from cascade_engine.errors import InvalidAnswerError
from llamaindex_cascade._hearing import is_heard
from llamaindex_cascade._messages import recorded
from llamaindex_cascade._requests import Filled, Request, whole
from llamaindex_cascade._tracing import settle
from llamaindex_cascade.events import CascadeDecisionEvent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator, Mapping

    from cascade_engine import Call, Session
    from cascade_engine.plugin.shadow import Shadow, Shadows
    from llamaindex_cascade._children import Begun, Child

__all__ = ["R", "Run"]

R = TypeVar("R", ChatResponse, CompletionResponse)

_DISPATCHER = get_dispatcher(__name__)


@dataclass(frozen=True)
class Run(Generic[R]):
    """One call of the cascade.

    In a stream the drafts, and a live answer up to its first word, are fetched before the generator
    is handed over: until then a child that fails can be replaced, and children's spans have the
    cascade's as their parent.

    Attributes:
        children: and advisers, by name.
        session: says which to ask.
        request: what to ask them.
        shadows: what is played in the background.
        limiter: the cascade's own rate limiter, if any.
        shadow: what is to be played once this call, by the incumbent, has been answered.
        span: id of the span of the call.
        is_silent: whether its decisions are not announced: it is played in the background.
    """

    children: Mapping[str, Child]
    session: Session
    request: Request
    shadows: Shadows
    limiter: Any = None
    shadow: Shadow | None = None
    span: str | None = field(default_factory=active_span_id.get)
    is_silent: bool = False

    def answer(self) -> R:
        """The accepted answer, with its record."""
        if self.limiter is not None:
            self.limiter.acquire()
        drive(self.session, self.ask, fatal=of_a_handler)
        self._settle(is_async=False)
        chosen: R = self._chosen()
        return chosen

    async def aanswer(self) -> R:
        """The same, without blocking the event loop."""
        if self.limiter is not None:
            await self.limiter.async_acquire()
        await adrive(self.session, self.aask, fatal=of_a_handler)
        self._settle(is_async=True)
        chosen: R = self._chosen()
        return chosen

    def stream(self) -> Generator[R, None, None]:
        """The accepted answer in chunks, the last with its record."""
        if self.limiter is not None:
            self.limiter.acquire()
        while (call := self.session.pending) is not None:
            start = time.perf_counter()
            try:
                if call.final:
                    self._announce()
                    return self._pass_on(self.children[call.model].begin(self.request))
                answer = self.ask(call)
            except Exception as error:
                if of_a_handler(error):
                    raise
                self.session.fail(error, seconds=time.perf_counter() - start)
            else:
                self.session.answer(answer)
        self._settle(is_async=False)
        return (chunk for chunk in (whole(self._chosen()),))

    async def astream(self) -> AsyncGenerator[R, None]:
        """The same, without blocking the event loop."""
        if self.limiter is not None:
            await self.limiter.async_acquire()
        while (call := self.session.pending) is not None:
            start = time.perf_counter()
            try:
                if call.final:
                    self._announce()
                    return self._apass_on(await self.children[call.model].abegin(self.request))
                answer = await self.aask(call)
            except Exception as error:
                if of_a_handler(error):
                    raise
                self.session.fail(error, seconds=time.perf_counter() - start)
            else:
                self.session.answer(answer)
        self._settle(is_async=True)
        return _once(whole(self._chosen()))

    def ask(self, call: Call) -> Answer:
        """Makes one call."""
        return self.children[call.model].ask(self._asked(call))

    async def aask(self, call: Call) -> Answer:
        """The same, without blocking the event loop."""
        return await self.children[call.model].aask(self._asked(call))

    def _asked(self, call: Call) -> Request:
        """What is asked: an adviser gets its prompt, and no tools."""
        if not call.is_advice:
            self._announce()
        return self.request if call.prompt is None else Request.of_prompt(call.prompt)

    def _announce(self) -> None:
        """Tells handlers of the last decision, and at the end of the whole call."""
        if self.is_silent or not is_heard(_DISPATCHER):
            return
        done = self.session.pending is None
        event = CascadeDecisionEvent(
            decision=self.session.decision.to_dict(),
            record=self.session.trace.to_dict() if done else None,
            span_id=self.span,
        )
        _DISPATCHER.event(event)

    def _settle(self, *, is_async: bool) -> None:
        """The end of the call."""
        self._announce()
        settle(self, is_async=is_async)

    def _chosen(self) -> Any:
        """The chosen response with its record; where no answer fits, the last that does not."""
        try:
            answer = self.session.result
        except AllModelsFailedError as error:
            unfit = [e for e in error.errors.values() if isinstance(e, InvalidAnswerError)]
            if not unfit:
                raise
            if self.request.form is not None:
                raise unfit[-1].__cause__ or unfit[-1] from error
            answer = unfit[-1].answer
        payload = answer.payload
        if isinstance(payload, Filled):
            return Filled(recorded(payload.response, self.session.trace), payload.value)
        return recorded(payload, self.session.trace)

    def _end(self, begun: Begun, *, is_async: bool) -> Any:
        """The last chunk of a live stream: nothing new, but the record."""
        self.session.answer(begun.live.answer)
        self._settle(is_async=is_async)
        last: Any = self._chosen()
        return last.model_copy(update={"delta": ""})

    @contextmanager
    def _noting(self, begun: Begun, *, is_async: bool) -> Iterator[None]:
        """Puts on record that a live answer broke off."""
        try:
            yield
        except BaseException as error:
            partial = begun.live.answer
            self.session.interrupt(error, partial, seconds=partial.seconds)
            self._settle(is_async=is_async)
            raise

    def _pass_on(self, begun: Begun) -> Generator[R, None, None]:
        with self._noting(begun, is_async=False), closing(begun.rest):
            yield from begun.first
            begun.live.listen()
            for chunk in begun.rest:
                yield begun.live.passing(chunk)
                begun.live.listen()
        yield self._end(begun, is_async=False)

    async def _apass_on(self, begun: Begun) -> AsyncGenerator[R, None]:
        with self._noting(begun, is_async=True):
            async with aclosing(begun.rest):
                for chunk in begun.first:
                    yield chunk
                begun.live.listen()
                async for chunk in begun.rest:
                    yield begun.live.passing(chunk)
                    begun.live.listen()
        yield self._end(begun, is_async=True)


def of_a_handler(error: Exception) -> bool:
    """Whether a callback handler raised it, such as one that keeps to a token budget.

    It is then no fault of the child's, and for the user to see.
    """
    callers = (frame.f_locals.get("self") for frame, _ in walk_tb(error.__traceback__))
    return any(
        isinstance(caller, BaseCallbackHandler) and not isinstance(caller, CallbackManager)
        for caller in callers
    )


async def _once(chunk: Any) -> AsyncGenerator[Any, None]:
    yield chunk
