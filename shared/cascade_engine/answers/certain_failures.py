"""Answers that certainly fail, which needs neither a fit nor log-probabilities to see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cascade_engine.answers.structure import CUT_OFF, STRUCTURE_COLUMNS, structure_row
from cascade_engine.answers.validity import tool_call_fits

if TYPE_CHECKING:
    from cascade_engine.core.records import Answer, Query, ToolCall

_FITS_SCHEMA = STRUCTURE_COLUMNS.index("schema_valid")
#: A limit of so few tokens is intended: one letter is a whole answer to a multiple choice.
_INTENDED_LIMIT = 4


def certainly_fails(query: Query, answer: Answer) -> bool:
    """Whether an answer is certainly of no use; False where that is uncertain.

    It is of no use where it is empty, or was cut off at a limit on its length, or calls a tool that
    is not on offer or with arguments that do not fit, or is not in the form asked for.
    """
    if answer.tool_calls:
        return _is_cut_off(answer) or any(_misses(call, query) for call in answer.tool_calls)
    if not answer.text or answer.text.isspace() or _is_cut_off(answer):
        return True
    return query.schema is not None and structure_row(query, answer)[_FITS_SCHEMA] == 0


def _is_cut_off(answer: Answer) -> bool:
    if (answer.finish_reason or "").lower() not in CUT_OFF:
        return False
    tokens = answer.usage.output_tokens if answer.usage else len(answer.logprobs or ())
    return not 0 < tokens <= _INTENDED_LIMIT


def _misses(call: ToolCall, query: Query) -> bool:
    """Whether a call fits no tool on offer; some tools may be offered without a description."""
    names = {tool.get("name") for tool in query.tools}
    if call.name in names or (names and None not in names):
        return not tool_call_fits(call, query.tools)
    return isinstance(call.arguments, str)  # which are no JSON object, then
