"""What a driver makes of a call that raises: whose fault it is, and how long it took."""

from __future__ import annotations

import asyncio

import pytest

from cascade_engine import Answer, CascadeRouter, adrive, drive
from cascade_engine.errors import InvalidAnswerError
from tests.helpers import finished

NAMES = ("small", "large")


class Stop(Exception):  # noqa: N818  as control flow is named
    """Somebody else's way to say: no further."""


def opened():
    return CascadeRouter(NAMES).session("q")


@pytest.fixture(params=["sync", "async"])
def driven(request):
    """Drives a session by a plain function, in both ways."""
    if request.param == "sync":
        return drive

    def through(session, run, **options):
        async def arun(call):
            return run(call)

        return finished(adrive(session, arun, **options))

    return through


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves when it is told to."""
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    return now


def test_a_failure_took_time(driven, clock):
    def run(call):
        clock[0] += 2.0
        if call.model == "small":
            raise TimeoutError
        return Answer("Ada")

    (failure,) = driven(opened(), run).failures
    assert failure.seconds == 2.0


def test_an_answer_that_cannot_be_used_says_itself_how_long_it_took(driven, clock):
    def run(call):
        clock[0] += 2.0
        if call.model == "small":
            raise InvalidAnswerError("no", Answer("no", seconds=1.5))
        raise InvalidAnswerError("no", Answer("no"))

    small, large = driven(opened(), run).failures
    assert (small.seconds, large.seconds) == (1.5, 2.0)


def test_an_error_that_is_not_the_models_passes(driven):
    def run(call):
        raise Stop

    session = opened()
    with pytest.raises(Stop):
        driven(session, run, fatal=lambda error: isinstance(error, Stop))
    assert session.pending is not None
    assert session.trace.failures == ()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_the_program_passes(kind):
    def run(call):
        raise kind

    session = opened()
    with pytest.raises(kind):
        drive(session, run)
    assert session.trace.failures == ()


async def test_cancelling_is_no_failure():
    started, asked = asyncio.Event(), []

    async def run(call):
        asked.append(call.model)
        started.set()
        await asyncio.Event().wait()

    session = opened()
    task = asyncio.create_task(adrive(session, run))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asked == ["small"]
    assert session.trace.failures == ()
    assert session.pending.model == "small"
