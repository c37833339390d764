"""How alike two short texts are, by words and by letters, without a model."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from cascade_engine.answers.text import UNSPACED, bare, phrase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

# A date, a time or a number is one word, as is a name with an apostrophe in it. What is written
# without spaces between words is taken sign by sign.
_WORD = re.compile(
    rf"-?\d+(?:[.,:/-]\d+)*|[{UNSPACED}]|(?:(?![{UNSPACED}])[^\W\d_])+(?:'[^\W\d_]+)?"
)
_ECHO = re.compile(r"[^\n]{1,200}?\b(?:is|are|was|were|be|called)\b:?\s+(?=\S)")
_MARKED_LETTER = re.compile("[\u0300-\u036f]")
_STOP_WORDS = (
    "a an the this that these those it its is are was were be been being am of to in on at by for "
    "with from as and or so then there here i you he she they we his her their our my your which "
    "who whom what when where do does did has have had will would can could should also s"
)
_STOP = frozenset(_STOP_WORDS.split())
_NEGATIONS_WORDS = (
    "no not never none neither nor nothing nobody nowhere cannot without false incorrect nicht "
    "kein keine nie non ne pas jamais nunca ningún niente não nem не нет ни 不 没 非"
)
_NEGATIONS = frozenset(_NEGATIONS_WORDS.split())
_STOP_WEIGHT, _QUESTION_WEIGHT, _STRONG_WEIGHT = 0.05, 0.1, 2.0
#: Factor on the likeness of two texts of which only one negates, or that share no number.
_CONTRARY = 0.5
#: Longer texts are compared by words alone: spelling variants no longer matter there.
_SHORT = 200


@dataclass(frozen=True, slots=True)
class Profile:
    """What is compared of a text.

    Attributes:
        weights: of each word and each pair of neighbours.
        total: sum of the weights.
        grams: triples of letters of the words that carry weight; empty for long texts.
        numbers: the numbers in it.
        negated: whether the text negates something.
    """

    weights: Mapping[str, float]
    total: float
    grams: frozenset[str]
    numbers: frozenset[str]
    negated: bool


def text_profile(text: str, question_words: AbstractSet[str] = frozenset()) -> Profile:
    """What is compared of `text`.

    Numbers, negations and capitalised words count double; words of little meaning, and those of the
    question, hardly count, unless there are no others.
    """
    words = _words(text)
    weights = {word: _weight(word, name, question_words) for word, name in words}
    content = [word for word, weight in weights.items() if weight >= 1]
    telling = [word for word, weight in weights.items() if weight > _STOP_WEIGHT]
    for first, second in pairwise(telling):
        weights[f"{first} {second}"] = min(weights[first], weights[second])
    joined = "".join(content or weights)
    return Profile(
        weights,
        sum(weights.values()),
        frozenset(_trigrams(joined)) if len(text) <= _SHORT else frozenset(),
        frozenset(word for word in weights if word[-1].isdigit()),
        any(_negates(word) for word, _ in words),
    )


def leaf_profile(leaves: Iterable[str]) -> Profile:
    """A profile of parts that are either the same or not, all of one weight."""
    weights = dict.fromkeys(leaves, 1.0)
    return Profile(weights, float(len(weights)), frozenset(), frozenset(), negated=False)


def content_words(text: str) -> frozenset[str]:
    """The words of a text, in lower case and without accents."""
    return frozenset(word for word, _ in _words(text))


def without_echo(text: str, question_words: AbstractSet[str]) -> str:
    """The text without a beginning that only repeats the question, as in "The capital of X is"."""
    echo = _ECHO.match(text)
    if echo and all(word in question_words or word in _STOP for word, _ in _words(echo[0])):
        return text[echo.end() :]
    return text


def compare(a: Profile, b: Profile) -> float:
    """Likeness in [0, 1] of two texts, the same in either order.

    Words by the mean of the Dice coefficient (the share of both texts that they share) and the
    overlap coefficient (the share of the shorter one), letters by Dice over triples; the mean of
    both; halved where only one text negates, and where both have numbers and share none.
    """
    if not a.total or not b.total:
        return 0.0
    shared = a.weights.keys() & b.weights.keys()
    of_a = sum(map(a.weights.__getitem__, shared))
    of_b = sum(map(b.weights.__getitem__, shared))
    dice = (of_a + of_b) / (a.total + b.total)
    alike = (dice + max(of_a / a.total, of_b / b.total)) / 2
    if a.grams and b.grams:
        alike = (alike + 2 * len(a.grams & b.grams) / (len(a.grams) + len(b.grams))) / 2
    if a.negated != b.negated:
        alike *= _CONTRARY
    if a.numbers and b.numbers and not a.numbers & b.numbers:
        alike *= _CONTRARY
    return min(alike, 1.0)


def similarity(a: str, b: str) -> float:
    """Likeness of two texts in [0, 1], by words and letters; 1.0 if they differ in looks alone.

    Half is shared words, of which names, numbers and negations count double and function words
    hardly; half, for short texts, is shared triples of letters, so that a spelling variant counts
    little. Where only one text negates it is at most a half, and so where both have numbers and
    share none. It is symmetric.
    """
    if phrase(bare(a)) == phrase(bare(b)):
        return 1.0
    return compare(text_profile(a), text_profile(b))


def _words(text: str) -> list[tuple[str, bool]]:
    """Words in lower case without accents, each with whether it is written as a name."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text).replace("\u2019", "'")
        text = unicodedata.normalize("NFC", _MARKED_LETTER.sub("", text))
    return [(_fold(word), word[0].isupper()) for word in _WORD.findall(text)]


def _fold(word: str) -> str:
    if word[-1].isdigit():
        return word.replace(",", "")
    word = word.casefold()
    return word.removesuffix("'s")


def _weight(word: str, name: bool, question_words: AbstractSet[str]) -> float:  # noqa: FBT001  hot path
    if _negates(word):
        return _STRONG_WEIGHT
    if word in question_words:
        return _QUESTION_WEIGHT
    if word in _STOP:
        return _STOP_WEIGHT
    return _STRONG_WEIGHT if name or word[-1].isdigit() else 1.0


def _negates(word: str) -> bool:
    return word in _NEGATIONS or word.endswith("n't")


def _trigrams(text: str) -> Iterable[str]:
    return (text[i : i + 3] for i in range(max(1, len(text) - 2))) if text else ()
