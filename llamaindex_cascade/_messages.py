"""Between LlamaIndex's messages and responses and the engine's records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from llama_index.core.base.llms.types import (
    ChatResponse,
    CompletionResponse,
    LogProb,
    MessageRole,
    ToolCallBlock,
)

from cascade_engine import Answer, ConfigurationError, Query
from cascade_engine.answers.provider_reports import (
    finish_reason,
    token_logprobs,
    token_usage,
    tokens_of,
    tool_calls,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.base.llms.types import ChatMessage

    from cascade_engine import ToolCall, Trace, Usage

Response: TypeAlias = ChatResponse | CompletionResponse

#: Where a response keeps the record of how it came about. Never in a message: what is in a message
#: is sent back to the provider with the next turn.
RECORD = "cascade"
#: Where a message of OpenAI's kind keeps its tool calls, among its `additional_kwargs`.
_CALLS = "tool_calls"


def query_of(
    content: Sequence[ChatMessage] | str,
    tools: tuple[Mapping[str, Any], ...] = (),
    schema: Mapping[str, Any] | None = None,
) -> Query:
    """The engine's query: the user's last message, or the prompt; all else is its context.

    Args:
        content: the messages of a chat, or the prompt of a completion.
        tools: see `Query.tools`.
        schema: see `Query.schema`.

    Raises:
        ConfigurationError: there are no messages.
    """
    if isinstance(content, str):
        return Query(content, 0, tools, schema)
    if not content:
        raise ConfigurationError("no messages given: a chat needs at least one")
    last = next((m for m in reversed(content) if m.role == MessageRole.USER), content[-1])
    question = last.content or ""
    context_length = sum(len(m.content or "") for m in content) - len(question)
    return Query(question, context_length, tools, schema)


def answer_of(response: Response, seconds: float) -> Answer:
    """A child's response as the engine's record of an answer."""
    return Answer(
        text=text_of(response),
        logprobs=_logprobs(response),
        usage=_usage(response),
        seconds=seconds,
        finish_reason=finish_reason(choice_of(response.raw)),
        tool_calls=_tool_calls(response),
        payload=response,
    )


def text_of(response: Response) -> str:
    """The text, which of a chat is the message's."""
    if isinstance(response, CompletionResponse):
        return response.text
    return response.message.content or ""


def recorded(response: Any, trace: Trace) -> Any:
    """A copy of the chosen response that carries the decision record, and its log-probs."""
    logprobs = response.logprobs or as_logprobs(tokens_of(choice_of(response.raw)))
    record = {**trace.to_dict(), "model_name": _model_name(response.raw)}
    return with_record(response, record).model_copy(update={"logprobs": logprobs})


def with_record(response: Any, record: dict[str, Any]) -> Any:
    """A copy of a response that carries a record."""
    extra = {**response.additional_kwargs, RECORD: record}
    return response.model_copy(update={"additional_kwargs": extra})


def with_signals(query: Query, signals: Mapping[str, float]) -> Query:
    """The query with further signals, which replace those of the same name."""
    return replace(query, signals={**query.signals, **signals}) if signals else query


def as_logprobs(tokens: Sequence[tuple[str, float]]) -> list[list[LogProb]] | None:
    """Log-probabilities as LlamaIndex has them: for each token its alternatives."""
    return [[LogProb(token=token, logprob=value)] for token, value in tokens] or None


def choice_of(raw: Any) -> Any:
    """The first choice or candidate of a raw response; the response itself without such a list."""
    for key in ("choices", "candidates"):
        choices = _get(raw, key)
        if choices is not None:
            return choices[0] if choices else None
    return raw


def has_tool_calls(response: Any) -> bool:
    """Whether a response asks for tools to be called."""
    return isinstance(response, ChatResponse) and bool(
        response.message.additional_kwargs.get(_CALLS)
        or any(isinstance(block, ToolCallBlock) for block in response.message.blocks)
    )


def readable(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Copies of messages, written by whichever provider, that any child can read and may change.

    A provider keeps the tools it called as blocks, as `additional_kwargs` in a form of its own, or
    as both. In the copies they are blocks alone, with arguments as mappings, which every
    integration reads.
    """
    return [_readable(message.model_copy(deep=True)) for message in messages]


def _readable(message: ChatMessage) -> ChatMessage:
    entries = message.additional_kwargs.pop(_CALLS, None)
    blocks = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    for block in blocks:
        block.tool_kwargs = _arguments(block.tool_kwargs)
    if not blocks and entries:
        message.blocks.extend(_blocks(entries))
    return message


def _blocks(entries: Any) -> list[ToolCallBlock]:
    identifiers = [_get(entry, "id") for entry in entries]
    return [
        ToolCallBlock(
            tool_call_id=identifier if isinstance(identifier, str) else None,
            tool_name=call.name,
            tool_kwargs=_arguments(call.arguments),
        )
        for identifier, call in zip(identifiers, tool_calls(entries), strict=True)
    ]


def _arguments(arguments: Mapping[str, Any] | str) -> dict[str, Any]:
    """Arguments as a mapping; none where a model wrote no JSON object, as the tool got none."""
    if isinstance(arguments, Mapping):
        return dict(arguments)
    try:
        parsed = json.loads(arguments)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _logprobs(response: Response) -> tuple[float, ...] | None:
    # LlamaIndex's own field holds the alternatives at each token, the likeliest first. Integrations
    # often leave it empty, so what the provider reported in `raw` is read before it.
    reported = token_logprobs(choice_of(response.raw))
    if reported is None and response.logprobs:
        return tuple(top[0].logprob for top in response.logprobs if top) or None
    return reported


def _usage(response: Response) -> Usage | None:
    raw = response.raw
    reports = (_get(raw, "usage"), _get(raw, "usage_metadata"), raw, response.additional_kwargs)
    return next((usage for usage in map(token_usage, reports) if usage is not None), None)


def _tool_calls(response: Response) -> tuple[ToolCall, ...]:
    # Integrations write tool calls as blocks, as `additional_kwargs` (older ones), or as both.
    if not isinstance(response, ChatResponse):
        return ()
    message = response.message
    blocks = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    return tool_calls(blocks or message.additional_kwargs.get(_CALLS))


def _model_name(raw: Any) -> str | None:
    """The provider's name of the model that answered."""
    names = (_get(raw, key) for key in ("model", "model_name", "model_version"))
    return next((name for name in names if isinstance(name, str)), None)


def _get(holder: Any, key: str) -> Any:
    return holder.get(key) if isinstance(holder, Mapping) else getattr(holder, key, None)
