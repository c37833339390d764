"""How long a streamed answer takes."""

from __future__ import annotations

import time

__all__ = ["StreamClock"]


class StreamClock:
    """Time spent waiting for a model's stream, without the time that its reader holds a chunk.

    It runs from `listen`, before each chunk, until `hear`, when the chunk or the stream's end came.

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
