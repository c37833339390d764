"""A cascade as plain values, and made from them again: `to_dict` and `from_dict`."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any

from llama_index.core.llms.llm import LLM
from pydantic import SecretStr

from cascade_engine import ConfigurationError, Price
from cascade_engine.plugin.names import ADVISERS
from cascade_engine.storage.json_objects import Decoder, Encoder

#: Fields that earlier versions wrote down, and that are no more.
FORMER_FIELDS = frozenset({"abandon_below"})
#: Fields that hold objects of the engine, or functions.
OBJECT_FIELDS = ("strategy", "cost", "quality_estimator", "cost_estimator", "signals")
_PATH, _ENCODED, _LEFT_OUT = "import_path", "encoded", "left_out"
_SECRET = re.compile(
    r"key$|secret|passw|credential|authoriz|(access|auth|api|bearer|session)_?token|^token$|cookie",
    re.IGNORECASE,
)


def plain_field(name: str, value: Any) -> Any:
    """A field of a cascade that pydantic cannot write down by itself: LLMs, objects, functions.

    LLMs have their import paths, and no keys.
    """
    if name == "llms":
        return {child: _plain_llm(llm) for child, llm in value.items()}
    return _plain_adviser(value) if name in ADVISERS else _plain_object(value)


def restored_llms(llms: Any) -> Any:
    """Children, as the constructor takes them, of which those that were written down are built."""
    if not isinstance(llms, Mapping):
        return llms
    return {name: _restored_llm(llm) for name, llm in llms.items()}


def restored_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """All other arguments of the constructor; those that are objects already stay as they are.

    Raises:
        ConfigurationError: one was a function, which cannot be written down.
    """
    restored = {key: value for key, value in fields.items() if key != "class_name"}
    for name in {*OBJECT_FIELDS} & restored.keys():
        restored[name] = _restored_object(name, restored[name])
    for name in ADVISERS.keys() & restored.keys():
        restored[name] = _restored_adviser(restored[name])
    prices = restored.get("prices")
    if isinstance(prices, Mapping):
        restored["prices"] = {
            name: Price(**price) if isinstance(price, Mapping) else price
            for name, price in prices.items()
        }
    return restored


def _plain_llm(llm: LLM) -> dict[str, Any]:
    # The import path says which class it is: the class's own name is not unique.
    kind = type(llm)
    fields: dict[str, Any] = _without_secrets(llm.to_dict())
    return {_PATH: f"{kind.__module__}:{kind.__qualname__}", **fields}


def _restored_llm(plain: Any) -> Any:
    if not isinstance(plain, Mapping) or _PATH not in plain:
        return plain
    module, _, name = str(plain[_PATH]).partition(":")
    try:
        kind: Any = importlib.import_module(module)
        for part in name.split("."):
            kind = getattr(kind, part)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"there is no {plain[_PATH]!r} here: install it, or give the child itself"
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, LLM)):
        raise ConfigurationError(f"{plain[_PATH]!r} is no LlamaIndex LLM")
    return kind.from_dict({key: value for key, value in plain.items() if key != _PATH})


def _plain_adviser(adviser: Any) -> Any:
    """What a `judge` or `llm_router` field holds: an LLM, or a pair of an adviser and one."""
    if isinstance(adviser, tuple):
        return [_plain_object(adviser[0]), _plain_llm(adviser[1])]
    return None if adviser is None else _plain_llm(adviser)


def _restored_adviser(plain: Any) -> Any:
    if isinstance(plain, list):
        return _restored_object("judge", plain[0]), _restored_llm(plain[1])
    return _restored_llm(plain)


def _plain_object(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    encoder = Encoder()
    encoded = encoder.encode(value)
    if encoder.arrays or encoder.to_supply:
        return {_LEFT_OUT: f"{type(value).__name__}, a function or fitted"}
    return {_ENCODED: encoded}


def _restored_object(name: str, plain: Any) -> Any:
    if isinstance(plain, Mapping) and _LEFT_OUT in plain:
        raise ConfigurationError(
            f"{name} is {plain[_LEFT_OUT]}, and was not written down: give it again, "
            f"from_dict(data, {name}=...), or use save and load for what was learned"
        )
    if not isinstance(plain, Mapping) or _ENCODED not in plain:
        return plain
    return Decoder([], {}).decode(plain[_ENCODED], name)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _without_secrets(item)
            for key, item in value.items()
            if not (isinstance(item, SecretStr) or (item and _SECRET.search(str(key))))
        }
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value
