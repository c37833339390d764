"""Reading the scores that a chat model writes: "0.8", "8/10", "80%", "Yes", JSON, and so on.

A number alone is a score only from 0 to 1: whether an 8 is out of 10 or of 100 cannot be known.
Text in which several scores could be meant has none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cascade_engine.answers.code_and_json import first_object
from cascade_engine.answers.text import without_markup
from cascade_engine.core.checks import is_number
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["read_score", "read_scores"]

#: More than this a score's text does not need: what a model goes on to write is not read.
_LONGEST = 4000
_NUMBER = r"(?<![\w.])([-+]?(?:\d{1,9}(?:\.\d{1,20})?|\.\d{1,20}))"
_SCALED = (
    _NUMBER
    + r"(?:\s{0,2}(?:/|out of)\s{0,2}(\d{1,9}(?:\.\d{1,20})?)|\s?(%|percent\b))?(?!\w|[./]\d)"
)
_KEYS = ("score", "probability", "confidence", "rating", "grade", "correct", "verdict", "answer")
_LABELLED = re.compile(
    r"\b(?:score|probability|confidence|rating|grade)\b(?: (?:is|of|would be))?[\s:=]{0,4}"
    + _SCALED,
    re.IGNORECASE,
)
_ANY = re.compile(_SCALED)
_WHOLE = re.compile(rf"[^\w.+-]*{_SCALED}\W*", re.IGNORECASE)
#: A number that opens the reply; "1. The answer ..." is an item of a list.
_LEADING = re.compile(rf"\s*{_SCALED}(?=\s*(?:\n|[,;:(])|\s+-\s|\s+[a-z])", re.IGNORECASE)
_WORDS = {
    **dict.fromkeys(("yes", "correct", "right", "true", "valid"), 1.0),
    **dict.fromkeys(("no", "incorrect", "wrong", "false", "invalid"), 0.0),
}
_VERDICT = rf"(not |isn't )?(?:entirely |completely |fully )?({'|'.join(_WORDS)})\b"
_LEAD_IN = (
    r"(?:(?:the |this |it |that |final |proposed |given |answer |verdict |is |was |judgment )*)"
)
_OPENING = re.compile(rf"\W*{_LEAD_IN}[:\s]*{_VERDICT}", re.IGNORECASE)
_CLOSING = re.compile(rf"(?:^|[.:!?\n]\s*|\b(?:is|are)\s){_VERDICT}\W*$", re.IGNORECASE)


@persistent("advisers.read_score")
def read_score(text: str) -> float | None:
    """The score in [0, 1] that a reply gives, or None where it gives none, or several.

    It reads JSON with a key such as "score", "score: 0.8", a number that opens the reply, "8/10"
    and "80%" anywhere, verdicts such as "Yes" or "The answer is not correct", and a number from 0
    to 1 that is the only one.
    """
    reply = first_object(text[:_LONGEST])
    if reply is not None:
        return _of_object(reply)
    text = without_markup(text[:_LONGEST])
    labelled = _LABELLED.findall(text)
    if labelled:
        return _value(*labelled[-1])
    for pattern in (_WHOLE.fullmatch, _LEADING.match):
        if match := pattern(text):
            return _value(*match.groups())
    scaled = {_value(*parts) for parts in _ANY.findall(text) if parts[1] or parts[2]}
    if len(scaled) == 1:
        return scaled.pop()
    verdict = _verdict(text)
    return _only_number(text) if verdict is None and not scaled else verdict


def _of_object(reply: dict[str, Any]) -> float | None:
    """The score of a JSON object: by a key that says so, or its only value."""
    named = {key.casefold(): value for key, value in reply.items()}
    keys = [key for key in _KEYS if key in named] or (list(named) if len(named) == 1 else [])
    if not keys:
        return None
    value = named[keys[0]]
    if isinstance(value, str):
        return None if first_object(value) is not None else read_score(value)
    if isinstance(value, bool):
        return float(value)
    return float(value) if is_number(value) and 0 <= value <= 1 else None


def _value(number: str, top: str | None, percent: str | None) -> float | None:
    """A number as a share of its top (of 1, where none is given); None outside of [0, 1]."""
    most = float(top) if top else 100.0 if percent else 1.0
    value = float(number) / most if most >= 1 else -1.0
    return value if 0 <= value <= 1 else None


def _verdict(text: str) -> float | None:
    """What the first and the last words say, unless they say two things."""
    verdicts = {
        abs(_WORDS[match[2].casefold()] - bool(match[1]))
        for match in (_OPENING.match(text), _CLOSING.search(text))
        if match
    }
    return verdicts.pop() if len(verdicts) == 1 else None


def _only_number(text: str) -> float | None:
    values = {_value(*parts) for parts in _ANY.findall(text)}
    return values.pop() if len(values) == 1 else None


@persistent("advisers.read_scores")
def read_scores(text: str, models: Sequence[str]) -> dict[str, float] | None:
    """The scores in [0, 1] that a reply gives to models, or None where it gives none.

    It reads a JSON object, lines such as "small: 0.8", and the name of a single model, which then
    has 1 and all others 0.
    """
    text = text[:_LONGEST]
    reply = first_object(text)
    if reply is None:
        scores = {model: _beside(model, text) for model in models}
    else:
        values = {str(key).strip().casefold(): value for key, value in reply.items()}
        names = {model: model.casefold() for model in models}
        scores = {m: read_score(str(values[name])) for m, name in names.items() if name in values}
    known = {model: score for model, score in scores.items() if score is not None}
    return known or _picked(text, models)


def _beside(model: str, text: str) -> float | None:
    """The number that stands after a model's name, where that is one and the same throughout."""
    pattern = rf"(?<![\w.-]){re.escape(model)}(?![\w-]|\.\w)\W{{0,6}}{_SCALED}"
    values = {_value(*parts) for parts in re.findall(pattern, text, re.IGNORECASE)}
    return values.pop() if len(values) == 1 else None


def _picked(text: str, models: Sequence[str]) -> dict[str, float] | None:
    """1 for the model whose name is all of the text, and 0 for the others."""
    bare = text.strip(" \t\r\n\"'`*.:").casefold()
    if bare not in {model.casefold() for model in models}:
        return None
    return {model: float(model.casefold() == bare) for model in models}
