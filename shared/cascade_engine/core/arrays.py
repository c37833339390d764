"""Types of arrays, and arithmetic on them that several packages share."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.intp]
#: Lambdas, or their numbers on a grid.
NumberArray: TypeAlias = NDArray[Any]


def highest(table: FloatArray) -> FloatArray:
    """The greatest of each row, (n, k) to (n,): `numpy.max` is slow where rows are short."""
    return np.asarray(table[np.arange(len(table)), table.argmax(axis=1)])


def subset_sums(values: FloatArray) -> FloatArray:
    """Sums over every subset, (n, k) to (n, 2^k), added in a fixed order."""
    n, k = values.shape
    out = np.zeros((n, 1 << k))
    for i in range(k):
        np.add(out[:, : 1 << i], values[:, i : i + 1], out=out[:, 1 << i : 2 << i])
    return out


def patterns(run: BoolArray) -> list[tuple[BoolArray, IntArray]]:
    """The distinct rows of a mask of shape (m, k), each with the numbers of the rows like it."""
    if not len(run):
        return []
    if (run == run[0]).all():  # as in every state of a simulation: a tenth of the time
        return [(run[0], np.arange(len(run)))]
    packed = np.packbits(run, axis=1)
    keys = packed[:, 0] if packed.shape[1] == 1 else packed.view(f"V{packed.shape[1]}")[:, 0]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(inverse))[:-1])
    return [(run[i], group) for i, group in zip(first, groups, strict=True)]
