"""Signs in an answer's form that it is good or that it failed, read without a reference.

Each sign is a number in [0, 1], or NaN where it does not apply: no JSON is asked for, no tool is
called, the text is too short. The columns, in the order of `STRUCTURE_COLUMNS`:

| Column            | What it says                                                              |
| ----------------- | ------------------------------------------------------------------------- |
| `json_valid`      | 1 if the answer is JSON alone (or in a fence), 0.5 if JSON is in it, else 0 |
| `schema_valid`    | 1 if that JSON fits the schema asked for (needs the extra `structure`)    |
| `accepted`        | the score of the user's validator                                         |
| `tool_call_valid` | share of the tool calls that fit a tool on offer                          |
| `refusal`         | 1 if it begins with a refusal, or says that it does not know              |
| `truncated`       | 1 if it was cut off: by its finish reason, an open code fence or open JSON  |
| `empty`           | 1 if there is no letter, digit or symbol, and no tool call                |
| `repetition`      | share of runs of four words that came before                              |
| `compressibility` | share of the bytes that compression saves: much of it in a loop           |
| `other_script`    | share of its letters that are of no script in the question                |
| `hedging`         | hedging words ("perhaps", "I think") per sentence, at most 1              |
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cascade_engine.answers.code_and_json import first_json
from cascade_engine.answers.question_form import form_of
from cascade_engine.answers.refusals import hedges, refuses
from cascade_engine.answers.text import code_blocks, excerpt
from cascade_engine.answers.validity import schema_check, tool_call_fits, validator_check
from cascade_engine.core.records import Answer, Query
from cascade_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.core.arrays import FloatArray

__all__ = ["STRUCTURE_COLUMNS", "Validator", "structure_features", "structure_table"]

STRUCTURE_COLUMNS = (
    "json_valid",
    "schema_valid",
    "accepted",
    "tool_call_valid",
    "refusal",
    "truncated",
    "empty",
    "repetition",
    "compressibility",
    "other_script",
    "hedging",
)
"""Names of the columns of `structure_features`, in order."""

Validator: TypeAlias = "Callable[[str], bool | float | None] | type[Any]"
"""A function of the answer's text that returns whether it is good (None is good, too) or raises
ValueError, TypeError, LookupError or AssertionError where it is not; or a type that pydantic can
validate JSON against, such as a model class."""

#: Reasons to finish, as providers call it, at a limit on the length.
CUT_OFF = frozenset({"length", "max_tokens", "max_output_tokens"})
_WORD = re.compile(r"\w+")
_NGRAM = 4
_SHORTEST_COMPRESSED = 200  # bytes; shorter texts hardly compress
_LONGEST_SCANNED = 2000  # letters, enough to tell a script
_FEWEST_LETTERS = 3
_SOME_LETTERS = re.compile(rf"(?:[^\W\d_][\W\d_]*){{{_FEWEST_LETTERS}}}")
_TRANSLATION = re.compile(
    r"\btranslat|\btranslit|\bin (?:arabic|bulgarian|chinese|mandarin|cantonese|greek|hebrew|hindi|"
    r"japanese|korean|persian|russian|serbian|thai|ukrainian|english|romaji|pinyin|cyrillic)\b",
    re.IGNORECASE,
)


def structure_features(
    query: Query,
    answer: Answer,
    *,
    schema: Mapping[str, Any] | None = None,
    validator: Validator | None = None,
) -> FloatArray:
    """The signs in one answer.

    Args:
        query: the query, with the tools on offer and the schema asked for.
        answer: the answer, with its tool calls and finish reason.
        schema: JSON schema of the answer, instead of the query's own.
        validator: a check of your own, or a pydantic model; see `Validator`.

    Returns:
        Array of shape (d,) with d columns as in `STRUCTURE_COLUMNS`.

    Raises:
        ConfigurationError: a schema given that is none, or that cannot be checked because
            `jsonschema` is not installed (the query's own schema is then unknown: NaN); a type
            given and pydantic is not installed; a validator that returns no number in [0, 1].
    """
    return np.array(structure_row(query, answer, schema=schema, validator=validator))


def structure_row(
    query: Query,
    answer: Answer,
    *,
    schema: Mapping[str, Any] | None = None,
    validator: Validator | None = None,
) -> list[float]:
    """`structure_features` in plain numbers."""
    return _row(query, answer, *_checks(schema, validator))


def structure_table(
    queries: Query | Sequence[Query],
    answers: Sequence[Answer],
    *,
    schema: Mapping[str, Any] | None = None,
    validator: Validator | None = None,
) -> FloatArray:
    """The signs in n answers.

    Args:
        queries: one query per answer, or one for all.
        answers: the n answers.
        schema: see `structure_features`.
        validator: see `structure_features`.

    Returns:
        Array of shape (n, d) with d columns as in `STRUCTURE_COLUMNS`.

    Raises:
        ConfigurationError: see `structure_features`.
        DataError: not as many queries as answers.
    """
    queries = [queries] * len(answers) if isinstance(queries, Query) else list(queries)
    if len(queries) != len(answers):
        raise DataError(f"{len(queries)} queries for {len(answers)} answers: pass one, or as many")
    checks = _checks(schema, validator)
    rows = [_row(query, answer, *checks) for query, answer in zip(queries, answers, strict=True)]
    return np.array(rows, dtype=float).reshape(len(rows), len(STRUCTURE_COLUMNS))


_Check: TypeAlias = Callable[[Any], float]


def _checks(
    schema: Mapping[str, Any] | None, validator: Validator | None
) -> tuple[_Check | None, _Check | None]:
    return (
        None if schema is None else schema_check(schema, required=True),
        None if validator is None else validator_check(validator),
    )


def _row(query: Query, answer: Answer, fits: _Check | None, accepts: _Check | None) -> list[float]:
    text = answer.text
    if fits is None and query.schema is not None:
        fits = schema_check(query.schema)
    wants_json = (fits is not None or form_of(query.text).json) and not answer.tool_calls
    value, alone = _json_in(text) if wants_json else (None, False)
    has_json = alone or value is not None
    words = _WORD.findall(text)
    return [
        (1.0 if alone else 0.5 * has_json) if wants_json else math.nan,
        (fits(value) if has_json else 0.0) if wants_json and fits else math.nan,
        accepts(text) if accepts else math.nan,
        _tool_calls(query, answer),
        float(refuses(text, query.text)),
        _truncated(answer, open_json=wants_json and not has_json),
        float(not answer.tool_calls and (not text or text.isspace() or not _visible(text))),
        _repetition(words),
        _compressibility(text),
        _other_script(query.text, text),
        hedges(text, words) if words else math.nan,
    ]


def _json_in(text: str) -> tuple[Any, bool]:
    """The JSON of an answer, and whether it is all there is; None where there is none."""
    blocks = code_blocks(text) if "```" in text else []
    fenced = len(blocks) == 1 and text.strip().startswith("```") and text.strip().endswith("```")
    alone = blocks[0][1] if fenced else text
    try:
        return json.loads(alone, parse_constant=_reject), True
    except (ValueError, RecursionError):
        return first_json(text), False


def _reject(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _tool_calls(query: Query, answer: Answer) -> float:
    if not answer.tool_calls:
        return math.nan
    return sum(tool_call_fits(call, query.tools) for call in answer.tool_calls) / len(
        answer.tool_calls
    )


def _truncated(answer: Answer, *, open_json: bool) -> float:
    if (answer.finish_reason or "").lower() in CUT_OFF:
        return 1.0
    text = answer.text
    if "```" in text and sum(line.lstrip().startswith("```") for line in text.split("\n")) % 2:
        return float(not text.rstrip().endswith("```"))
    return float(open_json and text.lstrip()[:1] in {"{", "["} and text.rstrip()[-1] not in "}]")


def _visible(text: str) -> bool:
    return any(unicodedata.category(letter)[0] in "LNS" for letter in text)


def _repetition(words: list[str]) -> float:
    runs = len(words) - _NGRAM + 1
    if runs < _NGRAM:
        return math.nan
    return 1 - len(set(zip(*(words[i:] for i in range(_NGRAM)), strict=False))) / runs


def _compressibility(text: str) -> float:
    data = text.encode("utf-8", "replace")
    if len(data) < _SHORTEST_COMPRESSED:
        return math.nan
    return max(0.0, 1 - len(zlib.compress(data, 1)) / len(data))


def _other_script(question: str, text: str) -> float:
    if question.isascii() and text.isascii():
        return 0.0 if _letters(question) and _letters(text) else math.nan
    expected, scripts = _scripts(question), _scripts(text)
    total = sum(scripts.values())
    if total < _FEWEST_LETTERS or not expected:
        return math.nan
    other = sum(count for script, count in scripts.items() if script not in expected)
    # A long question takes long to search, for what most answers do not need to be known.
    return math.nan if other and _TRANSLATION.search(excerpt(question)) else other / total


def _letters(text: str) -> bool:
    # Nearly every text begins with a word.
    begins = text[:_FEWEST_LETTERS].isalpha() and len(text) >= _FEWEST_LETTERS
    return begins or _SOME_LETTERS.search(text, 0, _LONGEST_SCANNED) is not None


def _scripts(text: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    # Each letter is looked at once, however often it stands there.
    for letter, count in Counter(text[:_LONGEST_SCANNED]).items():
        if letter.isalpha():
            script = _script(letter)
            counts[script] = counts.get(script, 0) + count
    return counts


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    """The first word of the letter's name; Chinese and Japanese share their signs."""
    name = unicodedata.name(letter, "unknown").split()[0].split("-")[0]
    return "CJK" if name in {"HIRAGANA", "KATAKANA"} else name
