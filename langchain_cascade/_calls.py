"""One call of a cascade: what its session says is carried out, at once or in a stream."""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.messages import HumanMessage
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.runnables import RunnableSequence

from cascade_engine import adrive, drive
from cascade_engine.core.retries import Retries, is_temporary
from cascade_engine.plugin.clock import StreamClock
from cascade_engine.routing import attempt
from langchain_cascade._callbacks import Surroundings, astreamed, streamed
from langchain_cascade._children import adapt
from langchain_cascade._errors import result_of, stops_the_graph
from langchain_cascade._history import readable_by
from langchain_cascade._messages import (
    answer_of,
    as_chunk,
    as_message,
    last_chunk,
    passing_chunk,
    whole_chunk,
    with_record,
)
from langchain_cascade._tracing import TRACE, logged_trace, trace_listeners

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Iterator,
        Mapping,
    )

    from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
    from langchain_core.outputs import ChatGenerationChunk

    from cascade_engine import Answer, Call, Session, Trace
    from cascade_engine.plugin.shadow import Shadow
    from langchain_cascade._callbacks import CallContext
    from langchain_cascade._settings import Settings


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


@dataclass(slots=True)
class Request:
    """What children and advisers are asked, and how.

    Attributes:
        cascade: whose children are asked.
        run: what is handed down to them.
        messages: the conversation.
        children: by name, prepared for this call: with tools, say.
        options: keywords of the children's calls.
    """

    cascade: Settings
    run: CallContext
    messages: list[BaseMessage]
    children: Mapping[str, Any]
    options: dict[str, Any]

    def ask(self, call: Call) -> Answer:
        """Makes one call."""
        model, messages, options = self._target(call)
        config = self.run.child(call.model)
        retries = Retries(self.cascade.max_retries)
        start = time.perf_counter()
        while True:
            with retries, Surroundings(config):
                output = model.invoke(messages, config, **options)
                return self.read(call, output, time.perf_counter() - start)

    async def aask(self, call: Call) -> Answer:
        """The same, without blocking the event loop."""
        model, messages, options = self._target(call)
        config = self.run.child(call.model)
        retries = Retries(self.cascade.max_retries)
        start = time.perf_counter()
        while True:
            async with retries:
                with Surroundings(config):
                    output = await model.ainvoke(messages, config, **options)
                return self.read(call, output, time.perf_counter() - start)

    def stream(self, call: Call, live: LiveStream) -> Iterator[ChatGenerationChunk]:
        """Makes the call whose answer is final, and yields what may be shown of it."""
        model, messages, options = self._target(call)
        config = self.run.child(call.model)
        retries = self._retries_of(live)
        live.start()
        while True:
            with retries:
                live.begin()
                for chunk in streamed(model.stream(messages, config, **options), config):
                    yield from live.pass_on(call.model, chunk)
                    live.wait()
                return

    async def astream(
        self, call: Call, live: LiveStream
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        """The same, without blocking the event loop."""
        model, messages, options = self._target(call)
        config = self.run.child(call.model)
        retries = self._retries_of(live)
        live.start()
        while True:
            async with retries:
                live.begin()
                stream = model.astream(messages, config, **options)
                async with aclosing(astreamed(stream, config)) as chunks:
                    async for chunk in chunks:
                        for piece in live.pass_on(call.model, chunk):
                            yield piece
                        live.wait()
                return

    def _retries_of(self, live: LiveStream) -> Retries:
        """Further tries, as long as nothing was shown."""
        return Retries(
            self.cascade.max_retries, lambda error: not live.is_shown and is_temporary(error)
        )

    def _target(self, call: Call) -> tuple[Any, list[BaseMessage], dict[str, Any]]:
        """Who is asked what, with which keywords: an adviser gets its prompt, and no tools."""
        if call.prompt is not None:
            advisers = self.cascade._advisers.items()
            model = next(model for adviser, model in advisers if adviser.name == call.model)
            return model, [HumanMessage(call.prompt)], {}
        child, options = self.children[call.model], self.options
        if options and isinstance(child, RunnableSequence):
            child, options = _with_keywords(child, options), {}
        provider = self.cascade._providers[call.model]
        return child, readable_by(provider, self.messages, call.model), options

    def read(self, call: Call, output: Any, seconds: float) -> Answer:
        """What the engine wants to know of a child's output.

        Raises:
            TypeError: it is no message.
        """
        return answer_of(as_message(call.model, output), seconds)


def _with_keywords(chain: Any, options: dict[str, Any]) -> Any:
    """The chain with keywords for its model: its first step may take none."""
    try:
        return adapt(chain, lambda model: model.bind(**options))
    except NotImplementedError:  # no model to be seen in it
        return chain.bind(**options)


@dataclass(slots=True)
class CascadeCall:
    """One call of a cascade: a request, and the session that decides whom to ask.

    Attributes:
        request: what is asked.
        session: what decides.
        form: what else is asked, as JSON values for a log: tools, and the form of the answer.
        shadow: what the cascade is to play once this call, by the incumbent, has been answered.
    """

    request: Request
    session: Session
    form: Mapping[str, Any]
    shadow: Shadow | None

    def answer(self) -> tuple[AIMessage, Trace]:
        """The chosen child's message, and how it came about.

        Raises:
            AllModelsFailedError: no child answered.
        """
        trace = self.run()
        return result_of(self.session).payload, trace

    async def aanswer(self) -> tuple[AIMessage, Trace]:
        """The same, without blocking the event loop."""
        trace = await self.arun()
        return result_of(self.session).payload, trace

    def run(self) -> Trace:
        """Drives the session to its end, and announces it."""
        trace = drive(self.session, self._ask, fatal=stops_the_graph)
        self._end()
        return trace

    async def arun(self) -> Trace:
        """The same, without blocking the event loop."""
        trace = await adrive(self.session, self._aask, fatal=stops_the_graph)
        await self._aend()
        return trace

    def stream(self) -> Iterator[ChatGenerationChunk]:
        """The chosen child's message in chunks, the last with the record; a final step's live."""
        session, live = self.session, LiveStream()
        try:
            while (call := session.pending) is not None:
                with attempt(session, live.is_fatal) as tried:
                    if call.final:
                        self.request.run.announce(session)
                        yield from self.request.stream(call, live)
                        tried.answer = live.answer(call.model)
                    else:
                        tried.answer = self._ask(call)
        except BaseException as error:
            if self._interrupted(live, error):
                self._end()
            raise
        self._end()
        yield from live.end(result_of(session).payload, session.trace)

    def _ask(self, call: Call) -> Answer:
        """Announces a decision, and makes the call."""
        if not call.is_advice:
            self.request.run.announce(self.session)
        return self.request.ask(call)

    async def _aask(self, call: Call) -> Answer:
        if not call.is_advice:
            await self.request.run.aannounce(self.session)
        return await self.request.aask(call)

    def _interrupted(self, live: LiveStream, error: BaseException) -> bool:
        """Puts on record that a live answer broke off, if one did."""
        call = self.session.pending
        if call is None or not live.is_broken_off(error):
            return False
        partial = live.answer(call.model)
        self.session.interrupt(error, partial, seconds=partial.seconds)
        return True

    # The end: without listeners and shadow mode there is nobody to tell.

    def _end(self) -> None:
        run, shadow = self.request.run, self.shadow
        if run.events is None and shadow is None:
            return
        run.announce(self.session)
        self.request.cascade._shadows.finish(
            self.session, shadow, self.request.ask, self._tell, fatal=stops_the_graph
        )

    async def _aend(self) -> None:
        run, shadow = self.request.run, self.shadow
        if run.events is None and shadow is None:
            return
        await run.aannounce(self.session)
        await self.request.cascade._shadows.afinish(
            self.session, shadow, self.request.aask, self._atell, fatal=stops_the_graph
        )

    def _tell(self, trace: Trace, others: Mapping[str, Answer] | None) -> None:
        """Announces a trace; in shadow mode also what was answered beside it."""
        run = self.request.run
        if handlers := trace_listeners(run):
            logged = logged_trace(self.request.messages, self.form, trace, others)
            CallbackManager(handlers).on_custom_event(TRACE, logged, run.run_id)

    async def _atell(self, trace: Trace, others: Mapping[str, Answer] | None) -> None:
        run = self.request.run
        if handlers := trace_listeners(run):
            logged = logged_trace(self.request.messages, self.form, trace, others)
            await AsyncCallbackManager(handlers).on_custom_event(TRACE, logged, run.run_id)


async def astream_call(
    opening: Callable[[], Awaitable[CascadeCall]],
) -> AsyncIterator[ChatGenerationChunk]:
    """`CascadeCall.stream`, without blocking the event loop.

    Args:
        opening: opens the call. It is awaited here, and not around this generator: one within the
            other would be closed in any order where a stream is left before its end.
    """
    opened = await opening()
    session, live = opened.session, LiveStream()
    try:
        while (call := session.pending) is not None:
            with attempt(session, live.is_fatal) as tried:
                if call.final:
                    await opened.request.run.aannounce(session)
                    async with aclosing(opened.request.astream(call, live)) as pieces:
                        async for piece in pieces:
                            yield piece
                    tried.answer = live.answer(call.model)
                else:
                    tried.answer = await opened._aask(call)
    except BaseException as error:
        if opened._interrupted(live, error):
            await opened._aend()
        raise
    await opened._aend()
    for piece in live.end(result_of(session).payload, session.trace):
        yield piece
