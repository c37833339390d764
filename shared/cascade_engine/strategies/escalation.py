"""What strategies that may run several models have in common: a depth, and a lambda per step."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine.core.checks import is_whole
from cascade_engine.errors import ConfigurationError
from cascade_engine.strategies.base import Strategy

if TYPE_CHECKING:
    from typing_extensions import Self

    from cascade_engine.core.arrays import BoolArray
    from cascade_engine.strategies.base import TuningData

__all__ = ["Escalating", "check_depth"]

#: Ratios by which the lambda of a step is changed in the search, and how many steps have their own.
_RATIOS = (0.25, 0.5, 0.7, 1.4, 2.0, 4.0)
_STEPS = 4


def check_depth(max_depth: int) -> None:
    """Refuses a depth that is no number of models."""
    if not (is_whole(max_depth) and max_depth >= 1):
        raise ConfigurationError(f"max_depth must be a whole number >= 1, not {max_depth!r}")


class Escalating(Strategy):
    """A strategy that may run one model after another.

    Args:
        max_depth: the most models that may answer one query; None for no limit.
        per_step: whether each step has a lambda of its own, as in Theorems 2 and 3 of Dekoninck et
            al. (ICML 2025). The lambdas keep fixed ratios, found by coordinate search for the
            largest area under the frontier, so that one number still buys every budget. On few
            hundred queries one lambda for all steps measured better: the default.

    Attributes:
        factors_: lambda of each step over that of the first; empty where all are alike.
    """

    def __init__(self, *, max_depth: int | None = None, per_step: bool = False) -> None:
        if max_depth is not None:
            check_depth(max_depth)
        self.max_depth = max_depth
        self.per_step = per_step
        self.factors_: tuple[float, ...] = ()

    def factor(self, step: int) -> float:
        """That of the step, or of the last that has one of its own."""
        return self.factors_[min(step, len(self.factors_) - 1)] if self.factors_ else 1.0

    def tuned(self, data: TuningData) -> Self:
        """With the factors that give the largest area under the frontier on that data."""
        new = copy.copy(self)
        new.factors_ = ()
        steps = min(self.max_depth or data.quality.shape[1], data.quality.shape[1], _STEPS)
        if not self.per_step or steps == 1:
            return new
        first = data.frontier(new)
        ends = float(first.cost[0]), float(first.cost[-1])
        best, new.factors_ = first.area(*ends), (1.0,) * steps
        # Two rounds: a step's best factor depends on those of the others.
        for step in [*range(1, steps), *range(1, steps)]:
            for ratio in _RATIOS:
                trial = copy.copy(new)
                factors = list(new.factors_)
                factors[step] *= ratio
                trial.factors_ = tuple(factors)
                area = data.frontier(trial).area(*ends)
                if area > best:
                    best, new = area, trial
        return new

    def within_depth(self, run: BoolArray, available: BoolArray) -> BoolArray:
        """The models available where the depth allows one more, shape (n, k)."""
        if self.max_depth is None:
            return available
        return np.asarray(available & (run.sum(axis=1, keepdims=True) < self.max_depth))
