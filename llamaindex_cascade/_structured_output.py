"""Structured answers: the call for an object, and the object as a stream fills it in."""

from __future__ import annotations

from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from llama_index.core.base.llms.types import ChatResponse
from llama_index.core.instrumentation.events.llm import (
    LLMStructuredPredictEndEvent,
    LLMStructuredPredictInProgressEvent,
    LLMStructuredPredictStartEvent,
)
from llama_index.core.program.utils import process_streaming_objects
from llama_index.core.types import PydanticProgramMode
from llama_index_instrumentation import get_dispatcher

from llamaindex_cascade._messages import RECORD
from llamaindex_cascade._requests import OutputForm

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.llms.llm import LLM

    from llamaindex_cascade._calls import CascadeCall

_DISPATCHER = get_dispatcher(__name__)
#: Modes in which each child can be asked in its own way; the others are upstream's.
OWN_MODES = {PydanticProgramMode.DEFAULT, PydanticProgramMode.FUNCTION, PydanticProgramMode.LLM}
#: Keywords that a form settles by itself.
_SETTLED_BY_FORM = ("tool_required", "tool_choice", "allow_parallel_tool_calls")


class FormCall(NamedTuple):
    """A call for an object, as `CascadeRoutingLLM` opens it."""

    kind: type[ChatResponse]
    messages: list[ChatMessage]
    keywords: dict[str, Any]
    form: OutputForm


def form_call(
    cascade: LLM,
    output_cls: Any,
    prompt: Any,
    llm_kwargs: dict[str, Any] | None,
    prompt_args: dict[str, Any],
) -> FormCall:
    """The call for an object; LlamaIndex's instrumentation is told that it is asked for.

    Args:
        cascade: that is called.
        output_cls: class of the object.
        prompt: template of what is asked.
        llm_kwargs: keywords for the children.
        prompt_args: of the template.
    """
    event = LLMStructuredPredictStartEvent(
        output_cls=output_cls, template=prompt, template_args=prompt_args
    )
    _DISPATCHER.event(event)
    messages = cascade._extend_messages(prompt.format_messages(llm=cascade, **prompt_args))
    keywords = {k: v for k, v in (llm_kwargs or {}).items() if k not in _SETTLED_BY_FORM}
    form = OutputForm(output_cls, cascade.pydantic_program_mode)
    return FormCall(ChatResponse, messages, keywords, form)


def announce_end(value: Any) -> Any:
    """Tells LlamaIndex's instrumentation of the object, and returns it."""
    _DISPATCHER.event(LLMStructuredPredictEndEvent(output=value))
    return value


@dataclass
class ObjectStream:
    """The object that a stream fills in.

    Attributes:
        run: whose stream it is.
        form: of the object.
        value: the object as far as it has been written.
    """

    run: CascadeCall[Any]
    form: OutputForm
    value: Any = None

    def versions(self, chunks: Generator[Any, None, None]) -> Generator[Any, None, None]:
        """The object after each chunk; at the end as the form has it."""
        with closing(chunks):
            for chunk in chunks:
                yield self._grown(chunk)
        announce_end(self.value)

    async def aversions(self, chunks: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
        """The same, without blocking the event loop."""
        async with aclosing(chunks):
            async for chunk in chunks:
                yield self._grown(chunk)
        announce_end(self.value)

    def _grown(self, chunk: Any) -> Any:
        child = self.run.children[chunk.additional_kwargs[RECORD]["chosen"]]
        if self.run.session.pending is None:
            self.value = self.form.read(child, chunk).value
        else:
            before = None if self.value is None else [self.value]
            output_cls, llm = self.form.output_cls, child.llm
            self.value = process_streaming_objects(chunk, output_cls, before, llm=llm)
        _DISPATCHER.event(LLMStructuredPredictInProgressEvent(output=self.value))
        return self.value
