"""What children are asked to report beside their answers: log-probabilities and tokens used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from llama_index.core.llms.llm import LLM

__all__ = ["Reporting"]

#: Keywords by what an error says of them when a server does not know them.
_SIGNS = {"logprobs": "logprob", "stream_options": "stream_options"}
#: Fields by which an LLM of OpenAI's kind is known: it takes these keywords.
_OF_OPENAI = {"logprobs", "top_logprobs", "additional_kwargs"}


@dataclass
class Reporting:
    """Asks an LLM of OpenAI's kind for reports, call by call: the LLM itself is left as it is.

    What it was given itself is not changed. What its server refuses is not asked for again.

    Attributes:
        llm: the LLM.
        refused: keywords that its server does not take.
    """

    llm: LLM
    refused: set[str] = field(default_factory=set)

    def attempt(self, *, streaming: bool) -> _Attempt:
        """One call, of many at most: as often as a keyword is refused."""
        return _Attempt(self, self._wanted(streaming=streaming))

    def _wanted(self, *, streaming: bool) -> dict[str, Any]:
        llm: Any = self.llm
        if not type(llm).model_fields.keys() >= _OF_OPENAI:
            return {}
        wanted: dict[str, Any] = {}
        if llm.logprobs is None:
            wanted["logprobs"] = True if llm.metadata.is_chat_model else 1
        if streaming:
            wanted["stream_options"] = {"include_usage": True}
        given = {*(llm.additional_kwargs or {}), *self.refused}
        return {key: value for key, value in wanted.items() if key not in given}


@dataclass
class _Attempt:
    """A context whose errors are swallowed if another attempt is worth it.

    Attributes:
        reporting: what to learn from them.
        asked: keywords of this call.
    """

    reporting: Reporting
    asked: dict[str, Any]

    def __enter__(self) -> dict[str, Any]:
        return self.asked

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        said = str(error).lower()
        refused = {key for key in self.asked if _SIGNS[key] in said}
        self.reporting.refused |= refused
        return bool(refused)
