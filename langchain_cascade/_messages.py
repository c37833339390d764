"""Between LangChain's messages and the engine's records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.utils import message_chunk_to_message
from langchain_core.outputs import ChatGenerationChunk

from cascade_engine import Answer, ConfigurationError, Query
from cascade_engine.answers.provider_reports import (
    finish_reason,
    token_logprobs,
    token_usage,
    tool_calls,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine import Trace, Usage

#: Where a message keeps the record of how it came about.
RECORD = "cascade"

M = TypeVar("M", bound=AIMessage)

_COUNTS = {"input_tokens", "output_tokens", "total_tokens"}


def query_of(
    messages: Sequence[BaseMessage],
    tools: tuple[Mapping[str, Any], ...] = (),
    schema: Mapping[str, Any] | None = None,
) -> Query:
    """The user's last message is the question; all else is context.

    Args:
        messages: the conversation.
        tools: see `Query.tools`.
        schema: see `Query.schema`.

    Raises:
        ConfigurationError: there are no messages.
    """
    if not messages:
        raise ConfigurationError("no messages given: a chat model needs at least one")
    last = next((m for m in reversed(messages) if isinstance(m, HumanMessage)), messages[-1])
    question = _text_of(last)
    context = sum(len(_text_of(m)) for m in messages) - len(question)
    return Query(question, context, tools, schema)


def _text_of(message: BaseMessage) -> str:
    content = message.content
    return content if type(content) is str else str(message.text)


def answer_of(message: AIMessage, seconds: float, first: float | None = None) -> Answer:
    """What the engine wants to know of a child's message.

    Args:
        message: what it answered.
        seconds: from the call to the end of the answer.
        first: from the call to the first token, where it was streamed.
    """
    return Answer(
        text=_text_of(message),
        logprobs=token_logprobs(message.response_metadata),
        usage=_usage_of(message),
        seconds=seconds,
        seconds_to_first_token=first,
        finish_reason=finish_reason(message.response_metadata),
        tool_calls=tool_calls([*message.tool_calls, *message.invalid_tool_calls]),
        payload=message,
    )


def _usage_of(message: AIMessage) -> Usage | None:
    """Tokens used; a cache hit, for one, may carry usage that does not count them."""
    if message.usage_metadata is not None:
        return token_usage(message.usage_metadata)
    raw = message.response_metadata
    reports = (raw.get("token_usage"), raw.get("usage"), raw)
    return next((used for used in map(token_usage, reports) if used is not None), None)


def as_message(child: str, output: Any) -> AIMessage:
    """The child's output, if it is a model's message.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(output, AIMessage):
        return output
    raise TypeError(
        f"child {child!r} returned {type(output).__name__} and no AIMessage: a child must be a "
        "chat model, or a chain that ends in one"
    )


def with_record(message: AIMessage, trace: Trace) -> AIMessage:
    """A copy of the chosen message that carries the decision record; of a chunk the whole message.

    The name of the model is taken out: handlers that count tokens by it have already seen the
    child's own run, and would count the call twice. `named` puts it back.
    """
    metadata = {k: v for k, v in message.response_metadata.items() if k != "model_name"}
    metadata[RECORD] = record_of(message, trace)
    if isinstance(message, AIMessageChunk):  # a chain may add up a stream of its own
        message = cast("AIMessage", message_chunk_to_message(message))
    return message.model_copy(update={"response_metadata": metadata, "id": provider_id(message.id)})


def record_of(message: AIMessage, trace: Trace) -> dict[str, Any]:
    """The trace as plain values, and the provider's name of the model that answered."""
    return {**trace.to_dict(), "model_name": message.response_metadata.get("model_name")}


def named(message: AIMessage) -> AIMessage:
    """The message with its model's name where LangChain keeps it."""
    record = message.response_metadata.get(RECORD)
    if not record or not record.get("model_name"):
        return message
    metadata = {**message.response_metadata, "model_name": record["model_name"]}
    return message.model_copy(update={"response_metadata": metadata})


def completed(message: M, identifier: str) -> M:
    """A message, or chunk, that no one else holds yet, as the user gets it: `named`, with an id.

    Args:
        message: with a record, or a chunk of a stream.
        identifier: its id, unless the provider gave it one.
    """
    record = message.response_metadata.get(RECORD)
    if record and record.get("model_name"):
        message.response_metadata["model_name"] = record["model_name"]
    if message.id is None:
        message.id = identifier
    return message


def provider_id(identifier: str | None) -> str | None:
    """A message's id if the provider gave it; LangChain's own stands for the child's run."""
    ours = identifier is None or identifier.startswith("lc_run")
    return None if ours else identifier


def as_chunk(message: AIMessage) -> AIMessageChunk:
    """The message as a chunk: a child without streaming of its own streams one whole message."""
    if isinstance(message, AIMessageChunk):
        return message
    fields = {k: v for k, v in message if k != "type"}
    if not fields["usage_metadata"] or not fields["usage_metadata"].keys() >= _COUNTS:
        fields["usage_metadata"] = None  # of a cache hit: a chunk would refuse it
    return AIMessageChunk(**fields)


def whole_chunk(message: AIMessage) -> ChatGenerationChunk:
    """A finished message as the one chunk of a stream."""
    chunk = as_chunk(message).model_copy(update={"chunk_position": "last"})
    return ChatGenerationChunk(message=chunk)


def passing_chunk(chunk: AIMessageChunk) -> ChatGenerationChunk:
    """A child's chunk on its way to the user: what belongs to the whole message comes last.

    A child that is a cascade has a record of its own, with which the one to come would be merged.
    """
    update = {
        "id": provider_id(chunk.id),
        "chunk_position": None,
        "response_metadata": {
            k: v for k, v in chunk.response_metadata.items() if k not in {"model_name", RECORD}
        },
    }
    return ChatGenerationChunk(message=chunk.model_copy(update=update))


def last_chunk(message: AIMessage, trace: Trace, identifier: str | None) -> ChatGenerationChunk:
    """The end of a live stream: no text, the decision record.

    Args:
        message: the whole answer.
        trace: how it came about.
        identifier: of the chunk before, whose message goes on.
    """
    content: str | list[Any] = "" if isinstance(message.content, str) else []
    metadata = {RECORD: record_of(message, trace)}
    return ChatGenerationChunk(
        message=AIMessageChunk(
            content=content,
            id=provider_id(identifier),
            response_metadata=metadata,
            chunk_position="last",
        )
    )
