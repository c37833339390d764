"""Laws of prices, and of the usage that is priced."""

from __future__ import annotations

from dataclasses import fields
from types import MappingProxyType, SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade_engine import Price, Usage
from cascade_engine.answers.provider_reports import token_logprobs, token_usage

PARTS = [field.name for field in fields(Usage)][2:]
amounts = st.floats(0, 1000)
counts = st.integers(0, 10**9)


def added(*usages):
    """What two calls used together."""
    return Usage(*(sum(getattr(u, f.name) for u in usages) for f in fields(Usage)))


@st.composite
def prices(draw):
    own = st.none() | amounts
    names = [field.name for field in fields(Price)][2:]
    return Price(draw(amounts), draw(amounts), **{name: draw(own) for name in names})


@st.composite
def usages(draw):
    parts = [draw(counts) for _ in PARTS]
    return Usage(sum(parts[:4]) + draw(counts), sum(parts[4:]) + draw(counts), *parts)


@given(prices(), usages(), usages())
def test_calls_cost_together_what_they_cost_apart(price, one, other):
    assert price.of(added(one, other)) == pytest.approx(price.of(one) + price.of(other))


@given(prices(), usages(), st.integers(0, 1000))
def test_cost_is_linear_in_tokens(price, usage, times):
    assert price.of(added(*[usage] * times)) == pytest.approx(times * price.of(usage))


@given(prices(), usages(), usages())
def test_more_tokens_never_cost_less(price, usage, more):
    assert price.of(added(usage, more)) >= price.of(usage) * (1 - 1e-12)


@given(prices(), usages())
def test_cost_is_the_sum_over_parts(price, usage):
    parts = [Usage(**{name: getattr(usage, name)}) for name in PARTS]
    sides = ["input_tokens"] * 4 + ["output_tokens"] * 2
    alone = [
        added(part, Usage(**{side: getattr(part, name)}))
        for part, name, side in zip(parts, PARTS, sides, strict=True)
    ]
    rest = Usage(
        usage.input_tokens - sum(a.input_tokens for a in alone),
        usage.output_tokens - sum(a.output_tokens for a in alone),
    )
    assert price.of(usage) == pytest.approx(sum(map(price.of, [rest, *alone])))


@given(prices(), usages())
def test_cost_is_between_all_at_the_cheapest_and_all_at_the_dearest(price, usage):
    every = [value for f in fields(Price) if (value := getattr(price, f.name)) is not None]
    tokens = (usage.input_tokens + usage.output_tokens) / 1e6
    cost = price.of(usage)
    assert min(every) * tokens * (1 - 1e-9) <= cost <= max(every) * tokens * (1 + 1e-9)


anything = st.none() | st.booleans() | st.integers(-5, 50) | st.floats() | st.text(max_size=2)
NAMES = st.sampled_from(
    [
        *("input_tokens", "prompt_tokens", "inputTokens", "promptTokenCount", "prompt_eval_count"),
        *("output_tokens", "completion_tokens", "candidatesTokenCount", "eval_count"),
        *("total_tokens", "totalTokenCount", "cache_read_input_tokens", "thoughtsTokenCount"),
        *("cacheWriteInputTokens", "cachedContentTokenCount", "toolUsePromptTokenCount"),
    ]
)
DETAILS = st.dictionaries(
    st.sampled_from(
        [
            *("cache_read", "cached_tokens", "cache_creation", "ephemeral_1h_input_tokens"),
            *("audio", "audio_tokens", "image", "reasoning", "reasoning_tokens"),
        ]
    ),
    anything,
)
MODALITIES = st.lists(
    st.fixed_dictionaries(
        {"modality": st.sampled_from(["TEXT", "IMAGE", "AUDIO"]), "tokenCount": anything}
    )
)
REPORTS = st.builds(
    lambda counts, into, out: {
        **counts,
        "input_token_details": into,
        "output_token_details": out,
        "promptTokensDetails": into,
    },
    st.dictionaries(NAMES, anything),
    anything | DETAILS | MODALITIES,
    anything | DETAILS | MODALITIES,
)


@given(prices(), anything | REPORTS | st.lists(anything))
def test_whatever_a_provider_reports_can_be_priced(price, report):
    usage = token_usage(report)
    assert usage is None or price.of(usage) >= 0
    assert all(type(getattr(usage, f.name)) is int for f in fields(Usage) if usage)


@given(usages())
def test_what_langchain_reports_is_read_as_it_is(usage):
    report = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "input_token_details": {
            "cache_read": usage.cached_tokens,
            "cache_creation": usage.cache_write_tokens,
            "image": usage.image_tokens,
            "audio": usage.audio_input_tokens,
        },
        "output_token_details": {
            "reasoning": usage.reasoning_tokens,
            "audio": usage.audio_output_tokens,
        },
    }
    assert token_usage(report) == usage


@given(REPORTS)
def test_a_report_reads_the_same_as_a_mapping_and_as_an_object(report):
    assert token_usage(report) == token_usage(SimpleNamespace(**report))
    assert token_usage(report) == token_usage(MappingProxyType(report))


LEVELS = st.lists(st.floats(max_value=0, allow_nan=False) | st.integers(-9, 0), min_size=1)


@given(LEVELS, st.lists(anything))
def test_log_probabilities_read_the_same_in_every_shape(levels, noise):
    entries = [{"token": "a", "logprob": level} for level in levels]
    objects = [SimpleNamespace(logprob=level) for level in levels]
    wanted = tuple(map(float, levels))
    for shape in (entries, {"content": entries}, {"content": objects}, {"token_logprobs": levels}):
        assert token_logprobs({"logprobs": shape}) == wanted
    # One that tells nothing is left out.
    kept = [each for each in noise if not isinstance(each, (bool, int, float))]
    assert token_logprobs({"logprobs": [*kept, *entries, {"token": "b"}]}) == wanted
    assert token_logprobs({"logprobs": kept}) is None
