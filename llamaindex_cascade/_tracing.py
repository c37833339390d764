"""The end of a call: its trace is announced, and what is played in shadow mode begins."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index_instrumentation import get_dispatcher
from pydantic import Field

from cascade_engine import CascadeError, adrive, drive
from cascade_engine.data.traces.trace_log import TraceLog
from cascade_engine.plugin.shadow import areusing, beside, outcome_of, reusing
from llamaindex_cascade._hearing import is_heard
from llamaindex_cascade._logged import logged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cascade_engine import Answer, Trace
    from llamaindex_cascade._running import Run

__all__ = ["CascadeTraceEvent", "TraceLogHandler", "settle"]

_LOG = logging.getLogger("cascade_engine")
_DISPATCHER = get_dispatcher(__name__)


class CascadeTraceEvent(BaseEvent):
    """A call of a cascade has come to its end.

    Attributes:
        logged: what was asked, answered and decided, rejected drafts included; it is not written
            down with the event.
    """

    logged: Any = Field(exclude=True, repr=False)

    @classmethod
    def class_name(cls) -> str:
        """Name of the kind of event."""
        return "CascadeTraceEvent"


class TraceLogHandler(BaseEventHandler):
    """Writes every query of a cascade to a log.

    ```python
    get_dispatcher().add_event_handler(TraceLogHandler("traffic.jsonl"))
    ```

    What is logged can be read by `cascade_engine.read_traces`, compared with the fitting data by
    `drift`, and fitted on: `llm.fit(read_traces("traffic.jsonl"), references)` asks the children
    that have not answered yet.

    Args:
        log: a `TraceLog`, or the path of one.
    """

    log: Any

    def __init__(self, log: Any, **fields: Any) -> None:
        opened = log if isinstance(log, TraceLog) else TraceLog(log)
        super().__init__(**{"log": opened, **fields})

    @classmethod
    def class_name(cls) -> str:
        """Name of the kind of handler."""
        return "CascadeTraceLogHandler"

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        """Hears of a call's end."""
        del kwargs
        if not isinstance(event, CascadeTraceEvent):
            return
        try:
            self.log.write(event.logged)
        except (OSError, CascadeError) as error:  # LlamaIndex would not tell anybody
            _LOG.warning("a trace could not be logged: %r", error)


def settle(run: Run[Any], *, is_async: bool) -> None:
    """Announces the end of a call, or starts what is to be played in the background first."""
    if run.shadow is None:
        _tell(run, run.session.trace)
    elif is_async:
        run.shadows.astart(lambda: _aplay(run))
    else:
        run.shadows.start(lambda: _play(run))


def _play(run: Run[Any]) -> None:
    incumbent, behind = _behind(run)
    outcome = outcome_of(run.session.trace, incumbent)
    trace = drive(behind.session, reusing(incumbent, outcome, behind.ask))
    _tell(run, trace, beside(incumbent, outcome))


async def _aplay(run: Run[Any]) -> None:
    incumbent, behind = _behind(run)
    outcome = outcome_of(run.session.trace, incumbent)
    trace = await adrive(behind.session, areusing(incumbent, outcome, behind.aask))
    _tell(run, trace, beside(incumbent, outcome))


def _behind(run: Run[Any]) -> tuple[str, Run[Any]]:
    """The incumbent, and the same call for the cascade, whose decisions are not announced."""
    shadow = run.shadow
    if shadow is None:
        raise TypeError("this call is not in shadow mode")
    return shadow.incumbent, replace(run, session=shadow.open(), shadow=None, is_silent=True)


def _tell(run: Run[Any], trace: Trace, others: Mapping[str, Answer] | None = None) -> None:
    """Announces a trace; in shadow mode also what was answered beside it."""
    if is_heard(_DISPATCHER):
        told = logged(run.request, trace, others)
        _DISPATCHER.event(CascadeTraceEvent(logged=told, span_id=run.span))
