"""Errors raised by the engine.

```
CascadeError
├── ConfigurationError (ValueError)     a model list, price, strategy or option that cannot work
│   ├── InfeasibleBudgetError           no policy costs as little as the budget
│   └── UnknownPriceError               a cost was needed and no price is known
├── DataError (ValueError)              recorded data or labels that cannot be used
├── NotFittedError                      a fitted value was asked for before `fit`
├── PersistenceError (ValueError)       a router that cannot be saved, or a file that is none
├── SessionStateError (RuntimeError)    a session was driven out of turn
├── InvalidAnswerError (ValueError)     a model answered what cannot be used
├── StreamClosedError                   a stream was closed by its reader
└── AllModelsFailedError (RuntimeError) no model is left that could answer
```

`BudgetWarning` and `DataWarning` are warnings (UserWarning). `LoggedError`, below `CascadeError`,
stands for an error in a log. `cascade_engine.local` adds errors of its own below `CascadeError`:
`WeightsError`, `WeightsUnavailableError`, `LocalServerError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AllModelsFailedError",
    "BudgetWarning",
    "CascadeError",
    "ConfigurationError",
    "DataError",
    "DataWarning",
    "InfeasibleBudgetError",
    "InvalidAnswerError",
    "LoggedError",
    "NotFittedError",
    "PersistenceError",
    "SessionStateError",
    "StreamClosedError",
    "UnknownPriceError",
]


class CascadeError(Exception):
    """Base of every error this library raises itself."""


class ConfigurationError(CascadeError, ValueError):
    """A model list, price, strategy or option that cannot work."""


class InfeasibleBudgetError(ConfigurationError):
    """No policy costs as little as the budget."""


class UnknownPriceError(ConfigurationError):
    """A cost was needed and no price is known for a model."""


class BudgetWarning(UserWarning):
    """A budget that no policy meets was replaced by the nearest that one does."""


class DataError(CascadeError, ValueError):
    """Recorded data or labels that cannot be used."""


class DataWarning(UserWarning):
    """Recorded data of which a part cannot be used, or does not stand for the whole."""


class LoggedError(CascadeError):
    """An error as a log has it; its `repr` is that of the error itself. It is never raised."""

    def __repr__(self) -> str:
        return str(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LoggedError) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


class NotFittedError(CascadeError):
    """A fitted value was asked for before `fit`."""


class PersistenceError(CascadeError, ValueError):
    """A router that cannot be saved, or a file that holds none that this library knows."""


class SessionStateError(CascadeError, RuntimeError):
    """A session was driven out of turn: nothing was pending, or something still is."""


class InvalidAnswerError(CascadeError, ValueError):
    """A model's answer cannot be used: it is not in the form asked for, say.

    A session to which it is reported counts the model as failed, and charges what the answer cost.

    Attributes:
        answer: the `Answer` that cannot be used.
    """

    # An Answer, of which this file, at the bottom of the engine, knows nothing.
    def __init__(self, message: str, answer: Any) -> None:
        super().__init__(message)
        self.answer = answer

    def __reduce__(self) -> tuple[type[InvalidAnswerError], tuple[str, Any]]:
        return type(self), (str(self), self.answer)


class StreamClosedError(CascadeError):
    """Whoever read a stream closed it before the answer was complete.

    It is in the record of the query, and never raised.
    """


class AllModelsFailedError(CascadeError, RuntimeError):
    """No model is left that could answer.

    Attributes:
        errors: each failed model's own error, in the order of the calls.
        unavailable: why others could not be tried, in words; empty where all were.
    """

    def __init__(self, errors: Mapping[str, BaseException], unavailable: str = "") -> None:
        self.errors = dict(errors)
        lines = [f"  {name}: {type(e).__name__}: {e}" for name, e in self.errors.items()]
        text = "every model that could be tried failed" + (
            f" ({unavailable})" if unavailable else ""
        )
        super().__init__("\n".join([text + (":" if lines else ""), *lines]))
        self.unavailable = unavailable

    def __reduce__(self) -> tuple[type[AllModelsFailedError], tuple[dict[str, BaseException], str]]:
        return type(self), (self.errors, self.unavailable)
