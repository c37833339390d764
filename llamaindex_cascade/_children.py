"""The children of a cascade: their names, and how they are asked."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import WeakSet

from llama_index.core.base.llms.types import LLMMetadata, MessageRole
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM

from cascade_engine.core.retries import Retries, is_temporary
from cascade_engine.plugin import names
from cascade_engine.plugin.training_data import Children
from llamaindex_cascade._messages import RECORD
from llamaindex_cascade._reports import Reports
from llamaindex_cascade._requests import Request, whole_chunk
from llamaindex_cascade._streams import LiveStream, ThreadChunks
from llamaindex_cascade._tracing import logged_question

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llama_index.core.base.llms.types import ChatResponse
    from llama_index.core.llms.llm import ToolSelection

    from cascade_engine import Answer, CascadeRouter, Query
    from cascade_engine.routing.advisers import Adviser

R = TypeVar("R")

#: Callback managers that cascades have lent to children: they are no child's own.
_LENT: WeakSet[CallbackManager] = WeakSet()
#: Where a callback manager calls its handlers.
_CALLS_OF_HANDLERS = {
    CallbackManager.on_event_start.__code__,
    CallbackManager.on_event_end.__code__,
}
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
        if not self._blocks(request.method("a")):
            start = time.perf_counter()
            try:
                response = await self._aresponse(request)
            except NotImplementedError:
                self._is_sync = True
            else:
                return self._answer(request, response, time.perf_counter() - start)
        return await _in_thread(self.ask, request)

    def begin(self, request: Request) -> LiveStream:
        """Its answer as a stream that has begun to speak: till then it can be replaced."""
        stream, retries = self._stream(request), self._retries(request)
        while True:
            with retries, self._reports.keywords(streaming=True) as keywords:
                try:
                    return stream.begin(self._call(request, "stream_", keywords))
                except NotImplementedError:  # it does not stream: its answer is one chunk
                    break
        return stream.begin([whole_chunk(self.ask(request).payload)])

    async def abegin(self, request: Request) -> LiveStream:
        """The same, without blocking the event loop."""
        stream, retries = self._stream(request), self._retries(request)
        while not self._blocks(request.method("astream_")):
            async with retries:
                with self._reports.keywords(streaming=True) as keywords:
                    try:
                        chunks = await self._call(request, "astream_", keywords)
                        return await stream.abegin(chunks)
                    except NotImplementedError:
                        self._is_sync = True
        stream = await _in_thread(self.begin, request)
        stream.rest = ThreadChunks(stream.rest)
        return stream

    def _response(self, request: Request) -> Any:
        retries = self._retries(request)
        while True:
            with retries, self._reports.keywords(streaming=False) as keywords:
                return self._call(request, "", keywords)

    async def _aresponse(self, request: Request) -> Any:
        retries = self._retries(request)
        while True:
            async with retries:
                with self._reports.keywords(streaming=False) as keywords:
                    return await self._call(request, "a", keywords)

    def _retries(self, request: Request) -> Retries:
        return Retries(request.retries, _may_pass)

    def _stream(self, request: Request) -> LiveStream:
        return LiveStream(self.name, lambda chunk: self._check(request, chunk))

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


def children_to_ask(
    router: CascadeRouter,
    children: Mapping[str, Child],
    advisers: Mapping[str, Child],
    read: Callable[[Any], tuple[Query, Request, str]],
    max_retries: int,
) -> Children:
    """The children, as the engine's `collect` asks them.

    Args:
        router: says what calls cost, and what is sampled.
        children: by name.
        advisers: by name.
        read: a question as the engine's query, what children get, and a key of its content.
        max_retries: how often an adviser is asked again after an error that may pass.
    """

    def ways_to_ask(adviser: Child) -> tuple[Callable[[str], Answer], Callable[[str], Any]]:
        def request(prompt: str) -> Request:
            return Request.of_prompt(prompt, retries=max_retries)

        return lambda p: adviser.ask(request(p)), lambda p: adviser.aask(request(p))

    return Children(
        {name: child.ask for name, child in children.items()},
        {name: child.aask for name, child in children.items()},
        router.charge,
        read,
        {adviser: ways_to_ask(advisers[adviser.name]) for adviser in router.advisers},
        router.samples,
        logged_question,
    )


def tool_calls_of(
    children: Mapping[str, Child], response: ChatResponse, **kwargs: Any
) -> list[ToolSelection]:
    """The tools that a response wants called, as the child reads them that gave the response.

    Where that is not on record, it is the first child that finds any.
    """
    able: dict[str, Any] = {name: c.llm for name, c in children.items() if c.calls_tools}
    chosen = response.additional_kwargs.get(RECORD, {}).get("chosen")
    for llm in [able[chosen]] if chosen in able else able.values():
        calls: list[ToolSelection] = llm.get_tool_calls_from_response(
            response, error_on_no_tool_call=False, **kwargs
        )
        if calls:
            return calls
    return []


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


def is_of_a_handler(error: BaseException) -> bool:
    """Whether a callback handler raised it, such as one that keeps to a token budget.

    It is then no fault of the child's, and for the user to see.
    """
    # A child calls its handlers itself, within the decorators of its own methods, so there is no
    # call of ours to wrap; and a callback manager that wraps its handlers' errors would have to be
    # put in the place of the user's, in the child. Only the traceback tells through whom it came.
    return any(frame.f_code in _CALLS_OF_HANDLERS for frame, _ in walk_tb(error.__traceback__))


def _may_pass(error: BaseException) -> bool:
    return is_temporary(error) and not is_of_a_handler(error)


def _name(llm: Any) -> str:
    values = (getattr(llm, attribute, None) for attribute in _NAME_FIELDS)
    model_names = (value for value in values if isinstance(value, str) and value)
    return next(model_names, type(llm).__name__)


async def _in_thread(ask: Callable[[Request], R], request: Request) -> R:
    def run() -> tuple[R | None, Exception | None]:
        try:
            return ask(request), None
        except Exception as error:  # noqa: BLE001  raised below
            return None, error

    # An error comes back as a value: as the error of a future, a TimeoutError would lose its
    # traceback, and for a StopIteration the future would be waited for without end.
    result, error = await asyncio.to_thread(run)
    if error is not None:
        raise error
    return cast("R", result)
