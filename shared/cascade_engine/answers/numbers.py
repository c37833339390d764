"""Numbers in texts: which number an answer ends up with, its value, and its canonical text."""

from __future__ import annotations

import re
from fractions import Fraction

from cascade_engine.answers.final_answers import final_part, last_boxed
from cascade_engine.answers.text import bare, phrase, without_markup
from cascade_engine.storage.registry import persistent

# What stands after "^" is an exponent, of a unit mostly ("20 cm^2").
NUMBER = (
    r"(?<![\w.^])(?<!\^[-+])[-+]?[$€£¥]?[-+]?"
    r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?:[eE][-+]?\d{1,3}\b|/\d+)?(?![\d/])"
)
_ANSWER_NUMBER = re.compile(
    r"\banswer\b(?:\s+(?:is|was|would be|should be))?[\s:=]*(?:about |exactly )?(" + NUMBER + ")",
    re.IGNORECASE,
)
# A number with at most two words of unit that ends its line or sentence.
_LONE_NUMBER = re.compile(
    r"^(" + NUMBER + r")\s*[%°]?(?:\s*[^\W\d]+\b){0,2}\s*(?:[.!,;]\s|[.!,;]?$)", re.MULTILINE
)
# The second entry of a list: the "1." before it is no answer.
_LIST_ITEM = re.compile(r"^\s*2[.)]\s", re.MULTILINE)
# A number after "=" that no operator continues.
_RESULT = re.compile(r"=\s*(" + NUMBER + r")(?!\d|[.,]\d|\s*[-+*/\u00d7\u00f7^]\s*[\d(])")
# "9.9 is larger than 9.11".
_SUBJECT = re.compile(
    r"^(" + NUMBER + r") is (?:(?:the|a) )?(?:larg|small|great|big|less|low|high|answer|correct)",
    re.IGNORECASE,
)
_ANY_NUMBER = re.compile(NUMBER)
_UNITS = re.compile(r"[,$€£¥\s]")
# "12 15" is no number, "12 000" is one.
_TWO_NUMBERS = re.compile(r"\d\s+(?!\d{3}(?!\d))\d")
_HUGE = re.compile(r"[eE][-+]?\d{4,}$")
_LONGEST_NUMBER = 400
_HASHED = re.compile(r"####[ \t]*([^\n]{1,100})")
_WITH_UNIT = re.compile(rf"({NUMBER})\s*[%°$€£¥]?(?:\s?[^\W\d_]{{1,20}}){{0,2}}")
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SPELLED = {word: value for value, word in enumerate(_ONES.split())} | {
    word: 10 * tens for tens, word in enumerate(_TENS.split(), 2)
}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}


def number_value(text: str) -> Fraction | None:
    """The value of a text that is a number: "$1,200.50", "3/4", "25%" (a quarter); else None."""
    if _TWO_NUMBERS.search(text):
        return None
    cleaned = _UNITS.sub("", text)
    if len(cleaned) > _LONGEST_NUMBER or _HUGE.search(cleaned):  # an exponent can ask for gigabytes
        return None
    scale = 100 if cleaned.endswith("%") else 1
    try:
        return Fraction(cleaned.rstrip("%")) / scale
    except (ValueError, ZeroDivisionError):
        return None


def number_text(value: Fraction) -> str:
    """One text for each number: a decimal where it is finite, else a fraction."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    whole = digits if not places else f"{digits[:-places]}.{digits[-places:]}"
    return f"-{whole}" if value < 0 else whole


def final_number(text: str) -> str | None:
    """The number that a text ends up with, as it is written there; None where there is none.

    `graders.number` lists the rules. The text is one of `without_markup`.
    """
    marked = _ANSWER_NUMBER.findall(text)
    if marked:
        return str(marked[-1])
    lone = _LONE_NUMBER.match(text)
    if lone and not _LIST_ITEM.search(text):
        return lone[1]
    results = _RESULT.findall(text)
    if results:
        return str(results[-1])
    subject = _SUBJECT.match(text)
    if subject:
        return subject[1]
    numbers = _ANY_NUMBER.findall(text)
    return numbers[-1] if numbers else None


@persistent("extraction.final_value")
def final_value(text: str, _: object = None) -> str | None:
    """The final number of an answer, in the form of `number_text`; None where there is none.

    It stands in a box, after "####", where `final_number` finds it, or is spelled out.
    """
    for marked in (last_boxed(text), *_HASHED.findall(text)[-1:]):
        if marked and (value := _numeric(without_markup(marked))) is not None:
            return number_text(value)
    value = _numeric(without_markup(text))
    if value is None:
        value = _spelled(text)
    return None if value is None else number_text(value)


def lone_value(text: str) -> str | None:
    """The number that is the whole text, but for a unit of at most two words."""
    lone = without_markup(text).strip(" *_.!\"'")
    match = _WITH_UNIT.fullmatch(lone)
    value = _scaled(match[1], lone) if match else None
    return None if value is None else number_text(value)


def _numeric(text: str) -> Fraction | None:
    number = final_number(text)
    return None if number is None else _scaled(number, text)


def _scaled(number: str, text: str) -> Fraction | None:
    """The value of a number of the text, times a million where that says "5 million"."""
    value = number_value(number)
    unit = re.match(r"\s?([a-z]+)\b", text[text.rfind(number) + len(number) :], re.IGNORECASE)
    return value * _SCALES.get(unit[1].lower(), 1) if value is not None and unit else value


def _spelled(text: str) -> Fraction | None:
    """The number that an answer such as "Twenty-one apples" spells out at its beginning."""
    words = phrase(bare(final_part(text))[:200]).replace("-", " ").replace(" and ", " ").split()
    size = next((i for i, word in enumerate(words) if word not in _SPELLED | _SCALES), len(words))
    return None if not size or len(words) - size > 2 else _spelled_out(words[:size])  # noqa: PLR2004


def _spelled_out(words: list[str]) -> Fraction:
    """The value of words such as "two hundred five thousand"."""
    total = part = 0
    for word in words:
        if word in _SPELLED:
            part += _SPELLED[word]
        elif word == "hundred":
            part = max(part, 1) * 100
        else:
            total, part = total + max(part, 1) * _SCALES[word], 0
    return Fraction(total + part)
