"""Answers in a given form: an answer that cannot be read as it counts as failed."""

from __future__ import annotations

from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatResponse
from llama_index.core.instrumentation.events.llm import (
    LLMStructuredPredictEndEvent,
    LLMStructuredPredictInProgressEvent,
    LLMStructuredPredictStartEvent,
)
from llama_index.core.program.utils import process_streaming_objects
from llama_index.core.types import PydanticProgramMode
from llama_index_instrumentation import get_dispatcher

from llamaindex_cascade._answering import Answering
from llamaindex_cascade._forms import Form
from llamaindex_cascade._messages import RECORD

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from llama_index.core.base.llms.types import ChatMessage

    from llamaindex_cascade._running import Run

__all__ = ["Structured"]

_DISPATCHER = get_dispatcher(__name__)
#: Modes in which each child can be asked for itself.
_OURS = {PydanticProgramMode.DEFAULT, PydanticProgramMode.FUNCTION, PydanticProgramMode.LLM}
#: What a form decides by itself.
_DECIDED = ("tool_required", "tool_choice", "allow_parallel_tool_calls")


class Structured(Answering):
    """The part of `CascadeRoutingLLM` that answers in a form.

    Each child gives the form in its own way, those that call no functions too. What does not fit
    counts as failed, and another child is asked.
    """

    def structured_predict(
        self,
        output_cls: Any,
        prompt: Any,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        """An object of a class; see LlamaIndex's own.

        Raises:
            ValidationError: no child's answer fits.
        """
        if self.pydantic_program_mode not in _OURS:
            return super().structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
        _started(output_cls, prompt, prompt_args)
        run = self._open(*self._asked_for(output_cls, prompt, llm_kwargs, prompt_args))
        filled: Any = run.answer()
        _DISPATCHER.event(LLMStructuredPredictEndEvent(output=filled.value))
        return filled.value

    async def astructured_predict(
        self,
        output_cls: Any,
        prompt: Any,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        """The same, without blocking the event loop."""
        if self.pydantic_program_mode not in _OURS:
            return await super().astructured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
        _started(output_cls, prompt, prompt_args)
        run = await self._aopen(*self._asked_for(output_cls, prompt, llm_kwargs, prompt_args))
        filled: Any = await run.aanswer()
        _DISPATCHER.event(LLMStructuredPredictEndEvent(output=filled.value))
        return filled.value

    # Upstream's streams are generators, that would open the run once their span has ended.

    def stream_structured_predict(
        self,
        output_cls: Any,
        prompt: Any,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Any, None, None]:
        """The object as it grows, and at the end as the class has it."""
        if self.pydantic_program_mode not in _OURS:
            return super().stream_structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
        _started(output_cls, prompt, prompt_args)
        run = self._open(*self._asked_for(output_cls, prompt, llm_kwargs, prompt_args))
        return self._growing(run, output_cls, run.stream())

    async def astream_structured_predict(
        self,
        output_cls: Any,
        prompt: Any,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Any, None]:
        """The same, without blocking the event loop."""
        if self.pydantic_program_mode not in _OURS:
            return await super().astream_structured_predict(
                output_cls, prompt, llm_kwargs, **prompt_args
            )
        _started(output_cls, prompt, prompt_args)
        run = await self._aopen(*self._asked_for(output_cls, prompt, llm_kwargs, prompt_args))
        return self._agrowing(run, output_cls, await run.astream())

    def _asked_for(
        self,
        output_cls: Any,
        prompt: Any,
        llm_kwargs: dict[str, Any] | None,
        prompt_args: dict[str, Any],
    ) -> tuple[Any, list[ChatMessage], dict[str, Any], Form]:
        """What `_open` takes."""
        messages = self._extend_messages(prompt.format_messages(llm=self, **prompt_args))
        kwargs = {k: v for k, v in (llm_kwargs or {}).items() if k not in _DECIDED}
        return ChatResponse, messages, kwargs, Form(output_cls, self.pydantic_program_mode)

    def _growing(
        self, run: Run[Any], output_cls: Any, chunks: Generator[Any, None, None]
    ) -> Generator[Any, None, None]:
        held: Any = None
        with closing(chunks):
            for chunk in chunks:
                held = self._object_in(run, output_cls, chunk, held)
                _DISPATCHER.event(LLMStructuredPredictInProgressEvent(output=held))
                yield held
        _DISPATCHER.event(LLMStructuredPredictEndEvent(output=held))

    async def _agrowing(
        self, run: Run[Any], output_cls: Any, chunks: AsyncGenerator[Any, None]
    ) -> AsyncGenerator[Any, None]:
        held: Any = None
        async with aclosing(chunks):
            async for chunk in chunks:
                held = self._object_in(run, output_cls, chunk, held)
                _DISPATCHER.event(LLMStructuredPredictInProgressEvent(output=held))
                yield held
        _DISPATCHER.event(LLMStructuredPredictEndEvent(output=held))

    def _object_in(self, run: Run[Any], output_cls: Any, chunk: Any, held: list[Any] | None) -> Any:
        """The object, as far as it has been written; at the end as the form has it."""
        child = self._children[chunk.additional_kwargs[RECORD]["chosen"]]
        form = run.request.form
        if run.session.pending is None and form is not None:
            return form.read(child, chunk)
        so_far = None if held is None else [held]
        return process_streaming_objects(chunk, output_cls, so_far, llm=child.llm)


def _started(output_cls: Any, prompt: Any, prompt_args: dict[str, Any]) -> None:
    event = LLMStructuredPredictStartEvent(
        output_cls=output_cls, template=prompt, template_args=prompt_args
    )
    _DISPATCHER.event(event)
