"""The data set *everyday*: short questions of sixteen kinds, answered by three small local models.

The questions come from `shared/everyday` in the repository, and so does the recorder of the
answers, which kept the log-probability of every token, token counts and CPU seconds. Quality is not
recorded: answers are graded when they are loaded, by `cascade_engine.answers.graders`.
"""

from __future__ import annotations

import json
import lzma
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from cascade_engine.answers.graders import grader
from cascade_engine.core.prices import Price
from cascade_engine.core.records import Answer, Query, Usage
from cascade_engine.data.dataset import CascadeDataset
from cascade_engine.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["USD_PER_BILLION_PARAMETERS", "grade_everyday", "load_everyday", "local_price"]

#: What a million tokens cost, in or out, per billion parameters of the model: of the order at which
#: small open models are hosted, and proportional to the work they are.
USD_PER_BILLION_PARAMETERS = 0.10

_FILE = "everyday.jsonl.xz"
_FORMAT, _VERSION = "cascade-routing/recorded", 1


def local_price(parameters: int) -> Price:
    """The price of a model of so many parameters: `USD_PER_BILLION_PARAMETERS` for each billion."""
    price = USD_PER_BILLION_PARAMETERS * parameters / 1e9
    return Price(price, price)


def load_everyday(
    split: Literal["train", "validation", "test"] | None = None,
    *,
    models: Sequence[str] | None = None,
    cost: Literal["usd", "seconds"] = "usd",
) -> CascadeDataset:
    """The recorded answers of three small models to 1,600 everyday questions.

    Each row has its id, its reference and, as metadata, the kind of question, the split and the
    name of the grader. Kinds are no groups: a split may part them.

    Args:
        split: one of the fixed splits (50% train, 15% validation, 35% test); all by default.
        models: names of the models to keep, in order; all by default, smallest first.
        cost: "usd" prices tokens by `local_price`; "seconds" takes the recorded CPU seconds.

    Raises:
        ConfigurationError: an unknown split or cost.
        DataError: an unknown model.
    """
    if split not in {None, "train", "validation", "test"}:
        raise ConfigurationError(
            f"unknown split {split!r}: choose 'train', 'validation', 'test', or None for all"
        )
    if cost not in {"usd", "seconds"}:
        raise ConfigurationError(f"unknown cost {cost!r}: choose 'usd' or 'seconds'")
    header, *lines = _lines()
    if (header["format"], header["version"]) != (_FORMAT, _VERSION):
        raise DataError(f"{_FILE} is of an unknown format: {header}")
    rows = [row for row in lines if split in {None, row["split"]}]
    sizes = {model["name"]: model["parameters"] for model in header["models"]}
    answers = [[_answer(row["answers"][name]) for name in sizes] for row in rows]
    data = CascadeDataset(
        list(sizes),
        [Query(row["prompt"]) for row in rows],
        answers,
        [
            [grader(row["grader"])(row["prompt"], a.text, row["reference"]) for a in row_answers]
            for row, row_answers in zip(rows, answers, strict=True)
        ],
        [
            [_cost(a, sizes[name], cost) for name, a in zip(sizes, row_answers, strict=True)]
            for row_answers in answers
        ],
        references=[row["reference"] for row in rows],
        ids=[row["id"] for row in rows],
        metadata=[
            {"kind": row["family"], "split": row["split"], "grader": row["grader"]} for row in rows
        ],
        labels="references",
    )
    return data if models is None else data.select(models)


def grade_everyday(question: str, answer: str, reference: object = None) -> float:
    """Grades a fresh answer to one of the recorded questions, as the recorded ones are graded.

    Args:
        question: the question, word for word.
        answer: the answer.
        reference: not needed: the question's own counts.

    Raises:
        DataError: the question is not in the data set.
    """
    del reference
    row = _rows().get(question)
    if row is None:
        raise DataError(f"not a question of the data set everyday: {question[:80]!r}")
    return grader(row["grader"])(question, answer, row["reference"])


@cache
def _rows() -> dict[str, Any]:
    _, *rows = _lines()
    return {row["prompt"]: row for row in rows}


def _lines() -> Iterator[Any]:
    path = resources.files("cascade_engine.datasets") / _FILE
    with path.open("rb") as packed, lzma.open(packed, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _answer(entry: dict[str, Any]) -> Answer:
    return Answer(
        text=entry["text"],
        logprobs=tuple(entry["logprobs"]),
        usage=Usage(entry["input_tokens"], entry["output_tokens"]),
        seconds=entry["seconds"],
        finish_reason=entry["finish_reason"],
    )


def _cost(answer: Answer, parameters: int, unit: str) -> float:
    if unit == "seconds":
        return float(answer.seconds or 0.0)
    assert answer.usage is not None  # noqa: S101  always recorded
    return local_price(parameters).of(answer.usage)
