"""Array types and the checks that every entrance shares."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cascade_engine.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.intp]


def check_names(models: Sequence[str]) -> tuple[str, ...]:
    """The model names as a tuple, once there is at least one and no two are the same."""
    if isinstance(models, str):
        raise ConfigurationError(f"models must be a list of names, not the one string {models!r}")
    names = tuple(models)
    if not names:
        raise ConfigurationError("no models given: pass at least one")
    for name in names:
        if not name or not isinstance(name, str):
            raise ConfigurationError(f"a model's name must be a non-empty string, not {name!r}")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigurationError(
            f"model names must be distinct, but {twice!r} appear more than once: give each model "
            "a name of its own"
        )
    return names


def check_table(what: str, values: object, shape: tuple[int, int]) -> FloatArray:
    """`values` as a float array of that shape (queries x models), every entry finite."""
    try:
        table = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be a table of numbers of shape {shape}: {error}") from error
    if table.shape != shape:
        raise DataError(f"{what} must have shape (queries, models) = {shape}, not {table.shape}")
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        row, column = bad[0]
        raise DataError(
            f"{what}[{row}, {column}] is {table[row, column]}: every entry must be a finite number "
            f"({len(bad)} are not)"
        )
    return table
