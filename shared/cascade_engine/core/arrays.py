"""Array types and the checks that every entrance shares."""

from __future__ import annotations

import inspect
from collections import Counter
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cascade_engine.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.intp]
#: Lambdas, or their numbers on a grid.
NumberArray: TypeAlias = NDArray[Any]


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


def check_function(
    rule: str, function: object, *, may_wait: bool = False, takes: Sequence[int] = ()
) -> None:
    """Refuses what cannot be called.

    Args:
        rule: what it must be, in words, as the error begins.
        function: what was given.
        may_wait: whether it may be asynchronous.
        takes: numbers of arguments it may be called with; it must do for one of them.

    Raises:
        ConfigurationError: it is no function, asynchronous where it may not be, or of other
            arguments.
    """
    if not callable(function) or (not may_wait and inspect.iscoroutinefunction(function)):
        raise ConfigurationError(f"{rule}, not {function!r:.80}")
    if takes and not any(_binds(function, count) for count in takes):
        given = inspect.signature(function)
        raise ConfigurationError(f"{rule}, and {function!r:.80} takes {given}")


def _binds(function: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # written in C: its arguments cannot be seen
        return True
    return True


def is_number(value: object) -> bool:
    """Whether it is a real number, of Python's kind or numpy's."""
    return isinstance(value, Real)


def is_whole(value: object) -> bool:
    """Whether it is an integer, of Python's kind or numpy's."""
    return isinstance(value, Integral)


def generator(seed: object) -> np.random.Generator:
    """Random numbers of a seed.

    Raises:
        ConfigurationError: the seed is no whole number of at least 0.
    """
    if not is_whole(seed) or seed < 0:  # type: ignore[operator]
        raise ConfigurationError(f"seed must be a whole number of at least 0, not {seed!r}")
    return np.random.default_rng(int(seed))  # type: ignore[call-overload]


def check_shape(what: str, values: object) -> tuple[int, int]:
    """The shape of a table of numbers with at least one query and one model."""
    try:
        shape = np.asarray(values, dtype=float).shape
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be a table of numbers (queries x models): {error}") from error
    if len(shape) != 2 or 0 in shape:  # noqa: PLR2004
        raise DataError(f"{what} must have shape (queries, models), not {shape}")
    return shape[0], shape[1]


def check_table(what: str, values: object, shape: tuple[int, int]) -> FloatArray:
    """`values` as a float array of that shape (queries x models), every entry finite."""
    try:
        table = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be a table of numbers of shape {shape}: {error}") from error
    if table.shape != shape:
        raise DataError(f"{what} must have shape (queries, models) = {shape}, not {table.shape}")
    if not np.isfinite(table).all():
        bad = np.argwhere(~np.isfinite(table))
        row, column = bad[0]
        raise DataError(
            f"{what}[{row}, {column}] is {table[row, column]}: every entry must be a finite number "
            f"({len(bad)} are not)"
        )
    return table


def highest(table: FloatArray) -> FloatArray:
    """The greatest of each row, (n, k) to (n,): numpy's own is slow where rows are short."""
    return np.asarray(table[np.arange(len(table)), table.argmax(axis=1)])


def subset_sums(values: FloatArray) -> FloatArray:
    """Sums over every subset, (n, k) to (n, 2^k), added in a fixed order."""
    n, k = values.shape
    out = np.zeros((n, 1 << k))
    for i in range(k):
        np.add(out[:, : 1 << i], values[:, i : i + 1], out=out[:, 1 << i : 2 << i])
    return out


def patterns(run: BoolArray) -> list[tuple[BoolArray, IntArray]]:
    """The distinct rows of a mask of shape (m, k), each with the numbers of the rows it is in."""
    if not len(run):
        return []
    packed = np.packbits(run, axis=1)
    keys = packed[:, 0] if packed.shape[1] == 1 else packed.view(f"V{packed.shape[1]}")[:, 0]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(inverse))[:-1])
    return [(run[i], group) for i, group in zip(first, groups, strict=True)]
