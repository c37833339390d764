"""What a cascade is, for caches, tracers and agents: digests, the common profile and provider.

A digest is the same in another process of the same Python, and holds no secret and no address.
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
    from collections.abc import Iterable

    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import Runnable


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
    text = json.dumps(_plain(value, 0), sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:20]


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
    describe = _named if isinstance(value, _NAMED) else _object
    return describe(value, depth)


def _named(value: Any, depth: int) -> Any:
    """Something that has a name: a class, a member of an enumeration, a function with its code."""
    if isinstance(value, Enum):
        return [type(value).__qualname__, value.name]
    if isinstance(value, CodeType):
        # Two functions of the same name, lambdas above all, are told apart by what they do, and
        # only bytecode always says it: the source may be gone, or hold both in one line. Under
        # another version of Python the digest is another, and a cached answer is asked for anew.
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
        included = [name for name, field in fields.items() if not field.exclude]
        content = {name: getattr(value, name, None) for name in included}
    elif is_dataclass(value):
        content = {field.name: getattr(value, field.name) for field in dataclass_fields(value)}
    else:
        attributes = getattr(value, "__dict__", {})
        content = {k: v for k, v in attributes.items() if not k.startswith("__")}
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    return [name, {key: _plain(item, depth + 1) for key, item in content.items()}]


def common_profile(models: Iterable[BaseChatModel | None]) -> dict[str, Any] | None:
    """The intersection of the children's profiles, None where one is unknown.

    Of numbers, which are limits, the least; of capabilities, those of all; of lists, what is in
    all; of words, such as a name, those that are the same in all.
    """
    profiles = [None if model is None else model.profile for model in models]
    if not profiles or not all(profiles):
        return None
    plain: list[Mapping[str, Any]] = [{**profile} for profile in profiles if profile]
    keys = dict.fromkeys(key for profile in plain for key in profile)
    common = {key: _common([profile.get(key) for profile in plain]) for key in keys}
    return {key: value for key, value in common.items() if value is not None} or None


def _common(values: list[Any]) -> Any:
    """What holds for all, None where it is not known."""
    if any(value is False for value in values):
        return False
    if any(value is None for value in values):
        return None
    first = values[0]
    if isinstance(first, (int, float)) and not isinstance(first, bool):
        return min(values)
    if isinstance(first, list):
        return [item for item in first if all(item in value for value in values)] or None
    return first if all(value == first for value in values) else None


def common_provider(providers: Mapping[str, str | None]) -> str | None:
    """The provider of all children, if they have the same."""
    distinct = set(providers.values())
    return distinct.pop() if len(distinct) == 1 else None
