"""How the calls of a collection are made: in threads by `run`, in tasks by `arun`.

A `Job` holds what `collect` was called with, its `Ledger` knows which call is next and what came of
the others. Threads and tasks differ only in how they wait.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from cascade_engine.core.checks import check_names, is_number, is_whole
from cascade_engine.core.prices import Charge, amount
from cascade_engine.core.queries import as_queries, query_key
from cascade_engine.core.records import Answer
from cascade_engine.core.retries import Retries, is_temporary
from cascade_engine.data.calls.journal import CallFailure, CallResult, Cell, Journal
from cascade_engine.data.calls.ledger import Ledger, Request, samples_by_model
from cascade_engine.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from concurrent.futures import Future

    from cascade_engine.core.prices import Price
    from cascade_engine.core.records import Query

__all__ = ["Job", "arun", "await_call", "is_async", "run"]

#: What came of a call, and the exception of a failure.
_Outcome: TypeAlias = tuple[CallResult, BaseException | None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be asked of whom, and how: the arguments of `collect`, which explains them.

    Raises:
        ConfigurationError: there are no models, or an option is of the wrong kind.
        DataError: there are no queries, or not as many keys or inputs.
    """

    models: Mapping[str, Callable[[Any], Answer | Awaitable[Answer]]]
    queries: Sequence[Query | str]
    path: str | Path | None = None
    samples: int | Mapping[str, int] = 1
    max_concurrency: int = 8
    max_cost: float | None = None
    max_failures: int | None = None
    retries: int = 2
    retry_on: Callable[[BaseException], bool] = is_temporary
    prices: Mapping[str, Price] | None = None
    charge: Literal["price", "seconds"] | Callable[[str, Answer], float] = "price"
    settings: Any = None
    inputs: Sequence[Any] | None = None
    keys: Sequence[str] | None = None
    known: Any = None
    progress: bool | Callable[[str], object] = True
    sleep: Callable[[float], Any] | None = None

    def __post_init__(self) -> None:
        _check_whole(1, max_concurrency=self.max_concurrency)
        _check_whole(0, retries=self.retries)
        _check_models(self.models)
        samples_by_model(list(self.models), self.samples)
        if not self.rows:
            raise DataError("no queries given: there is nothing to ask")
        for name, column in (("keys", self.row_keys), ("inputs", self.row_inputs)):
            if len(column) != len(self.rows):
                raise DataError(f"{len(column)} {name} for {len(self.rows)} queries")
        # A collection, whose class stands above this module, is recognized by its results.
        if self.known is not None and not isinstance(getattr(self.known, "results", None), Mapping):
            raise ConfigurationError(
                f"known must be a Collection, not {type(self.known).__name__}: "
                "Collection.from_traces and Collection.from_journal make one"
            )
        _check_limits(max_cost=self.max_cost, max_failures=self.max_failures)

    @cached_property
    def rows(self) -> list[Query]:
        """The queries; plain texts have become queries."""
        return as_queries(self.queries)

    @cached_property
    def row_keys(self) -> list[str]:
        """What tells one query from another, one key for each row."""
        return [query_key(q) for q in self.rows] if self.keys is None else list(self.keys)

    @cached_property
    def row_inputs(self) -> Sequence[Any]:
        """What the models are called with, one input for each row."""
        return self.rows if self.inputs is None else list(self.inputs)

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger of the calls; until it is closed, nobody else writes to the journal."""
        charge = Charge(self.prices or {}, self.charge)
        with ExitStack() as stack:
            journal = None
            if self.path is not None:
                journal = stack.enter_context(
                    Journal(Path(self.path), list(self.models), self.settings)
                )
            ledger = Ledger(
                self._requests(),
                charge,
                journal,
                max_cost=self.max_cost,
                max_failures=self.max_failures,
                progress=self.progress,
                known={} if self.known is None else self.known.results,
            )
            stack.callback(ledger.close)
            yield ledger

    def _requests(self) -> list[Request]:
        """Every call once, query by query: the rows before a limit are then complete."""
        samples = samples_by_model(list(self.models), self.samples)
        requests = {
            (cell := Cell(key, model, sample)): Request(cell, query, value)
            for key, query, value in zip(self.row_keys, self.rows, self.row_inputs, strict=True)
            for model in self.models
            for sample in range(samples[model])
        }
        return list(requests.values())


def _check_models(models: Mapping[str, Any]) -> None:
    if not isinstance(models, Mapping):
        raise ConfigurationError(
            f"models must be a mapping of names to functions, not a {type(models).__name__}"
        )
    for name, model in models.items():
        if not callable(model):
            raise ConfigurationError(
                f"model {name!r} is a {type(model).__name__}: give a function of a Query to an "
                "Answer"
            )
    check_names(list(models))


def _check_whole(least: int, **options: Any) -> None:
    for name, value in options.items():
        if not is_whole(value) or value < least:
            raise ConfigurationError(f"{name} must be an integer >= {least}, not {value!r}")


def _check_limits(**limits: Any) -> None:
    for name, value in limits.items():
        if value is not None and not (is_number(value) and value >= 0):
            raise ConfigurationError(f"{name} must be a number >= 0, not {value!r}")


def run(job: Job) -> Ledger:
    """Makes the calls of a job in threads; returns the closed ledger."""
    stop = threading.Event()
    sleep = job.sleep or stop.wait
    with job.ledger() as ledger:
        running: dict[Future[_Outcome], Request] = {}
        with ThreadPoolExecutor(job.max_concurrency) as pool:
            try:
                while True:
                    while len(running) < job.max_concurrency and (request := ledger.next()):
                        # A copy each: two threads cannot run in one context.
                        context = contextvars.copy_context()
                        call = pool.submit(context.run, _call, job, request, stop, sleep)
                        running[call] = request
                    if not running:
                        break
                    for call in wait(running, return_when=FIRST_COMPLETED).done:
                        ledger.finish(running[call], *call.result())
                        del running[call]
            finally:
                stop.set()
                _salvage(ledger, running)
    return ledger


async def arun(job: Job) -> Ledger:
    """Makes the calls of a job in tasks; returns the closed ledger."""
    with job.ledger() as ledger:
        running: dict[asyncio.Task[_Outcome], Request] = {}
        try:
            while True:
                while len(running) < job.max_concurrency and (request := ledger.next()):
                    running[asyncio.create_task(_acall(job, request))] = request
                if not running:
                    break
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for call in done:
                    ledger.finish(running[call], *call.result())
                    del running[call]
        finally:
            for call in running:
                call.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            _salvage(ledger, running)
    return ledger


def _call(
    job: Job, request: Request, stop: threading.Event, sleep: Callable[[float], object]
) -> _Outcome:
    """One call in a thread, with its further tries."""
    retries, attempts = Retries(job.retries, job.retry_on), 0
    while True:
        attempts += 1
        start = time.perf_counter()
        try:
            answer = job.models[request.cell.model](request.input)
        except Exception as error:  # noqa: BLE001  it is recorded
            pause = retries.pause(error)
            if pause is not None and not stop.is_set():
                sleep(pause)
            if pause is None or stop.is_set():
                return _failure(error, attempts)
        else:
            return _checked(answer, request, time.perf_counter() - start), None


async def _acall(job: Job, request: Request) -> _Outcome:
    """One call in a task, with its further tries."""
    retries, attempts = Retries(job.retries, job.retry_on), 0
    while True:
        attempts += 1
        start = time.perf_counter()
        try:
            answer = await await_call(job.models[request.cell.model], request.input)
        except Exception as error:  # noqa: BLE001  it is recorded
            pause = retries.pause(error)
            if pause is None:
                return _failure(error, attempts)
            await (job.sleep or asyncio.sleep)(pause)
        else:
            return _checked(answer, request, time.perf_counter() - start), None


async def await_call(function: Callable[..., Any], *args: Any) -> Any:
    """Awaits a coroutine function; any other function runs in a thread."""
    if is_async(function):
        return await function(*args)
    result = await asyncio.to_thread(function, *args)
    return await result if inspect.isawaitable(result) else result


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine, as far as can be seen."""
    call = getattr(type(function), "__call__", None)  # noqa: B004  its own, not whether it has one
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _checked(answer: Any, request: Request, seconds: float) -> Answer:
    """The answer with its latency and without its payload.

    Raises:
        ConfigurationError: a model returned something else, or an answer that nobody can use: in a
            journal it would be refused ever after.
    """
    model = request.cell.model
    if not isinstance(answer, Answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise ConfigurationError(
            f"model {model!r} returned {type(answer).__name__} and no Answer"
            + (": use acollect for coroutine functions" if inspect.iscoroutine(answer) else "")
        )
    if not isinstance(answer.text, str):
        raise ConfigurationError(
            f"model {model!r} returned an Answer with {answer.text!r:.80} for its text: give text, "
            '"" where it only calls tools'
        )
    if answer.cost is not None:
        amount(model, answer.cost)
    latency = seconds if answer.seconds is None else answer.seconds
    return replace(answer, seconds=latency, payload=None)


def _failure(error: BaseException, attempts: int) -> _Outcome:
    return CallFailure(f"{type(error).__name__}: {error}", attempts), error


def _salvage(ledger: Ledger, running: Mapping[Any, Request]) -> None:
    """Keeps what was still answered after an interrupt: it has been paid for."""
    for call, request in running.items():
        with suppress(Exception, asyncio.CancelledError):  # another error is on its way
            ledger.finish(request, *call.result())
