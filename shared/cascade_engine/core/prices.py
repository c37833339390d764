"""Prices: what a call costs, from its tokens."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Literal

from cascade_engine.core.checks import is_number, is_whole
from cascade_engine.errors import ConfigurationError, DataError, UnknownPriceError
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cascade_engine.core.records import Answer, Usage

__all__ = ["Charge", "Price", "amount"]

_PER = 1_000_000

#: Which tokens each price is for, and what `genai-prices` calls it.
_INPUT_PARTS = {
    "cached": ("cached_tokens", "cache_read_mtok"),
    "cache_write": ("cache_write_tokens", "cache_write_mtok"),
    "image": ("image_tokens", "input_image_mtok"),
    "audio_input": ("audio_input_tokens", "input_audio_mtok"),
}
_OUTPUT_PARTS = {
    "reasoning": ("reasoning_tokens", "output_reasoning_mtok"),
    "audio_output": ("audio_output_tokens", "output_audio_mtok"),
}


@persistent("Price")
@dataclass(frozen=True, slots=True)
class Price:
    """Price of one model, in USD (or any unit) per million tokens.

    A part of the tokens without a price of its own costs as much as the rest. That is how images
    and reasoning are charged nearly everywhere, and too much for cached tokens, which are cheap
    everywhere. It is too little for tokens written to a cache where that is charged (by Anthropic
    at 1.25 times the input price, twice for an hour) and for audio: give those prices, or take
    them all from `of_model`. A free model is `Price(0, 0)`.

    Attributes:
        input: price of a million input tokens.
        output: price of a million output tokens.
        cached: price of a million input tokens read from a cache. None, here and in what follows,
            stands for the price of input or output.
        cache_write: price of a million input tokens written to a cache.
        image: price of a million input tokens that are images.
        audio_input: price of a million input tokens that are audio.
        reasoning: price of a million output tokens that are not shown.
        audio_output: price of a million output tokens that are audio.

    Raises:
        ConfigurationError: a price is negative, NaN, infinite or no number.
    """

    input: float
    output: float
    _: KW_ONLY
    cached: float | None = None
    cache_write: float | None = None
    image: float | None = None
    audio_input: float | None = None
    reasoning: float | None = None
    audio_output: float | None = None

    def __post_init__(self) -> None:
        for part in ("input", "output", *_INPUT_PARTS, *_OUTPUT_PARTS):
            value = getattr(self, part)
            may_be_left_out = part not in {"input", "output"}
            if not (_is_amount(value) or (value is None and may_be_left_out)):
                raise ConfigurationError(
                    f"the {part} price is {value!r}: give a finite price per million tokens, >= 0"
                )

    @classmethod
    def of_model(cls, model: str, provider: str | None = None) -> Price:
        """The public list price of a model, from the maintained table of `genai-prices`.

        Where the price rises with the length of the prompt, it is that of short ones; where tokens
        may be cached for longer at a higher price, it is that of the shortest time.

        Args:
            model: the provider's name for it, such as "gpt-4o-mini".
            provider: such as "openai", where several offer a model of that name.

        Raises:
            ImportError: `genai-prices` is not installed (the extra `prices`).
            UnknownPriceError: the table has no such model, or it is not charged by tokens alone.
        """
        listed = _listed(model, provider)
        plain, written = listed("input_mtok"), listed("output_mtok")
        if plain is None or written is None or listed("requests_kcount"):
            raise UnknownPriceError(
                f"{model!r} is not listed with a price of input and output tokens alone: give "
                "Price(input=..., output=...), Price(0, 0) if it is free, or cost=function of the "
                "model's name and the answer"
            )
        parts = (_INPUT_PARTS | _OUTPUT_PARTS).items()
        return cls(plain, written, **{part: listed(key) for part, (_, key) in parts})

    def of(self, usage: Usage) -> float:
        """Cost of a call: each part of its tokens at the price of that part, the rest at the plain.

        Parts are disjoint, and contained in `input_tokens` or `output_tokens`. Providers that
        report them otherwise are read by `cascade_engine.answers.provider_reports`, which makes
        it so.

        Raises:
            DataError: a count is negative or no whole number, or parts exceed their total.
        """
        paid = self._side(usage, "input", _INPUT_PARTS) + self._side(usage, "output", _OUTPUT_PARTS)
        return paid / _PER

    def _side(self, usage: Usage, side: str, parts: Mapping[str, tuple[str, str]]) -> float:
        plain = float(getattr(self, side))
        rest, paid = _count(usage, f"{side}_tokens"), 0.0
        for part, (name, _) in parts.items():
            if count := _count(usage, name):
                own = getattr(self, part)
                paid += count * (plain if own is None else float(own))
                rest -= count
        if rest < 0:
            raise DataError(
                f"parts of the {side} tokens exceed the {side} tokens by {-rest} in {usage}: "
                f"{side}_tokens counts all kinds together, so add those reported apart"
            )
        return paid + rest * plain


def _is_amount(value: Any) -> bool:
    return is_number(value) and math.isfinite(value) and value >= 0


def _count(usage: Usage, name: str) -> int:
    count = getattr(usage, name)
    if is_whole(count) and count >= 0:
        return int(count)
    raise DataError(f"{name} is {count!r} in {usage}: give a whole number of tokens, >= 0")


def _listed(model: str, provider: str | None) -> Callable[[str], float | None]:
    """Looks up list prices of a model by their names in `genai-prices`."""
    try:
        import genai_prices  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ImportError(
            'list prices need genai-prices: pip install "cascade-routing[prices]"'
        ) from error
    usage = genai_prices.Usage(input_tokens=1000, output_tokens=1000)
    try:
        priced = genai_prices.calc_price(usage, model, provider_id=provider)
    except LookupError as error:
        raise UnknownPriceError(
            f"no list price is known for {model!r}: give Price(input=..., output=...) in USD "
            "per million tokens"
        ) from error

    def listed(key: str) -> float | None:
        # Older tables know fewer names; a price with tiers has a base.
        price = getattr(priced.model_price, key, None)
        return None if price is None else float(getattr(price, "base", price))

    return listed


@persistent("Charge")
@dataclass(frozen=True, slots=True)
class Charge:
    """What an answer costs.

    It is the cost recorded with the answer, where there is one, and else what `by` says.

    Attributes:
        prices: price by model.
        by: "price", tokens times prices; "seconds", the latency; or a callable of the model's name
            and the answer.

    Raises:
        ConfigurationError: `by` is none of these, or a price is no `Price`.
    """

    prices: Mapping[str, Price]
    by: Literal["price", "seconds"] | Callable[[str, Answer], float] = "price"

    def __post_init__(self) -> None:
        if self.by not in ("price", "seconds") and not callable(self.by):
            raise ConfigurationError(
                f'cost must be "price", "seconds" or a callable, not {self.by!r}'
            )
        for model, price in self.prices.items():
            if not isinstance(price, Price):
                raise ConfigurationError(
                    f"the price of {model!r} is given as {price!r}: give Price(input=..., "
                    "output=...), in USD per million tokens"
                )

    def __call__(self, model: str, answer: Answer) -> float | None:
        """The cost, or None where it is unknown."""
        if answer.cost is not None:
            return amount(model, answer.cost)
        if self.by == "seconds":
            return None if answer.seconds is None else amount(model, answer.seconds)
        if callable(self.by):
            return amount(model, self.by(model, answer))
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
        """Refuses models whose calls could not be priced, before any call is paid for.

        Raises:
            UnknownPriceError: calls are priced by tokens, and a model has no price.
        """
        unknown = [model for model in models if model not in self.prices]
        if self.by == "price" and unknown:
            raise UnknownPriceError(f"no price is known for {unknown}. {_remedy(unknown[0])}")


def amount(model: str, cost: float) -> float:
    """A cost as a float, once it is checked.

    Args:
        model: the model that was called, for the error.
        cost: what the call cost.

    Raises:
        ConfigurationError: the cost is negative, NaN, infinite or no number.
    """
    if _is_amount(cost):
        return float(cost)
    raise ConfigurationError(
        f"the cost of a call to {model!r} is given as {cost!r}: it must be a finite number >= 0"
    )


def _remedy(model: str) -> str:
    return (
        f"Pass prices={{{model!r}: Price(input=..., output=...)}} (USD per million tokens; "
        "Price(0, 0) if it is free), "
        'cost="seconds", or answers with their own cost'
    )
