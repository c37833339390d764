"""The record of one query: what was expected and decided, and what came of every call."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cascade_engine.core.records import Answer, Purpose, Query, Usage

__all__ = ["Advice", "Decision", "Failure", "Trace"]

#: Counts of a usage that are given even where they are zero.
_TOTALS: tuple[Literal["input_tokens", "output_tokens"], ...] = ("input_tokens", "output_tokens")

T = TypeVar("T", int, float)


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that raised instead of answering, or whose answer cannot be used.

    Attributes:
        model: name of the model that was called.
        error: what the call raised, or why its answer cannot be used.
        seconds: latency of the call, where measured.
        answer: the answer that cannot be used; None where the call raised.
        cost: cost of that answer; None where unknown.
    """

    model: str
    error: BaseException
    seconds: float | None = None
    answer: Answer | None = None
    cost: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The failure as plain JSON-able values; cost and tokens only where there was an answer."""
        record: dict[str, Any] = {"model": self.model, "error": repr(self.error)}
        if self.seconds is not None:
            record["seconds"] = self.seconds
        if self.answer is not None:
            record |= {"cost": self.cost, **_tokens(self.answer.usage)}
        return record


@dataclass(frozen=True, slots=True)
class Advice:
    """The result of a call for the engine's own use: to a judge, to a router, or for a sample.

    Attributes:
        name: name of the adviser, or of the model that answered once more.
        purpose: see `Call.purpose`.
        about: the model whose answer was judged; None where the advice is about the query.
        signals: the numbers read from the reply, by the signals' names; one that is missing is
            unknown. A sample has none: its text is in `Answer.samples`.
        cost: cost of the call, None where unknown; 0 for a call that raised.
        usage: tokens used, where reported.
        seconds: latency of the call, where measured.
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
        """The advice as plain JSON-able values."""
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
    """One step of a query: the estimates at that time, and the decision taken on them.

    Attributes:
        after: models that had answered when the decision was made.
        quality: expected quality of each model's answer, in [0, 1], given the answers so far.
        sd: how far that estimate may still move: the standard deviation of its value once the
            model has answered.
        cost: expected cost of running each model, and of samples and judges where its answer may be
            a draft; None where no price is known.
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
    """The record of one query: what ran, what was expected, why it stopped, what it cost.

    Attributes:
        query: the query.
        strategy: name of the strategy that decided.
        fitted: False when only priors and the conservative log-probability rule were at work.
        setting: the strategy's parameter for this query, by name: "lambda" (quality per unit of
            cost), or "threshold" for a threshold cascade.
        budget: the expected cost per query that the strategy aims at, None without one.
        decisions: one per step, the last with `action=None` unless every model failed.
        answers: answers by model, in the order of the calls.
        failures: calls that raised or whose answer cannot be used, in order.
        costs: cost by model that answered; None where unknown.
        chosen: the model whose answer is returned, None while undecided or when all failed.
        advice: results of the calls to advisers and for samples, in order.
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
        invalid = (failure.cost for failure in self.failures if failure.answer is not None)
        return _total([*self.costs.values(), *invalid, *(advice.cost for advice in self.advice)])

    def total_tokens(self, side: Literal["input_tokens", "output_tokens"]) -> int | None:
        """Tokens of all calls that answered, advice included; None when those of any are unknown.

        Args:
            side: whether to count the tokens sent or those written.
        """
        invalid = [failure.answer for failure in self.failures if failure.answer is not None]
        usages = [answer.usage for answer in (*self.answers.values(), *invalid)]
        usages += [advice.usage for advice in self.advice if advice.usage or not advice.error]
        return _total([getattr(usage, side, None) for usage in usages])

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
            **{f"total_{side}": self.total_tokens(side) for side in _TOTALS},
            "strategy": self.strategy,
            "fitted": self.fitted,
            **self.setting,
            "budget": None if self.budget in {None, math.inf} else float(self.budget or 0),
            "calls": [
                _call(model, answer, self.costs[model]) for model, answer in self.answers.items()
            ],
            "advice": [advice.to_dict() for advice in self.advice],
            "failures": [failure.to_dict() for failure in self.failures],
            "decisions": [decision.to_dict() for decision in self.decisions],
        }


def _call(model: str, answer: Answer, cost: float | None) -> dict[str, Any]:
    return {
        "model": model,
        "cost": cost,
        **_tokens(answer.usage),
        "seconds": answer.seconds,
        "seconds_to_first_token": answer.seconds_to_first_token,
        "tokens_per_second": _speed(answer),
        "finish_reason": answer.finish_reason,
    }


def _speed(answer: Answer) -> float | None:
    """Output tokens per second of the whole call."""
    if answer.usage is None or not answer.seconds:
        return None
    return answer.usage.output_tokens / answer.seconds


def _total(amounts: Iterable[T | None]) -> T | None:
    """The sum, None where one is unknown."""
    values = list(amounts)
    return None if None in values else sum(values)  # type: ignore[arg-type]


def _tokens(usage: Usage | None) -> dict[str, int | None]:
    """The tokens of both totals, and of those of their parts that are not zero."""
    if usage is None:
        return {"input_tokens": None, "output_tokens": None}
    counts = {field.name: getattr(usage, field.name) for field in fields(usage)}
    return {name: count for name, count in counts.items() if count or name in _TOTALS}
