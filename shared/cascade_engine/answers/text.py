"""The text of an answer in the forms in which it is read: without markup, bare, as words alone.

Nothing here raises on any text, and everything takes time linear in its length: runs of
whitespace are squeezed first, so no pattern can be made to try them in every split.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING

from cascade_engine.storage.json_records import record_to_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cascade_engine.core.records import Answer

#: Letters and signs of scripts without spaces between words, as a range of a pattern.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
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
# Spaces that no one puts between two numbers, and what LaTeX writes for them and for a comma.
_THOUSANDS = re.compile(r"(?<=\d)(?:[\u00a0\u2007\u2009\u202f]|\\,|\{,\})(?=\d{3}(?!\d))")
_FRACTION = re.compile(r"\\[dt]?frac(?:\{(\d+)\}\{(\d+)\}|(\d)(\d))")
_BEFORE_FRACTION = re.compile(r"(?<=\d)(?=\\[dt]?frac|[\u00bc-\u00be\u2150-\u215e])")
_MIXED = re.compile(r"(?<![\w.,/])(\d{1,9}) (\d{1,4})/(\d{1,4})(?![\d/])")


def excerpt(text: str, most: int = 10_000) -> str:
    """The text; of one with more than `most` characters, its beginning and its end.

    A long prompt holds a document mostly, and says before or behind it what it asks for.
    """
    end = most // 2
    return text if len(text) <= most else f"{text[:end]}\n{text[-end:]}"


def without_markup(text: str) -> str:
    """The text without Markdown and LaTeX, in one Unicode form, with runs of whitespace squeezed.

    Powers of ten become "1e8" or "3e8", and fractions "3/2", whether they come in LaTeX, in Unicode
    or with a whole number before them.
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
    """Whether the answer has the text in it, as whole words where the script has spaces."""
    words = phrase(text)
    return bool(words) and _whole(words).search(_spoken(answer)) is not None


def mentioned(answer: str, texts: Iterable[str]) -> set[str]:
    """Those of the texts, in the form of `phrase`, that the answer has in it.

    A text that is there only as a part of a longer one does not count: "spam" in "not spam".
    """
    rest, phrases = _spoken(answer), set()
    for words in sorted({phrase(text) for text in texts} - {""}, key=len, reverse=True):
        rest, times = _whole(words).subn("\n", rest)
        if times:
            phrases.add(words)
    return phrases


def _spoken(answer: str) -> str:
    """The words of an answer, without quotes before them."""
    return phrase(answer).replace(" '", " ")


def _whole(words: str) -> re.Pattern[str]:
    """A pattern of the words as whole words."""
    # Where no spaces are written between words, nothing tells where one ends.
    before = "" if _UNSPACED.match(words[0]) else r"(?<![\w-])"
    after = "" if _UNSPACED.match(words[-1]) else r"(?:'s)?(?![\w-])"
    return re.compile(f"{before}{re.escape(words)}{after}")


def full_text(answer: Answer) -> str:
    """Everything an answer holds: its text, then a line of JSON for each tool it wants called."""
    calls = tool_call_texts(answer)
    return "\n".join([answer.text, *calls]) if calls else answer.text


def tool_call_texts(answer: Answer) -> list[str]:
    """The tool calls of an answer as JSON; equal calls have equal texts."""
    return [json.dumps(record_to_json(call), sort_keys=True) for call in answer.tool_calls]
