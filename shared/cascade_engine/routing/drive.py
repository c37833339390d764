"""Driving a session to its end: the loop that runs what it asks for, with and without `async`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cascade_engine.core.records import Answer, Call
    from cascade_engine.core.trace import Trace
    from cascade_engine.routing.session import Session

__all__ = ["adrive", "drive"]


def _never(error: Exception) -> bool:  # noqa: ARG001
    return False


def drive(
    session: Session,
    run: Callable[[Call], Answer],
    *,
    fatal: Callable[[Exception], bool] = _never,
) -> Trace:
    """Runs a session to its end.

    Args:
        session: a fresh session.
        run: makes one call; whatever `Exception` it raises counts as that model's failure, and what
            is none (`KeyboardInterrupt`, `asyncio.CancelledError`) passes.
        fatal: whether an error is none of the model's, and is to be raised: one that stops the
            caller's own graph or workflow, say. The session is left as it was.

    Returns:
        The trace; the answer is `session.result`.
    """
    while (call := session.pending) is not None:
        start = time.perf_counter()
        try:
            answer = run(call)
        except Exception as error:
            if fatal(error):
                raise
            session.fail(error, seconds=time.perf_counter() - start)
        else:
            session.answer(answer)
    return session.trace


async def adrive(
    session: Session,
    run: Callable[[Call], Awaitable[Answer]],
    *,
    fatal: Callable[[Exception], bool] = _never,
) -> Trace:
    """`drive` for coroutines: each call is awaited before the next is decided.

    Args:
        session: a fresh session.
        run: a coroutine function that makes one call; its errors count as those of `drive`'s do.
        fatal: as for `drive`.

    Returns:
        The trace; the answer is `session.result`.
    """
    while (call := session.pending) is not None:
        start = time.perf_counter()
        try:
            answer = await run(call)
        except Exception as error:
            if fatal(error):
                raise
            session.fail(error, seconds=time.perf_counter() - start)
        else:
            session.answer(answer)
    return session.trace
