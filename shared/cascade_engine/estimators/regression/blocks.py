"""Logistic regression on blocks of features, any of which may be unknown."""

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
    log_loss,
    logit,
)
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine.core.arrays import BoolArray, FloatArray, IntArray

#: Inverse penalties that are tried.
_STRENGTHS = (0.003, 0.03, 0.3, 3.0)
#: So many rows at least must know a set of blocks for a regression on it.
_FEWEST = 10

Pattern: TypeAlias = "tuple[bool, ...]"


@persistent("BlockLogistic")
@dataclass(frozen=True, slots=True)
class BlockLogistic:
    """A regression for every set of blocks that may be known together.

    A coefficient makes sense only beside the others it was fitted with: where a block is unknown
    no value can be put in its place without saying something. So its rows have regressions of their
    own, on what is known.

    Attributes:
        prior: log-odds where no block is known.
        fits: regressions, by which blocks they use.
    """

    prior: float
    fits: Mapping[Pattern, Logistic]

    def logit(self, blocks: Sequence[FloatArray]) -> FloatArray:
        """Log-odds of n rows; blocks of shape (n, d_b), a row with a NaN is unknown."""
        known = _known(blocks)
        out = np.full(len(known), self.prior)
        for pattern in {tuple(row) for row in known.tolist()}:
            rows = (known == pattern).all(axis=1)
            used = self._usable(pattern)
            if used is not None:
                out[rows] = self.fits[used].logit(_joined(blocks, used, rows))
        return out

    def logit_one(self, blocks: Sequence[Sequence[float]]) -> float:
        """The same for one row: of each block the d_b numbers."""
        known = tuple([not any(map(math.isnan, block)) for block in blocks])
        used = self._usable(known)
        if used is None:
            return self.prior
        return self.fits[used].logit_one([x for block in compress(blocks, used) for x in block])

    def _usable(self, pattern: Pattern) -> Pattern | None:
        """The regression on the most of the blocks known."""
        if pattern in self.fits:
            return pattern
        within = [
            p
            for p in self.fits
            if all(has or not uses for has, uses in zip(pattern, p, strict=True))
        ]
        return max(within, key=sum, default=None)


def fit_few(
    blocks: Sequence[Sequence[FloatArray]], labels: FloatArray
) -> tuple[list[BlockLogistic], FloatArray]:
    """One fit for each of k models on few features, all out-of-fold estimates of the label.

    With so few parameters the fits may see the rows that they are used on. Crossing them would do
    harm: the intercept of a fold's fit leans against that fold's labels.

    Args:
        blocks: for each model its blocks, of shape (n, d_b).
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
        blocks: for each model its blocks, of shape (n, d_b).
        labels: shape (n, k), in [0, 1].
        folds: number of each row's fold, shape (n,).
        rising: number of first features that may not count against the label, see `fit_logistic`.

    Returns:
        The fits, and out-of-fold log-odds of shape (n, k).
    """
    tried = {
        strength: np.column_stack(
            [
                _cross(own, y, folds, strength, rising)
                for own, y in zip(blocks, labels.T, strict=True)
            ]
        )
        for strength in _STRENGTHS
    }
    best = min(tried, key=lambda strength: log_loss(tried[strength], labels))
    fits = [_fit(own, y, best, rising) for own, y in zip(blocks, labels.T, strict=True)]
    return fits, tried[best]


def _fit(
    blocks: Sequence[FloatArray], labels: FloatArray, strength: float, rising: int
) -> BlockLogistic:
    known = _known(blocks)
    fits = {}
    for pattern in _patterns(known):
        rows = _knowing(known, pattern)
        if any(pattern) and rows.sum() >= _FEWEST:
            x = _joined(blocks, pattern, rows)
            fits[pattern] = fit_logistic(x, labels[rows], strength=strength, rising=rising)
    return BlockLogistic(_prior(labels), fits)


def _cross(
    blocks: Sequence[FloatArray],
    labels: FloatArray,
    folds: IntArray,
    strength: float,
    rising: int,
) -> FloatArray:
    """Out-of-fold log-odds, each row by the regression on what is known of it."""
    if not np.isnan(np.concatenate([block.ravel() for block in blocks])).any():
        return cross_logit(np.hstack(blocks), labels, folds, strength=strength, rising=rising)
    out = np.empty(len(labels))
    for fold in np.unique(folds):
        held = folds == fold
        rest = _fit([block[~held] for block in blocks], labels[~held], strength, rising)
        out[held] = rest.logit([block[held] for block in blocks])
    return out


def _prior(labels: FloatArray) -> float:
    return float(logit((labels.sum() + 1) / (len(labels) + 2)))


def _known(blocks: Sequence[FloatArray]) -> BoolArray:
    return np.column_stack([~np.isnan(block).any(axis=1) for block in blocks])


def _knowing(known: BoolArray, pattern: Pattern) -> BoolArray:
    """Rows of which at least those blocks are known."""
    return np.asarray(known[:, np.asarray(pattern)].all(axis=1))


def _patterns(known: BoolArray) -> list[Pattern]:
    """Sets of blocks met in the data, and those with one block less: it may come to lack."""
    met = {tuple(row) for row in known.tolist()}
    for pattern in list(met):
        met |= {(*pattern[:i], False, *pattern[i + 1 :]) for i in range(len(pattern))}
    return sorted(met)


def _joined(blocks: Sequence[FloatArray], pattern: Pattern, rows: BoolArray) -> FloatArray:
    used = [block[rows] for block, uses in zip(blocks, pattern, strict=True) if uses]
    return np.hstack(used)
