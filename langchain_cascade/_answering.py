"""Answering: a session says what to run, and this runs it, with and without `async` and streams."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from langchain_core.outputs import ChatGeneration, ChatResult

from cascade_engine import Session, adrive, drive
from langchain_cascade._asking import Asking
from langchain_cascade._callbacks import RUN, Run, run_below
from langchain_cascade._errors import result_of
from langchain_cascade._interrupts import stops_the_graph
from langchain_cascade._logged import OF_QUERY
from langchain_cascade._messages import query_of, with_record
from langchain_cascade._options import forced
from langchain_cascade._settings import Settings
from langchain_cascade._streams import Live
from langchain_cascade._tools import BOUND, Bound, form_of, offered
from langchain_cascade._tracing import Ending, aend, end

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import ChatGenerationChunk

    from cascade_engine import Trace

__all__ = ["Answering"]


class Answering(Settings):
    """The part of `CascadeRoutingLLM` that answers."""

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        run: Run = kwargs.pop(RUN, None) or run_below(run_manager, self.models, is_async=False)
        return _result(*self._answered(run, messages, stop, kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        run: Run = kwargs.pop(RUN, None) or run_below(run_manager, self.models, is_async=True)
        return _result(*await self._aanswered(run, messages, stop, kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        run: Run = kwargs.pop(RUN, None) or run_below(run_manager, self.models, is_async=False)
        asking, session = self._opened(run, messages, stop, kwargs)
        live = Live(session)
        with Ending(asking, live):
            while (call := session.pending) is not None:
                live.start()
                try:
                    if call.final:
                        yield from asking.stream(call, live)
                        answer = live.end(call)
                    else:
                        answer = asking.ask(call)
                except Exception as error:  # noqa: BLE001  the session takes it
                    live.failed(error)
                else:
                    session.answer(answer)
        yield from live.close()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        run: Run = kwargs.pop(RUN, None) or run_below(run_manager, self.models, is_async=True)
        await self._prepare(run.options, kwargs)
        asking, session = self._opened(run, messages, stop, kwargs)
        live = Live(session)
        async with Ending(asking, live):
            while (call := session.pending) is not None:
                live.start()
                try:
                    if call.final:
                        async with aclosing(asking.astream(call, live)) as chunks:
                            async for shown in chunks:
                                yield shown
                        answer = live.end(call)
                    else:
                        answer = await asking.aask(call)
                except Exception as error:  # noqa: BLE001  the session takes it
                    live.failed(error)
                else:
                    session.answer(answer)
        for shown in live.close():
            yield shown

    def _answered(
        self, run: Run, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> tuple[AIMessage, Trace]:
        """The chosen child's message, and how it came about."""
        asking, session = self._opened(run, messages, stop, kwargs)
        trace = drive(session, asking.ask, fatal=stops_the_graph)
        end(asking)
        return result_of(session).payload, trace

    async def _aanswered(
        self, run: Run, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> tuple[AIMessage, Trace]:
        """The same, without blocking the event loop."""
        await self._prepare(run.options, kwargs)
        asking, session = self._opened(run, messages, stop, kwargs)
        trace = await adrive(session, asking.aask, fatal=stops_the_graph)
        await aend(asking)
        return result_of(session).payload, trace

    def _opened(
        self,
        run: Run,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: dict[str, Any],
    ) -> tuple[Asking, Session]:
        """A session for a call, and what is to be asked in it."""
        bound: Bound | None = kwargs.pop(BOUND, None)
        chosen = forced(run.options, kwargs, self.models)
        children: Mapping[str, Any] = self.models
        if bound is not None and kwargs.get("tools") is bound.tools:
            del kwargs["tools"]  # the children have them in their own format
            children, query = bound.children, query_of(messages, bound.offered, bound.schema)
            told: dict[str, Any] = {"tools": bound.tools, "binding": bound.told}
        else:
            tools = offered(kwargs.get("tools"))
            query = query_of(messages, tools, form_of(kwargs, tools))
            told = {name: kwargs[name] for name in OF_QUERY if name in kwargs}
        session, shadow = self._opens(query, chosen, children)
        options = {**self._parameters, **kwargs}
        if stop is not None:
            options["stop"] = stop
        return Asking(self, run, messages, children, options, session, told, shadow), session


def _result(message: AIMessage, trace: Trace) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=with_record(message, trace))])
