"""Another try after an error that may pass: paused, counted, and given up in the end."""

from __future__ import annotations

import asyncio

import pytest

from cascade_engine.core.retries import Retries


@pytest.fixture
def pauses(monkeypatch):
    """Seconds that would have been waited."""
    waited = []

    async def asleep(seconds):
        waited.append(seconds)

    monkeypatch.setattr("cascade_engine.core.retries.time.sleep", waited.append)
    monkeypatch.setattr("cascade_engine.core.retries.asyncio.sleep", asleep)
    return waited


@pytest.fixture(params=["sync", "async"])
def call(request):
    """Makes a call with retries, in one of two ways."""

    def sync(retries, answers):
        while True:
            with retries:
                return next(answers)()

    async def awaited(retries, answers):
        while True:
            async with retries:
                return next(answers)()

    if request.param == "sync":
        return sync
    return lambda retries, answers: asyncio.run(awaited(retries, answers))


def outcomes(*values):
    def come(value):
        if isinstance(value, BaseException):
            raise value
        return value

    return iter([lambda value=value: come(value) for value in values])


def test_a_passing_error_is_tried_again_after_a_pause(call, pauses):
    answers = outcomes(TimeoutError("slow"), ConnectionError("cut"), "yes")
    assert call(Retries(2), answers) == "yes"
    assert len(pauses) == 2
    assert 0.5 <= pauses[0] <= 1.0 <= pauses[1] <= 2.0


def test_in_the_end_it_is_given_up(call, pauses):
    answers = outcomes(TimeoutError("first"), TimeoutError("second"), "never")
    with pytest.raises(TimeoutError, match="second"):
        call(Retries(1), answers)
    assert len(pauses) == 1


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyboardInterrupt()])
def test_any_other_error_passes(call, pauses, error):
    with pytest.raises(type(error)):
        call(Retries(9), outcomes(error, "never"))
    assert pauses == []


def test_without_retries_every_error_passes(call, pauses):
    with pytest.raises(TimeoutError):
        call(Retries(0), outcomes(TimeoutError("slow"), "never"))
    assert pauses == []


def test_whoever_calls_can_say_what_is_worth_it(call, pauses):
    answers = outcomes(ValueError("odd"), "yes")
    assert call(Retries(1, lambda error: isinstance(error, ValueError)), answers) == "yes"
    with pytest.raises(TimeoutError):
        call(Retries(1, lambda error: False), outcomes(TimeoutError("slow"), "never"))
    assert len(pauses) == 1
