"""Cross-validation: a router plays each fold of the data after a refit on the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.core.checks import generator, is_whole
from cascade_engine.errors import ConfigurationError, DataError
from cascade_engine.evaluation.bootstrap import units_of
from cascade_engine.evaluation.curves import PolicyResults, mixing_corners, play

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine.core.arrays import IntArray
    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.routing.router import CascadeRouter
    from cascade_engine.strategies import Strategy

__all__ = ["Split", "join_folds", "mix_and_play", "refit_and_play", "splits"]

#: Rows to fit on, and rows to play.
Split = tuple["IntArray", "IntArray"]


def splits(data: CascadeDataset, folds: int, seed: int) -> list[Split]:
    """Splits of the data by folds: each row is played once, after a fit on the other folds.

    Queries of one text, or of one of the data's groups, are in the same fold.

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


def refit_and_play(
    router: CascadeRouter,
    strategies: Mapping[str, Strategy],
    train: CascadeDataset,
    test: CascadeDataset,
    budgets: Sequence[float],
) -> dict[str, PolicyResults]:
    """Strategies of a router, fitted on `train` and played on `test` at several budgets."""
    fitted = router.with_budget(None).refit(train)
    return {
        name: play(
            fitted if strategy is router.strategy else fitted.with_strategy(strategy), test, budgets
        )
        for name, strategy in strategies.items()
    }


def mix_and_play(
    train: CascadeDataset, test: CascadeDataset, budgets: Sequence[float]
) -> PolicyResults:
    """Random mixing of single models at several budgets, chosen on `train`, expected on `test`."""
    cost, quality = train.cost.mean(axis=0), train.quality.mean(axis=0)
    corners = mixing_corners(cost, quality)
    weights = np.zeros((len(budgets), len(cost)))
    for j, corner in enumerate(corners):
        # The share of one corner rises and falls in straight lines as the budget grows.
        weights[:, corner] = np.interp(budgets, cost[corners], np.eye(len(corners))[j])
    return PolicyResults(test.cost @ weights.T, test.quality @ weights.T)


def join_folds(folds: Sequence[tuple[IntArray, PolicyResults]]) -> PolicyResults:
    """Results on disjoint rows that together are all rows, put in order."""
    order = np.argsort(np.concatenate([rows for rows, _ in folds]))
    return PolicyResults(
        np.concatenate([results.cost for _, results in folds])[order],
        np.concatenate([results.quality for _, results in folds])[order],
    )
