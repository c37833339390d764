"""Logistic regression on blocks of features, any of which may be unknown.

A block is what one signal says, of shape (n, d_b): a row with a NaN is unknown as a whole. A
*pattern* says which of the blocks are known, or used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from cascade_engine.estimators.regression.logistic import (
    Logistic,
    cross_logit,
    fit_logistic,
    fold_masks,
    log_loss,
    logit,
)
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray

#: Inverse penalties to choose from.
_STRENGTHS = (0.003, 0.03, 0.3, 3.0)
#: The fewest rows that a pattern's regression is fitted on.
_FEWEST_ROWS = 10

Pattern: TypeAlias = "tuple[bool, ...]"


@persistent("BlockLogistic")
@dataclass(frozen=True, slots=True)
class BlockLogistic:
    """A regression for every set of blocks that may be known together.

    A coefficient makes sense only beside the others that it was fitted with, and any value in the
    place of an unknown block would say something. So rows with an unknown block have regressions of
    their own, on the blocks that are known.

    Attributes:
        prior: log-odds where no block is known.
        fits: regressions by pattern, the blocks that they use.
    """

    prior: float
    fits: Mapping[Pattern, Logistic]

    def logit(self, blocks: Sequence[FloatArray]) -> FloatArray:
        """Log-odds of n rows, shape (n,)."""
        table = _known(blocks)
        log_odds = np.full(len(table), self.prior)
        for pattern in {tuple(row) for row in table.tolist()}:
            rows = (table == pattern).all(axis=1)
            used = self._usable(pattern)
            if used is not None:
                log_odds[rows] = self.fits[used].logit(_joined(blocks, used, rows))
        return log_odds

    def logit_one(self, blocks: Sequence[Sequence[float]]) -> float:
        """`logit` of one row: d_b plain numbers for each block."""
        # A list inside `tuple` is quicker than a generator.
        used = self._usable(tuple([not any(map(math.isnan, block)) for block in blocks]))
        if used is None:
            return self.prior
        return self.fits[used].logit_one([x for block in compress(blocks, used) for x in block])

    def _usable(self, pattern: Pattern) -> Pattern | None:
        """Of the regressions that use only blocks known in a pattern, the one that uses most."""
        if pattern in self.fits:
            return pattern

        def is_usable(fit: Pattern) -> bool:
            return all(is_known or not uses for is_known, uses in zip(pattern, fit, strict=True))

        return max(filter(is_usable, self.fits), key=sum, default=None)


def fit_few(
    blocks: Sequence[Sequence[FloatArray]], labels: FloatArray
) -> tuple[list[BlockLogistic], FloatArray]:
    """One fit for each of k models on few features, all out-of-fold estimates of the label.

    With so few parameters a fit may see the rows that it is used on. Cross-fitting would do harm:
    without a fold's labels, the intercept leans against them.

    Args:
        blocks: for each model its blocks.
        labels: shape (n, k), in [0, 1].

    Returns:
        The fits, and their log-odds of shape (n, k).
    """
    fits = [_fit(x, y, 1.0, len(x)) for x, y in zip(blocks, labels.T, strict=True)]
    return fits, np.column_stack([fit.logit(x) for fit, x in zip(fits, blocks, strict=True)])


def fit_blocks(
    blocks: Sequence[Sequence[FloatArray]], labels: FloatArray, folds: IntArray, *, rising: int
) -> tuple[list[BlockLogistic], FloatArray]:
    """One fit for each of k models, under the penalty that serves all together best.

    Args:
        blocks: for each model its blocks.
        labels: shape (n, k), in [0, 1].
        folds: number of each row's fold, shape (n,).
        rising: number of first features whose slopes may not be negative, see `fit_logistic`.

    Returns:
        The fits, and out-of-fold log-odds of shape (n, k).
    """
    log_odds = {
        strength: np.column_stack(
            [
                _cross(own, y, folds, strength, rising)
                for own, y in zip(blocks, labels.T, strict=True)
            ]
        )
        for strength in _STRENGTHS
    }
    best = min(log_odds, key=lambda strength: log_loss(log_odds[strength], labels))
    fits = [_fit(own, y, best, rising) for own, y in zip(blocks, labels.T, strict=True)]
    return fits, log_odds[best]


def _fit(
    blocks: Sequence[FloatArray], labels: FloatArray, strength: float, rising: int
) -> BlockLogistic:
    known = _known(blocks)
    fits = {}
    for pattern in _patterns(known):
        rows = np.asarray(known[:, np.asarray(pattern)].all(axis=1))
        if any(pattern) and rows.sum() >= _FEWEST_ROWS:
            x = _joined(blocks, pattern, rows)
            fits[pattern] = fit_logistic(x, labels[rows], strength=strength, rising=rising)
    return BlockLogistic(float(logit((labels.sum() + 1) / (len(labels) + 2))), fits)


def _cross(
    blocks: Sequence[FloatArray],
    labels: FloatArray,
    folds: IntArray,
    strength: float,
    rising: int,
) -> FloatArray:
    """Out-of-fold log-odds, each row by the regression on the blocks that are known of it."""
    if not np.isnan(np.concatenate([block.ravel() for block in blocks])).any():
        return cross_logit(np.hstack(blocks), labels, folds, strength=strength, rising=rising)
    log_odds = np.empty(len(labels))
    for rows in fold_masks(folds):
        fit = _fit([block[~rows] for block in blocks], labels[~rows], strength, rising)
        log_odds[rows] = fit.logit([block[rows] for block in blocks])
    return log_odds


def _known(blocks: Sequence[FloatArray]) -> BoolArray:
    """Which of b blocks are known in each row, shape (n, b)."""
    return np.column_stack([~np.isnan(block).any(axis=1) for block in blocks])


def _patterns(known: BoolArray) -> list[Pattern]:
    """Patterns of the data, and those with one block less, which a later row may lack."""
    patterns = {tuple(row) for row in known.tolist()}
    for pattern in list(patterns):
        patterns |= {(*pattern[:i], False, *pattern[i + 1 :]) for i in range(len(pattern))}
    return sorted(patterns)


def _joined(blocks: Sequence[FloatArray], pattern: Pattern, rows: BoolArray) -> FloatArray:
    """Features of some rows: the blocks that a pattern uses, side by side."""
    return np.hstack([block[rows] for block in compress(blocks, pattern)])
