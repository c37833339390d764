"""Where in a text the final answer stands: after words that announce it, or in a box."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cascade_engine.answers.text_similarity import without_echo

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

#: LaTeX that changes no more than the looks of what is in a box.
LATEX_NOISE = re.compile(r"\\(?:left|right|text|mathrm|mathbf|,|!|;|\s)|[\s$]")
_MARK = re.compile(
    r"####[ \t]*|\b(?:final|correct|right) answer\b\W{0,4}(?:is\b|:)\W{0,4}"
    r"|\b(?:the|my) answer\b\W{0,4}(?:is\b|:)\W{0,4}|^\W{0,4}answer\W{0,2}:\W{0,4}",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCE_END = re.compile(r"(?<=[^\W_]{3}[.!?])\s+(?=[A-Z])")


def final_part(text: str, question_words: AbstractSet[str] | None = None) -> str:
    """What follows the last "The answer is" or "####", up to its line's or sentence's end.

    Where nothing is marked so it is the whole text, but for a beginning that repeats the question.

    Args:
        text: the answer.
        question_words: the words of the question, see `QuestionForm.words`; without them nothing
            counts as repeated.
    """
    end = -1
    for mark in _MARK.finditer(text):
        end = mark.end()
    if end < 0:
        return without_echo(text, question_words) if question_words is not None else text
    line = text[end:].lstrip().split("\n", 1)[0].replace("**", "")
    return _SENTENCE_END.split(line, maxsplit=1)[0] or text


def last_boxed(text: str) -> str | None:
    r"""What the last `\boxed{...}` holds; None where there is none, or it is not closed."""
    start = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    if start < 0:
        return None
    start = text.index("{", start) + 1
    depth = 1
    for brace in re.finditer(r"[{}]", text[start:]):
        depth += 1 if brace[0] == "{" else -1
        if not depth:
            return text[start : start + brace.start()].replace("{,}", ",")
    return None
