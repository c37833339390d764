"""Registration of what is not registered where it is defined.

Every line may as well stand as a decorator at its class: `@persistent("Routing")`.
"""

from __future__ import annotations

from typing import Any

from cascade_engine import extraction
from cascade_engine._finals import final_boxed, final_letter, final_value
from cascade_engine._parsed import final_code, final_json
from cascade_engine._registry import register, stored_as
from cascade_engine._router import CascadeRouter, _Fit
from cascade_engine._session import Decider
from cascade_engine._tuning import Frontier, Policy
from cascade_engine._values import State, Values
from cascade_engine.estimators import combined
from cascade_engine.estimators._blocks import BlockLogistic
from cascade_engine.estimators._pooling import Bank, Seen
from cascade_engine.estimators._regression import Regressions
from cascade_engine.estimators.agreement import Agreement
from cascade_engine.estimators.combined import CombinedEstimator
from cascade_engine.estimators.logprob import LogprobEstimator
from cascade_engine.estimators.signals import (
    CallableSignal,
    LogprobSignal,
    RecordedSignal,
    StructureSignal,
)
from cascade_engine.estimators.text import TextEstimator
from cascade_engine.strategies import (
    CascadeRouting,
    Cascading,
    FittedValueIteration,
    RandomMixing,
    ReservationIndex,
    Routing,
    SingleModel,
    ThresholdCascade,
)


def _add(made: Any, name: str = "", **options: Any) -> None:
    if stored_as(made) is None:
        register(made, name or made.__name__, **options)


_add(
    CascadeRouter,
    fields=(
        *("models", "strategy", "quality", "cost", "prices", "charge", "budget", "seed"),
        *("clamp_budget", "_unfitted"),
    ),
    fitted=("frontier_", "policy_"),
    fitting_data=("_data",),
)
_add(_Fit, "CascadeRouter.data")
_add(Decider)
_add(Frontier)
_add(Policy)

_COMBINED: dict[str, Any] = {
    "fields": ("before", "signals", "agreement", "folds", "seed"),
    "fitted": ("_fit",),
    "fitting_data": ("_cross",),
}
_add(CombinedEstimator, **_COMBINED)
_add(LogprobEstimator, **_COMBINED)
_add(combined._Fit, "CombinedEstimator.fit")  # noqa: SLF001  it stands here for its module
_add(
    combined._Evidence,  # noqa: SLF001
    "CombinedEstimator.evidence",
    fields=("seen", "finals", "folds"),
    left_out={"queries": tuple},  # texts, of which none is kept
)
_add(BlockLogistic)
_add(Bank, "PooledLogistic")
_add(Seen)
_add(
    TextEstimator,
    fields=("features", "strengths", "folds", "seed"),
    fitted=("strength_", "_regressions", "_learned", "models_"),
)
_add(Regressions)
_add(LogprobSignal)
_add(StructureSignal)
_add(RecordedSignal, fields=("names",))
_add(CallableSignal)
_add(Agreement)
_add(extraction.Extractor)
_add(extraction._Automatic, "AutomaticExtractor")  # noqa: SLF001
for _reader in (
    extraction._asked_label,  # noqa: SLF001
    extraction._asking,  # noqa: SLF001
    extraction._field,  # noqa: SLF001
    extraction._label,  # noqa: SLF001
    extraction._lone_number,  # noqa: SLF001
    extraction._text_value,  # noqa: SLF001
    *(final_boxed, final_code, final_json, final_letter, final_value),
):
    _add(_reader, f"extraction.{_reader.__name__.lstrip('_')}")

_ESCALATING = ("max_depth", "per_step", "factors_")
_add(CascadeRouting, fields=(*_ESCALATING, "prune"))
_add(Cascading, fields=_ESCALATING)
_add(ReservationIndex, fields=_ESCALATING)
_add(RandomMixing, fitted=("quality_", "cost_"))
_add(FittedValueIteration, fitted=("values_",))
_add(Values)
_add(State)
_add(Routing)
_add(SingleModel)
_add(ThresholdCascade)
