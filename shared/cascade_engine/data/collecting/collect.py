"""`collect` and `acollect`: what every model answers to every query, whatever happens meanwhile.

`_job` holds what they are called with, `_work` knows what is to be asked next and what came of it;
the two differ only in how they run the calls.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from cascade_engine.core.prices import amount
from cascade_engine.core.records import Answer
from cascade_engine.data.collecting._job import Job
from cascade_engine.data.collecting.journal import CallFailure
from cascade_engine.data.collecting.ledger import Ask, Result, Work
from cascade_engine.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from cascade_engine.core.retrying import Retrying
    from cascade_engine.data.collection import Collection

__all__ = ["acollect", "awaited", "collect", "is_async"]

P = ParamSpec("P")
R = TypeVar("R")


def _taking(job: Callable[P, Job]) -> Callable[[Callable[[Job], R]], Callable[P, R]]:
    """Gives a function of a job the arguments of a job: they are written once, for all to see."""

    def decorate(function: Callable[[Job], R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return function(job(*args, **kwargs))

        arguments = inspect.signature(job).replace(return_annotation="Collection")
        vars(call)["__signature__"] = arguments
        return call

    return decorate


@_taking(Job)
def collect(job: Job) -> Collection:  # noqa: D417  its arguments are those of a job
    """Asks every model every query, in threads, query by query.

    With a `path` each finished call is on disk, in a journal, before it counts. Killed at any
    moment, the same call goes on from there: nothing is lost and nothing is paid for twice, but
    for the calls that were in flight. Later calls may add queries, models or samples; a query that
    was edited is asked again. The same query in several rows is asked once. Calls that failed are
    in the journal too, and are tried again.

    Args:
        models: what asks each model, by its name: a function of a `Query` to an `Answer`. An
            answer without `seconds` gets the time the call took; its `payload` is not kept.
        queries: the n queries.
        path: the journal; None to keep everything in memory.
        samples: how many answers of each model to each query; a number, or one for each model.
        max_concurrency: calls in flight, of all models together.
        max_cost: stops before what was spent and what the calls in flight are expected to cost
            would exceed it; what the journal holds already counts. Until a model's first answer
            its calls go one at a time, and that one may exceed it.
        max_failures: stops once more than so many calls have failed; None never stops.
        retries: further tries of a call that raises an error worth it.
        retry_on: which errors are: `is_temporary` by default (lost connections, timeouts, rate
            limits, the server's own errors).
        prices: price of each model, used where an answer carries no cost of its own.
        charge: "price", tokens times prices; "seconds"; or a callable of model and answer.
        settings: what else the answers depend on, such as a temperature or a system prompt: a
            journal of other settings is refused.
        inputs: what the models are called with in place of the queries, one per query.
        keys: what tells queries apart, where inputs say more than the queries do.
        known: answers that are there already, from live traffic (`Collection.from_traces`) or from
            another collection: their calls are neither made nor paid for, and the journal is of
            the others alone.
        progress: True draws a line on a terminal; a callable is given the line; False.
        sleep: waits before another try; by default a wait that an interrupt ends.

    Returns:
        The answers, with what is missing and why; whether a limit stopped it is in `stopped`.

    Raises:
        ConfigurationError: no models, bad options, or a model that returned no `Answer`.
        DataError: no queries, or a journal that is in use or belongs to something else.
        UnknownPriceError: there is a cost limit, and the cost of an answer is unknown.
    """
    stop = threading.Event()
    sleep = job.sleep or stop.wait
    with job.work() as work:
        running: dict[Future[Result], Ask] = {}
        with ThreadPoolExecutor(job.max_concurrency) as pool:
            try:
                while True:
                    while len(running) < job.max_concurrency and (ask := work.next()):
                        model = job.models[ask.cell.model]
                        call = _Call(model, ask, job.retrying, stop, sleep)
                        running[pool.submit(contextvars.copy_context().run, call)] = ask
                    if not running:
                        break
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        work.finish(running[future], future.result())
                        del running[future]
            finally:
                stop.set()
                _salvage(work, running)
        return job.collection(work)


@_taking(Job)
async def acollect(job: Job) -> Collection:
    """`collect`, in tasks: the models are coroutine functions; others are run in a thread.

    `sleep` is one too, `asyncio.sleep` by default.
    """
    with job.work() as work:
        running: dict[asyncio.Task[Result], Ask] = {}
        try:
            while True:
                while len(running) < job.max_concurrency and (ask := work.next()):
                    model = job.models[ask.cell.model]
                    call = _acall(model, ask, job.retrying, job.sleep or asyncio.sleep)
                    running[asyncio.create_task(call)] = ask
                if not running:
                    break
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    work.finish(running[task], task.result())
                    del running[task]
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            _salvage(work, running)
        return job.collection(work)


@dataclass(frozen=True, slots=True)
class _Call:
    """A call in a thread, with its further tries."""

    model: Callable[[Any], Any]
    ask: Ask
    retrying: Retrying
    stop: threading.Event
    sleep: Callable[[float], object]

    def __call__(self) -> Result:
        pauses, attempts = self.retrying.pauses(), 0
        while True:
            attempts += 1
            start = time.perf_counter()
            try:
                given = self.model(self.ask.input)
            except Exception as error:  # noqa: BLE001  it is recorded
                pause = self.retrying.pause(error, pauses)
                if pause is not None and not self.stop.is_set():
                    self.sleep(pause)
                if pause is None or self.stop.is_set():
                    return _failed(error, attempts)
            else:
                return _answered(given, self.ask, time.perf_counter() - start)


async def _acall(
    model: Callable[[Any], Any],
    ask: Ask,
    retrying: Retrying,
    sleep: Callable[[float], Any],
) -> Result:
    pauses, attempts = retrying.pauses(), 0
    while True:
        attempts += 1
        start = time.perf_counter()
        try:
            given = await awaited(model, ask.input)
        except Exception as error:  # noqa: BLE001  it is recorded
            pause = retrying.pause(error, pauses)
            if pause is None:
                return _failed(error, attempts)
            await sleep(pause)
        else:
            return _answered(given, ask, time.perf_counter() - start)


async def awaited(function: Callable[..., Any], *args: Any) -> Any:
    """What a coroutine function, or any other in a thread, returns."""
    if is_async(function):
        return await function(*args)
    result = await asyncio.to_thread(function, *args)
    return await result if inspect.isawaitable(result) else result


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine, as far as can be seen."""
    call = getattr(type(function), "__call__", None)  # noqa: B004  its own, not whether it has one
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _answered(given: Any, ask: Ask, seconds: float) -> Result:
    if not isinstance(given, Answer):
        if inspect.iscoroutine(given):
            given.close()
        raise ConfigurationError(
            f"model {ask.cell.model!r} returned {type(given).__name__} and no Answer"
            + (": use acollect for coroutine functions" if inspect.iscoroutine(given) else "")
        )
    if not isinstance(given.text, str):
        raise ConfigurationError(
            f"model {ask.cell.model!r} returned an Answer with {given.text!r:.80} for its text: "
            'give text, "" where it only calls tools'
        )
    if given.cost is not None:
        amount(ask.cell.model, given.cost)  # once in a journal it would be refused ever after
    took = seconds if given.seconds is None else given.seconds
    return Result(replace(given, seconds=took, payload=None))


def _failed(error: BaseException, attempts: int) -> Result:
    return Result(CallFailure(f"{type(error).__name__}: {error}", attempts), error)


def _salvage(work: Work, running: Mapping[Any, Ask]) -> None:
    """Keeps what is still answered after an interrupt: it has been paid for."""
    for future, ask in running.items():
        with suppress(Exception, asyncio.CancelledError):  # another error is on its way
            work.finish(ask, future.result())
