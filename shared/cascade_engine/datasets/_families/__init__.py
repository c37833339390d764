"""The families of questions, one function each."""

from __future__ import annotations

from cascade_engine.datasets._families._arithmetic import (
    arithmetic,
    comparison,
    unit_conversion,
    word_problems,
)
from cascade_engine.datasets._families._extraction import extraction
from cascade_engine.datasets._families._facts import capitals, general_facts, translation
from cascade_engine.datasets._families._language import odd_one_out, sentiment, spelling_grammar
from cascade_engine.datasets._families._question import Family, Question
from cascade_engine.datasets._families._reasoning import commonsense, logic
from cascade_engine.datasets._families._text import code_reading, dates, string_manipulation

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
