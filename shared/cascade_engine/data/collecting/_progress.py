"""How far something long is, on one line."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Progress"]

_REDRAW = 0.2  # seconds


class Progress:
    """A line with what is done, what it cost, what failed and how long the rest will take.

    Args:
        total: how many there are to do.
        done: how many of them were done before.
        show: True draws one moving line on standard error if that is a terminal, and stays quiet
            otherwise (in a log, in a notebook); a callable is given each line instead; False.
        clock: seconds.
    """

    def __init__(
        self,
        total: int,
        done: int,
        show: bool | Callable[[str], object],  # noqa: FBT001  passed on
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._before, self._clock = total, done, clock
        self._started = clock()
        self._shown = float("-inf")
        self._width = 0
        self._tell = show if callable(show) else None
        if show is True and sys.stderr is not None and sys.stderr.isatty():
            self._tell = self._draw

    def at(self, done: int, failed: int, cost: float) -> None:
        """Shows where things stand, unless that was shown a moment ago."""
        now = self._clock()
        if self._tell and (now - self._shown >= _REDRAW or done == self._total):
            self._shown = now
            self._tell(self._line(done, failed, cost, now - self._started))

    def end(self) -> None:
        """Leaves the moving line, so that what comes next has its own."""
        if self._width:
            self._width = 0
            self._write("\n")

    def _line(self, done: int, failed: int, cost: float, elapsed: float) -> str:
        parts = [f"{done}/{self._total} calls", f"cost {cost:.4g}"]
        parts += [f"{failed} failed"] if failed else []
        fresh, left = done - self._before, self._total - done
        if fresh and left:
            parts.append(f"{_duration(elapsed / fresh * left)} left")
        return ", ".join(parts)

    def _draw(self, line: str) -> None:
        self._write("\r" + line.ljust(self._width))
        self._width = len(line)

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
