"""What a router does on queries that it was not fitted on: by refitting it on the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.core.checks import generator, is_whole
from cascade_engine.data.dataset import CascadeDataset
from cascade_engine.errors import ConfigurationError, DataError
from cascade_engine.evaluation.bootstrap import units_of
from cascade_engine.evaluation.curves import Played, mixing_corners, play

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine.core.arrays import FloatArray, IntArray
    from cascade_engine.routing.router import CascadeRouter
    from cascade_engine.strategies import Strategy

__all__ = ["MIXING", "Part", "assembled", "check_data", "mixed", "parts", "refitted"]

#: Name of random mixing among single models.
MIXING = "random mixing of single models"

#: Rows to fit on, and rows to play.
Part = tuple["IntArray", "IntArray"]


def check_data(router: CascadeRouter, *given: CascadeDataset | None) -> None:
    """Refuses what is no data, and data on other models than the router's."""
    for data in given:
        if data is not None and not isinstance(data, CascadeDataset):
            raise DataError(f"the data must be a CascadeDataset, not {data!r:.80}")
        if data is not None and data.models != router.models:
            raise DataError(f"the data is on models {data.models}, the router on {router.models}")


def parts(data: CascadeDataset, folds: int, seed: int) -> list[Part]:
    """Folds of the data: each row is played once, by a router fitted on the other folds.

    Queries of one text, or of one of the data's groups, stay together.

    Raises:
        ConfigurationError: fewer than 2 folds.
        DataError: fewer distinct queries, or groups of them, than folds.
    """
    if not is_whole(folds) or folds < 2:  # noqa: PLR2004
        raise ConfigurationError(f"folds must be a whole number of at least 2, not {folds!r}")
    unit = units_of(data)
    count = int(unit.max()) + 1
    if count < folds:
        raise DataError(
            f"{count} distinct queries, or groups of them, cannot be split into {folds} folds"
        )
    fold = generator(seed).permutation(np.arange(count) % folds)[unit]
    rows = np.arange(len(data))
    return [(rows[fold != i], rows[fold == i]) for i in range(folds)]


def refitted(
    router: CascadeRouter,
    strategies: Mapping[str, Strategy],
    train: CascadeDataset,
    test: CascadeDataset,
    budgets: Sequence[float],
) -> dict[str, Played]:
    """Strategies of a router, fitted on `train` and played on `test` at several budgets."""
    fitted = router.with_budget(None).refit(train)
    return {
        name: play(
            fitted if strategy is router.strategy else fitted.with_strategy(strategy), test, budgets
        )
        for name, strategy in strategies.items()
    }


def mixed(train: CascadeDataset, test: CascadeDataset, budgets: Sequence[float]) -> Played:
    """Random mixing of single models at several budgets, chosen on `train`, expected on `test`."""
    cost, quality = train.cost.mean(axis=0), train.quality.mean(axis=0)
    corners = mixing_corners(cost, quality)
    weights = np.zeros((len(budgets), len(cost)))
    for j, corner in enumerate(corners):
        # The share of one corner rises and falls in straight lines as the budget grows.
        weights[:, corner] = np.interp(budgets, cost[corners], np.eye(len(corners))[j])
    return Played(test.cost @ weights.T, test.quality @ weights.T)


def assembled(pieces: Sequence[tuple[IntArray, Played]]) -> Played:
    """Pieces of disjoint rows that together are all rows, put in order."""
    order = np.argsort(np.concatenate([rows for rows, _ in pieces]))

    def column(tables: Sequence[FloatArray]) -> FloatArray:
        return np.concatenate(tables)[order]

    return Played(
        column([played.cost for _, played in pieces]),
        column([played.quality for _, played in pieces]),
    )
