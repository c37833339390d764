"""What children are asked to report beside their answers: log-probabilities and tokens used."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llama_index.core.llms.llm import LLM

#: By keyword, the word by which a server's error tells that it does not take it.
_REFUSALS = {"logprobs": "logprob", "stream_options": "stream_options"}
#: Fields by which an LLM of OpenAI's kind is known: it takes these keywords.
_OF_OPENAI = {"logprobs", "top_logprobs", "additional_kwargs"}


@dataclass
class Reports:
    """Asks an LLM of OpenAI's kind for reports with each call, and leaves the LLM as it is.

    What the LLM was given itself is not changed. What its server refuses is not asked for again.

    Attributes:
        llm: the LLM.
        refused: keywords that its server does not take.
    """

    llm: LLM
    refused: set[str] = field(default_factory=set)

    @contextmanager
    def keywords(self, *, streaming: bool) -> Iterator[dict[str, Any]]:
        """Further keywords for one call, to be made within the block, in a loop.

        If the call's error says that the server does not take one of them, the error is dropped:
        the next round is the same call without that keyword.
        """
        keywords = self._keywords(streaming=streaming)
        try:
            yield keywords
        except Exception as error:
            message = str(error).lower()
            refused = {key for key in keywords if _REFUSALS[key] in message}
            if not refused:
                raise
            self.refused |= refused

    def _keywords(self, *, streaming: bool) -> dict[str, Any]:
        llm: Any = self.llm
        if not type(llm).model_fields.keys() >= _OF_OPENAI:
            return {}
        keywords: dict[str, Any] = {}
        if llm.logprobs is None:
            keywords["logprobs"] = True if llm.metadata.is_chat_model else 1
        if streaming:
            keywords["stream_options"] = {"include_usage": True}
        settled = {*(llm.additional_kwargs or {}), *self.refused}
        return {key: value for key, value in keywords.items() if key not in settled}
