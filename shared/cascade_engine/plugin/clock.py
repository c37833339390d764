"""How long a streamed answer takes."""

from __future__ import annotations

import time

__all__ = ["StreamClock"]


class StreamClock:
    """Seconds that a model takes over a stream: those that the reader takes over a chunk are not.

    It runs from `listen`, before each chunk is waited for, until `hear`, when there is one or the
    stream has ended.

    Attributes:
        seconds: that it has run.
        seconds_to_first_token: those until there was something to be seen; None before.
    """

    __slots__ = ("_since", "seconds", "seconds_to_first_token")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.seconds_to_first_token: float | None = None
        self.listen()

    def listen(self) -> None:
        """The next chunk is waited for."""
        self._since: float | None = time.perf_counter()

    def hear(self, *, is_visible: bool) -> None:
        """A chunk has come, or the end.

        Args:
            is_visible: whether there is something in it to be seen: a token, a tool call.
        """
        if self._since is not None:
            self.seconds += time.perf_counter() - self._since
            self._since = None
        if is_visible and self.seconds_to_first_token is None:
            self.seconds_to_first_token = self.seconds
