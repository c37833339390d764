"""A chat model that answers from recorded data, for places where the real one cannot run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import ConfigDict, PrivateAttr

from cascade_engine import CascadeDataset  # noqa: TC001  pydantic reads it
from cascade_engine.plugin.replay import Recording
from langchain_cascade._messages import query_of

if TYPE_CHECKING:
    from langchain_core.callbacks import CallbackManagerForLLMRun
    from langchain_core.messages import BaseMessage

    from cascade_engine import Answer

__all__ = ["ReplayChatModel"]


class ReplayChatModel(BaseChatModel):
    """Answers a recorded question as the recorded model did, log-probs and token counts included.

    Attributes:
        data: the recording.
        model: which of its models to play.

    Raises:
        DataError: the recording has no such model; when asked, no such question.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    data: CascadeDataset
    model: str

    _recording: Recording = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Indexes the answers by question."""
        super().model_post_init(context)
        self._recording = Recording(self.data, self.model)

    @property
    def _llm_type(self) -> str:
        return "cascade-replay"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del stop, run_manager, kwargs
        answer = self._recording.answer(query_of(messages).text)
        return ChatResult(generations=[ChatGeneration(message=self._message(answer))])

    def _message(self, answer: Answer) -> AIMessage:
        used = answer.usage
        tokens = [{"logprob": value} for value in answer.logprobs or ()]
        return AIMessage(
            answer.text,
            response_metadata={
                "model_name": self.model,
                "finish_reason": answer.finish_reason,
                "logprobs": {"content": tokens},
            },
            usage_metadata=UsageMetadata(
                input_tokens=used.input_tokens,
                output_tokens=used.output_tokens,
                total_tokens=used.input_tokens + used.output_tokens,
            )
            if used
            else None,
        )
