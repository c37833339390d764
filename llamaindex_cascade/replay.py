"""An LLM that answers from recorded data, for places where the real one cannot run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from pydantic import Field, PrivateAttr, SkipValidation
from typing_extensions import override

from cascade_engine import CascadeDataset  # noqa: TC001  pydantic reads it
from cascade_engine.plugin.replay import Recording
from llamaindex_cascade._messages import query_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine import Answer

__all__ = ["ReplayLLM"]


class ReplayLLM(CustomLLM):
    """Answers a recorded question as the recorded model did, log-probs and token counts included.

    Attributes:
        data: the recording.
        model: which of its models to play.

    Raises:
        DataError: the recording has no such model; when asked, no such question.
    """

    data: SkipValidation[CascadeDataset] = Field(exclude=True, repr=False)
    model: str

    _recording: Recording = PrivateAttr()

    def __init__(self, *, data: CascadeDataset, model: str, **options: Any) -> None:
        recording = Recording(data, model)
        super().__init__(data=data, model=model, **options)
        self._recording = recording

    @classmethod
    def class_name(cls) -> str:
        """Name of the kind of LLM."""
        return "ReplayLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """It chats, and calls no functions."""
        return LLMMetadata(model_name=self.model, is_chat_model=True)

    @override
    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The answer to the user's last message."""
        answer = self._recording.answer(query_of(messages).text)
        message = ChatMessage(role=MessageRole.ASSISTANT, content=answer.text)
        return ChatResponse(message=message, raw=self._raw(answer))

    @override
    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The answer to a prompt."""
        answer = self._recording.answer(prompt)
        return CompletionResponse(text=answer.text, raw=self._raw(answer))

    @override
    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """The same, in one chunk."""
        answer = self._recording.answer(prompt)
        whole = CompletionResponse(text=answer.text, delta=answer.text, raw=self._raw(answer))
        return (chunk for chunk in (whole,))

    def _raw(self, answer: Answer) -> dict[str, Any]:
        """What a provider would report, in the form of OpenAI's."""
        usage = answer.usage
        tokens = [{"token": "", "logprob": value} for value in answer.logprobs or ()]
        choice = {"finish_reason": answer.finish_reason, "logprobs": {"content": tokens}}
        counts = usage and {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
        }
        return {"model": self.model, "choices": [choice], "usage": counts}
