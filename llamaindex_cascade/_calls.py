"""One call of the cascade: carrying out what its session says, at once, async, and in streams."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.core.instrumentation.span import active_span_id
from llama_index_instrumentation import get_dispatcher

from cascade_engine import AllModelsFailedError, Answer, adrive, drive
from cascade_engine.errors import InvalidAnswerError
from cascade_engine.routing.drive import attempt
from llamaindex_cascade._children import is_of_a_handler
from llamaindex_cascade._messages import recorded
from llamaindex_cascade._requests import FormAnswer, Request, whole_chunk
from llamaindex_cascade._tracing import logged_trace
from llamaindex_cascade.events import CascadeDecisionEvent, CascadeTraceEvent, has_listeners

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping

    from cascade_engine import Call, Session, Trace
    from cascade_engine.plugin.shadow import Shadow, ShadowPool
    from llamaindex_cascade._children import Child
    from llamaindex_cascade._streams import LiveStream

Response = TypeVar("Response", ChatResponse, CompletionResponse)

_DISPATCHER = get_dispatcher(__name__)


@dataclass(frozen=True)
class CascadeCall(Generic[Response]):
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
    """

    children: Mapping[str, Child]
    session: Session
    request: Request
    shadows: ShadowPool
    limiter: Any = None
    shadow: Shadow | None = None
    span: str | None = field(default_factory=active_span_id.get)

    def answer(self) -> Response:
        """The accepted answer, with its record."""
        if self.limiter is not None:
            self.limiter.acquire()
        drive(self.session, self._ask_announced, fatal=is_of_a_handler)
        self._finish()
        response: Response = self._chosen()
        return response

    async def aanswer(self) -> Response:
        """The same, without blocking the event loop."""
        if self.limiter is not None:
            await self.limiter.async_acquire()
        await adrive(self.session, self._aask_announced, fatal=is_of_a_handler)
        await self._afinish()
        response: Response = self._chosen()
        return response

    def stream(self) -> Generator[Response, None, None]:
        """The accepted answer in chunks, the last with its record."""
        if self.limiter is not None:
            self.limiter.acquire()
        while (call := self.session.pending) is not None:
            with attempt(self.session, is_of_a_handler) as tried:
                if call.final:
                    self._announce(call)
                    stream = self.children[call.model].begin(self.request)
                    tried.is_deferred = True
                    return self._pass_on(stream)
                tried.answer = self._ask_announced(call)
        self._finish()
        return (chunk for chunk in (whole_chunk(self._chosen()),))

    async def astream(self) -> AsyncGenerator[Response, None]:
        """The same, without blocking the event loop."""
        if self.limiter is not None:
            await self.limiter.async_acquire()
        while (call := self.session.pending) is not None:
            with attempt(self.session, is_of_a_handler) as tried:
                if call.final:
                    self._announce(call)
                    stream = await self.children[call.model].abegin(self.request)
                    tried.is_deferred = True
                    return self._apass_on(stream)
                tried.answer = await self._aask_announced(call)
        await self._afinish()
        return _alone(whole_chunk(self._chosen()))

    # Calls of children and advisers. What is played in shadow mode is asked, and not announced.

    def _ask(self, call: Call) -> Answer:
        return self.children[call.model].ask(self._request(call))

    async def _aask(self, call: Call) -> Answer:
        return await self.children[call.model].aask(self._request(call))

    def _ask_announced(self, call: Call) -> Answer:
        self._announce(call)
        return self._ask(call)

    async def _aask_announced(self, call: Call) -> Answer:
        self._announce(call)
        return await self._aask(call)

    def _request(self, call: Call) -> Request:
        """What is asked: an adviser gets its prompt, and no tools."""
        if call.prompt is None:
            return self.request
        return Request.of_prompt(call.prompt, retries=self.request.retries)

    def _announce(self, call: Call | None = None) -> None:
        """Tells listeners of the decision to make a call, or of the last one and the whole record.

        Calls of advisers are no decisions.
        """
        if (call is not None and call.is_advice) or not has_listeners(_DISPATCHER):
            return
        event = CascadeDecisionEvent(
            decision=self.session.decision.to_dict(),
            record=self.session.trace.to_dict() if call is None else None,
            span_id=self.span,
        )
        _DISPATCHER.event(event)

    # Live streams.

    def _pass_on(self, stream: LiveStream) -> Generator[Response, None, None]:
        try:
            yield from stream.chunks()
        except BaseException as error:  # that of its reader, who leaves, too
            self._interrupt(stream, error)
            self._finish()
            raise
        self.session.answer(stream.answer)
        self._finish()
        yield self._last_chunk()

    async def _apass_on(self, stream: LiveStream) -> AsyncGenerator[Response, None]:
        try:
            async with aclosing(stream.achunks()) as chunks:
                async for chunk in chunks:
                    yield chunk
        except BaseException as error:
            self._interrupt(stream, error)
            await self._afinish()
            raise
        self.session.answer(stream.answer)
        await self._afinish()
        yield self._last_chunk()

    def _interrupt(self, stream: LiveStream, error: BaseException) -> None:
        """Puts on record that a live answer broke off."""
        partial = stream.answer
        self.session.interrupt(error, partial, seconds=partial.seconds)

    def _last_chunk(self) -> Any:
        """The whole answer with its record, and no new text."""
        return self._chosen().model_copy(update={"delta": ""})

    # The end of the call.

    def _finish(self) -> None:
        self._announce()
        self.shadows.finish(self.session, self.shadow, self._ask, self._tell)

    async def _afinish(self) -> None:
        self._announce()
        await self.shadows.afinish(self.session, self.shadow, self._aask, self._atell)

    def _tell(self, trace: Trace, beside: Mapping[str, Answer] | None) -> None:
        """Tells listeners of a trace; in shadow mode also of what was answered beside it."""
        if has_listeners(_DISPATCHER):
            logged = logged_trace(self.request.content, trace, beside)
            _DISPATCHER.event(CascadeTraceEvent(logged=logged, span_id=self.span))

    async def _atell(self, trace: Trace, beside: Mapping[str, Answer] | None) -> None:
        self._tell(trace, beside)

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
        if isinstance(payload, FormAnswer):
            return FormAnswer(recorded(payload.response, self.session.trace), payload.value)
        return recorded(payload, self.session.trace)


async def _alone(chunk: Any) -> AsyncGenerator[Any, None]:
    yield chunk
