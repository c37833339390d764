"""Shadow mode: the user gets the incumbent's answer, and the cascade plays along for the record.

The session is driven in the background, by a thread or a task. The incumbent has answered already,
and is not asked again; whatever else happens there never reaches whoever asked.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from cascade_engine.core.checks import is_whole
from cascade_engine.core.records import Answer
from cascade_engine.errors import ConfigurationError, SessionStateError
from cascade_engine.routing.drive import adrive, drive, never

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from cascade_engine.core.records import Call
    from cascade_engine.core.trace import Trace
    from cascade_engine.routing.session import Session

__all__ = [
    "Outcome",
    "Shadow",
    "ShadowPool",
    "areusing",
    "beside",
    "outcome_of",
    "reusing",
]

#: What came of the incumbent's call.
Outcome: TypeAlias = "Answer | BaseException"

_LOG = logging.getLogger("cascade_engine")
_LIMIT = 16


@dataclass(frozen=True, slots=True)
class Shadow:
    """What is to be played once the incumbent has answered.

    Attributes:
        incumbent: the model whose answer the user gets.
        open: opens the session.
    """

    incumbent: str
    open: Callable[[], Session]


def outcome_of(trace: Trace, incumbent: str) -> Outcome:
    """What came of the incumbent's call: the answer that the user got, or the error."""
    answer = trace.answers.get(incumbent)
    return trace.failures[-1].error if answer is None else answer


def beside(incumbent: str, outcome: Outcome) -> dict[str, Answer]:
    """The incumbent's answer, for `LoggedTrace.beside`."""
    return {incumbent: outcome} if isinstance(outcome, Answer) else {}


def reusing(incumbent: str, outcome: Outcome, run: Callable[[Call], Answer]) -> Any:
    """Wraps `run`: calls to the incumbent return its recorded answer, or raise its error again."""

    def answer(call: Call) -> Answer:
        return _replayed(outcome) if _is_for(incumbent, call) else run(call)

    return answer


def areusing(incumbent: str, outcome: Outcome, run: Callable[[Call], Awaitable[Answer]]) -> Any:
    """The same for `adrive`."""

    async def answer(call: Call) -> Answer:
        return _replayed(outcome) if _is_for(incumbent, call) else await run(call)

    return answer


def _is_for(incumbent: str, call: Call) -> bool:
    """Whether it is the incumbent's answer; a further sample of the same model is not."""
    return call.model == incumbent and not call.is_advice


def _replayed(outcome: Outcome) -> Answer:
    if isinstance(outcome, Answer):
        return outcome
    raise outcome


class ShadowPool:
    """Sessions in the background, for the record alone.

    Beyond a limit, further ones are skipped. An error of one is counted, and told to the logger
    "cascade_engine" as a warning.

    Args:
        limit: how many may be under way at the same time.

    Raises:
        ConfigurationError: the limit is no integer of at least 1.

    Attributes:
        skipped: sessions that were not started, since `limit` were under way.
        failed: sessions that were broken off by an error.
    """

    def __init__(self, limit: int = _LIMIT) -> None:
        if not is_whole(limit) or limit < 1:
            raise ConfigurationError(f"the limit of shadows must be an integer >= 1, not {limit!r}")
        self.limit = limit
        self.skipped = 0
        self.failed = 0
        self._threads = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = threading.Condition()

    def __reduce__(self) -> tuple[type[ShadowPool], tuple[int]]:
        return type(self), (self.limit,)  # a copy begins with none

    @property
    def pending(self) -> int:
        """How many are under way."""
        # A loop that was closed early never comes to the end of its tasks.
        return self._threads + sum(not task.get_loop().is_closed() for task in [*self._tasks])

    def start(self, play: Callable[[], object]) -> bool:
        """Plays a session in a thread of its own.

        Args:
            play: drives it, and records what came of it.

        Returns:
            Whether it was started.
        """
        with self._changed:
            if not self._admits():
                return False
            self._threads += 1
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=context.run, args=(self._play, play), name="cascade-shadow", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # none can be had, or the interpreter is shutting down
            self._warn(error)
            self._end_thread()
            return False
        return True

    def astart(self, play: Callable[[], Coroutine[Any, Any, object]]) -> bool:
        """The same in a task of the running event loop."""
        with self._changed:
            if not self._admits():
                return False
            task = asyncio.get_running_loop().create_task(self._aplay(play))
            self._tasks.add(task)
        task.add_done_callback(self._end_task)
        return True

    def finish(
        self,
        session: Session,
        shadow: Shadow | None,
        ask: Callable[[Call], Answer],
        tell: Callable[[Trace, Mapping[str, Answer] | None], object],
        *,
        fatal: Callable[[Exception], bool] = never,
    ) -> None:
        """The end of a query: its trace is told, in shadow mode once the cascade has played.

        Args:
            session: at its end.
            shadow: what is to be played behind it, None outside of shadow mode.
            ask: makes one call for what is played, without a word to listeners.
            tell: hears of the trace, and in shadow mode of the answers beside it, by model.
            fatal: as for `attempt`, for what is played.
        """
        if shadow is None:
            tell(session.trace, None)
            return
        outcome = outcome_of(session.trace, shadow.incumbent)

        def play() -> None:
            run = reusing(shadow.incumbent, outcome, ask)
            trace = drive(shadow.open(), run, fatal=fatal)
            tell(trace, beside(shadow.incumbent, outcome))

        self.start(play)

    async def afinish(
        self,
        session: Session,
        shadow: Shadow | None,
        ask: Callable[[Call], Awaitable[Answer]],
        tell: Callable[[Trace, Mapping[str, Answer] | None], Awaitable[object]],
        *,
        fatal: Callable[[Exception], bool] = never,
    ) -> None:
        """`finish` for coroutines; what is played is a task of the running loop."""
        if shadow is None:
            await tell(session.trace, None)
            return
        outcome = outcome_of(session.trace, shadow.incumbent)

        async def play() -> None:
            run = areusing(shadow.incumbent, outcome, ask)
            trace = await adrive(shadow.open(), run, fatal=fatal)
            await tell(trace, beside(shadow.incumbent, outcome))

        self.astart(play)

    def join(self, timeout: float | None = None) -> bool:
        """Waits until none is under way.

        Args:
            timeout: seconds to wait at most.

        Returns:
            Whether none is.

        Raises:
            SessionStateError: it is called within an event loop, which could then do nothing else.
        """
        if _in_a_loop():
            raise SessionStateError("this would block the event loop: await ajoin instead")
        with self._changed:
            return self._changed.wait_for(lambda: not self.pending, timeout)

    async def ajoin(self, timeout: float | None = None) -> bool:
        """The same, without blocking the event loop."""
        until = None if timeout is None else time.monotonic() + timeout
        own = asyncio.get_running_loop()
        tasks = [task for task in self._tasks if task.get_loop() is own]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)
        rest = None if until is None else max(0.0, until - time.monotonic())
        return not self.pending or await asyncio.to_thread(self.join, rest)

    def _admits(self) -> bool:
        if self.pending < self.limit:
            return True
        self.skipped += 1
        return False

    def _play(self, play: Callable[[], object]) -> None:
        try:
            play()
        except Exception as error:  # noqa: BLE001  it is nobody's answer
            self._warn(error)
        finally:
            self._end_thread()

    async def _aplay(self, play: Callable[[], Coroutine[Any, Any, object]]) -> None:
        try:
            await play()
        except Exception as error:  # noqa: BLE001  it is nobody's answer
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        with self._changed:
            self.failed += 1
        _LOG.warning("a query in shadow mode was broken off: %r", error)

    def _end_thread(self) -> None:
        with self._changed:
            self._threads -= 1
            self._changed.notify_all()

    def _end_task(self, task: asyncio.Task[None]) -> None:
        with self._changed:
            self._tasks.discard(task)
            self._changed.notify_all()


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
