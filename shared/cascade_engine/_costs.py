"""Prices: what a call costs, from its tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cascade_engine.errors import ConfigurationError, UnknownPriceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cascade_engine._types import Answer, Usage

__all__ = ["Charge", "Price"]

_PER = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """Price of one model, in USD (or any unit) per million tokens.

    Attributes:
        input: price of a million input tokens.
        output: price of a million output tokens.

    Raises:
        ConfigurationError: a price is negative, NaN or infinite.
    """

    input: float
    output: float

    def __post_init__(self) -> None:
        for side, value in (("input", self.input), ("output", self.output)):
            if not math.isfinite(value) or value < 0:
                raise ConfigurationError(
                    f"the {side} price is {value}: give a finite price per million tokens, >= 0"
                )

    @classmethod
    def of_model(cls, model: str, provider: str | None = None) -> Price:
        """The public list price of a model, from the maintained table of `genai-prices`.

        Args:
            model: the provider's name for it, such as "gpt-4o-mini".
            provider: such as "openai", where several offer a model of that name.

        Raises:
            ImportError: `genai-prices` is not installed (the extra `prices`).
            UnknownPriceError: the table has no such model.
        """
        try:
            import genai_prices  # noqa: PLC0415  an extra
        except ImportError as error:
            raise ImportError(
                'list prices need genai-prices: pip install "cascade-routing[prices]"'
            ) from error
        usage = genai_prices.Usage(input_tokens=1000, output_tokens=1000)
        try:
            found = genai_prices.calc_price(usage, model, provider_id=provider)
        except LookupError as error:
            raise UnknownPriceError(
                f"no list price is known for {model!r}: give Price(input=..., output=...) in USD "
                "per million tokens"
            ) from error
        return cls(float(found.input_price) * 1000, float(found.output_price) * 1000)

    def of(self, usage: Usage) -> float:
        """Cost of a call that used so many tokens."""
        return (usage.input_tokens * self.input + usage.output_tokens * self.output) / _PER


@dataclass(frozen=True, slots=True)
class Charge:
    """What an answer costs.

    A cost recorded with the answer counts first; then what `by` says.

    Attributes:
        prices: price by model.
        by: "price", tokens times prices; "seconds", the latency; or a callable of the model's name
            and the answer.

    Raises:
        ConfigurationError: `by` is none of these.
    """

    prices: Mapping[str, Price]
    by: Literal["price", "seconds"] | Callable[[str, Answer], float] = "price"

    def __post_init__(self) -> None:
        if self.by not in ("price", "seconds") and not callable(self.by):
            raise ConfigurationError(
                f'cost must be "price", "seconds" or a callable, not {self.by!r}'
            )

    def __call__(self, model: str, answer: Answer) -> float | None:
        """The cost, or None where it is unknown."""
        if answer.cost is not None:
            return _amount(model, answer.cost)
        if self.by == "seconds":
            return answer.seconds
        if callable(self.by):
            return _amount(model, self.by(model, answer))
        price = self.prices.get(model)
        return None if price is None or answer.usage is None else price.of(answer.usage)

    def required(self, model: str, answer: Answer) -> float:
        """The cost, where an unknown one cannot be worked with.

        Raises:
            UnknownPriceError: it is unknown.
        """
        cost = self(model, answer)
        if cost is not None:
            return cost
        missing = "no price is known"
        if self.by == "seconds":
            missing = "its latency was not measured"
        elif model in self.prices:
            missing = "the answer carries no token usage"
        raise UnknownPriceError(
            f"the cost of a call to {model!r} is unknown: {missing}. {_remedy(model)}"
        )

    def check(self, models: Iterable[str]) -> None:
        """Refuses, before any is paid for, models whose calls could not be priced.

        Raises:
            UnknownPriceError: calls are priced by tokens, and a model has no price.
        """
        unknown = [model for model in models if model not in self.prices]
        if self.by == "price" and unknown:
            raise UnknownPriceError(f"no price is known for {unknown}. {_remedy(unknown[0])}")


def _amount(model: str, cost: float) -> float:
    if math.isfinite(cost) and cost >= 0:
        return float(cost)
    raise ConfigurationError(
        f"the cost of a call to {model!r} is given as {cost}: it must be a finite number >= 0"
    )


def _remedy(model: str) -> str:
    return (
        f"Pass prices={{{model!r}: Price(input=..., output=...)}} (USD per million tokens), "
        'cost="seconds", or answers with their own cost'
    )
