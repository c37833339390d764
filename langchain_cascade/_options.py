"""What one call of a cascade may change: its limits, its trade-off, and who answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables.utils import ConfigurableFieldSpec

from cascade_engine._call_options import check_options, force

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["SPECS", "forced", "read_options"]

_PLACE = 'config["configurable"]'
_NUMBER, _TEXT = float | None, str | None

#: Keys of `config["configurable"]` that are the cascade's own.
SPECS = (
    ConfigurableFieldSpec(
        "max_expected_cost",
        _NUMBER,
        "Budget",
        "Expected cost per query, in place of the cascade's own budget.",
    ),
    ConfigurableFieldSpec(
        "max_cost", _NUMBER, "Hard cap", "What this one query may cost at most; None for no cap."
    ),
    ConfigurableFieldSpec(
        "lam", _NUMBER, "Lambda", "Price of cost in units of quality, in place of a budget."
    ),
    ConfigurableFieldSpec("strategy", _TEXT, "Strategy", "Name of the strategy that decides."),
    ConfigurableFieldSpec("model", _TEXT, "Model", "Name of the child that has to answer."),
)


def read_options(configurable: Mapping[str, Any] | None, models: Collection[str]) -> dict[str, Any]:
    """The cascade's own options in a configuration; see `check_options`."""
    return check_options(configurable, models, called=_called) if configurable else {}


def forced(options: Mapping[str, Any], model: Any, models: Collection[str]) -> dict[str, Any]:
    """The options with the keyword `model` of a call, None where it was not given.

    Raises:
        ConfigurationError: it is no child, or contradicts the options.
    """
    if model is None:
        return dict(options)
    return {**options, "model": force(options, model, models, called=_PLACE)}


def _called(option: str) -> str:
    return f"{_PLACE}[{option!r}]"
