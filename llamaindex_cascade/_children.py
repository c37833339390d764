"""The children of a cascade: their names, and how they are asked."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from weakref import WeakSet

from llama_index.core.base.llms.types import LLMMetadata, MessageRole
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM

from cascade_engine.plugin import names as _naming
from llamaindex_cascade._live import Live
from llamaindex_cascade._reporting import Reporting
from llamaindex_cascade._requests import Request, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from cascade_engine import Answer
    from cascade_engine.routing.advisers import Adviser
    from llamaindex_cascade._messages import Response

R = TypeVar("R")

#: What cascades have lent, for those that share a child: it is no child's own.
_LENT: WeakSet[CallbackManager] = WeakSet()

_NAMES = ("model", "model_name", "model_id", "deployment_name", "name")


class Begun(NamedTuple):
    """A stream that has begun to speak.

    Attributes:
        live: what it adds up to.
        first: the chunks that have come, fit for the user.
        rest: the others.
    """

    live: Live
    first: list[Any]
    rest: Any


@dataclass
class Child:
    """One LLM of the cascade.

    Attributes:
        name: its name.
        llm: the LLM.
    """

    name: str
    llm: LLM
    _reporting: Reporting = field(init=False, repr=False)
    _metadata: LLMMetadata | None = field(default=None, repr=False)
    _lent: Any = field(default=None, repr=False)
    _sync: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        self._reporting = Reporting(self.llm)
        own = self.llm.callback_manager
        if own.handlers == CallbackManager().handlers:  # those of `Settings`, and none of its own
            self._lent = own

    @property
    def metadata(self) -> LLMMetadata | None:
        """The LLM's, read once: it may ask its server for it. None while that is not reached."""
        if self._metadata is None:
            with suppress(OSError):
                self._metadata = self.llm.metadata
        return self._metadata

    @property
    def calls_tools(self) -> bool:
        """Whether it can be offered tools."""
        known = self.metadata if isinstance(self.llm, FunctionCallingLLM) else None
        return known is not None and known.is_function_calling_model

    def lend(self, callbacks: CallbackManager) -> None:
        """Gives an LLM without handlers of its own the cascade's, as it is now."""
        own = self.llm.callback_manager
        if own is not callbacks and (not own.handlers or own is self._lent or own in _LENT):
            self.llm.callback_manager = self._lent = callbacks
            _LENT.add(callbacks)

    def ask(self, request: Request) -> Answer:
        """Its answer to a request."""
        while True:
            with self._reporting.attempt(streaming=False) as extra:
                start = time.perf_counter()
                method, options = request.call(self, "")
                response = method(**{**extra, **options})
                seconds = time.perf_counter() - start
                break
        return request.read(self, response, seconds)

    async def aask(self, request: Request) -> Answer:
        """The same; in a thread where the LLM has no asynchronous method of its own."""
        if self._blocks(request.method("a")):
            return await _in_thread(self.ask, request)
        while True:
            with self._reporting.attempt(streaming=False) as extra:
                start = time.perf_counter()
                method, options = request.call(self, "a")
                try:
                    response = await method(**{**extra, **options})
                except NotImplementedError:
                    self._sync = True
                    return await _in_thread(self.ask, request)
                seconds = time.perf_counter() - start
                break
        return request.read(self, response, seconds)

    def begin(self, request: Request) -> Begun:
        """Its answer in chunks, once it has begun to speak: till then it can be replaced."""
        live = Live(self.name)
        try:
            return self._begin(request)
        except NotImplementedError:  # it does not stream: its answer is one chunk
            chunk = whole(self.ask(request).payload)
            return Begun(live, [live.passing(chunk)], _closable(()))

    def _begin(self, request: Request) -> Begun:
        while True:
            with self._reporting.attempt(streaming=True) as extra:
                live, first = Live(self.name), list[Any]()
                method, options = request.call(self, "stream_")
                chunks = _closable(method(**{**extra, **options}))
                for chunk in chunks:
                    request.check(self, chunk)
                    first.append(live.passing(chunk))
                    if live.spoken:
                        break
                return self._begun(live, first, chunks)

    async def abegin(self, request: Request) -> Begun:
        """The same, without blocking the event loop."""
        if self._blocks(request.method("astream_")):
            return await self._begin_in_thread(request)
        while True:
            with self._reporting.attempt(streaming=True) as extra:
                live, first = Live(self.name), list[Any]()
                method, options = request.call(self, "astream_")
                try:
                    chunks = _aclosable(await method(**{**extra, **options}))
                except NotImplementedError:
                    self._sync = True
                    return await self._begin_in_thread(request)
                async for chunk in chunks:
                    request.check(self, chunk)
                    first.append(live.passing(chunk))
                    if live.spoken:
                        break
                return self._begun(live, first, chunks)

    def _begun(self, live: Live, first: list[Any], rest: Any) -> Begun:
        if not first:
            raise RuntimeError(f"child {self.name!r} streamed nothing")
        return Begun(live, first, rest)

    async def _begin_in_thread(self, request: Request) -> Begun:
        begun = await _in_thread(self.begin, request)
        return begun._replace(rest=_Threaded(begun.rest))

    def _blocks(self, name: str) -> bool:
        # `CustomLLM.achat` and its like call the synchronous methods, on the event loop.
        owner = next(c for c in type(self.llm).__mro__ if name in vars(c))
        return self._sync or owner is CustomLLM


def name_children(llms: Any) -> dict[str, LLM]:
    """LLMs by name; those in a sequence are named after what they call."""
    return _naming.name_children(llms, LLM, called="LlamaIndex LLM", name_of=_name)


def name_advisers(given: Mapping[str, Any], models: Sequence[str]) -> dict[Adviser, LLM]:
    """What asks each adviser: see `cascade_engine.plugin.names.name_advisers`."""
    return _naming.name_advisers(given, models, LLM, called="LlamaIndex LLM")


def joint_metadata(children: Mapping[str, Child]) -> LLMMetadata:
    """What holds whichever child answers, of those that are reached.

    Raises:
        OSError: none is.
    """
    told = [child.metadata for child in children.values()]
    each = [one for one in told if one] or [child.llm.metadata for child in children.values()]
    outputs = [one.num_output for one in each]
    roles = {one.system_role for one in each}
    return LLMMetadata(
        context_window=min(one.context_window for one in each),
        num_output=max(outputs) if min(outputs) > 0 else -1,
        is_chat_model=any(one.is_chat_model for one in each),
        is_function_calling_model=any(child.calls_tools for child in children.values()),
        model_name=f"cascade({', '.join(children)})",
        system_role=roles.pop() if len(roles) == 1 else MessageRole.USER,
    )


def _name(child: Any) -> str:
    values = (getattr(child, attribute, None) for attribute in _NAMES)
    named = (value for value in values if isinstance(value, str) and value)
    return next(named, type(child).__name__)


def _closable(chunks: Any) -> Any:
    """A stream that can be left: some LLMs return an iterator or a list, which cannot."""
    return chunks if hasattr(chunks, "close") else (chunk for chunk in chunks)


def _aclosable(chunks: Any) -> Any:
    return chunks if hasattr(chunks, "aclose") else (chunk async for chunk in chunks)


async def _in_thread(function: Callable[[Request], R], request: Request) -> R:
    def run() -> R:
        try:
            return function(request)
        except StopIteration as error:  # no future takes it: it would be waited for without end
            raise RuntimeError("an LLM raised StopIteration") from error

    return await asyncio.to_thread(run)


class _Threaded:
    """The chunks of a synchronous stream, each fetched in a thread.

    No generator: one that is closed before its first step would not close the stream.
    """

    def __init__(self, chunks: Generator[Response, None, None]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> _Threaded:
        return self

    async def __anext__(self) -> Response:
        chunk = await asyncio.to_thread(next, self._chunks, None)
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        with suppress(ValueError):  # cancelled while a thread is still at work on a chunk
            await asyncio.to_thread(self._chunks.close)
