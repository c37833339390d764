"""Signals read off a single answer: its log-probabilities, length, structure; or your own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.answers.structure import structure_row, structure_table
from cascade_engine.core.checks import is_number
from cascade_engine.errors import ConfigurationError, DataError
from cascade_engine.estimators.base import AnswerSignal, RowSignal
from cascade_engine.estimators.features.logprobs import logprob_features
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.core.records import Answer, Query

__all__ = [
    "CallableSignal",
    "EffortSignal",
    "LogprobSignal",
    "RecordedSignal",
    "StructureSignal",
]


@persistent("LogprobSignal")
class LogprobSignal(RowSignal):
    """Summary features of the token log-probabilities: mean, lowest, first, sum, spread.

    The columns, of shape (n, 7), are those of `estimators.features.logprobs.logprob_features`;
    unknown where the provider reports no log-probabilities.
    """

    def row(self, query: Query, answer: Answer) -> list[float]:
        """The seven features of one answer."""
        del query
        return logprob_features(answer)


@persistent("EffortSignal")
class EffortSignal(RowSignal):
    """How much a model wrote, and thought, before it was done: hard questions take longer.

    Logarithms of the output and of the reasoning tokens, shape (n, 2); unknown where the provider
    reports no usage.
    """

    def row(self, query: Query, answer: Answer) -> list[float]:
        """Both logarithms of one answer."""
        del query
        usage = answer.usage
        if usage is None:
            return [math.nan, math.nan]
        return [math.log1p(max(n, 0)) for n in (usage.output_tokens, usage.reasoning_tokens)]


@persistent("StructureSignal")
class StructureSignal(AnswerSignal):
    """Validity and signs of failure: JSON, schema, tool calls, refusal, truncation, repetition.

    What does not apply to an answer counts as in order.

    Args:
        schema: JSON schema that every answer must meet; by default that of its query.
        validator: a pydantic model, or a callable that raises or returns False on a bad answer.
    """

    def __init__(
        self,
        *,
        schema: Mapping[str, Any] | None = None,
        validator: Callable[..., Any] | None = None,
    ) -> None:
        self.schema = schema
        self.validator = validator

    def read(self, queries: Sequence[Query], answers: Sequence[Answer]) -> FloatArray:
        """Shape (n, 11), the columns of `cascade_engine.answers.structure.STRUCTURE_COLUMNS`."""
        table = structure_table(queries, answers, schema=self.schema, validator=self.validator)
        return np.where(np.isnan(table), _IN_ORDER, table)

    def read_one(self, query: Query, answer: Answer) -> Sequence[float]:
        """The same of one answer, in plain numbers."""
        if type(self).read is not StructureSignal.read:
            return super().read_one(query, answer)
        row = structure_row(query, answer, schema=self.schema, validator=self.validator)
        return [usual if math.isnan(x) else x for x, usual in zip(row, _IN_ORDER, strict=True)]


#: What stands for a sign that does not apply: the four validities are good, all else is absent.
_IN_ORDER = (1.0,) * 4 + (0.0,) * 7


@persistent("RecordedSignal", fields=("names",))
class RecordedSignal(RowSignal):
    """Numbers recorded with the answers, in `Answer.signals`: a judge's score, say.

    Args:
        names: of the numbers, one column each. An answer without one of them is unknown.

    Raises:
        ConfigurationError: no names.
        DataError: on reading an answer, something else than a finite number is recorded.
    """

    def __init__(self, *names: str) -> None:
        if not names:
            raise ConfigurationError("RecordedSignal needs the name of at least one signal")
        self.names = names

    def row(self, query: Query, answer: Answer) -> list[float]:
        """The recorded numbers of one answer."""
        del query
        return [_recorded(answer, name) for name in self.names]


def _recorded(answer: Answer, name: str) -> float:
    value = answer.signals.get(name)
    if value is None or (is_number(value) and not math.isinf(value)):
        return math.nan if value is None else float(value)
    raise DataError(
        f"the signal {name!r} of the answer {answer.text[:60]!r} is {value!r}: it must be a finite "
        "number, or be left out where it is unknown"
    )


@persistent("CallableSignal")
class CallableSignal(RowSignal):
    """Whatever a function says of an answer: a verifier, a unit test, a heuristic; shape (n, 1).

    Args:
        function: `function(query, answer)` returns a number, or None where it cannot tell.

    Raises:
        ConfigurationError: the function cannot be called.
        DataError: on reading an answer, the function returns something else than a finite number
            or None.
    """

    def __init__(self, function: Callable[[Query, Answer], float | None]) -> None:
        if not callable(function):
            raise ConfigurationError(f"a signal must be a function, not {function!r}")
        self.function = function

    def row(self, query: Query, answer: Answer) -> list[float]:
        """The function's number for one answer."""
        value = self.function(query, answer)
        if value is None:
            return [math.nan]
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise DataError(
                f"the signal {self.function!r} returned {value!r} for {query.text[:60]!r}: it must "
                "be a finite number, or None where it cannot tell"
            )
        return [number]
