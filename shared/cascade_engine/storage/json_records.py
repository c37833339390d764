"""Records as JSON and back: every field of every record, exactly.

Fields that hold their default are left out, so that what was written before a field was added
reads, and hashes, as it did. `Answer.payload` is left out too: it is the caller's own object.
JSON has no infinity, no NaN, no tuple inside free values, and only text as keys: these are written
as `{"$float": "-inf"}`, `{"$tuple": [...]}` and `{"$items": [[key, value], ...]}`.
"""

from __future__ import annotations

import collections.abc
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from numbers import Integral, Real
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from cascade_engine.errors import DataError

__all__ = [
    "content_key",
    "field_from_json",
    "field_kind",
    "field_to_json",
    "from_json",
    "line_of",
    "plain",
    "restored",
    "to_json",
]

R = TypeVar("R")

#: Fields that are never written.
DROPPED = frozenset({"payload"})
_TAGS = {"$float": float, "$tuple": None, "$items": None}
_PLAIN = (str, int, bool, type(None))
_SCALARS: dict[Any, Any] = {str: str, int: Integral, float: Real}


def to_json(record: Any) -> dict[str, Any]:
    """A record as plain JSON values; fields that hold their default are left out.

    Raises:
        DataError: a value is of a kind that JSON cannot hold.
    """
    written = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if field.name not in DROPPED and not _is_default(field, value):
            written[field.name] = field_to_json(type(record), field.name, value)
    return written


def field_to_json(kind: Any, name: str, value: Any) -> Any:
    """One field of a record as JSON values."""
    return _written(value, _hints(kind)[name], f"{kind.__name__}.{name}")


def field_from_json(kind: Any, name: str, value: Any) -> Any:
    """What `field_to_json` was given."""
    return _read(value, _hints(kind)[name], f"{kind.__name__}.{name}")


def field_kind(kind: Any, name: str) -> Any:
    """The type of a field, whether or not it may be None."""
    return _inner(_hints(kind)[name])


def from_json(kind: type[R], value: Any) -> R:
    """The record that `to_json` wrote.

    Raises:
        DataError: there is a field that the record does not have, one is missing, or a value is of
            another type.
    """
    name = kind.__name__
    if not isinstance(value, Mapping):
        raise DataError(f"{name} must be a JSON object, not {value!r:.80}")
    known = {field.name: field for field in fields(kind) if field.name not in DROPPED}  # type: ignore[arg-type]
    unknown = sorted(value.keys() - known.keys())
    if unknown:
        raise DataError(
            f"{name} has no field {unknown[0]!r} (it has {', '.join(known)}): the data was written "
            "by a newer version, or is no such record"
        )
    missing = [n for n, f in known.items() if n not in value and not _has_default(f)]
    if missing:
        raise DataError(f"{name} lacks the field {missing[0]!r}: {dict(value)!r:.80}")
    return kind(**{key: field_from_json(kind, key, item) for key, item in value.items()})


def plain(value: Any, where: str = "a value") -> Any:
    """A free value, such as a reference or a tool's schema, as JSON values.

    Raises:
        DataError: it holds something other than None, truth values, numbers, text, lists, tuples
            and mappings.
    """
    kind = type(value)  # what most values are: abstract classes are slow to ask
    if kind in _PLAIN or (kind is float and math.isfinite(value)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (np.bool_, Integral, Real)):
        return _number(value)
    if isinstance(value, Mapping):
        return _mapping(value, where)
    if isinstance(value, (list, tuple)):
        items = [plain(item, where) for item in value]
        return {"$tuple": items} if isinstance(value, tuple) else items
    raise DataError(
        f"{where} is a {type(value).__name__}, which cannot be written: use text, numbers, truth "
        f"values, None, lists and mappings: {value!r:.80}"
    )


def restored(value: Any) -> Any:
    """What `plain` was given."""
    if isinstance(value, list):
        return [restored(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (tag, inner), *_ = value.items()
        if tag == "$float":
            return float(inner)
        if tag == "$tuple":
            return tuple(restored(item) for item in inner)
        if tag == "$items":
            return {restored(key): restored(item) for key, item in inner}
    return {key: restored(item) for key, item in value.items()}


def line_of(value: Any) -> bytes:
    """JSON as one line of UTF-8, its newline included."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair: only an escape can write it
        return json.dumps(value, allow_nan=False).encode() + b"\n"


def content_key(value: Any) -> str:
    """A hash of JSON values; whatever is none of them counts by its text."""
    written = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(written.encode()).hexdigest()[:32]


def _number(value: Any) -> Any:
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    number = float(value)
    return number if math.isfinite(number) else {"$float": repr(number)}


def _mapping(value: Mapping[Any, Any], where: str) -> dict[str, Any]:
    simple = all(type(key) is str for key in value)
    if simple and not (len(value) == 1 and next(iter(value)) in _TAGS):
        return {key: plain(item, where) for key, item in value.items()}
    return {"$items": [[plain(key, where), plain(item, where)] for key, item in value.items()]}


def _written(value: Any, hint: Any, where: str) -> Any:
    """A value as JSON; what `_read` would refuse is refused before it is on disk."""
    inner = _inner(hint)
    if value is None and inner is not hint:
        return None
    if is_dataclass(value):
        return to_json(value)
    if is_dataclass(inner):
        raise DataError(f"{where} must be a {inner.__name__}, not {value!r:.80}")  # type: ignore[union-attr]
    element = _element(inner)
    if element is None:
        _check_scalar(value, inner, where)
        return plain(value, where)
    if not isinstance(value, (tuple, list)):
        raise DataError(f"{where} must be a list, not {value!r:.80}")
    return [_written(item, element, where) for item in value]


def _read(value: Any, hint: Any, where: str) -> Any:
    inner = _inner(hint)
    if value is None and inner is not hint:
        return None
    if is_dataclass(inner):
        return from_json(inner, value)  # type: ignore[arg-type]
    element = _element(inner)
    if element is not None:
        if not isinstance(value, list):
            raise DataError(f"{where} must be a list, not {value!r:.80}")
        return tuple(_read(item, element, where) for item in value)
    read = restored(value)
    _check_scalar(read, inner, where)
    return read


def _check_scalar(value: Any, kind: Any, where: str) -> None:
    scalar = _SCALARS.get(kind)
    if scalar is not None and (not isinstance(value, scalar) or isinstance(value, bool)):
        raise DataError(f"{where} must be {kind.__name__}, not {value!r:.80}")


def _inner(hint: Any) -> Any:
    """X of `X | None`; any other type is left as it is."""
    if get_origin(hint) in (Union, UnionType):
        rest = [each for each in get_args(hint) if each is not type(None)]
        if len(rest) == 1:
            return rest[0]
    return hint


def _element(hint: Any) -> Any:
    """X of `tuple[X, ...]`, or None."""
    return get_args(hint)[0] if get_origin(hint) is tuple else None


@cache
def _hints(kind: Any) -> dict[str, Any]:
    # The records' modules import what their annotations name for type checkers only.
    return get_type_hints(kind, localns={**vars(collections.abc), "Any": Any})


def _has_default(field: Field[Any]) -> bool:
    return any(each is not MISSING for each in (field.default, field.default_factory))


def _is_default(field: Field[Any], value: Any) -> bool:
    factory: Any = field.default_factory
    if factory is not MISSING:
        return bool(value == factory())
    return (
        field.default is not MISSING
        and type(value) is type(field.default)
        and bool(value == field.default)
    )
