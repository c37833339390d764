"""A stream's clock: it stands still while the reader is at work."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cascade_engine.plugin.clock import StreamClock


@pytest.fixture
def time(monkeypatch):
    time = SimpleNamespace(now=100.0)
    monkeypatch.setattr("cascade_engine.plugin.clock.time.perf_counter", lambda: time.now)
    return time


def test_it_counts_what_is_waited_for(time):
    clock = StreamClock()
    time.now += 2.0
    clock.hear(is_visible=False)
    time.now += 50.0  # of the reader
    clock.listen()
    time.now += 1.0
    clock.hear(is_visible=True)
    assert (clock.seconds, clock.seconds_to_first_token) == (3.0, 3.0)
    time.now += 50.0
    clock.hear(is_visible=True)  # the reader has left: nothing was waited for
    assert (clock.seconds, clock.seconds_to_first_token) == (3.0, 3.0)


def test_nothing_to_be_seen_has_no_first_token(time):
    clock = StreamClock()
    time.now += 1.0
    clock.hear(is_visible=False)
    assert (clock.seconds, clock.seconds_to_first_token) == (1.0, None)
