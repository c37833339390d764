"""Phrases with which models refuse or hedge, in the languages they are often asked in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Courtesies that come before a refusal.
_OPENING = (
    r"(?:(?:i'?m|i am|we'?re)\s+(?:very |so |really |truly )?(?:sorry|afraid)|sorry|apologies|"
    r"i apologi[sz]e|unfortunately|regrettably|as an? [^.,\n]{0,40}?(?:ai|assistant|model)\b|"
    r"i'?m (?:just |only )?an? [^.,\n]{0,40}?(?:ai|assistant|model)\b|"
    r"thank you[^.,\n]{0,60}|hi|hello|oh|no|but|and|however|so|that|at this time|it seems)"
)
_CANNOT = r"(?:can(?:no|')?t|can not|could ?n[o']t|(?:am|'m) (?:not able|unable)|won't|will not)"
_DENIED = (
    r"(?:help(?! but)|assist|provide|answer|comply|do that|fulfil\w*|respond|discuss|create|"
    r"generate|write|offer|give|share|support|engage|participate|continue|access|browse|"
    r"determine|tell you)"
)
_KNOWLEDGE = r"(?:any |enough |the |access |real-?time |information|personal)"
_PHRASES = (
    rf"i\s?{_CANNOT}\s(?:to\s)?(?:\w+ly\s)?{_DENIED}\b",
    rf"(?:i|we) (?:do not|don't|really don't) (?:know|have {_KNOWLEDGE})",
    r"i have no (?:idea|information|knowledge|way of knowing|personal)\b",
    r"i(?:'m| am) not sure(?: (?:what|how|which|who|about|i)\b|[.!]?$)",
    r"i(?:'d| would) rather not\b",
    r"i (?:must |have to )?(?:decline|refuse)\b",
    r"(?:there is )?not enough information\b",
    r"(?:the|your) (?:question|request) (?:cannot|can't) be (?:answered|fulfilled)\b",
    # German
    r"(?:es tut mir leid|entschuldigung|tut mir leid|leider)[,.]?(?: aber)? (?:ich |kann ich|da)",
    r"als (?:ki|sprachmodell)\b",
    r"ich (?:kann|darf) (?:(?:ihnen|dir|das|diese|dabei|leider) )*(?:nicht|keine)",
    r"(?:ich wei(?:ß|ss) (?:es |das )?|das wei(?:ß|ss) ich )nicht",
    # French
    r"(?:(?:je suis )?désolée?|je regrette)[,.]?(?: mais)?,? je ne",
    r"je ne (?:peux|sais|suis) pas\b",
    r"en tant qu['e]\s?(?:ia|assistant|modèle)",
    # Spanish, Italian, Portuguese
    r"(?:lo siento|lamento|perdón|disculpa)[,.]?(?: pero)?,? (?:no|como)\b",
    r"no (?:puedo (?:ayudar|responder|proporcionar|cumplir|hacer)|(?:lo )?sé\b)",
    r"(?:mi dispiace|spiacente)[,.]?(?: ma)?,? non\b",
    r"non (?:posso (?:aiutar|rispondere|fornire)|(?:lo )?so\b)",
    r"(?:desculpe|lamento|sinto muito)[,.]?(?: mas)?,? (?:não|eu não|como)\b",
    r"(?:eu )?não (?:posso (?:ajudar|responder|fornecer)|sei\b)",
    # Dutch, Polish, Russian
    r"(?:het spijt me|sorry)[,.]?(?: maar)?,? (?:ik kan|dat kan)",
    r"ik (?:kan (?:u |je )?niet|weet het niet)",
    r"przykro mi|nie (?:mogę (?:pomóc|odpowiedzieć)|wiem\b)",
    r"извините|к сожалению,? я не|я не (?:могу|знаю)",
    # Chinese, Japanese, Korean, Arabic, Hindi
    r"(?:很?抱歉|对不起|對不起)",
    r"我(?:不能|无法|無法|不知道)|作为(?:一个)?(?:人工智能|ai)",
    r"申し訳(?:ありません|ございません)|お答えできません|わかりません|分かりません",
    r"죄송(?:합니다|하지만)|(?:저는 )?(?:잘 )?모르겠습니다",
    r"عذر[اًا]+|آسف|لا (?:أستطيع|أعرف|يمكنني)",
    r"(?:मुझे )?(?:क्षमा|खेद|माफ़)",
)
_GAP = r"[\s,.:;!\u2014-]{0,4}"
_REFUSAL = re.compile(rf"(?:{_OPENING}{_GAP}){{0,4}}(?:{'|'.join(_PHRASES)})", re.IGNORECASE)
# "I can't say for certain, but ..." and "I'm not sure, but it is Paris" do answer.
_ANSWERS_YET = re.compile(
    r"[,;.]?\s*\b(?:but|however|though)\b[^.\n]{0,80}\b(?:is|are|was|were|would|think|believe)\b",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"\b(?:perhaps|maybe|possibly|probably|presumably|apparently|likely|unlikely|might|may be|"
    r"could be|seems?|appears? to|i (?:think|believe|guess|suppose|assume)|"
    r"not (?:entirely |quite )?(?:sure|certain)|unclear|uncertain|as far as i know|to my knowledge|"
    r"it depends|roughly|"
    r"vielleicht|wahrscheinlich|vermutlich|möglicherweise|peut-être|probablement|quizás?|"
    r"tal vez|probablemente|forse|probabilmente|talvez|provavelmente)\b",
    re.IGNORECASE,
)
# Each of those phrases that is plain ASCII has one of these words; most answers have none.
_HEDGE_LIST = (
    "perhaps maybe possibly probably presumably apparently likely unlikely might may could seem "
    "seems appear appears think believe guess suppose assume sure certain unclear uncertain know "
    "knowledge depends roughly vielleicht wahrscheinlich vermutlich tal probablemente forse "
    "probabilmente talvez provavelmente"
)
_HEDGE_WORDS = frozenset(_HEDGE_LIST.split())
_SENTENCE = re.compile(r"[.!?。！？](?:\s|$)|\n+")  # noqa: RUF001  full-width marks are meant
_HEAD = 300


def refuses(text: str, question: str = "") -> bool:
    """Whether the text begins with a refusal, or says that it does not know.

    A phrase that the question has as well (to be translated, say) is no refusal, nor is one that
    an answer follows ("I'm not sure, but I think it is Paris").

    Args:
        text: the answer.
        question: the question, where there is one.
    """
    head = text[: 2 * _HEAD].lstrip(" \t\r\n*_#>").replace("\u2019", "'")[:_HEAD]
    refusal = _REFUSAL.match(head)
    if not refusal or refusal[0].casefold() in question.replace("\u2019", "'").casefold():
        return False
    return not _ANSWERS_YET.match(head[refusal.end() :])


def hedges(text: str, words: Sequence[str]) -> float:
    """Hedging words per sentence, at most 1.

    Args:
        text: the answer.
        words: the words in it.
    """
    # The search takes ten times as long as reading the words; other scripts have their own cases.
    if text.isascii() and _HEDGE_WORDS.isdisjoint(map(str.lower, words)):
        return 0.0
    count = sum(1 for _ in _HEDGE.finditer(text))
    sentences = sum(1 for _ in _SENTENCE.finditer(text.rstrip())) if count else 1
    return min(1.0, count / max(sentences, 1))
