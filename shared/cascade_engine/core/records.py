"""What crosses the seam between the engine and whoever calls the models: frozen records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Answer", "Call", "Purpose", "Query", "ToolCall", "Usage"]

#: What a call is for: an answer for the user, a further one to compare it with, or advice on an
#: answer or on the query.
Purpose = Literal["answer", "sample", "judge", "route"]


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked, as the estimators see it.

    Attributes:
        text: the question; for a chat, the user's last message.
        context_length: characters of everything else sent along (system prompt, earlier turns):
            it costs tokens, and is no part of the question.
        tools: the tools that may be called, each a mapping with "name" and "parameters", a JSON
            schema of the arguments; an empty one stands for a tool that cannot be described so.
        schema: JSON schema of the answer asked for, or None where it is free.
        signals: numbers measured on the query, by name: an LLM router's verdict, or one of your
            own. One that is missing is unknown.
        advice_cost: what was paid for such signals, by the adviser's name.
    """

    text: str
    context_length: int = 0
    tools: tuple[Mapping[str, Any], ...] = field(default=(), repr=False, hash=False)
    schema: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    signals: Mapping[str, float] = field(default_factory=dict, hash=False)
    advice_cost: Mapping[str, float] = field(default_factory=dict, repr=False, hash=False)

    @property
    def length(self) -> int:
        """Characters sent to a model in all."""
        return len(self.text) + self.context_length


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, as the provider reports them.

    Attributes:
        input_tokens: tokens sent, all kinds together.
        output_tokens: tokens written, all kinds together.
        cached_tokens: input tokens read from a cache.
        cache_write_tokens: input tokens written to a cache.
        image_tokens: input tokens of images.
        audio_input_tokens: input tokens of audio.
        reasoning_tokens: output tokens that are not shown.
        audio_output_tokens: output tokens of audio.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    image_tokens: int = 0
    audio_input_tokens: int = 0
    reasoning_tokens: int = 0
    audio_output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to call a tool.

    Attributes:
        name: name of the tool.
        arguments: the arguments by name; the text that the model wrote where it is no JSON object.
    """

    name: str
    arguments: Mapping[str, Any] | str


@dataclass(frozen=True, slots=True)
class Answer:
    """One model's answer and the signals that came with it.

    Attributes:
        text: the answer.
        logprobs: natural log-probability of each answer token, or None where the provider gives
            none: unknown, which is not the same as low confidence.
        usage: tokens used, or None where the provider reports none.
        cost: what the call cost, in the router's unit, or None to have it priced from `usage`.
        seconds: latency of the call.
        seconds_to_first_token: time until the first part came, where the answer was streamed.
        finish_reason: the provider's word for why generation ended ("stop", "length", ...).
        tool_calls: the tools that the model wants called.
        signals: numbers measured on the answer, by name: a judge's or a verifier's score, or one of
            your own. One that is missing is unknown.
        advice_cost: what was paid for such signals, by the adviser's name, and for samples, by the
            model's name; no part of `cost`.
        samples: texts of further answers of the same model to the same query.
        payload: the caller's own object (a chat message, say); the engine never looks inside.
    """

    text: str
    logprobs: tuple[float, ...] | None = None
    usage: Usage | None = None
    cost: float | None = None
    seconds: float | None = None
    finish_reason: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    signals: Mapping[str, float] = field(default_factory=dict, hash=False)
    advice_cost: Mapping[str, float] = field(default_factory=dict, repr=False, hash=False)
    samples: tuple[str, ...] = ()
    payload: Any = field(default=None, repr=False, compare=False)
    seconds_to_first_token: float | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """What a session wants run next.

    Attributes:
        model: name of the model to run.
        final: whether this model's answer will be returned whatever it says, so that it may be
            streamed to the user while it is being written.
        max_cost: what is left of the hard cap on this query's cost, or None without a cap.
        purpose: "answer" for the user's answer; "judge" for a judge of an answer, "route" for a
            router that reads the query, and "sample" for a further answer of the model to the same
            query, which is compared with the first.
        prompt: what to ask in place of the query, or None to ask the query itself.
        about: the model whose answer is judged, or sampled again.
    """

    model: str
    final: bool = False
    max_cost: float | None = None
    purpose: Purpose = "answer"
    prompt: str | None = field(default=None, repr=False)
    about: str | None = None

    @property
    def is_advice(self) -> bool:
        """Whether its answer is for the engine alone, and never for the user."""
        return self.purpose != "answer"
