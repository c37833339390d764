"""Conversations that several providers took part in, as one of them can read them.

A provider refuses, or misreads, what another has put into an earlier answer: its thinking and the
signature on it, its own ids, its marks of what to cache. An answer of another provider is therefore
handed on as what it says: text, media, and the tools it calls, which every provider knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage

from langchain_cascade._messages import RECORD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import ToolCall


#: The same provider by other names: those of traces, of messages, of platforms.
_NAMES = {
    "azure": "openai",
    "azure_openai": "openai",
    "openai-mantle": "openai",
    "anthropic-mantle": "anthropic",
    "bedrock": "amazon_bedrock",
    "bedrock_converse": "amazon_bedrock",
}
#: Blocks that give a provider away where the message does not name it.
_MARKS = {
    "thinking": "anthropic",
    "redacted_thinking": "anthropic",
    "tool_use": "anthropic",
    "reasoning_content": "amazon_bedrock",
}
#: Providers that know Anthropic's marks of what to cache.
_CACHING = frozenset({"anthropic", "amazon_bedrock", "openrouter", "litellm"})
_CACHE = "cache_control"
_CALLS = frozenset({"tool_call", "tool_use"})
_MEDIA = frozenset({"image", "audio", "video", "file", "text-plain"})


def readable_by(
    provider: str | None, messages: list[BaseMessage], child: str | None = None
) -> list[BaseMessage]:
    """The messages without what only other providers can read.

    Args:
        provider: of the model that is to be asked; None where unknown, and nothing is changed.
        messages: the conversation.
        child: that model's name in a cascade: what it wrote itself is left as it is.

    Returns:
        The very same list where there is nothing to change.
    """
    if provider is None or not any(map(_is_suspect, messages)):
        return messages
    reader = _NAMES.get(provider, provider)
    changed = [_readable(message, reader, child) for message in messages]
    same = all(new is old for new, old in zip(changed, messages, strict=True))
    return messages if same else changed


def _is_suspect(message: BaseMessage) -> bool:
    """Whether there is more in it than plain text: a quick look, for most have no more."""
    return not isinstance(message.content, str) or bool(message.additional_kwargs)


def _readable(message: BaseMessage, reader: str, child: str | None) -> BaseMessage:
    if isinstance(message, AIMessage):
        record = message.response_metadata.get(RECORD)
        if isinstance(record, dict) and record.get("chosen") == child:
            return message
        author = _author(message)
        if author is not None and author != reader and _is_suspect(message):
            return _neutral(message)
    return message if reader in _CACHING else _uncached(message)


def _author(message: AIMessage) -> str | None:
    """The provider that wrote it, by its own word or by the blocks in it."""
    provider = message.response_metadata.get("model_provider")
    if isinstance(provider, str):
        return _NAMES.get(provider, provider)
    kinds = (block.get("type") for block in _blocks(message))
    return next((_MARKS[kind] for kind in kinds if kind in _MARKS), None)


def _blocks(message: BaseMessage) -> Sequence[dict[str, Any]]:
    content = message.content
    if isinstance(content, str):
        return ()
    return [block for block in content if isinstance(block, dict)]


def _neutral(message: AIMessage) -> AIMessage:
    """What an answer says, in the forms that all integrations share."""
    blocks = [_own_form(block) for block in message.content_blocks]
    calls = message.tool_calls or [_call(b) for b in blocks if b.get("type") in _CALLS]
    legacy = {k: v for k, v in message.additional_kwargs.items() if k == "function_call"}
    return message.model_copy(
        update={
            "content": _content(blocks, message.additional_kwargs.get("refusal")),
            "tool_calls": calls,
            "additional_kwargs": {} if calls else legacy,
            "response_metadata": {},
            "id": None,
        }
    )


def _own_form(block: Any) -> dict[str, Any]:
    """A block as it came, where LangChain has wrapped it for not knowing it."""
    value = block.get("value")
    return value if block["type"] == "non_standard" and isinstance(value, dict) else block


def _content(blocks: list[dict[str, Any]], refusal: Any) -> Any:
    """Text and media; text alone as a string."""
    texts = [block["text"] for block in blocks if block.get("type") == "text"]
    media = [block for block in blocks if block.get("type") in _MEDIA]
    if media:
        spoken = ({"type": "text", "text": text} for text in texts if text)
        return [*spoken, *media]
    return "".join(texts) or (refusal if isinstance(refusal, str) else "")


def _call(block: dict[str, Any]) -> ToolCall:
    arguments = block.get("args", block.get("input", {}))
    return {"type": "tool_call", "name": block["name"], "args": arguments, "id": block.get("id")}


def _uncached(message: BaseMessage) -> BaseMessage:
    """The message without Anthropic's marks of what to cache."""
    update: dict[str, Any] = {}
    if any(_CACHE in block for block in _blocks(message)):
        update["content"] = [
            _without(block) if isinstance(block, dict) else block for block in message.content
        ]
    if _CACHE in message.additional_kwargs:
        update["additional_kwargs"] = _without(message.additional_kwargs)
    return message.model_copy(update=update) if update else message


def _without(mapping: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key != _CACHE}
