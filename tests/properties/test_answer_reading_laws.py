"""Laws of reading answers: nothing raises, likeness is symmetric and within bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade_engine import Answer, Query, ToolCall
from cascade_engine.answers import (
    STRUCTURE_COLUMNS,
    agreement,
    canonical_answer,
    similarity,
    structure_features,
)
from cascade_engine.answers.extractors import (
    automatic,
    boxed,
    choice_letter,
    code_block,
    json_answer,
    json_field,
    label,
    normalised_text,
    number,
)

EXTRACTORS = [
    automatic,
    boxed,
    choice_letter,
    code_block,
    json_answer,
    json_field("a.0"),
    label(["yes", "no"]),
    normalised_text,
    number,
]
_PIECES = st.sampled_from(
    ["The answer is", "B", "(A)", "A) x", "\n", " ", "12", "1,200", "-", "/", "%", "$", "3.5", "no",
     "twelve", "yes", "not", "or", ":", "?", ".", "```", "```python\n", "{", "}", '"a":', "[", "]",
     "\\boxed{", "\\frac{1}{2}", "####", "=", "**", "Paris", "def f(a): return a", "I don't know",
     "sorry", "é", "水", "\u0301", "as JSON", "how many", "is it", "\\", "'", "²", "½", "①"]
)  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(_PIECES, max_size=20).map("".join),
    st.lists(_PIECES, max_size=20).map(" ".join),
)
FRACTIONS = st.fractions(max_denominator=1000)


@pytest.mark.parametrize("extract", EXTRACTORS, ids=lambda extract: extract.kind)
@given(question=TEXTS, text=TEXTS)
def test_no_extractor_raises(extract, question, text):
    value = extract(question, text)
    assert value is None or (isinstance(value, str) and value)
    assert extract(question, text) == value


@given(question=TEXTS, a=TEXTS, b=TEXTS)
def test_agreement_is_symmetric_and_within_bounds(question, a, b):
    one, other = canonical_answer(question, a), canonical_answer(question, b)
    assert 0 <= one.agreement(other) <= 1
    assert one.agreement(other) == pytest.approx(other.agreement(one), abs=1e-12)
    assert one.agreement(other) == agreement(question, a, b)
    assert one.agreement(one) == pytest.approx(float(bool(one.text)))


@given(a=TEXTS, b=TEXTS)
def test_similarity_is_symmetric_within_bounds_and_one_for_equals(a, b):
    assert 0 <= similarity(a, b) <= 1
    assert similarity(a, b) == pytest.approx(similarity(b, a), abs=1e-12)
    assert similarity(a, f" **{a}**\n") == similarity(a, a) == 1


@given(value=FRACTIONS)
def test_a_number_written_in_two_ways_is_one_number(value):
    text = f"{value.numerator}/{value.denominator}"
    assert (
        number("", text) == number("", f"The answer is **{text}**.") == number("", f"#### {text}")
    )
    assert number("", number("", text)) == number("", text)


@given(value=st.integers(-(10**12), 10**12), unit=st.sampled_from(["", " apples", "%", ".", " km"]))
def test_separators_and_units_make_no_difference(value, unit):
    assert number("", f"{value:,}{unit}") == str(value)
    assert agreement("How many?", f"{value:,}{unit}", f"It is {value}.") == 1.0


@given(question=TEXTS, text=TEXTS, schema=st.booleans(), called=st.booleans())
def test_signs_are_within_bounds(question, text, schema, called):
    query = Query(question, schema={"type": "object"} if schema else None)
    answer = Answer(text, tool_calls=(ToolCall(text, text),) if called else ())
    row = structure_features(query, answer)
    known = row[~np.isnan(row)]
    assert row.shape == (len(STRUCTURE_COLUMNS),)
    assert ((known >= 0) & (known <= 1)).all()
