"""One call of a cascade: asking its children and advisers, and reading what they answer."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableSequence

from cascade_engine.core.retrying import RetryPolicy
from langchain_cascade._adapting import adapt
from langchain_cascade._callbacks import astreamed, streamed, surrounded_by
from langchain_cascade._histories import readable_by
from langchain_cascade._messages import answer_of, as_message

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping

    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk

    from cascade_engine import Answer, Call, Session
    from cascade_engine.plugin.shadow import Shadow
    from langchain_cascade._callbacks import Run
    from langchain_cascade._settings import Settings
    from langchain_cascade._streams import Live

__all__ = ["Asking"]


@dataclass(slots=True)
class Asking:
    """What is asked, of whom and how.

    Attributes:
        cascade: whose children are asked.
        run: what is handed down to them.
        messages: the conversation.
        children: by name, prepared for this call: with tools, say.
        options: keywords of the children's calls.
        session: what decides, None when all are asked anyway.
        told: what else is asked, as JSON values for a log: tools, and the form of the answer.
        shadow: what the cascade is to play once this call, by the incumbent, has been answered.
    """

    cascade: Settings
    run: Run
    messages: list[BaseMessage]
    children: Mapping[str, Any]
    options: dict[str, Any]
    session: Session | None = None
    told: Mapping[str, Any] = field(default_factory=dict)
    shadow: Shadow | None = None

    def ask(self, call: Call) -> Answer:
        """Makes one call."""
        asked, messages, options = self.target(call)
        if self.session is not None and not call.is_advice:
            self.run.announce(self.session)
        config = self.run.child(call.model)
        pauses: Iterator[float] | None = None
        start = time.perf_counter()
        while True:
            try:
                with surrounded_by(config):
                    output = asked.invoke(messages, config, **options)
                break
            except Exception as error:
                pauses = pauses or self._retrying.pauses()
                pause = self._retrying.pause(error, pauses)
                if pause is None:
                    raise
                time.sleep(pause)
        return self.read(call, output, time.perf_counter() - start)

    async def aask(self, call: Call) -> Answer:
        """The same, without blocking the event loop."""
        asked, messages, options = self.target(call)
        if self.session is not None and not call.is_advice:
            await self.run.aannounce(self.session)
        config = self.run.child(call.model)
        pauses: Iterator[float] | None = None
        start = time.perf_counter()
        while True:
            try:
                with surrounded_by(config):
                    output = await asked.ainvoke(messages, config, **options)
                break
            except Exception as error:
                pauses = pauses or self._retrying.pauses()
                pause = self._retrying.pause(error, pauses)
                if pause is None:
                    raise
                await asyncio.sleep(pause)
        return self.read(call, output, time.perf_counter() - start)

    def stream(self, call: Call, live: Live) -> Iterator[ChatGenerationChunk]:
        """Makes the call whose answer is final, and yields what may be shown of it."""
        asked, messages, options = self.target(call)
        if self.session is not None:
            self.run.announce(self.session)
        config = self.run.child(call.model)
        pauses: Iterator[float] | None = None
        live.start()
        while True:
            try:
                for chunk in streamed(asked.stream(messages, config, **options), config):
                    yield from live.passing(call, chunk)
                break
            except Exception as error:
                pauses = pauses or self._retrying.pauses()
                pause = None if live.shown else self._retrying.pause(error, pauses)
                if pause is None:
                    raise
                time.sleep(pause)
                live.forget()

    async def astream(self, call: Call, live: Live) -> AsyncGenerator[ChatGenerationChunk, None]:
        """The same, without blocking the event loop."""
        asked, messages, options = self.target(call)
        if self.session is not None:
            await self.run.aannounce(self.session)
        config = self.run.child(call.model)
        pauses: Iterator[float] | None = None
        live.start()
        while True:
            try:
                stream = asked.astream(messages, config, **options)
                async with aclosing(astreamed(stream, config)) as chunks:
                    async for chunk in chunks:
                        for shown in live.passing(call, chunk):
                            yield shown
                break
            except Exception as error:
                pauses = pauses or self._retrying.pauses()
                pause = None if live.shown else self._retrying.pause(error, pauses)
                if pause is None:
                    raise
                await asyncio.sleep(pause)
                live.forget()

    @property
    def _retrying(self) -> RetryPolicy:
        return RetryPolicy(self.cascade.max_retries)

    def target(self, call: Call) -> tuple[Any, list[BaseMessage], dict[str, Any]]:
        """Who is asked what, with which keywords: an adviser gets its prompt, and no tools."""
        if call.prompt is not None:
            advisers = self.cascade._advisers
            asked = next(model for each, model in advisers.items() if each.name == call.model)
            return asked, [HumanMessage(call.prompt)], {}
        child, options = self.children[call.model], self.options
        if options and isinstance(child, RunnableSequence):
            child, options = _with_keywords(child, options), {}
        provider = self.cascade._providers[call.model]
        return child, readable_by(provider, self.messages, call.model), options

    def read(self, call: Call, output: Any, seconds: float) -> Answer:
        """What the engine wants to know of a child's output."""
        return answer_of(as_message(call.model, output), seconds)


def _with_keywords(chain: Any, options: dict[str, Any]) -> Any:
    """The chain with keywords for its model: its first step may take none."""
    try:
        return adapt(chain, lambda model: model.bind(**options))
    except NotImplementedError:  # no model to be seen in it
        return chain.bind(**options)
