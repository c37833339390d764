"""The end of a query: its trace is announced, and what is played in shadow mode begins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import (
    AsyncCallbackHandler,
    AsyncCallbackManager,
    BaseCallbackHandler,
    CallbackManager,
)

from cascade_engine import adrive, drive
from cascade_engine.data.traces import TraceLog
from cascade_engine.plugin.shadow import areusing, beside, outcome_of, reusing
from langchain_cascade._handlers import STREAMING
from langchain_cascade._interrupts import stops_the_graph
from langchain_cascade._logged import logged

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from uuid import UUID

    from cascade_engine import Answer, Session, Trace
    from langchain_cascade._asking import Asking
    from langchain_cascade._callbacks import Run
    from langchain_cascade._streams import Live

__all__ = ["TRACE", "Ending", "TraceLogHandler", "aend", "end"]

#: The custom event at the end of each query, with a `LoggedTrace` as its data. Streams do not have
#: it: it holds the drafts that were rejected.
TRACE = "cascade_trace"


class TraceLogHandler(BaseCallbackHandler):
    """Writes every query of a cascade to a log.

    Give it to a cascade, or to any call that comes to use one:

    ```python
    log = TraceLogHandler("traffic.jsonl")
    chain.invoke(question, {"callbacks": [log]})
    ```

    What is logged can be read by `cascade_engine.read_traces`, compared with the fitting data by
    `drift`, and fitted on: `llm.fit(read_traces("traffic.jsonl"), references)` asks the children
    that have not answered yet. The event that it hears is "cascade_trace".

    Args:
        log: a `TraceLog`, or the path of one.
    """

    def __init__(self, log: TraceLog | str | PathLike[str]) -> None:
        super().__init__()
        self.log = log if isinstance(log, TraceLog) else TraceLog(log)

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Hears of a query's end."""
        del run_id, kwargs
        if name == TRACE:
            self.log.write(data)


def end(asking: Asking) -> None:
    """Announces a query's end, or starts what is to be played in the background first."""
    if asking.run.events is None and asking.shadow is None:
        return
    session = _session(asking)
    asking.run.announce(session)
    if (shadow := asking.shadow) is None:
        _tell(asking, session.trace)
        return
    outcome = outcome_of(session.trace, shadow.incumbent)

    def play() -> None:
        behind = _behind(asking, shadow.open())
        run = reusing(shadow.incumbent, outcome, behind.ask)
        trace = drive(_session(behind), run, fatal=stops_the_graph)
        _tell(asking, trace, beside(shadow.incumbent, outcome))

    asking.cascade._shadows.start(play)


async def aend(asking: Asking) -> None:
    """The same, without blocking the event loop."""
    if asking.run.events is None and asking.shadow is None:
        return
    session = _session(asking)
    await asking.run.aannounce(session)
    if (shadow := asking.shadow) is None:
        await _atell(asking, session.trace)
        return
    outcome = outcome_of(session.trace, shadow.incumbent)

    async def play() -> None:
        behind = _behind(asking, shadow.open())
        run = areusing(shadow.incumbent, outcome, behind.aask)
        trace = await adrive(_session(behind), run, fatal=stops_the_graph)
        await _atell(asking, trace, beside(shadow.incumbent, outcome))

    asking.cascade._shadows.astart(play)


@dataclass(frozen=True, slots=True)
class Ending:
    """Ends a query with the block in which it is streamed, if it comes to an end there.

    Attributes:
        asking: the call.
        live: what of it has been shown.
    """

    asking: Asking
    live: Live

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, place: object) -> None:
        if error is None or self.live.broken_off(error):
            end(self.asking)

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, kind: object, error: BaseException | None, place: object) -> None:
        if error is None or self.live.broken_off(error):
            await aend(self.asking)


def _session(asking: Asking) -> Session:
    if asking.session is None:
        raise TypeError("nothing was decided in this call")
    return asking.session


def _behind(asking: Asking, session: Session) -> Asking:
    """The same call for another session, whose decisions are not announced one by one."""
    return replace(asking, session=session, run=replace(asking.run, events=None), shadow=None)


def _tell(asking: Asking, trace: Trace, others: Mapping[str, Answer] | None = None) -> None:
    """Announces a trace; in shadow mode also what was answered beside it."""
    listening = _listening(asking.run)
    if listening is not None:
        told = logged(asking, trace, others)
        CallbackManager(listening).on_custom_event(TRACE, told, asking.run.run_id)


async def _atell(asking: Asking, trace: Trace, others: Mapping[str, Answer] | None = None) -> None:
    listening = _listening(asking.run)
    if listening is not None:
        told = logged(asking, trace, others)
        await AsyncCallbackManager(listening).on_custom_event(TRACE, told, asking.run.run_id)


#: Methods that hear nothing.
_DEAF = (BaseCallbackHandler.on_custom_event, AsyncCallbackHandler.on_custom_event)


def _listening(run: Run) -> list[BaseCallbackHandler] | None:
    """Handlers that may hear of a trace, None where there are none."""
    handlers = [] if run.events is None else run.events.handlers
    found = [
        handler
        for handler in handlers
        if type(handler).on_custom_event not in _DEAF and not isinstance(handler, STREAMING)
    ]
    return found or None
