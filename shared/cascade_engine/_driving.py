"""Driving a session to its end: the loop that runs what it asks for, with and without `async`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cascade_engine._session import Session
    from cascade_engine._trace import Trace
    from cascade_engine._types import Answer, Call

__all__ = ["adrive", "drive"]


def drive(session: Session, run: Callable[[Call], Answer]) -> Trace:
    """Runs a session to its end.

    Args:
        session: a fresh session.
        run: makes one call; whatever `Exception` it raises counts as that model's failure.

    Returns:
        The trace; the answer is `session.result`.
    """
    while (call := session.pending) is not None:
        try:
            answer = run(call)
        except Exception as error:  # noqa: BLE001, PERF203  failures enter the session as values
            session.fail(error)
        else:
            session.answer(answer)
    return session.trace


async def adrive(session: Session, run: Callable[[Call], Awaitable[Answer]]) -> Trace:
    """The same, awaiting each call."""
    while (call := session.pending) is not None:
        try:
            answer = await run(call)
        except Exception as error:  # noqa: BLE001, PERF203  failures enter the session as values
            session.fail(error)
        else:
            session.answer(answer)
    return session.trace
