"""The places in a table of answers: how many there are, and what came of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from cascade_engine.core.checks import is_whole
from cascade_engine.core.records import Answer
from cascade_engine.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cascade_engine.data.collecting.journal import CallFailure

__all__ = ["Cell", "answers_each", "cells_of"]


class Cell(NamedTuple):
    """A place in the table: whose answer to what, and which of several."""

    key: str
    model: str
    sample: int = 0


def answers_each(models: Sequence[str], samples: int | Mapping[str, int]) -> dict[str, int]:
    """How many answers of each model are wanted, from one number or from one for each model.

    Raises:
        ConfigurationError: a model without a number, one that is not there, or a number below 1.
    """
    given = samples if isinstance(samples, Mapping) else dict.fromkeys(models, samples)
    if set(given) != set(models):
        raise ConfigurationError(
            f"samples must name each of the models {tuple(models)}, not {tuple(given)}"
        )
    for model, count in given.items():
        if not is_whole(count) or count < 1:
            raise ConfigurationError(
                f"samples must be an integer >= 1, not {count!r}, for {model!r}"
            )
    return {model: int(given[model]) for model in models}


def cells_of(
    results: Iterable[tuple[Cell, Answer | CallFailure]],
) -> dict[Cell, Answer | CallFailure]:
    """The results by cell: the last counts, but no failure takes the place of an answer."""
    cells: dict[Cell, Answer | CallFailure] = {}
    for cell, result in results:
        if isinstance(result, Answer) or not isinstance(cells.get(cell), Answer):
            cells[cell] = result
    return cells
