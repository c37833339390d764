"""Base of estimators that learn nothing: a verdict is a model's name, or numbers by model.

`RuleEstimator`, `QuerySignalEstimator` and `CallableEstimator` build on it.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.core.checks import check_function, check_names, is_number
from cascade_engine.errors import ConfigurationError, DataError, NotFittedError
from cascade_engine.estimators.base import ExAnteEstimator

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from cascade_engine.core.arrays import FloatArray, IntArray
    from cascade_engine.core.records import Query
    from cascade_engine.data.dataset import CascadeDataset

_UNKNOWN = float("nan")


class StaticEstimator(ExAnteEstimator):
    """Base of estimators that learn nothing from data but the names of the models.

    Args:
        models: names of the models, for use before `fit`, which replaces them.

    Attributes:
        models_: names of the models, the columns.
    """

    models_: tuple[str, ...]

    def __init__(self, models: Sequence[str] | None) -> None:
        if models is not None:
            self._take(check_names(models))

    def __deepcopy__(self, memo: object) -> Self:
        # What it calls may hold a client that cannot be copied, and nothing here ever changes.
        return copy.copy(self)

    def fit(self, data: CascadeDataset) -> Self:
        """Takes the names of the models.

        Raises:
            ConfigurationError: a model named before is not in the data.
        """
        self._take(data.models)
        return self

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """What is said of each query, shape (n, k); NaN where it is unknown.

        Raises:
            NotFittedError: before `fit`, without names of the models.
        """
        if not hasattr(self, "models_"):
            raise NotFittedError(
                f"{type(self).__name__} does not know the models yet: call fit first, or pass "
                "models=[...]"
            )
        rows = [self.row(query) for query in queries]
        return np.array(rows, dtype=float).reshape(len(queries), len(self.models_))

    def cross_predict(self, data: CascadeDataset, folds: IntArray) -> FloatArray:
        """`predict` on the data: no label is learned from."""
        del folds
        return copy.copy(self).fit(data).predict(data.queries)

    @abstractmethod
    def row(self, query: Query) -> Sequence[float]:
        """What is said of one query: k numbers in [0, 1], NaN where it is unknown."""

    def named(self) -> dict[str, Sequence[str]]:
        """Names of models that must be among the router's, by where they are named."""
        return {}

    def _take(self, models: tuple[str, ...]) -> None:
        for where, names in self.named().items():
            check_known(names, models, where)
        self.models_ = models


def check_known(names: Sequence[str], models: Sequence[str], where: str) -> None:
    """Refuses names that are not among the models.

    Raises:
        ConfigurationError: there are such.
    """
    unknown = [name for name in names if name not in models]
    if unknown:
        raise ConfigurationError(
            f"{where} names {unknown}, which are not among the models {list(models)}"
        )


def check_router(function: object) -> None:
    """Refuses what cannot be called with a query, or must be awaited.

    Raises:
        ConfigurationError: it is so.
    """
    check_function("a router must be a function of a query, and not asynchronous", function)


def function_name(function: Callable[..., Any]) -> str:
    """What errors call a function."""
    return getattr(function, "__qualname__", None) or repr(function)


def verdict_of(function: Callable[[Query], Any], query: Query) -> Any:
    """What a function says of a query.

    Raises:
        DataError: it failed; the message names the function and the query.
    """
    try:
        return function(query)
    except Exception as error:
        raise DataError(
            f"{function_name(function)} failed on the query {query.text[:80]!r}: "
            f"{type(error).__name__}: {error}"
        ) from error


def verdict_row(verdict: object, models: Sequence[str], source: str) -> list[float]:
    """A verdict as k numbers in [0, 1], NaN where it is unknown.

    Args:
        verdict: a model's name (1 for it and 0 for all others), a mapping of names to numbers in
            [0, 1], k such numbers in the models' order, or None. A number that is None, NaN or left
            out is unknown.
        models: names of the k models.
        source: whose verdict it is, for errors.

    Raises:
        ConfigurationError: a name is not among the models.
        DataError: it is none of these.
    """
    if verdict is None:
        return [_UNKNOWN] * len(models)
    if isinstance(verdict, str):
        check_known([verdict], models, source)
        return [float(name == verdict) for name in models]
    if isinstance(verdict, Mapping):
        check_known(list(verdict), models, source)
        return [_quality(verdict.get(name), source) for name in models]
    if not isinstance(verdict, Sequence | np.ndarray) or np.shape(verdict) != (len(models),):
        raise DataError(
            f"{source} says {verdict!r}: it must be a model's name, numbers by model, a number for "
            f"each of {list(models)}, or None"
        )
    return [_quality(value, source) for value in verdict]


def _quality(value: Any, source: str) -> float:
    if value is None:
        return _UNKNOWN
    if not is_number(value) or value < 0 or value > 1:
        raise DataError(f"{source} says {value!r}: a quality must be a number in [0, 1]")
    return float(value)
