"""The children of a cascade: their names, and how they are asked."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from llama_index.core.base.llms.types import LLMMetadata, MessageRole
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM

from cascade_engine.plugin import names
from llamaindex_cascade._reports import Reports
from llamaindex_cascade._requests import Request, whole_chunk
from llamaindex_cascade._streams import LiveStream, ThreadedChunks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cascade_engine import Answer
    from cascade_engine.routing.advisers import Adviser

R = TypeVar("R")

#: Callback managers that cascades have lent to children: they are no child's own.
_LENT: WeakSet[CallbackManager] = WeakSet()

#: Fields of LLMs that hold the name of the model, in the order in which they are tried.
_NAME_FIELDS = ("model", "model_name", "model_id", "deployment_name", "name")


@dataclass
class Child:
    """One LLM of the cascade.

    Attributes:
        name: its name.
        llm: the LLM.
    """

    name: str
    llm: LLM
    _reports: Reports = field(init=False, repr=False)
    _metadata: LLMMetadata | None = field(default=None, repr=False)
    _lent: Any = field(default=None, repr=False)
    _is_sync: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        self._reports = Reports(self.llm)
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
        metadata = self.metadata if isinstance(self.llm, FunctionCallingLLM) else None
        return metadata is not None and metadata.is_function_calling_model

    def lend(self, callbacks: CallbackManager) -> None:
        """Gives an LLM without handlers of its own the cascade's, as they are now."""
        own = self.llm.callback_manager
        if own is not callbacks and (not own.handlers or own is self._lent or own in _LENT):
            self.llm.callback_manager = self._lent = callbacks
            _LENT.add(callbacks)

    def ask(self, request: Request) -> Answer:
        """Its answer to a request.

        Raises:
            TypeError: the LLM returned something else than a response of the request's kind.
            InvalidAnswerError: it does not fit the form, or calls no tool where one is required.
        """
        start = time.perf_counter()
        response = self._response(request)
        return self._answer(request, response, time.perf_counter() - start)

    async def aask(self, request: Request) -> Answer:
        """The same; in a thread where the LLM has no asynchronous method of its own."""
        if self._blocks(request.method("a")):
            return await _in_thread(self.ask, request)
        start = time.perf_counter()
        try:
            response = await self._aresponse(request)
        except NotImplementedError:
            self._is_sync = True
            return await _in_thread(self.ask, request)
        return self._answer(request, response, time.perf_counter() - start)

    def begin(self, request: Request) -> LiveStream:
        """Its answer as a stream that has begun to speak: till then it can be replaced."""
        stream = self._stream(request)
        try:
            return self._begin(request)
        except NotImplementedError:  # it does not stream: its answer is one chunk
            return stream.begin([whole_chunk(self.ask(request).payload)])

    async def abegin(self, request: Request) -> LiveStream:
        """The same, without blocking the event loop."""
        if not self._blocks(request.method("astream_")):
            try:
                return await self._abegin(request)
            except NotImplementedError:
                self._is_sync = True
        stream = await _in_thread(self.begin, request)
        stream.rest = ThreadedChunks(stream.rest)
        return stream

    # A call is made again, without one of the keywords, as often as its server refuses one.

    def _response(self, request: Request) -> Any:
        while True:
            with self._reports.keywords(streaming=False) as keywords:
                return self._call(request, "", keywords)

    async def _aresponse(self, request: Request) -> Any:
        while True:
            with self._reports.keywords(streaming=False) as keywords:
                return await self._call(request, "a", keywords)

    def _begin(self, request: Request) -> LiveStream:
        while True:
            with self._reports.keywords(streaming=True) as keywords:
                return self._stream(request).begin(self._call(request, "stream_", keywords))

    async def _abegin(self, request: Request) -> LiveStream:
        while True:
            with self._reports.keywords(streaming=True) as keywords:
                stream = self._stream(request)
                return await stream.abegin(await self._call(request, "astream_", keywords))

    def _call(self, request: Request, prefix: str, keywords: dict[str, Any]) -> Any:
        method, options = request.call(self, prefix)
        return method(**{**keywords, **options})

    def _answer(self, request: Request, response: Any, seconds: float) -> Answer:
        self._check(request, response)
        return request.read(self, response, seconds)

    def _check(self, request: Request, response: Any) -> None:
        if not isinstance(response, request.kind):
            raise TypeError(
                f"child {self.name!r} returned {type(response).__name__}, and no "
                f"{request.kind.__name__}"
            )

    def _stream(self, request: Request) -> LiveStream:
        return LiveStream(self.name, lambda chunk: self._check(request, chunk))

    def _blocks(self, method: str) -> bool:
        """Whether an asynchronous method would block the event loop: `CustomLLM`'s own do."""
        owner = next(c for c in type(self.llm).__mro__ if method in vars(c))
        return self._is_sync or owner is CustomLLM


def name_children(llms: Any) -> dict[str, LLM]:
    """LLMs by name; those in a sequence are named after their models."""
    return names.name_children(llms, LLM, called="LlamaIndex LLM", name_of=_name)


def name_advisers(llms: Mapping[str, Any], models: Sequence[str]) -> dict[Adviser, LLM]:
    """LLMs by the adviser that asks them; see `cascade_engine.plugin.names.name_advisers`."""
    return names.name_advisers(llms, models, LLM, called="LlamaIndex LLM")


def joint_metadata(children: Mapping[str, Child]) -> LLMMetadata:
    """What holds whichever child answers, of the children that are reached.

    Raises:
        OSError: none is.
    """
    reached = [child.metadata for child in children.values() if child.metadata]
    all_metadata = reached or [child.llm.metadata for child in children.values()]
    outputs = [metadata.num_output for metadata in all_metadata]
    roles = {metadata.system_role for metadata in all_metadata}
    return LLMMetadata(
        context_window=min(metadata.context_window for metadata in all_metadata),
        num_output=max(outputs) if min(outputs) > 0 else -1,
        is_chat_model=any(metadata.is_chat_model for metadata in all_metadata),
        is_function_calling_model=any(child.calls_tools for child in children.values()),
        model_name=f"cascade({', '.join(children)})",
        system_role=roles.pop() if len(roles) == 1 else MessageRole.USER,
    )


def _name(llm: Any) -> str:
    values = (getattr(llm, attribute, None) for attribute in _NAME_FIELDS)
    model_names = (value for value in values if isinstance(value, str) and value)
    return next(model_names, type(llm).__name__)


async def _in_thread(ask: Callable[[Request], R], request: Request) -> R:
    def run() -> R:
        try:
            return ask(request)
        except StopIteration as error:  # a future that is set to it would never be done
            raise RuntimeError("an LLM raised StopIteration") from error

    return await asyncio.to_thread(run)
