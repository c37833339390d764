"""Prices: given, looked up, missing."""

from __future__ import annotations

import math
import sys

import pytest

from cascade_engine import Price, UnknownPriceError, Usage
from cascade_engine.errors import ConfigurationError


def test_a_price_is_per_million_tokens():
    assert Price(2.5, 10).of(Usage(1_000_000, 100_000)) == pytest.approx(3.5)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_a_price_that_is_no_amount_is_refused_with_its_value(bad):
    with pytest.raises(ConfigurationError, match=str(bad)):
        Price(bad, 1)
    with pytest.raises(ConfigurationError, match="output"):
        Price(1, bad)


def test_list_prices_come_from_the_table():
    price = Price.of_model("gpt-4o-mini", provider="openai")
    assert price.input == pytest.approx(0.15)
    assert price.output == pytest.approx(0.60)


def test_an_unknown_model_has_no_price_and_never_zero():
    with pytest.raises(UnknownPriceError, match=r"no-such-model.*Price\(input"):
        Price.of_model("no-such-model")


def test_without_the_extra_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(ImportError, match=r"cascade-routing\[prices\]"):
        Price.of_model("gpt-4o-mini")
