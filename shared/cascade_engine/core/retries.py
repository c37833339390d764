"""Retries: which errors of a call are worth another try, and after what pause."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Retries", "is_temporary"]

_FIRST, _LONGEST = 1.0, 60.0  # seconds of the first pause, and of any
_STATUS = frozenset({408, 409, 425, 429})
#: Parts of the names that clients' own classes of temporary errors have.
_NAMES = ("Timeout", "ConnectionError", "ConnectError", "RateLimit", "Unavailable", "Overloaded")


def is_temporary(error: BaseException) -> bool:
    """Whether the same call may well succeed a little later.

    An error that carries an HTTP status is temporary with 408, 409, 425, 429 and all from 500. Any
    other is temporary where it is a lost connection or a timeout, Python's own or that of a client
    library, which is known by the name of its class. An exhausted quota is not, though it comes
    with 429: waiting does not help.
    """
    if getattr(error, "code", None) == "insufficient_quota":
        return False
    status = _status(error)
    if status is not None:
        return status in _STATUS or status >= 500  # noqa: PLR2004  the server's own trouble
    if isinstance(error, (TimeoutError, ConnectionError)):
        return True
    names = [kind.__name__ for kind in type(error).__mro__]
    return any(part in name for name in names for part in _NAMES)


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    for holder in (error, response):
        for name in ("status_code", "status", "http_status", "code"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and 100 <= value < 600:  # noqa: PLR2004  an HTTP status
                return value
    return None


def _asked_for(error: BaseException) -> float:
    """Seconds that a server asks to wait."""
    headers: Mapping[str, Any] = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return min(max(float(headers.get("retry-after", 0)), 0.0), _LONGEST)
    except (TypeError, ValueError):  # a date
        return 0.0


class Retries:
    """The further tries of one call: a context manager for each try.

    ```python
    retries = Retries(2)
    while True:
        with retries:  # or `async with`, which does not block the event loop while it waits
            return ask()
    ```

    An error that is worth another try is swallowed after a pause, and the block is entered again;
    any other error passes. The pauses double from one second to a minute, each shortened by up to
    a half at random, so that calls that failed together do not return together. A server that says
    how long to wait (the header `retry-after`) is heeded, up to a minute.

    Args:
        limit: further tries after the first.
        worth_it: whether an error is worth another try: of a stream, only while nothing of it was
            shown.
        chance: draws the random number in [0, 1) that shortens a pause.
    """

    __slots__ = ("_chance", "_limit", "_tries", "_worth_it")

    def __init__(
        self,
        limit: int,
        worth_it: Callable[[BaseException], bool] = is_temporary,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._limit, self._worth_it, self._chance = limit, worth_it, chance
        self._tries = 0

    def pause(self, error: BaseException | None) -> float | None:
        """Seconds to wait before the call that raised is tried again; None to give up."""
        if self._tries >= self._limit or not isinstance(error, Exception):
            return None
        if not self._worth_it(error):
            return None
        longest = min(_FIRST * 2.0**self._tries, _LONGEST)
        self._tries += 1
        return max(longest * (1 - self._chance() / 2), _asked_for(error))

    def __enter__(self) -> None:
        """Begins a try."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        pause = self.pause(error)
        if pause is not None:
            time.sleep(pause)
        return pause is not None

    async def __aenter__(self) -> None:
        """Begins a try."""

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        pause = self.pause(error)
        if pause is not None:
            await asyncio.sleep(pause)
        return pause is not None
