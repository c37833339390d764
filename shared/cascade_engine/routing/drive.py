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
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from cascade_engine.core.records import Answer, Call
    from cascade_engine.core.trace import Trace
    from cascade_engine.routing.session import Session

__all__ = ["Attempt", "adrive", "attempt", "drive", "never"]


@dataclass(slots=True)
class Attempt:
    """One try at a session's pending call.

    Attributes:
        answer: what the model answered, to be set within the block.
        is_deferred: whether the answer is reported later, by whoever reads the stream that has
            begun: leaving the block without an error then tells the session nothing.
    """

    answer: Answer | None = None
    is_deferred: bool = False


def never(error: Exception) -> bool:  # noqa: ARG001
    """Takes no error for a fatal one."""
    return False


@contextmanager
def attempt(session: Session, fatal: Callable[[Exception], bool] = never) -> Iterator[Attempt]:
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
    start = time.perf_counter()
    tried = Attempt()
    try:
        yield tried
    except Exception as error:
        if fatal(error):
            raise
        session.fail(error, seconds=time.perf_counter() - start)
    else:
        if not tried.is_deferred:
            session.answer(tried.answer)  # type: ignore[arg-type]  # None is refused


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
