"""Code and JSON in texts: where they stand, and one text for all that say the same."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from cascade_engine.answers.numbers import number_text, number_value
from cascade_engine.answers.text import bare, code_blocks, phrase
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cascade_engine.answers.question_form import QuestionForm

_COMMENT_LINE = re.compile(r"[ \t]*(?:#(?:[\s!]|$)|//|--\s)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_PYTHON = frozenset({"", "python", "py", "python3"})
_KNOWN_ESCAPES = frozenset("\\'\"abfnrtvxuUN01234567\n")
_LONGEST_PYTHON = 20_000
# Each start may be followed to the end of the text before it turns out to be none.
_JSON_STARTS = 50


def first_object(answer: str) -> dict[str, Any] | None:
    """The first JSON object in the text, or None."""
    value = first_json(answer, "{")
    return value if isinstance(value, dict) else None


def first_json(answer: str, opening: str = "{[") -> Any:
    """The first JSON object or list in the text, or None."""
    decoder = json.JSONDecoder()
    for start in islice(re.finditer(f"[{re.escape(opening)}]", answer), _JSON_STARTS):
        try:
            value, _ = decoder.raw_decode(answer, start.start())
        except (ValueError, RecursionError):
            continue
        return value
    return None


@persistent("extraction.final_code")
def final_code(text: str, _: object = None) -> str | None:
    """The last fenced block (or a text that is Python as a whole), without layout and comments."""
    blocks = code_blocks(text)
    language, code = blocks[-1] if blocks else ("", text)
    if language in _PYTHON:
        canonical = _python(code)
        if canonical is not None or not blocks:
            return canonical
    lines = (" ".join(line.split()) for line in code.split("\n") if not _COMMENT_LINE.match(line))
    return "\n".join(line for line in lines if line) or None


def _python(code: str) -> str | None:
    """Python as its own parser lays it out, without docstrings; None where it is no Python."""
    if len(code) > _LONGEST_PYTHON:
        return None
    # Python warns of escapes it does not know, which is of no concern here.
    escaped = _ESCAPE.sub(lambda m: m[0] if m[1] in _KNOWN_ESCAPES else "\\" + m[0], code)
    try:
        tree = ast.parse(escaped)
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
def final_json(text: str, form: QuestionForm) -> str | None:
    """The JSON that an answer is, or that is in it where JSON is asked for."""
    value = _json_value(text, anywhere=form.json)
    if not form.json and not _is_nested(value):
        return None
    try:
        return None if value is None else _json_text(value)
    except (RecursionError, ValueError):
        return None


def _json_value(text: str, *, anywhere: bool) -> Any:
    """The object or list in the text: alone or in a fence, or anywhere in it."""
    blocks = code_blocks(text)
    alone = (blocks[-1][1] if blocks else text).strip()
    if alone[:1] in {"{", "["}:
        try:
            return json.loads(alone)
        except (ValueError, RecursionError):
            pass
    return first_json(text) if anywhere else None


def _is_nested(value: Any) -> bool:
    """Whether it is more than a list of words, which many a text without JSON is as well."""
    return isinstance(value, dict) or any(isinstance(item, (dict, list)) for item in value or ())


def _json_text(value: Any) -> str:
    """One text for each JSON value: keys sorted, texts and numbers in one form."""
    return json.dumps(_json_form(value), sort_keys=True, ensure_ascii=False)


def json_leaves(text: str) -> Iterator[str]:
    """The parts of a JSON value of `final_json`, each with the keys that lead to it."""
    pending: list[tuple[str, Any]] = [("", json.loads(text))]
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict) and value:
            pending.extend((f"{path}.{key}", item) for key, item in value.items())
        elif isinstance(value, list) and value:
            pending.extend((f"{path}.{index}", item) for index, item in enumerate(value))
        else:
            yield f"{path}={json.dumps(value)}"


def _json_form(value: Any) -> Any:
    if isinstance(value, dict):
        return {phrase(key) or key: _json_form(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json_form(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    number = number_value(str(value))
    return number_text(number) if number is not None else bare(str(value)).casefold()


def comparable_json(value: Any) -> Any:
    """A JSON value in a form that is equal where graders take two values to be the same.

    Case and outer whitespace of keys and texts make no difference, nor do quotes around a number;
    a truth value differs from a number.
    """
    if isinstance(value, Mapping):
        return {str(key).strip().casefold(): comparable_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [comparable_json(item) for item in value]
    if isinstance(value, bool) or value is None:
        return ("literal", value)
    number = number_value(str(value))
    return str(value).strip().casefold() if number is None else number


def final_field(text: str, steps: Sequence[str]) -> str | None:
    """What the names and list positions lead to in the first JSON of the text."""
    value = _json_value(text, anywhere=True)
    for step in steps:
        value = _step(value, step)
    if value is None:
        return None
    try:
        return _json_text(value).strip('"') or None
    except (RecursionError, ValueError):
        return None


def _step(holder: Any, step: str) -> Any:
    if isinstance(holder, dict):
        return holder.get(step)
    if isinstance(holder, list) and step.isdecimal() and int(step[:9]) < len(holder):
        return holder[int(step[:9])]
    return None
