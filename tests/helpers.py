"""What several test modules need and no fixture has to make."""

from __future__ import annotations

import asyncio
from functools import reduce
from operator import add

import pytest

from cascade_engine import Answer, Usage


def answer(call):
    """A driver's function: every model answers."""
    return Answer(f"by {call.model}", cost=0.5, usage=Usage(10, 5), seconds=0.1)


def failing(*names):
    """A driver's function; it gives up on a session that does not end."""
    calls = []

    def run(call):
        calls.append(call.model)
        if len(calls) > 9:
            pytest.fail(f"still going after {calls}")
        if call.model in names:
            raise TimeoutError(f"{call.model} is away")
        return answer(call)

    return run


def finished(coroutine):
    """Runs a coroutine on a loop of its own, which leaves nothing behind."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


def whole(chunks):
    """What a stream's chunks add up to: a message, or after a parser a string."""
    return reduce(add, chunks)
