"""Sessions in the background: bounded, never heard of, and waited for when asked."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import pickle
import threading

import pytest

from cascade_engine import Answer, CascadeRouter, ConfigurationError, Price, adrive, drive
from cascade_engine.core.records import Call
from cascade_engine.errors import SessionStateError
from cascade_engine.plugin.shadow import Shadow, ShadowPool, areusing, reusing
from tests.helpers import answer, finished

PRICES = {"small": Price(1, 1), "large": Price(10, 10)}


def session():
    return CascadeRouter(list(PRICES), prices=PRICES).session("What is it?")


class TestReusing:
    def test_the_incumbent_is_not_asked_again(self):
        held, log = Answer("the incumbent's", cost=1.0), []

        def run(call):
            log.append(call.model)
            return answer(call)

        trace = drive(session(), reusing("large", held, run))
        assert log == ["small"]
        assert trace.answers["large"] is held

        async def arun(call):
            return run(call)

        assert finished(adrive(session(), areusing("large", held, arun))) == trace

    def test_nor_where_it_failed(self):
        trace = drive(session(), reusing("small", TimeoutError("away"), answer))
        assert [str(f.error) for f in trace.failures] == ["away"]
        assert trace.chosen == "large"

    def test_a_sample_of_it_is_another_question(self):
        run = reusing("small", Answer("held"), lambda call: Answer("asked"))
        assert run(Call("small")).text == "held"
        assert run(Call("small", purpose="sample")).text == "asked"
        assert run(Call("small", purpose="judge")).text == "asked"


class TestThreads:
    def test_one_runs_beside_its_caller_and_can_be_waited_for(self):
        shadows, gate, seen = ShadowPool(), threading.Event(), []

        def play():
            assert gate.wait(20)
            seen.append(threading.current_thread())

        assert shadows.start(play)
        assert shadows.pending == 1
        assert not shadows.join(timeout=0)
        gate.set()
        assert shadows.join(timeout=20)
        assert shadows.pending == 0
        assert seen != [threading.current_thread()]
        assert seen[0].daemon  # it does not keep a program from ending

    def test_too_many_are_skipped_and_counted(self):
        shadows, gate, played = ShadowPool(limit=2), threading.Event(), []

        def play():
            assert gate.wait(20)
            played.append(1)

        assert [shadows.start(play) for _ in range(5)] == [True, True, False, False, False]
        assert shadows.skipped == 3
        gate.set()
        assert shadows.join(20)
        assert shadows.start(play)
        assert shadows.join(20)
        assert len(played) == 3
        assert shadows.failed == 0

    def test_errors_stay_inside_and_are_told_to_the_log(self, caplog):
        shadows = ShadowPool()

        def play():
            raise ValueError("broken")

        with caplog.at_level("WARNING", logger="cascade_engine"):
            shadows.start(play)
            assert shadows.join(20)
        assert shadows.failed == 1
        assert "ValueError('broken')" in caplog.text

    def test_without_threads_to_be_had_it_is_skipped(self, monkeypatch, caplog):
        def refuse(self):
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        shadows = ShadowPool()
        assert not shadows.start(list)
        assert shadows.pending == 0
        assert shadows.failed == 1
        assert "can't start new thread" in caplog.text

    def test_it_sees_the_context_of_its_caller(self):
        variable, seen = contextvars.ContextVar("variable"), []
        variable.set("mine")
        shadows = ShadowPool()
        shadows.start(lambda: seen.append(variable.get()))
        assert shadows.join(20)
        assert seen == ["mine"]


class TestTasks:
    async def test_one_runs_beside_its_caller_and_can_be_waited_for(self):
        shadows, gate, seen = ShadowPool(), asyncio.Event(), []

        async def play():
            await gate.wait()
            seen.append(1)

        assert shadows.astart(play)
        assert not await shadows.ajoin(timeout=0)
        assert shadows.pending == 1
        gate.set()
        assert await shadows.ajoin(timeout=20)
        assert seen == [1]

    async def test_errors_stay_inside(self, caplog):
        async def play():
            raise ValueError("broken")

        shadows = ShadowPool()
        shadows.astart(play)
        assert await shadows.ajoin(20)
        assert shadows.failed == 1
        assert "ValueError('broken')" in caplog.text

    async def test_threads_are_waited_for_too_and_count_under_the_limit(self):
        shadows, gate = ShadowPool(limit=2), threading.Event()
        assert shadows.start(lambda: gate.wait(20))

        async def play():
            await asyncio.sleep(0)

        assert shadows.astart(play)
        assert not shadows.astart(play)
        assert shadows.skipped == 1
        gate.set()
        assert await shadows.ajoin(20)

    async def test_it_cannot_be_waited_for_by_blocking_the_loop(self):
        with pytest.raises(SessionStateError, match="would block the event loop"):
            ShadowPool().join()

    def test_a_loop_that_ends_early_leaves_no_room_taken(self):
        shadows = ShadowPool(limit=1)

        async def never():
            await asyncio.Event().wait()

        async def main():
            assert shadows.astart(never)
            await asyncio.sleep(0)

        asyncio.run(main())  # it cancels what is left
        assert shadows.pending == 0
        assert shadows.join(0)
        assert shadows.failed == 0

    def test_nor_does_one_that_is_just_closed(self):
        shadows, loop = ShadowPool(limit=1), asyncio.new_event_loop()

        async def never():
            await asyncio.Event().wait()

        async def main():
            assert shadows.astart(never)
            await asyncio.sleep(0)
            return [*shadows._tasks]

        tasks = loop.run_until_complete(main())
        loop.close()
        assert shadows.pending == 0
        assert shadows.start(list)
        assert shadows.join(20)
        for task in tasks:
            task._log_destroy_pending = False
            task.get_coro().close()


def test_a_copy_begins_with_none():
    shadows = ShadowPool(limit=3)
    shadows.skipped = 4
    for other in (copy.deepcopy(shadows), pickle.loads(pickle.dumps(shadows))):  # noqa: S301  its own
        assert other.limit == 3
        assert other.skipped == other.pending == 0


@pytest.mark.parametrize("limit", [0, -1, 1.5, "2"])
def test_a_limit_that_cannot_be_is_refused(limit):
    with pytest.raises(ConfigurationError, match="limit of shadows"):
        ShadowPool(limit)


class TestTheEndOfAQuery:
    def test_outside_of_shadow_mode_the_trace_is_told_at_once(self):
        told, shadows, ended = [], ShadowPool(), session()
        trace = drive(ended, answer)
        shadows.finish(ended, None, answer, lambda *end: told.append(end))
        assert told == [(trace, None)]

        async def tell(*end):
            told.append(end)

        finished(shadows.afinish(ended, None, None, tell))
        assert told == [(trace, None)] * 2

    async def test_in_shadow_mode_once_the_cascade_has_played(self):
        told, shadows, log = [], ShadowPool(), []
        held = Answer("the incumbent's", cost=1.0)
        ended = CascadeRouter(list(PRICES), prices=PRICES).session("What is it?", only=["large"])
        drive(ended, lambda call: held)

        def ask(call):
            log.append(call.model)
            return answer(call)

        async def aask(call):
            return ask(call)

        async def tell(*end):
            told.append(end)

        shadow = Shadow("large", session)
        await asyncio.to_thread(
            lambda: (
                shadows.finish(ended, shadow, ask, lambda *e: told.append(e)),
                shadows.join(20),
            )
        )
        await shadows.afinish(ended, shadow, aask, tell)
        assert await shadows.ajoin(20)
        assert log == ["small"] * 2
        for trace, others in told:
            assert trace.answers["large"] is others["large"] is held
