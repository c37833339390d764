"""Between LlamaIndex's messages and responses and the engine's records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from llama_index.core.base.llms.types import (
    ChatResponse,
    CompletionResponse,
    MessageRole,
    ToolCallBlock,
)

from cascade_engine import Answer, ConfigurationError, Query
from cascade_engine.payloads import finish_reason, token_logprobs, token_usage, tool_calls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.base.llms.types import ChatMessage

    from cascade_engine import Session, ToolCall, Usage

Response: TypeAlias = ChatResponse | CompletionResponse

#: Where a response keeps the record of how it came about. Never in a message: what is in a message
#: is sent back to the provider with the next turn.
RECORD = "cascade"


def query_of(asked: Sequence[ChatMessage] | str) -> Query:
    """The user's last message, or the prompt, is the question; all else is context.

    Raises:
        ConfigurationError: there are no messages.
    """
    if isinstance(asked, str):
        return Query(asked)
    if not asked:
        raise ConfigurationError("no messages given: a chat needs at least one")
    last = next((m for m in reversed(asked) if m.role == MessageRole.USER), asked[-1])
    question = last.content or ""
    return Query(question, sum(len(m.content or "") for m in asked) - len(question))


def answer_of(response: Response, seconds: float) -> Answer:
    """What the engine wants to know of a child's response."""
    return Answer(
        text=(response.message.content or "")
        if isinstance(response, ChatResponse)
        else response.text,
        logprobs=_logprobs(response),
        usage=_usage(response),
        seconds=seconds,
        finish_reason=finish_reason(_choice(response.raw)),
        tool_calls=_tool_calls(response),
        payload=response,
    )


def response_of(session: Session) -> Any:
    """A copy of the chosen response that carries the decision record."""
    return recording(session.result.payload, session.trace.to_dict())


def chunk_of(session: Session, *, live: bool) -> Any:
    """The last chunk of a stream: the chosen response, whose text is new unless it went live."""
    delta = "" if live else session.result.text
    return response_of(session).model_copy(update={"delta": delta})


def recording(response: Response, record: dict[str, Any]) -> Response:
    extra = {**response.additional_kwargs, RECORD: record}
    return response.model_copy(update={"additional_kwargs": extra})


def _logprobs(response: Response) -> tuple[float, ...] | None:
    # LlamaIndex's own field holds the alternatives at each token, the likeliest first, and is
    # often left empty: the provider's word comes first.
    reported = token_logprobs(_choice(response.raw))
    if reported is None and response.logprobs:
        return tuple(top[0].logprob for top in response.logprobs if top) or None
    return reported


def _choice(raw: Any) -> Any:
    """The first choice or candidate of a raw response; the response itself if it has none."""
    for key in ("choices", "candidates"):
        choices = _get(raw, key)
        if choices is not None:
            return choices[0] if choices else None
    return raw


def _usage(response: Response) -> Usage | None:
    raw = response.raw
    reports = (_get(raw, "usage"), _get(raw, "usage_metadata"), raw, response.additional_kwargs)
    return next((used for used in map(token_usage, reports) if used is not None), None)


def _tool_calls(response: Response) -> tuple[ToolCall, ...]:
    # Integrations write blocks, further keywords of the message (older ones), or both.
    if not isinstance(response, ChatResponse):
        return ()
    message = response.message
    blocks = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    return tool_calls(blocks or message.additional_kwargs.get("tool_calls"))


def _get(holder: Any, key: str) -> Any:
    return holder.get(key) if isinstance(holder, Mapping) else getattr(holder, key, None)
