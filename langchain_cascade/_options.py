"""What one call of a cascade may change: its limits, its trade-off, and who answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables.utils import ConfigurableFieldSpec

from cascade_engine.plugin.call_options import OPTIONS, check_options, forced_child

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


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


def call_options(
    options: Mapping[str, Any], keywords: dict[str, Any], models: Collection[str]
) -> dict[str, Any]:
    """The options with those among the keywords of a call, which are taken out and come first.

    Raises:
        ConfigurationError: one cannot work, or contradicts another.
    """
    own = {name: keywords.pop(name) for name in OPTIONS if name in keywords}
    if not own:
        return dict(options)
    own = check_options(own, models)
    if model := forced_child(options, own.get("model"), models, called=_PLACE):
        own["model"] = model
    return check_options({**options, **own}, models)


def _called(option: str) -> str:
    return f"{_PLACE}[{option!r}]"
