"""What form of answer a question asks for: a letter, a label, a number, code, JSON or free text."""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from cascade_engine.answers.numbers import number_value
from cascade_engine.answers.text import excerpt, phrase, squeeze
from cascade_engine.answers.text_similarity import content_words

if TYPE_CHECKING:
    from collections.abc import Mapping

LETTERS = "ABCDEFGHIJ"

_OPTION_LINE = re.compile(r"^[ \t]*\(?([A-J])[).:][ \t]+(\S.*)$", re.MULTILINE)
_OPTION_INLINE = re.compile(
    r"(?<![\w)])\(?([A-J])\)[ \t]+(\S[^\n]*?)(?=[ ,;]+(?:or )?\(?[A-J]\)|[?\n]|$)"
)
_LIST = re.compile(r":\s*([^:?.\n]{3,200})(\?|[.\n]|$)")
_SEPARATOR = re.compile(r"\s*(?:,?\s+or\s+|[,;/])\s*")
_ITEM = r"(?:an? |the )?[\w'-]{1,40}"
_ALTERNATIVES = re.compile(
    rf"\b({_ITEM}(?:, {_ITEM}){{0,8}}),? or ({_ITEM})(?=\s*(?:[?.,;:)'\"\n]|$))", re.IGNORECASE
)
_ARTICLE = re.compile(r"^(?:an?|the) ", re.IGNORECASE)
_YES_NO = re.compile(
    r"(?:^|[.!?:\n]\s*)(?:is|are|was|were|do|does|did|can|could|will|would|has|have|had|should|must)"
    r"(?:n't)?\s(?!you\b)[^.!?\n]{2,300}\?",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\bhow (?:many|much|old|tall|far|long|high|deep|heavy|fast|big|large|wide)\b"
    r"|\b(?:what|which) (?:number|year|percentage|percent|fraction)\b"
    r"|\b(?:compute|calculate|evaluate|numerical(?:ly)?)\b|\bwhat is [-(]?\d"
    r"|\b(?:answer|reply|respond|give|output|write|return|report)\b[^.\n]{0,40}\bnumber\b|####",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"\b(?:write|implement|create|define|complete|fix|refactor|generate|give|provide|show)\b"
    r"[^.\n]{0,80}\b(?:function|code|program|script|class|query|method|regex|sql|snippet)\b",
    re.IGNORECASE,
)
_JSON = re.compile(
    r"\b(?:as|in|into|valid|only|return|output|to|with|a|one|the)\s+(?:\w+\s+){0,2}json\b(?! stand)"
    r"|\bjson\s+(?:object|array|list|format|only|string|document|schema)\b",
    re.IGNORECASE,
)
_FEWEST_LABELS, _MOST_LABELS = 2, 12
_LONGEST_LABEL = 4  # words


class QuestionForm:
    """The form of answer that a question asks for; each part is read when it is first needed.

    Of a very long question the beginning and the end are read, see `excerpt`.

    Args:
        question: the text of the question.
    """

    def __init__(self, question: str) -> None:
        self._question = excerpt(question)

    @cached_property
    def _squeezed(self) -> str:
        return squeeze(self._question)

    @cached_property
    def options(self) -> Mapping[str, str]:
        """Text of each lettered option that the question lists, as `phrase` has it, by letter."""
        return _options(self._squeezed)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The words that the question says to choose among, as `phrase` has them."""
        return () if self.options else _labels(self._squeezed)

    @cached_property
    def yes_no(self) -> bool:
        """Whether the question can be answered by yes or no."""
        return bool(_YES_NO.search(self._squeezed))

    @cached_property
    def number(self) -> bool:
        """Whether the question asks for a number."""
        return bool(_NUMBER.search(self._squeezed))

    @cached_property
    def code(self) -> bool:
        """Whether the question asks for code to be written."""
        return bool(_CODE.search(self._squeezed))

    @cached_property
    def json(self) -> bool:
        """Whether the question asks for JSON."""
        # Most questions do not say the word: every answer would wait for the search.
        return "json" in self._question.casefold() and bool(_JSON.search(self._squeezed))

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of the question, as `content_words` has them."""
        return content_words(self._question)


@lru_cache(maxsize=256)
def form_of(question: str) -> QuestionForm:
    """The form of answer that a question asks for, read once for all the answers to it."""
    return QuestionForm(question)


def _options(question: str) -> dict[str, str]:
    for pattern in (_OPTION_LINE, _OPTION_INLINE):
        options = _consecutive(pattern.findall(question))
        if len(options) > 1:
            return options
    return {}


def _consecutive(lines: list[tuple[str, str]]) -> dict[str, str]:
    """The last run of letters that begins with A: earlier ones are examples."""
    options: dict[str, str] = {}
    for letter, text in lines:
        if letter == "A":
            options = {}
        if letter == LETTERS[len(options) : len(options) + 1]:
            options[letter] = phrase(text)
    return options


def _labels(question: str) -> tuple[str, ...]:
    for items, end in reversed(_LIST.findall(question)):
        labels = _distinct(_SEPARATOR.split(items))
        if labels and (end == "?" or " or " in items):
            return labels
    for several, one in reversed(_ALTERNATIVES.findall(question)):
        labels = _distinct([*several.split(","), one])
        if labels:
            return labels
    return ()


def _distinct(items: list[str]) -> tuple[str, ...]:
    """The items as labels, or nothing where they are no closed choice of words."""
    labels = tuple(
        dict.fromkeys(phrase(_ARTICLE.sub("", item.strip())).strip("'") for item in items)
    )
    if not _FEWEST_LABELS <= len(labels) <= _MOST_LABELS or all(
        number_value(item) is not None for item in items
    ):
        return ()
    fits = all(label and len(label.split()) <= _LONGEST_LABEL for label in labels)
    return labels if fits else ()
