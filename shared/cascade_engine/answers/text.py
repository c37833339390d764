"""Reading the text of an answer: numbers, letters, labels, JSON. Graders and extractors share it.

Nothing here raises on any text, and everything takes time linear in its length: runs of
whitespace are squeezed first, so no pattern can be made to try them in every split.
"""

from __future__ import annotations

import json
import re
import unicodedata
from fractions import Fraction
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from cascade_engine.storage.json_records import record_to_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cascade_engine.core.records import Answer

__all__ = [
    "NUMBER",
    "UNSPACED",
    "bare",
    "chosen_letters",
    "code_blocks",
    "excerpt",
    "final_number",
    "first_json",
    "first_object",
    "full_text",
    "last_boxed",
    "letters_stated",
    "mentioned",
    "mentions",
    "number_value",
    "phrase",
    "plain",
    "squeeze",
    "tool_call_texts",
]

# What stands after "^" is an exponent, of a unit mostly ("20 cm^2").
NUMBER = (
    r"(?<![\w.^])(?<!\^[-+])[-+]?[$€£¥]?[-+]?"
    r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?:[eE][-+]?\d{1,3}\b|/\d+)?(?![\d/])"
)
#: Letters and signs of scripts without spaces between words, as a range of a pattern.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_ANSWER_NUMBER = re.compile(
    r"\banswer\b(?:\s+(?:is|was|would be|should be))?[\s:=]*(?:about |exactly )?(" + NUMBER + ")",
    re.IGNORECASE,
)
# A number with at most two words of unit that ends its line or sentence.
_LONE_NUMBER = re.compile(
    r"^(" + NUMBER + r")\s*[%°]?(?:\s*[^\W\d]+\b){0,2}\s*(?:[.!,;]\s|[.!,;]?$)", re.MULTILINE
)
_LIST_ITEM = re.compile(r"^\s*2[.)]\s", re.MULTILINE)
# A number after "=" that no operator continues.
_RESULT = re.compile(r"=\s*(" + NUMBER + r")(?!\d|[.,]\d|\s*[-+*/\u00d7\u00f7^]\s*[\d(])")
_SUBJECT = re.compile(
    r"^(" + NUMBER + r") is (?:(?:the|a) )?(?:larg|small|great|big|less|low|high|answer|correct)",
    re.IGNORECASE,
)
_ANY_NUMBER = re.compile(NUMBER)
_LEAD_IN = re.compile(
    r"^(?:(?:the|my) )?(?:(?:final|correct|right) )?(?:answer|output|result)\s*(?:is|:)\s*:?\s*",
    re.IGNORECASE,
)
_EDGES = " \t\r\n\"'`*_.,;:!?“”‘’«»()[]{}"  # noqa: RUF001 - typographic quotes are meant
_MARKUP = re.compile(
    r"\*\*|__|`|\\boxed|\\[()\[\]]|\\(?=[%$])|\\(?:text|mathrm|mathbf|textbf)(?=\{)"
)
_BLANKS = re.compile(r"[^\S\n]+")
_BREAKS = re.compile(r"\n[ \n]*\n ?")
_FENCED = re.compile(r"^```\w*\n(.*?)\n?```$", re.DOTALL)
_NO_WORD = re.compile(r"[^\w'+-]+")
# "3 x 10^8" or "10^8"; and in Unicode's raised digits, which would else become plain ones.
_POWER = re.compile(
    r"((?<=\d) ?(?:[x*\u00d7\u00b7]|\\times|\\cdot) ?)?(?<![\d.])10 ?\^ ?"
    r"\(?([-+]?\d{1,3})\b\)?"
)
_RAISED = re.compile(r"(?<=10)[\u207a\u207b]?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]{1,3}")
_UNSPACED = re.compile(f"[{UNSPACED}]")
_UNITS = re.compile(r"[,$€£¥\s]")
# Spaces that no one puts between two numbers, and what LaTeX writes for them and for a comma.
_THOUSANDS = re.compile(r"(?<=\d)(?:[\u00a0\u2007\u2009\u202f]|\\,|\{,\})(?=\d{3}(?!\d))")
_TWO_NUMBERS = re.compile(r"\d\s+(?!\d{3}(?!\d))\d")
_FRACTION = re.compile(r"\\[dt]?frac(?:\{(\d+)\}\{(\d+)\}|(\d)(\d))")
_BEFORE_FRACTION = re.compile(r"(?<=\d)(?=\\[dt]?frac|[\u00bc-\u00be\u2150-\u215e])")
_MIXED = re.compile(r"(?<![\w.,/])(\d{1,9}) (\d{1,4})/(\d{1,4})(?![\d/])")
_HUGE = re.compile(r"[eE][-+]?\d{4,}$")
_LONGEST_NUMBER = 400
# Each start may be followed to the end of the text before it turns out to be none.
_JSON_STARTS = 50


def excerpt(text: str, most: int = 10_000) -> str:
    """The text, or of one longer than `most` its beginning and its end.

    What a long prompt asks for stands there, before or behind a document.
    """
    end = most // 2
    return text if len(text) <= most else f"{text[:end]}\n{text[-end:]}"


def plain(text: str) -> str:
    """The text without markup, in one Unicode form, with runs of whitespace squeezed.

    A power of ten, and a number times one, is written as "1e8" and "3e8"; a fraction, of LaTeX or
    Unicode or with a whole number before it, as "3/2".
    """
    text = _THOUSANDS.sub(",", _RAISED.sub(r"^\g<0>", text))
    text = _FRACTION.sub(
        lambda m: f"{m[1] or m[3]}/{m[2] or m[4]}", _BEFORE_FRACTION.sub(" ", text)
    )
    text = unicodedata.normalize("NFKC", text).replace("\N{FRACTION SLASH}", "/")
    text = text.replace("\N{MINUS SIGN}", "-").replace("^{", "^")
    text = squeeze(_MARKUP.sub("", text).replace("{", " ").replace("}", " "))
    text = _POWER.sub(lambda m: f"{'e' if m[1] else '1e'}{m[2]}", text)
    return _MIXED.sub(_one_fraction, text).strip()


def _one_fraction(mixed: re.Match[str]) -> str:
    whole, part, parts = map(int, mixed.groups())
    return f"{whole * parts + part}/{parts}" if part < parts else mixed[0]


def squeeze(text: str) -> str:
    """The text with one space for a run of blanks, and at most one empty line between lines."""
    return _BREAKS.sub("\n\n", _BLANKS.sub(" ", text))


def code_blocks(text: str) -> list[tuple[str, str]]:
    """Language ("" where none is given) and content of each fenced block, closed or not."""
    blocks: list[tuple[str, list[str]]] = []
    inside = False
    for line in text.split("\n"):
        mark = line.strip()
        if mark.startswith("```"):
            inside = not inside
            if inside:
                blocks.append((mark[3:].split(" ")[0].casefold(), []))
        elif inside:
            blocks[-1][1].append(line.removesuffix("```"))
            inside = not line.endswith("```")
    return [(language, "\n".join(lines)) for language, lines in blocks]


def bare(text: str) -> str:
    """The text without a fence, lead-in ("The answer is"), quotes and punctuation around it."""
    text = unicodedata.normalize("NFKC", text).strip()
    text = _FENCED.sub(r"\1", text)
    inner = _LEAD_IN.sub("", " ".join(text.strip(_EDGES).split()))
    return inner.strip(_EDGES) or text.strip()


def phrase(text: str) -> str:
    """The words alone, in lower case, with one space between them."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")  # noqa: RUF001
    return " ".join(_NO_WORD.sub(" ", text).replace("_", " ").split())


def mentions(answer: str, text: str) -> bool:
    """Whether the answer has the text in it, as whole words where words are told apart."""
    words = phrase(text)
    return bool(words) and _whole(words).search(_spoken(answer)) is not None


def mentioned(answer: str, texts: Iterable[str]) -> set[str]:
    """Those of the texts, in the form of `phrase`, that the answer has in it.

    A text inside of a longer one that is there is not: "spam" in "not spam".
    """
    rest, found = _spoken(answer), set()
    for words in sorted({phrase(text) for text in texts} - {""}, key=len, reverse=True):
        rest, times = _whole(words).subn("\n", rest)
        if times:
            found.add(words)
    return found


def _spoken(answer: str) -> str:
    return phrase(answer).replace(" '", " ")


def _whole(words: str) -> re.Pattern[str]:
    # Where no spaces are written between words, nothing tells where one ends.
    before = "" if _UNSPACED.match(words[0]) else r"(?<![\w-])"
    after = "" if _UNSPACED.match(words[-1]) else r"(?:'s)?(?![\w-])"
    return re.compile(f"{before}{re.escape(words)}{after}")


def number_value(text: str) -> Fraction | None:
    """The number a text is, if it is one: "$1,200.50", "3/4", "25%" (a quarter)."""
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


def final_number(text: str) -> str | None:
    """The number that a plain text ends up with, as it is written there; see `graders.number`."""
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


def letters_stated(text: str, last: str = "E") -> list[str]:
    """Letters up to `last` that a plain text states: "the answer is B", "option (B)"."""
    return _stated(last).findall(text)


def chosen_letters(text: str, last: str = "E") -> set[str]:
    """Letters up to `last` that a plain text chooses: those stated, or else those it begins with.

    The article "A" in prose is no choice.
    """
    stated = letters_stated(text, last)
    if stated:
        return set(stated)
    lead = _lead(last).match(text)
    if not lead:
        return set()
    return {lead[1].upper(), *_further(last).findall(text[lead.end() :])}


@cache
def _stated(last: str) -> re.Pattern[str]:
    return re.compile(
        r"\b(?:(?i:answer|option|choice))(?: is|:)?(?: option)?[\s:]*"
        rf"\(?([A-{last}])\b(?![' ]+[a-z])"
    )


@cache
def _lead(last: str) -> re.Pattern[str]:
    return re.compile(rf"\(?([A-{last}a-{last.lower()}])(?:[).:,]|\s*$|\s*[-\n])")


@cache
def _further(last: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|\n|\b(?:or|and) )\(?([A-{last}])(?:[).:]|$)")


def first_object(answer: str) -> dict[str, Any] | None:
    """The first JSON object in the text, or None."""
    found = first_json(answer, "{")
    return found if isinstance(found, dict) else None


def first_json(answer: str, opening: str = "{[") -> Any:
    """The first JSON object or list in the text, or None."""
    decoder = json.JSONDecoder()
    for start in islice(re.finditer(f"[{re.escape(opening)}]", answer), _JSON_STARTS):
        try:
            found, _ = decoder.raw_decode(answer, start.start())
        except (ValueError, RecursionError):
            continue
        return found
    return None


def full_text(answer: Answer) -> str:
    """All that an answer says: its text, then a line of JSON for each tool it wants called."""
    calls = tool_call_texts(answer)
    return "\n".join([answer.text, *calls]) if calls else answer.text


def tool_call_texts(answer: Answer) -> list[str]:
    """The tool calls of an answer as JSON; equal calls have equal texts."""
    return [json.dumps(record_to_json(call), sort_keys=True) for call in answer.tool_calls]
