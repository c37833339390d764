"""The families of questions, one function each."""

from __future__ import annotations

from everyday.families.arithmetic import (
    arithmetic,
    comparison,
    unit_conversion,
    word_problems,
)
from everyday.families.extraction import extraction
from everyday.families.facts import capitals, general_facts, translation
from everyday.families.language import odd_one_out, sentiment, spelling_grammar
from everyday.families.question import Family, Question
from everyday.families.reasoning import commonsense, logic
from everyday.families.text import code_reading, dates, string_manipulation

FAMILIES: tuple[Family, ...] = (
    arithmetic,
    word_problems,
    unit_conversion,
    comparison,
    string_manipulation,
    code_reading,
    dates,
    capitals,
    general_facts,
    translation,
    sentiment,
    spelling_grammar,
    odd_one_out,
    commonsense,
    logic,
    extraction,
)

__all__ = ["FAMILIES", "Question"]
