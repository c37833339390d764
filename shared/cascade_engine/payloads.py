"""Reading what providers report: token log-probabilities and why an answer ended.

Providers put the same things in different places. What is read here are plain mappings, lists or
objects with attributes; no provider's package is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["finish_reason", "token_logprobs"]

_REASONS = ("finish_reason", "stop_reason", "done_reason", "finishReason")


def token_logprobs(metadata: Any) -> tuple[float, ...] | None:
    """Log-probability of each answer token, or None where the provider reports none.

    Understands the shapes `logprobs.content[i].logprob` (OpenAI and compatible servers),
    `logprobs[i].logprob` (Ollama), `logprobs.token_logprobs` (Together, text completions) and
    `logprobs_result[i].logprob` (Vertex). Entries without a number are left out.

    Args:
        metadata: a message's `response_metadata`, a choice of a raw response, or the like.
    """
    found = _get(metadata, "logprobs")
    if found is None:
        found = _get(metadata, "logprobs_result")
    for key in ("content", "token_logprobs", "chosen_candidates"):
        inner = _get(found, key)
        if inner is not None:
            found = inner
            break
    if not isinstance(found, Sequence) or isinstance(found, str):
        return None
    values = tuple(value for value in map(_number, found) if value is not None)
    return values or None


def finish_reason(metadata: Any) -> str | None:
    """The provider's word for why generation ended; "length" for every way of being cut off."""
    for key in _REASONS:
        reason = _get(metadata, key)
        if isinstance(reason, str) and reason:
            low = reason.lower()
            return "length" if low in {"max_tokens", "length", "max_output_tokens"} else low
    return None


def _get(holder: Any, key: str) -> Any:
    if isinstance(holder, Mapping):
        return holder.get(key)
    return getattr(holder, key, None)


def _number(entry: Any) -> float | None:
    value = entry if isinstance(entry, (int, float)) else None
    for key in ("logprob", "log_probability"):
        if value is None:
            value = _get(entry, key)
    return float(value) if isinstance(value, (int, float)) else None
