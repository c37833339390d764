"""Driving a session to its end: the loop that runs what it asks for, with and without `async`.

A driver is a loop around one context manager:

```python
while (call := session.pending) is not None:
    with attempt(session) as tried:
        tried.answer = ask(call)  # or: await ask(call)
```

Drivers differ only in what they do inside the block, as httpx' synchronous and asynchronous clients
differ only around one authentication flow: what an answer, a failure or a fatal error means to the
session is said here, once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from typing_extensions import Self

    from cascade_engine.core.records import Answer, Call
    from cascade_engine.core.trace import Trace
    from cascade_engine.routing.session import Session

__all__ = ["Attempt", "adrive", "attempt", "drive", "never"]


def never(error: Exception) -> bool:  # noqa: ARG001
    """No error is fatal."""
    return False


class Attempt:
    """One try at a session's pending call, as `attempt` makes it; reported when its block is left.

    It is a class, and no generator with `contextmanager`, since every call of a model passes
    through it: a generator takes three times as many Python calls.

    Attributes:
        answer: what the model answered, to be set within the block.
        is_deferred: whether the answer is reported later, by whoever reads the stream that has
            begun: leaving the block without an error then tells the session nothing.
    """

    __slots__ = ("_fatal", "_session", "_start", "answer", "is_deferred")

    def __init__(self, session: Session, fatal: Callable[[Exception], bool]) -> None:
        self._session = session
        self._fatal = fatal
        self.answer: Answer | None = None
        self.is_deferred = False

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if error is None:
            if not self.is_deferred:
                self._session.answer(self.answer)  # type: ignore[arg-type]  # None is refused
            return False
        if not isinstance(error, Exception) or self._fatal(error):
            return False
        self._session.fail(error, seconds=time.perf_counter() - self._start)
        return True


def attempt(session: Session, fatal: Callable[[Exception], bool] = never) -> Attempt:
    """Reports what comes of the pending call: the answer set in the block, or the error raised.

    An `Exception` counts as the model's failure, with the seconds it took; what is none
    (`KeyboardInterrupt`, `asyncio.CancelledError`) passes, and so does one that is fatal.

    Args:
        session: with a call pending.
        fatal: whether an error is none of the model's, and is to be raised: one that stops the
            caller's own graph or workflow, say. The session is left as it was.

    Raises:
        DataError: the block ended without an answer.
    """
    return Attempt(session, fatal)


def drive(
    session: Session,
    run: Callable[[Call], Answer],
    *,
    fatal: Callable[[Exception], bool] = never,
) -> Trace:
    """Runs a session to its end.

    Args:
        session: a fresh session.
        run: makes one call; its errors count as `attempt` says.
        fatal: as for `attempt`.

    Returns:
        The trace; the answer is `session.result`.
    """
    while (call := session.pending) is not None:
        with attempt(session, fatal) as tried:
            tried.answer = run(call)
    return session.trace


async def adrive(
    session: Session,
    run: Callable[[Call], Awaitable[Answer]],
    *,
    fatal: Callable[[Exception], bool] = never,
) -> Trace:
    """`drive` for coroutines: each call is awaited before the next is decided.

    Args:
        session: a fresh session.
        run: a coroutine function that makes one call; its errors count as those of `drive`'s do.
        fatal: as for `attempt`.

    Returns:
        The trace; the answer is `session.result`.
    """
    while (call := session.pending) is not None:
        with attempt(session, fatal) as tried:
            tried.answer = await run(call)
    return session.trace
