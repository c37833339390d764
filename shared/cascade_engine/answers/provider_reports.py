"""Reading what providers report: log-probabilities, tokens used, tools called, why an answer ended.

Providers put the same things in different places. What is read here are plain mappings, lists or
objects with attributes; no provider's package is imported.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from cascade_engine.core.records import ToolCall, Usage

__all__ = ["finish_reason", "token_logprobs", "token_usage", "tokens_of", "tool_calls"]

# Each count by the names it goes by, in LangChain (input_token_details, ...), OpenAI (chat and
# responses), Anthropic, Bedrock, Gemini (in Python and in JSON) and Ollama.
_INPUT = (
    *("input_tokens", "prompt_tokens", "inputTokens"),
    *("prompt_token_count", "promptTokenCount", "prompt_eval_count"),
)
_OUTPUT = (
    *("output_tokens", "completion_tokens", "outputTokens"),
    *("candidates_token_count", "candidatesTokenCount", "eval_count"),
)
_TOTAL = ("total_tokens", "totalTokens", "total_token_count", "totalTokenCount")
_TOTALS = frozenset((*_INPUT, *_OUTPUT, *_TOTAL))
_INPUT_DETAILS = (
    *("input_token_details", "input_tokens_details"),
    *("prompt_tokens_details", "promptTokensDetails"),
)
_OUTPUT_DETAILS = (
    *("output_token_details", "output_tokens_details", "completion_tokens_details"),
    *("candidates_tokens_details", "candidatesTokensDetails"),
)
_CACHED_DETAILS = ("cached_tokens_details", "cache_tokens_details", "cacheTokensDetails")
_CACHED = ("cache_read", "priority_cache_read", "flex_cache_read", "cached_tokens")
_WRITTEN = ("cache_creation", "priority_cache_creation", "flex_cache_creation")
_WRITTEN_FOR = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
_REASONING = ("reasoning", "priority_reasoning", "flex_reasoning", "reasoning_tokens")
_CACHED_BESIDE = (
    *("cached_content_token_count", "cachedContentTokenCount"),
    *("prompt_cache_hit_tokens", "cached_tokens"),
)
#: Counts that are no part of the input tokens beside them, or the output tokens.
_CACHED_APART = ("cache_read_input_tokens", "cacheReadInputTokens")
_WRITTEN_APART = ("cache_creation_input_tokens", "cacheWriteInputTokens")
_THOUGHTS = ("thoughts_token_count", "thoughtsTokenCount")
_TOOL_INPUT = ("tool_use_prompt_token_count", "toolUsePromptTokenCount")

_REASONS = ("finish_reason", "stop_reason", "done_reason", "finishReason")


def token_logprobs(metadata: Any) -> tuple[float, ...] | None:
    """Log-probability of each answer token, or None where the provider reports none.

    Understands the shapes `logprobs.content[i].logprob` (OpenAI and compatible servers),
    `logprobs[i].logprob` (Ollama), `logprobs.token_logprobs` (Together, text completions) and
    `logprobs_result[i].logprob` (Vertex). Entries without a number are left out.

    Args:
        metadata: a message's `response_metadata`, a choice of a raw response, or the like.
    """
    _, entries = _token_entries(metadata)
    try:  # what most have: a mapping per token
        values = [entry["logprob"] for entry in entries]
    except (TypeError, LookupError):
        values = []
    if set(map(type, values)) != {float}:
        values = [value for value in map(_number, entries) if value is not None]
    return tuple(values) or None


def tokens_of(metadata: Any) -> list[tuple[str, float]]:
    """Each answer token and its log-probability; see `token_logprobs`.

    Args:
        metadata: a message's `response_metadata`, a choice of a raw response, or the like.

    Returns:
        Pairs of text, "" where it is not reported, and log-probability.
    """
    report, entries = _token_entries(metadata)
    texts = _get(report, "tokens")
    if not (isinstance(texts, Sequence) and len(texts) == len(entries)):
        texts = [_get(entry, "token") for entry in entries]
    pairs = [(str(text or ""), _number(entry)) for text, entry in zip(texts, entries, strict=True)]
    return [(text, value) for text, value in pairs if value is not None]


def _token_entries(metadata: Any) -> tuple[Any, Sequence[Any]]:
    """What is reported of log-probabilities, and in it the entries of the tokens."""
    report = _any(metadata, ("logprobs", "logprobs_result"))
    entries = _any(report, ("content", "token_logprobs", "chosen_candidates"))
    entries = report if entries is None else entries
    is_list = isinstance(entries, Sequence) and not isinstance(entries, str)
    return report, entries if is_list else ()


def finish_reason(metadata: Any) -> str | None:
    """The provider's word for why generation ended; "length" for every way of being cut off.

    Args:
        metadata: a message's `response_metadata`, a choice of a raw response, or the like.
    """
    for key in _REASONS:
        reason = _get(metadata, key)
        if isinstance(reason, str) and reason:
            low = reason.lower()
            return "length" if low in {"max_tokens", "length", "max_output_tokens"} else low
    return None


def token_usage(report: Any) -> Usage | None:
    """Tokens used, each kind as a part of its total; None where they were not counted.

    LangChain's `usage_metadata` and OpenAI count all kinds together, as `Usage` does. Anthropic and
    Bedrock report cached tokens beside the input tokens, Gemini and xAI reasoning tokens beside the
    output tokens: these are added to the totals. The grand total, where there is one, shows which
    way a report counts, and otherwise the names do; a kind greater than its total is always added.
    Images and audio read from a cache count as cached only, and where kinds still exceed their
    total the last are cut. Counts that are negative or no whole numbers count as missing.

    Args:
        report: a message's `usage_metadata`, the `usage` of a raw response, or the like.
    """
    total = _first(report, _TOTAL)
    sent, written = _first(report, _INPUT), _first(report, _OUTPUT)
    if sent is None and written is None:
        return None
    if sent is None:  # a stream may bring the rest with another chunk
        sent = max(0, (total or 0) - (written or 0))
    if not _may_have_parts(report):
        return Usage(sent, written or 0)
    sent, written = sent + (_first(report, _TOOL_INPUT) or 0), written or 0
    input_details, output_details = _any(report, _INPUT_DETAILS), _any(report, _OUTPUT_DETAILS)
    cached, cache_written, cache_apart = _cache(report, input_details)
    reasoning, reasoning_apart = _reasoning(report, output_details)
    missing = None if total is None else total - sent - written
    cache_apart, reasoning_apart = _apart(
        (cache_apart, reasoning_apart), missing, (cached + cache_written, reasoning)
    )
    if cache_apart or cached + cache_written > sent:
        sent += cached + cache_written
    if reasoning_apart or reasoning > written:
        written += reasoning
    in_cache = _any(input_details, _CACHED_DETAILS) or _any(report, _CACHED_DETAILS)
    image, audio = (
        max(0, _modality(input_details, kind) - _modality(in_cache, kind))
        for kind in ("image", "audio")
    )
    return Usage(
        sent,
        written,
        *_contained(sent, (cached, cache_written, image, audio)),
        *_contained(written, (reasoning, _modality(output_details, "audio"))),
    )


def _may_have_parts(report: Any) -> bool:
    """Whether more than the totals may be counted; in most reports there is no more."""
    if not isinstance(report, dict):
        return True
    rest = (value for name, value in report.items() if value and name not in _TOTALS)
    return any(not isinstance(value, dict) or any(value.values()) for value in rest)


def _cache(report: Any, details: Any) -> tuple[int, int, bool]:
    """Tokens read from a cache, tokens written to one, and whether their names say "apart"."""
    cached, written = _first(report, _CACHED_APART), _first(report, _WRITTEN_APART)
    if cached is not None or written is not None:
        return cached or 0, written or 0, True
    cached = _sum(details, _CACHED) or _first(report, _CACHED_BESIDE) or 0
    written = _sum(details, _WRITTEN) or _first(details, ("cache_write_tokens",))
    return cached, written or _sum(details, _WRITTEN_FOR), False


def _reasoning(report: Any, details: Any) -> tuple[int, bool]:
    """Tokens of reasoning, and whether their name says that they are apart from the output."""
    thoughts = _first(report, _THOUGHTS)
    if thoughts is not None:
        return thoughts, True
    return _sum(details, _REASONING) or _first(details, ("thinking_tokens",)) or 0, False


def _apart(
    named: tuple[bool, bool], missing: int | None, parts: tuple[int, int]
) -> tuple[bool, bool]:
    """Which parts are outside of their totals: as named, unless only another way adds up.

    Args:
        named: for the cache and for reasoning, whether the names say that they are apart.
        missing: the grand total less input and output; None where there is no grand total.
        parts: tokens of the cache, and of reasoning.
    """
    for way in (named, *product((False, True), (False, True))):
        if missing == sum(part for part, apart in zip(parts, way, strict=True) if apart):
            return way
    return named


def _contained(total: int, parts: Iterable[int]) -> list[int]:
    """The parts, each cut to what those before it left of the total."""
    cut = []
    for part in parts:
        cut.append(min(part, total))
        total -= cut[-1]
    return cut


def _modality(details: Any, kind: str) -> int:
    """Tokens of one kind: in a mapping by name, or in Gemini's list of (modality, count)."""
    if not isinstance(details, Sequence) or isinstance(details, str):
        return _first(details, (kind, f"{kind}_tokens")) or 0
    counts = (
        _first(entry, ("token_count", "tokenCount"))
        for entry in details
        if str(_get(entry, "modality")).rpartition(".")[2].lower() == kind
    )
    return sum(count or 0 for count in counts)


def tool_calls(entries: Any) -> tuple[ToolCall, ...]:
    """The tools that a model wants called.

    Understands LangChain's `name` and `args`, LlamaIndex's `tool_name` and `tool_kwargs`, OpenAI's
    `function.name` and `function.arguments`, and the `name` and `input` of Anthropic and Bedrock.
    Arguments written as JSON are read, unless they are no JSON object.

    Args:
        entries: mappings or objects, one per call; None for none.
    """
    if not isinstance(entries, Iterable) or isinstance(entries, (str, Mapping)):
        return ()
    return tuple(_tool_call(entry) for entry in entries)


def _tool_call(entry: Any) -> ToolCall:
    inner = _get(entry, "function")
    entry = entry if inner is None else inner
    name = _any(entry, ("name", "tool_name"))
    return ToolCall(
        "" if name is None else str(name),
        _arguments(_any(entry, ("args", "arguments", "tool_kwargs", "input"))),
    )


def _arguments(written: Any) -> Mapping[str, Any] | str:
    if isinstance(written, Mapping):
        return written
    if not isinstance(written, str):
        return "" if written is None else json.dumps(written, default=str)
    try:
        arguments = json.loads(written)
    except ValueError:
        return written
    return arguments if isinstance(arguments, dict) else written


def _any(holder: Any, keys: Iterable[str]) -> Any:
    """The first value that is there under one of these names."""
    if holder is None:
        return None
    get = _getter(holder)
    for key in keys:
        if (value := get(key)) is not None:
            return value
    return None


def _first(holder: Any, keys: Iterable[str]) -> int | None:
    """The first count under one of these names."""
    return next(_counts(holder, keys), None)


def _sum(holder: Any, keys: Iterable[str]) -> int:
    return sum(_counts(holder, keys))


def _counts(holder: Any, keys: Iterable[str]) -> Iterator[int]:
    """The counts under these names; whatever else is there is passed over."""
    if holder is not None:
        get = _getter(holder)
        for key in keys:
            value = get(key)
            if value is not None and (count := _whole(value)) is not None:
                yield count


def _whole(value: Any) -> int | None:
    # Some clients deliver the numbers of JSON as floats.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if math.isfinite(value) and value >= 0 and value == int(value) else None


def _get(holder: Any, key: str) -> Any:
    return _getter(holder)(key)


def _getter(holder: Any) -> Callable[[str], Any]:
    """What looks up a name: in a mapping, or among attributes."""
    if isinstance(holder, (dict, Mapping)):  # dict first: asking for Mapping is slow
        return holder.get
    return lambda name: getattr(holder, name, None)


def _number(entry: Any) -> float | None:
    value = entry if isinstance(entry, (int, float)) else None
    for key in ("logprob", "log_probability"):
        if value is None:
            value = _get(entry, key)
    return float(value) if isinstance(value, (int, float)) else None
