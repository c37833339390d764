"""What crosses the seam between the engine and whoever calls the models: frozen records."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Advice",
    "Answer",
    "Call",
    "Decision",
    "Failure",
    "Purpose",
    "Query",
    "ToolCall",
    "Trace",
    "Usage",
]

#: What a call is for: an answer for the user, or advice on an answer or on the query.
Purpose = Literal["answer", "judge", "route"]


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked, as the estimators see it.

    Attributes:
        text: the question; for a chat, the user's last message.
        context_length: characters of everything else sent along (system prompt, earlier turns):
            it costs tokens, and is no part of the question.
        tools: the tools that may be called, each a mapping with "name" and "parameters", a JSON
            schema of the arguments.
        schema: JSON schema of the answer asked for, or None where it is free.
        signals: what was measured of it, by name: an LLM router's verdict, or a number of your own.
            What is not there is unknown.
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
        """Characters sent to a model, all told."""
        return len(self.text) + self.context_length


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, as the provider reports them.

    Attributes:
        input_tokens: of everything sent, all kinds together.
        output_tokens: of everything written, all kinds together.
        cached_tokens: of the input, those read from a cache.
        cache_write_tokens: of the input, those written to a cache.
        image_tokens: of the input.
        audio_input_tokens: of the input.
        reasoning_tokens: of the output, those not shown.
        audio_output_tokens: of the output.
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
        name: of the tool.
        arguments: as a mapping, or as the model wrote them where that is no JSON object.
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
        finish_reason: the provider's word for why generation ended ("stop", "length", ...).
        tool_calls: the tools it wants called.
        signals: what else was measured of it, by name: a judge's score, a verifier's, a number of
            your own. What is not there is unknown.
        advice_cost: what was paid for such signals, by the adviser's name; no part of `cost`.
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


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that raised instead of answering."""

    model: str
    error: BaseException
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """What a session wants run next.

    Attributes:
        model: name of the model to run.
        final: whether this model's answer will be returned whatever it says, so that it may be
            streamed to the user while it is being written.
        max_cost: what is left of the hard cap on this query's cost, or None without a cap.
        purpose: "answer"; or advice, "judge" on an answer and "route" on the query.
        prompt: what to ask in place of the query, or None to ask the query itself.
        about: the model whose answer is judged.
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


@dataclass(frozen=True, slots=True)
class Advice:
    """What came of a call that is for the engine alone, to a judge or a router.

    Attributes:
        name: of the adviser.
        purpose: see `Call.purpose`.
        about: the model whose answer it is about; None where it is about the query.
        signals: what could be read, by the signals' names; nothing is unknown.
        cost: what the call cost, None where unknown; 0 for a call that raised.
        usage: tokens used, where reported.
        seconds: latency, where measured.
        error: why there are no signals: what the call raised, or that nothing could be read.
    """

    name: str
    purpose: Purpose
    about: str | None = None
    signals: Mapping[str, float] = field(default_factory=dict, hash=False)
    cost: float | None = None
    usage: Usage | None = None
    seconds: float | None = None
    error: BaseException | None = None

    @property
    def score(self) -> float | None:
        """A judge's score, None where it is unknown."""
        return self.signals.get(self.name)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON-able values."""
        return {
            "name": self.name,
            "purpose": self.purpose,
            "about": self.about,
            "signals": dict(self.signals),
            "cost": self.cost,
            **_tokens(self.usage),
            "seconds": self.seconds,
            "error": None if self.error is None else repr(self.error),
        }


@dataclass(frozen=True, slots=True)
class Decision:
    """What was believed at one step, and what was decided.

    Attributes:
        after: models that had answered when the decision was made.
        quality: expected quality of each model's answer, given what was known then.
        sd: standard deviation of what that estimate may become once the model has answered.
        cost: expected cost of running each model, and of judging its answer where that may be a
            draft; None where no price is known.
        action: the model to run, or None to stop.
        final: see `Call.final`.
        reason: the decision in words.
    """

    after: tuple[str, ...]
    quality: Mapping[str, float]
    sd: Mapping[str, float]
    cost: Mapping[str, float | None]
    action: str | None
    final: bool
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """The decision as plain JSON-able values."""
        return {
            "after": list(self.after),
            "quality": dict(self.quality),
            "sd": dict(self.sd),
            "cost": dict(self.cost),
            "action": self.action,
            "final": self.final,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Trace:
    """The record of one query: what ran, what was believed, why it stopped, what it cost.

    Attributes:
        query: the query.
        strategy: name of the strategy that decided.
        fitted: False when only priors and the conservative log-probability rule were at work.
        setting: the strategy's parameter for this query, by name: "lambda" (quality per unit of
            cost), or "threshold" for a threshold cascade.
        budget: expected cost per query that was aimed at, None without one.
        decisions: one per step, the last with `action=None` unless every model failed.
        answers: answers by model, in the order of the calls.
        failures: calls that raised, in order.
        costs: cost by model that answered; None where unknown.
        chosen: the model whose answer is returned, None while undecided or when all failed.
        advice: what advisers were asked, in order.
    """

    query: Query
    strategy: str
    fitted: bool
    setting: Mapping[str, float]
    budget: float | None
    decisions: tuple[Decision, ...]
    answers: Mapping[str, Answer]
    failures: tuple[Failure, ...]
    costs: Mapping[str, float | None]
    chosen: str | None
    advice: tuple[Advice, ...] = ()

    @property
    def models_run(self) -> tuple[str, ...]:
        """Models that answered, in the order of the calls."""
        return tuple(self.answers)

    @property
    def total_cost(self) -> float | None:
        """Cost of all calls that answered, advice included; None when that of any is unknown."""
        costs = [*self.costs.values(), *(each.cost for each in self.advice)]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None

    @property
    def stopped_because(self) -> str:
        """Why no further model was run."""
        return self.decisions[-1].reason if self.decisions else "nothing was decided yet"

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON-able values, without the answers' texts."""
        return {
            "chosen": self.chosen,
            "models_run": list(self.models_run),
            "stopped_because": self.stopped_because,
            "total_cost": self.total_cost,
            "strategy": self.strategy,
            "fitted": self.fitted,
            **self.setting,
            "budget": None if self.budget in {None, math.inf} else float(self.budget or 0),
            "calls": [_call_dict(model, a, self.costs[model]) for model, a in self.answers.items()],
            "advice": [each.to_dict() for each in self.advice],
            "failures": [{"model": f.model, "error": repr(f.error)} for f in self.failures],
            "decisions": [decision.to_dict() for decision in self.decisions],
        }


#: The counts of a usage that are parts of its totals.
_PARTS = tuple(field.name for field in fields(Usage))[2:]


def _call_dict(model: str, answer: Answer, cost: float | None) -> dict[str, Any]:
    return {
        "model": model,
        "cost": cost,
        **_tokens(answer.usage),
        "seconds": answer.seconds,
        "finish_reason": answer.finish_reason,
    }


def _tokens(usage: Usage | None) -> dict[str, int | None]:
    return {
        "input_tokens": usage.input_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
        **{part: getattr(usage, part) for part in _PARTS if usage and getattr(usage, part)},
    }
