"""Prices: given, looked up, missing; and what each part of the tokens costs."""

from __future__ import annotations

import math
import sys
from dataclasses import fields, replace
from types import SimpleNamespace

import pytest

from cascade_engine import CascadeRouter, DataError, Price, Usage
from cascade_engine.errors import ConfigurationError, UnknownPriceError

PARTS = {
    "cached": "cached_tokens",
    "cache_write": "cache_write_tokens",
    "image": "image_tokens",
    "audio_input": "audio_input_tokens",
    "reasoning": "reasoning_tokens",
    "audio_output": "audio_output_tokens",
}
USAGE = Usage(1000, 1000, **{part: 10 * (i + 1) for i, part in enumerate(PARTS.values())})


def test_a_price_is_per_million_tokens():
    assert Price(2.5, 10).of(Usage(1_000_000, 100_000)) == pytest.approx(3.5)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf, "3"])
@pytest.mark.parametrize("part", ["input", "output", *PARTS])
def test_a_price_that_is_no_amount_is_refused_with_its_value(bad, part):
    with pytest.raises(ConfigurationError, match=f"the {part} price is {bad!r}"):
        Price(**{"input": 1, "output": 1, part: bad})


def test_input_and_output_must_be_given():
    with pytest.raises(ConfigurationError, match="the output price is None"):
        Price(1, None)


@pytest.mark.parametrize("price", [0.5, (1, 2), None])
def test_prices_of_models_are_prices(price):
    with pytest.raises(ConfigurationError, match=r"the price of 'a' is given as .*give Price"):
        CascadeRouter(["a", "b"], prices={"a": price})


def test_every_part_of_the_tokens_has_a_price():
    assert [f.name for f in fields(Usage)] == ["input_tokens", "output_tokens", *PARTS.values()]
    assert [f.name for f in fields(Price)] == ["input", "output", *PARTS]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_without_its_own_price_costs_as_much_as_the_rest(part):
    plain = Price(3, 15)
    count = getattr(USAGE, PARTS[part])
    side = 3 if list(PARTS).index(part) < 4 else 15
    assert plain.of(USAGE) == pytest.approx(1000 * 18 / 1e6)
    own = replace(plain, **{part: 0.5})
    assert own.of(USAGE) == pytest.approx((1000 * 18 + count * (0.5 - side)) / 1e6)
    free = replace(plain, **{part: 0.0})
    assert free.of(USAGE) == pytest.approx((1000 * 18 - count * side) / 1e6)


def test_a_cached_prompt_at_list_prices():
    sonnet = Price(3, 15, cached=0.3, cache_write=3.75)
    usage = Usage(10_000, 500, cached_tokens=8000, cache_write_tokens=1500)
    expected = 500 * 3 + 8000 * 0.3 + 1500 * 3.75 + 500 * 15
    assert sonnet.of(usage) == pytest.approx(expected / 1e6)


def test_a_free_model_costs_nothing():
    assert Price(0, 0).of(USAGE) == 0
    assert Price(0, 0, cached=1).of(USAGE) == pytest.approx(10 / 1e6)


@pytest.mark.parametrize("name", ["input_tokens", "output_tokens", *PARTS.values()])
@pytest.mark.parametrize("bad", [-1, 1.5, 3.0, None, math.nan])
def test_a_count_that_is_no_number_of_tokens_is_refused(name, bad):
    with pytest.raises(DataError, match=rf"{name} is {bad} in Usage\(.*a whole number"):
        Price(1, 1).of(replace(USAGE, **{name: bad}))


@pytest.mark.parametrize(
    ("side", "usage"),
    [
        ("input", Usage(100, 1000, cached_tokens=60, image_tokens=50)),
        ("output", Usage(1000, 100, reasoning_tokens=110)),
    ],
)
def test_parts_that_exceed_their_total_are_refused(side, usage):
    with pytest.raises(
        DataError, match=f"parts of the {side} tokens exceed .* by 10 in.*add those"
    ):
        Price(1, 1).of(usage)


def test_parts_may_make_up_the_whole():
    usage = Usage(100, 10, cached_tokens=60, image_tokens=40, reasoning_tokens=10)
    assert Price(9, 9, cached=1, image=2, reasoning=3).of(usage) == pytest.approx(170 / 1e6)


def test_list_prices_come_from_the_table():
    price = Price.of_model("gpt-4o-mini", provider="openai")
    assert price == Price(0.15, 0.6, cached=0.075)


def test_list_prices_of_the_parts_come_from_the_table():
    sonnet = Price.of_model("claude-sonnet-4-5", provider="anthropic")  # with tiers
    assert sonnet == Price(3, 15, cached=0.3, cache_write=3.75)
    flash = Price.of_model("gemini-2.0-flash", provider="google")
    assert flash == Price(0.1, 0.4, cached=0.025, audio_input=0.7)


@pytest.mark.parametrize(
    ("model", "provider"), [("no-such-model", None), ("gpt-4o-mini", "no-such-provider")]
)
def test_an_unknown_model_has_no_price_and_never_zero(model, provider):
    with pytest.raises(UnknownPriceError, match=rf"{model}.*Price\(input"):
        Price.of_model(model, provider)


@pytest.mark.parametrize(
    "listed",
    [
        {"output_mtok": 1},
        {"input_mtok": 1},
        {"input_mtok": 1, "output_mtok": 1, "requests_kcount": 12},
        {},
    ],
)
def test_a_model_not_priced_by_tokens_alone_has_no_price_and_never_zero(monkeypatch, listed):
    found = SimpleNamespace(model_price=SimpleNamespace(**listed))
    monkeypatch.setattr("genai_prices.calc_price", lambda *_, **__: found)
    with pytest.raises(UnknownPriceError, match=r"sonar.*Price\(0, 0\) if it is free.*cost=func"):
        Price.of_model("sonar")


def test_a_price_listed_as_zero_is_free(monkeypatch):
    found = SimpleNamespace(model_price=SimpleNamespace(input_mtok=0, output_mtok=0))
    monkeypatch.setattr("genai_prices.calc_price", lambda *_, **__: found)
    assert Price.of_model("free") == Price(0, 0)


def test_without_the_extra_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(ImportError, match=r"cascade-routing\[prices\]"):
        Price.of_model("gpt-4o-mini")
