"""What tells one cascade from another: a digest of its children and settings, for caches.

It is the same in another process, holds no secret and no memory address.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from enum import Enum
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, SecretBytes, SecretStr

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

__all__ = ["digest", "identify"]

_DEEP = 8
_PLAIN = (type(None), bool, int, float, str)
_HIDDEN = (SecretStr, SecretBytes)
_NAMED = (type, FunctionType, MethodType, CodeType, Enum)


def identify(child: Runnable[Any, Any]) -> dict[str, Any]:
    """What a child is, in a few words, and a digest of all else that its answers depend on."""
    words: dict[str, Any] = {"class": type(child).__name__}
    own = getattr(child, "_identifying_params", None)
    for key in ("model_name", "model", "model_id"):
        if isinstance(own, Mapping) and isinstance(own.get(key), str):
            words["model"] = own[key]
            break
    return {**words, "digest": digest(child)}


def digest(value: Any) -> str:
    """A short digest of a value's content."""
    written = json.dumps(_plain(value, 0), sort_keys=True, default=str)
    return hashlib.sha256(written.encode("utf-8", "replace")).hexdigest()[:20]


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if depth > _DEEP or isinstance(value, _HIDDEN):
        return type(value).__name__
    if isinstance(value, Mapping):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [_plain(item, depth + 1) for item in value]
        return items if isinstance(value, (list, tuple)) else sorted(map(json.dumps, items))
    tell = _named if isinstance(value, _NAMED) else _object
    return tell(value, depth)


def _named(value: Any, depth: int) -> Any:
    """Something that has a name: a class, a member of an enumeration, a function with its code."""
    if isinstance(value, Enum):
        return [type(value).__qualname__, value.name]
    if isinstance(value, CodeType):
        return [value.co_code.hex(), value.co_names, _plain(value.co_consts, depth + 1)]
    name = f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, type):
        return name
    code = getattr(value, "__code__", None)
    cells = [_cell(cell) for cell in getattr(value, "__closure__", None) or ()]
    owner = getattr(value, "__self__", None)
    parts = (code, value.__defaults__, cells, owner)
    return [name, *(_plain(part, depth + 1) for part in parts)]


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _object(value: Any, depth: int) -> Any:
    """An object by its class and its attributes: of a model the fields that are not left out."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        named = [name for name, field in fields.items() if not field.exclude]
        held = {name: getattr(value, name, None) for name in named}
    elif is_dataclass(value):
        held = {each.name: getattr(value, each.name) for each in dataclass_fields(value)}
    else:
        held = {k: v for k, v in getattr(value, "__dict__", {}).items() if not k.startswith("__")}
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    return [name, {key: _plain(item, depth + 1) for key, item in held.items()}]
