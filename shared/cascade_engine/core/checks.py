"""Checks of arguments that every entrance shares: each error says the value, and what to give."""

from __future__ import annotations

import inspect
from collections import Counter
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.core.records import Answer, ToolCall, Usage
from cascade_engine.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cascade_engine.core.arrays import FloatArray

#: What fields of an answer must be, where they are not None, and what to give in place of others.
_ANSWER_FIELDS: dict[str, tuple[Any, str]] = {
    "usage": (Usage, "Usage(input_tokens, output_tokens)"),
    "finish_reason": (str, "a text"),
    "logprobs": ((tuple, list, np.ndarray), "a tuple of numbers"),
}


def check_names(models: Sequence[str]) -> tuple[str, ...]:
    """The model names as a tuple.

    Raises:
        ConfigurationError: there is none, two are the same, or one is no text.
    """
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
    """Refuses an option that must be a function and is none that can be used.

    Args:
        rule: what the option must be, in words: the beginning of the error.
        function: the value of the option.
        may_wait: whether it may be asynchronous.
        takes: the numbers of arguments that it may be called with; it must accept one of them.

    Raises:
        ConfigurationError: it cannot be called, is asynchronous and may not be, or takes other
            arguments.
    """
    if not callable(function) or (not may_wait and inspect.iscoroutinefunction(function)):
        raise ConfigurationError(f"{rule}, not {function!r:.80}")
    if takes and not any(_binds(function, count) for count in takes):
        signature = inspect.signature(function)
        raise ConfigurationError(f"{rule}, and {function!r:.80} takes {signature}")


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
    """A generator of random numbers.

    Raises:
        ConfigurationError: the seed is no whole number of at least 0.
    """
    if not is_whole(seed) or seed < 0:  # type: ignore[operator]
        raise ConfigurationError(f"seed must be a whole number of at least 0, not {seed!r}")
    return np.random.default_rng(int(seed))  # type: ignore[call-overload]


def check_shape(what: str, values: object) -> tuple[int, int]:
    """The shape of a table of numbers (queries x models).

    Raises:
        DataError: it is no such table, or has no query or no model.
    """
    try:
        shape = np.asarray(values, dtype=float).shape
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be a table of numbers (queries x models): {error}") from error
    if len(shape) != 2 or 0 in shape:  # noqa: PLR2004
        raise DataError(f"{what} must have shape (queries, models), not {shape}")
    return shape[0], shape[1]


def check_table(what: str, values: object, shape: tuple[int, int]) -> FloatArray:
    """A table of numbers as a float array.

    Args:
        what: the table's name, for the error.
        values: the numbers, all of them finite.
        shape: the shape that it must have (queries, models).

    Raises:
        DataError: it is no table of numbers, of another shape, or an entry is not finite.
    """
    try:
        table = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be a table of numbers of shape {shape}: {error}") from error
    if table.shape != shape:
        raise DataError(f"{what} must have shape (queries, models) = {shape}, not {table.shape}")
    if not np.isfinite(table).all():
        unusable = np.argwhere(~np.isfinite(table))
        row, column = unusable[0]
        raise DataError(
            f"{what}[{row}, {column}] is {table[row, column]}: every entry must be a finite number "
            f"({len(unusable)} are not)"
        )
    return table


def check_answers(what: str, rows: Sequence[Sequence[object]]) -> None:
    """Refuses what is no `Answer`, or one with a field of another kind, in rows of answers.

    Raises:
        DataError: it says in which row.
    """
    for number, row in enumerate(rows):
        for answer in row:
            if not isinstance(answer, Answer) or not isinstance(answer.text, str):
                raise DataError(
                    f"the {what} of query {number} must be of the kind Answer, with a text, not "
                    f"{answer!r:.80}"
                )
            _check_answer_fields(f"the {what} of query {number}", answer)


def _check_answer_fields(whose: str, answer: Answer) -> None:
    for name, (kind, word) in _ANSWER_FIELDS.items():
        value = getattr(answer, name)
        if value is not None and not isinstance(value, kind):
            raise DataError(f"{whose} have {value!r:.80} for their {name}: give {word}, or None")
    if not all(isinstance(call, ToolCall) for call in answer.tool_calls):
        raise DataError(
            f"{whose} have {answer.tool_calls!r:.80} for their tool_calls: give a tuple of "
            "ToolCall(name, arguments)"
        )
