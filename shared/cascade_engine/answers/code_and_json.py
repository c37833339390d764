"""Readers of answers that are code or JSON: `(text, asked) -> value`, None where there is none."""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Any

from cascade_engine.answers.final_answers import number_text
from cascade_engine.answers.text import bare, code_blocks, first_json, number_value, phrase
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cascade_engine.answers.question_form import Asked

__all__ = ["final_code", "final_field", "final_json", "json_leaves"]

_COMMENT_LINE = re.compile(r"[ \t]*(?:#(?:[\s!]|$)|//|--\s)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_PYTHON = frozenset({"", "python", "py", "python3"})
_KNOWN_ESCAPES = frozenset("\\'\"abfnrtvxuUN01234567\n")
_LONGEST_PYTHON = 20_000


@persistent("extraction.final_code")
def final_code(text: str, asked: Asked) -> str | None:
    """The last fenced block (or a text that is Python as a whole), without looks and comments."""
    del asked
    blocks = code_blocks(text)
    language, code = blocks[-1] if blocks else ("", text)
    if language in _PYTHON:
        parsed = _python(code)
        if parsed is not None or not blocks:
            return parsed
    lines = (" ".join(line.split()) for line in code.split("\n") if not _COMMENT_LINE.match(line))
    return "\n".join(line for line in lines if line) or None


def _python(code: str) -> str | None:
    if len(code) > _LONGEST_PYTHON:
        return None
    # Python warns of escapes it does not know, which is of no concern here.
    known = _ESCAPE.sub(lambda m: m[0] if m[1] in _KNOWN_ESCAPES else "\\" + m[0], code)
    try:
        tree = ast.parse(known)
        for node in ast.walk(tree):
            _drop_docstring(node)
        return ast.unparse(tree) or None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _drop_docstring(node: ast.AST) -> None:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)):
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            node.body = node.body[1:] or [ast.Pass()]


@persistent("extraction.final_json")
def final_json(text: str, asked: Asked) -> str | None:
    """The JSON that the answer is, or that is in it where JSON is asked for."""
    found = json_value(text, anywhere=asked.json)
    if not asked.json and not _nested(found):
        return None
    try:
        return None if found is None else json_text(found)
    except (RecursionError, ValueError):
        return None


def json_value(text: str, *, anywhere: bool) -> Any:
    """The object or list in the text: alone or in a fence, or anywhere in it."""
    blocks = code_blocks(text)
    alone = (blocks[-1][1] if blocks else text).strip()
    if alone[:1] in {"{", "["}:
        try:
            return json.loads(alone)
        except (ValueError, RecursionError):
            pass
    return first_json(text) if anywhere else None


def _nested(value: Any) -> bool:
    """Whether it is more than a list of words, which many a text without JSON is as well."""
    return isinstance(value, dict) or any(isinstance(item, (dict, list)) for item in value or ())


def json_text(value: Any) -> str:
    """One text for each JSON value: keys sorted, texts and numbers in one form."""
    return json.dumps(_plain_json(value), sort_keys=True, ensure_ascii=False)


def json_leaves(text: str) -> Iterator[str]:
    """The parts of a JSON value of `json_text`, each with the keys that lead to it."""
    pending: list[tuple[str, Any]] = [("", json.loads(text))]
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict) and value:
            pending.extend((f"{path}.{key}", item) for key, item in value.items())
        elif isinstance(value, list) and value:
            pending.extend((f"{path}.{index}", item) for index, item in enumerate(value))
        else:
            yield f"{path}={json.dumps(value)}"


def _plain_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {phrase(key) or key: _plain_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_json(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    number = number_value(str(value))
    return number_text(number) if number is not None else bare(str(value)).casefold()


def final_field(text: str, steps: Sequence[str]) -> str | None:
    """What the names and list positions lead to in the first JSON of the text."""
    found = json_value(text, anywhere=True)
    for step in steps:
        found = _step(found, step)
    if found is None:
        return None
    try:
        return json_text(found).strip('"') or None
    except (RecursionError, ValueError):
        return None


def _step(holder: Any, step: str) -> Any:
    if isinstance(holder, dict):
        return holder.get(step)
    if isinstance(holder, list) and step.isdecimal() and int(step[:9]) < len(holder):
        return holder[int(step[:9])]
    return None
