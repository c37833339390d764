"""What a question is, and the two ways a family makes its questions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

NUMBER_ONLY = (
    "Answer with the number only.",
    "Reply with just the number, no steps.",
    "Give only the number, without any explanation.",
    "Answer with one number and nothing else.",
)

Item: TypeAlias = tuple[str, Any, str]
"""A prompt, its reference and the name of its grader."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question that a program can grade.

    Attributes:
        id: The family and a running number, such as ``"capitals-0001"``.
        family: The kind of question.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        prompt: The whole text of the single user message.
        reference: What the grader compares with; always JSON-able.
        grader: A name that ``cascade_engine.answers.graders.grader`` knows.
    """

    id: str
    family: str
    split: str
    prompt: str
    reference: Any
    grader: str


Family: TypeAlias = Callable[[Random, int], list[Question]]


def number_items(family: str, items: Iterable[Item]) -> list[Question]:
    """Turn items into questions of one family, all in the train split for now."""
    return [
        Question(f"{family}-{index:04d}", family, "train", prompt, reference, grader)
        for index, (prompt, reference, grader) in enumerate(items, start=1)
    ]


def draw_distinct(
    family: str, rng: Random, n: int, draws: Sequence[Callable[[Random], Item]]
) -> list[Question]:
    """Draw ``n`` items with distinct prompts, taking the kinds in ``draws`` in turn.

    Args:
        family: The name of the family.
        rng: The source of randomness.
        n: How many questions to make.
        draws: The kinds of item; each call makes one.

    Returns:
        The questions, fewer than ``n`` only if the kinds run out of new prompts.
    """
    items: dict[str, Item] = {}
    for attempt in range(n * 50):
        if len(items) == n:
            break
        item = draws[attempt % len(draws)](rng)
        items.setdefault(item[0], item)
    return number_items(family, items.values())


def sample_items(family: str, rng: Random, n: int, items: Sequence[Item]) -> list[Question]:
    """Take at most ``n`` of a finite list of items, in a random order."""
    return number_items(family, rng.sample(items, min(n, len(items))))


def table(text: str) -> list[list[str]]:
    """Read a table with one row a line and ``|`` between the cells."""
    rows = (line.strip() for line in text.strip().splitlines())
    return [[cell.strip() for cell in row.split("|")] for row in rows if row]


def words(text: str) -> list[str]:
    """Split a list that is easier to read as running words."""
    return text.split()


def lettered(options: Sequence[str]) -> str:
    """Write options as ``A) first``, ``B) second``, one a line."""
    return "\n".join(f"{'ABCDE'[index]}) {option}" for index, option in enumerate(options))


def choice_item(rng: Random, question: str, right: str, wrong: Sequence[str]) -> Item:
    """Make a multiple-choice item whose options stand in a random order."""
    options = [right, *wrong]
    rng.shuffle(options)
    ending = rng.choice(("Answer with the letter only.", "Reply with just the letter."))
    prompt = f"{question}\n{lettered(options)}\n{ending}"
    return prompt, "ABCDE"[options.index(right)], "choice"


def label_item(prompt: str, label: str, labels: Sequence[str]) -> Item:
    """Make an item whose answer is one of a closed set of labels."""
    return prompt, {"label": label, "labels": list(labels)}, "label"
