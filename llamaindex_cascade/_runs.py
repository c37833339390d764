"""One call of the cascade: carrying out what its session says, at once, async, and in streams."""

from __future__ import annotations

from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.core.callbacks import CallbackManager
from llama_index.core.instrumentation.span import active_span_id
from llama_index_instrumentation import get_dispatcher

from cascade_engine import AllModelsFailedError, Answer, adrive, drive
from cascade_engine.errors import InvalidAnswerError
from cascade_engine.plugin.shadow import areusing, beside, outcome_of, reusing
from cascade_engine.routing.drive import attempt
from llamaindex_cascade._messages import recorded
from llamaindex_cascade._requests import FilledForm, Request, whole_chunk
from llamaindex_cascade._tracing import logged_trace
from llamaindex_cascade.events import CascadeDecisionEvent, CascadeTraceEvent, has_listeners

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator, Mapping

    from cascade_engine import Call, Session, Trace
    from cascade_engine.plugin.shadow import Shadow, Shadows
    from llamaindex_cascade._children import Child
    from llamaindex_cascade._streams import LiveStream

__all__ = ["Response", "Run"]

Response = TypeVar("Response", ChatResponse, CompletionResponse)

_DISPATCHER = get_dispatcher(__name__)
#: Where a callback manager calls its handlers.
_CALLS_OF_HANDLERS = {
    CallbackManager.on_event_start.__code__,
    CallbackManager.on_event_end.__code__,
}


@dataclass(frozen=True)
class Run(Generic[Response]):
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

    def answer(self) -> Response:
        """The accepted answer, with its record."""
        if self.limiter is not None:
            self.limiter.acquire()
        drive(self.session, self.ask, fatal=is_of_a_handler)
        self._finish(is_async=False)
        response: Response = self._chosen()
        return response

    async def aanswer(self) -> Response:
        """The same, without blocking the event loop."""
        if self.limiter is not None:
            await self.limiter.async_acquire()
        await adrive(self.session, self.aask, fatal=is_of_a_handler)
        self._finish(is_async=True)
        response: Response = self._chosen()
        return response

    def stream(self) -> Generator[Response, None, None]:
        """The accepted answer in chunks, the last with its record."""
        if self.limiter is not None:
            self.limiter.acquire()
        while (call := self.session.pending) is not None:
            with attempt(self.session, is_of_a_handler) as tried:
                if call.final:
                    self._announce()
                    stream = self.children[call.model].begin(self.request)
                    tried.is_deferred = True
                    return self._pass_on(stream)
                tried.answer = self.ask(call)
        self._finish(is_async=False)
        return (chunk for chunk in (whole_chunk(self._chosen()),))

    async def astream(self) -> AsyncGenerator[Response, None]:
        """The same, without blocking the event loop."""
        if self.limiter is not None:
            await self.limiter.async_acquire()
        while (call := self.session.pending) is not None:
            with attempt(self.session, is_of_a_handler) as tried:
                if call.final:
                    self._announce()
                    stream = await self.children[call.model].abegin(self.request)
                    tried.is_deferred = True
                    return self._apass_on(stream)
                tried.answer = await self.aask(call)
        self._finish(is_async=True)
        return _alone(whole_chunk(self._chosen()))

    def ask(self, call: Call) -> Answer:
        """Makes one call."""
        return self.children[call.model].ask(self._request(call))

    async def aask(self, call: Call) -> Answer:
        """The same, without blocking the event loop."""
        return await self.children[call.model].aask(self._request(call))

    def _request(self, call: Call) -> Request:
        """What is asked: an adviser gets its prompt, and no tools."""
        if not call.is_advice:
            self._announce()
        return self.request if call.prompt is None else Request.of_prompt(call.prompt)

    def _announce(self) -> None:
        """Tells listeners of the last decision, and at the end of the whole call."""
        if self.is_silent or not has_listeners(_DISPATCHER):
            return
        is_done = self.session.pending is None
        event = CascadeDecisionEvent(
            decision=self.session.decision.to_dict(),
            record=self.session.trace.to_dict() if is_done else None,
            span_id=self.span,
        )
        _DISPATCHER.event(event)

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
        if isinstance(payload, FilledForm):
            return FilledForm(recorded(payload.response, self.session.trace), payload.value)
        return recorded(payload, self.session.trace)

    # Live streams.

    def _pass_on(self, stream: LiveStream) -> Generator[Response, None, None]:
        with self._interruption(stream, is_async=False):
            yield from stream.chunks()
        yield self._last_chunk(stream, is_async=False)

    async def _apass_on(self, stream: LiveStream) -> AsyncGenerator[Response, None]:
        with self._interruption(stream, is_async=True):
            async with aclosing(stream.achunks()) as chunks:
                async for chunk in chunks:
                    yield chunk
        yield self._last_chunk(stream, is_async=True)

    @contextmanager
    def _interruption(self, stream: LiveStream, *, is_async: bool) -> Iterator[None]:
        """Puts on record that a live answer broke off, or that its reader left."""
        try:
            yield
        except BaseException as error:
            partial = stream.answer
            self.session.interrupt(error, partial, seconds=partial.seconds)
            self._finish(is_async=is_async)
            raise

    def _last_chunk(self, stream: LiveStream, *, is_async: bool) -> Any:
        """The whole answer with its record, and no new text."""
        self.session.answer(stream.answer)
        self._finish(is_async=is_async)
        return self._chosen().model_copy(update={"delta": ""})

    # The end of the call.

    def _finish(self, *, is_async: bool) -> None:
        """Announces the end, or starts what is to be played in the background before that."""
        self._announce()
        if self.shadow is None:
            self._tell(self.session.trace)
        elif is_async:
            self.shadows.astart(self._aplay)
        else:
            self.shadows.start(self._play)

    def _play(self) -> None:
        incumbent, behind = self._behind()
        outcome = outcome_of(self.session.trace, incumbent)
        trace = drive(behind.session, reusing(incumbent, outcome, behind.ask))
        self._tell(trace, beside(incumbent, outcome))

    async def _aplay(self) -> None:
        incumbent, behind = self._behind()
        outcome = outcome_of(self.session.trace, incumbent)
        trace = await adrive(behind.session, areusing(incumbent, outcome, behind.aask))
        self._tell(trace, beside(incumbent, outcome))

    def _behind(self) -> tuple[str, Run[Any]]:
        """The incumbent, and the same call for the cascade, whose decisions are not announced."""
        shadow = self.shadow
        if shadow is None:
            raise TypeError("this call is not in shadow mode")
        return shadow.incumbent, replace(self, session=shadow.open(), shadow=None, is_silent=True)

    def _tell(self, trace: Trace, others: Mapping[str, Answer] | None = None) -> None:
        """Announces a trace; in shadow mode also what was answered beside it."""
        if has_listeners(_DISPATCHER):
            logged = logged_trace(self.request.content, trace, others)
            _DISPATCHER.event(CascadeTraceEvent(logged=logged, span_id=self.span))


def is_of_a_handler(error: Exception) -> bool:
    """Whether a callback handler raised it, such as one that keeps to a token budget.

    It is then no fault of the child's, and for the user to see.
    """
    # A child calls its handlers itself, within the decorators of its own methods, so there is no
    # call of ours to wrap; and a callback manager that wraps its handlers' errors would have to be
    # put in the place of the user's, in the child. Only the traceback tells through whom it came.
    return any(frame.f_code in _CALLS_OF_HANDLERS for frame, _ in walk_tb(error.__traceback__))


async def _alone(chunk: Any) -> AsyncGenerator[Any, None]:
    yield chunk
