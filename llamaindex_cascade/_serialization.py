"""A cascade as plain values, and made from them again: `to_dict` and `from_dict`."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from llama_index.core.llms.llm import LLM
from pydantic import SecretStr

from cascade_engine import ConfigurationError, Price
from cascade_engine.storage.json_objects import Decoder, Encoder

__all__ = ["FORMER", "Rebuilt", "written"]

_PATH = "import_path"
_ENCODED, _LEFT_OUT = "encoded", "left_out"
#: Fields that hold objects of the engine, or functions.
_OBJECTS = ("strategy", "cost", "quality_estimator", "cost_estimator", "signals")
_ASKED = ("judge", "llm_router")
#: Fields that earlier versions wrote down, and that are no more.
FORMER = frozenset({"abandon_below"})
_SECRET = re.compile(
    r"key$|secret|passw|credential|authoriz|(access|auth|api|bearer|session)_?token|^token$|cookie",
    re.IGNORECASE,
)


def written(cascade: Any) -> dict[str, Any]:
    """The fields of a cascade that are no plain values by themselves."""
    return {
        "llms": {name: _llm(llm) for name, llm in cascade.llms.items()},
        "prices": {name: asdict(price) for name, price in cascade.prices.items()},
        **{name: _object(getattr(cascade, name)) for name in _OBJECTS},
        **{name: _asked(getattr(cascade, name)) for name in _ASKED},
    }


class Rebuilt:
    """Arguments of a cascade as they are to be, where they were written down.

    Args:
        given: arguments, of which those that are objects already are left alone.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = {name: value for name, value in given.items() if name != "class_name"}

    @property
    def names(self) -> set[str]:
        """Names of the arguments."""
        return set(self._given)

    def llms(self, given: Any) -> Any:
        """The children."""
        if not isinstance(given, Mapping):
            return given
        return {name: _rebuilt_llm(llm) for name, llm in given.items()}

    def fields(self) -> dict[str, Any]:
        """All other arguments.

        Raises:
            ConfigurationError: one was a function, which cannot be written down.
        """
        fields = dict(self._given)
        for name in {*_OBJECTS} & fields.keys():
            fields[name] = _rebuilt_object(name, fields[name])
        for name in {*_ASKED} & fields.keys():
            fields[name] = _rebuilt_asked(fields[name])
        prices = fields.get("prices")
        if isinstance(prices, Mapping):
            fields["prices"] = {
                name: Price(**price) if isinstance(price, Mapping) else price
                for name, price in prices.items()
            }
        return fields


def _llm(llm: LLM) -> dict[str, Any]:
    kind = type(llm)
    told: dict[str, Any] = _without_secrets(llm.to_dict())
    return {_PATH: f"{kind.__module__}:{kind.__qualname__}", **told}


def _rebuilt_llm(told: Any) -> Any:
    """An LLM, from its import path: the class's name alone is not unique.

    Raises:
        ConfigurationError: there is no such LLM here.
    """
    if not isinstance(told, Mapping) or _PATH not in told:
        return told
    module, _, name = str(told[_PATH]).partition(":")
    try:
        kind: Any = importlib.import_module(module)
        for part in name.split("."):
            kind = getattr(kind, part)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"there is no {told[_PATH]!r} here: install it, or give the child itself"
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, LLM)):
        raise ConfigurationError(f"{told[_PATH]!r} is no LlamaIndex LLM")
    return kind.from_dict({key: value for key, value in told.items() if key != _PATH})


def _asked(asked: Any) -> Any:
    """An adviser's LLM, or a pair of adviser and LLM."""
    if isinstance(asked, tuple):
        return [_object(asked[0]), _llm(asked[1])]
    return None if asked is None else _llm(asked)


def _rebuilt_asked(told: Any) -> Any:
    if isinstance(told, list):
        return _rebuilt_object("judge", told[0]), _rebuilt_llm(told[1])
    return _rebuilt_llm(told)


def _object(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    encoder = Encoder()
    encoded = encoder.encode(value)
    if encoder.arrays or encoder.to_supply:
        return {_LEFT_OUT: f"{type(value).__name__}, a function or fitted"}
    return {_ENCODED: encoded}


def _rebuilt_object(name: str, told: Any) -> Any:
    if isinstance(told, Mapping) and _LEFT_OUT in told:
        raise ConfigurationError(
            f"{name} is {told[_LEFT_OUT]}, and was not written down: give it again, "
            f"from_dict(data, {name}=...), or use save and load for what was learned"
        )
    if not isinstance(told, Mapping) or _ENCODED not in told:
        return told
    return Decoder([], {}).decode(told[_ENCODED], name)


def _without_secrets(told: Any) -> Any:
    if isinstance(told, Mapping):
        return {
            key: _without_secrets(value)
            for key, value in told.items()
            if not (isinstance(value, SecretStr) or (value and _SECRET.search(str(key))))
        }
    return [_without_secrets(each) for each in told] if isinstance(told, list) else told
