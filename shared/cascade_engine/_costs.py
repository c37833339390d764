"""Prices: what a call costs, from its tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cascade_engine.errors import ConfigurationError, UnknownPriceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cascade_engine._types import Answer, Usage

__all__ = ["Price", "answer_cost"]

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


def answer_cost(model: str, answer: Answer, prices: Mapping[str, Price]) -> float | None:
    """What the answer cost: as recorded, else priced from its tokens, else None (unknown)."""
    if answer.cost is not None:
        return answer.cost
    price = prices.get(model)
    if price is None or answer.usage is None:
        return None
    return price.of(answer.usage)


def require_cost(model: str, answer: Answer, prices: Mapping[str, Price]) -> float:
    """The same, where an unknown cost cannot be worked with.

    Raises:
        UnknownPriceError: no cost is recorded, and no price or no token usage is known.
    """
    cost = answer_cost(model, answer, prices)
    if cost is not None:
        return cost
    missing = "the answer carries no token usage" if model in prices else "no price is known"
    raise UnknownPriceError(
        f"cost of a call to {model!r} is unknown: {missing}. Pass "
        f"prices={{{model!r}: Price(input=..., output=...)}} (USD per million tokens), or answers "
        "with their own cost"
    )
