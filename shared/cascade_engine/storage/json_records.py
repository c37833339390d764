"""Records, which are dataclasses, as JSON and back: every field of every record, exactly.

Fields that hold their default are left out, so that what was written before a field was added
reads, and hashes, as it did. `Answer.payload` is left out too: it is the caller's own object.
"""

from __future__ import annotations

import collections.abc
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from numbers import Integral, Real
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from cascade_engine.errors import DataError
from cascade_engine.storage.json_values import value_from_json, value_to_json

R = TypeVar("R")

#: Fields that are never written.
DROPPED = frozenset({"payload"})
_SCALARS: dict[Any, Any] = {str: str, int: Integral, float: Real}


def record_to_json(record: Any) -> dict[str, Any]:
    """A record as JSON values; fields that hold their default are left out.

    Raises:
        DataError: a value is of a kind that JSON cannot hold.
    """
    written = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if field.name not in DROPPED and not _is_default(field, value):
            written[field.name] = field_to_json(type(record), field.name, value)
    return written


def record_from_json(kind: type[R], value: Any) -> R:
    """The record that `record_to_json` wrote.

    Raises:
        DataError: there is a field that the record does not have, one is missing, or a value is of
            another type.
    """
    name = kind.__name__
    if not isinstance(value, Mapping):
        raise DataError(f"{name} must be a JSON object, not {value!r:.80}")
    own: dict[str, Field[Any]] = {
        field.name: field
        for field in fields(kind)  # type: ignore[arg-type]
        if field.name not in DROPPED
    }
    if unknown := sorted(value.keys() - own.keys()):
        raise DataError(
            f"{name} has no field {unknown[0]!r} (it has {', '.join(own)}): the data was written "
            "by a newer version, or is no such record"
        )
    missing = [key for key, field in own.items() if key not in value and not _has_default(field)]
    if missing:
        raise DataError(f"{name} lacks the field {missing[0]!r}: {dict(value)!r:.80}")
    return kind(**{key: field_from_json(kind, key, item) for key, item in value.items()})


def field_to_json(kind: Any, name: str, value: Any) -> Any:
    """One field of a record of that kind as JSON values."""
    return _to_json(value, _hints(kind)[name], f"{kind.__name__}.{name}")


def field_from_json(kind: Any, name: str, value: Any) -> Any:
    """The field that `field_to_json` wrote."""
    return _from_json(value, _hints(kind)[name], f"{kind.__name__}.{name}")


def field_kind(kind: Any, name: str) -> Any:
    """The type of a field, without the None that it may be."""
    return _without_none(_hints(kind)[name])


def _to_json(value: Any, hint: Any, place: str) -> Any:
    """A value as JSON; what `_from_json` would refuse is refused before it is on disk."""
    kind = _without_none(hint)
    if value is None and kind is not hint:
        return None
    if is_dataclass(value):
        return record_to_json(value)
    if is_dataclass(kind):
        raise DataError(f"{place} must be a {kind.__name__}, not {value!r:.80}")  # type: ignore[union-attr]
    item_kind = _item_kind(kind)
    if item_kind is None:
        _check_scalar(value, kind, place)
        return value_to_json(value, place)
    if not isinstance(value, (tuple, list)):
        raise DataError(f"{place} must be a list, not {value!r:.80}")
    return [_to_json(item, item_kind, place) for item in value]


def _from_json(value: Any, hint: Any, place: str) -> Any:
    kind = _without_none(hint)
    if value is None and kind is not hint:
        return None
    if is_dataclass(kind):
        return record_from_json(kind, value)  # type: ignore[arg-type]
    item_kind = _item_kind(kind)
    if item_kind is not None:
        if not isinstance(value, list):
            raise DataError(f"{place} must be a list, not {value!r:.80}")
        return tuple(_from_json(item, item_kind, place) for item in value)
    restored = value_from_json(value)
    _check_scalar(restored, kind, place)
    return restored


def _check_scalar(value: Any, kind: Any, place: str) -> None:
    scalar = _SCALARS.get(kind)
    if scalar is not None and (not isinstance(value, scalar) or isinstance(value, bool)):
        raise DataError(f"{place} must be {kind.__name__}, not {value!r:.80}")


def _without_none(hint: Any) -> Any:
    """X of `X | None`; any other type unchanged."""
    if get_origin(hint) in (Union, UnionType):
        others = [kind for kind in get_args(hint) if kind is not type(None)]
        if len(others) == 1:
            return others[0]
    return hint


def _item_kind(hint: Any) -> Any:
    """X of `tuple[X, ...]`, or None."""
    return get_args(hint)[0] if get_origin(hint) is tuple else None


@cache
def _hints(kind: Any) -> dict[str, Any]:
    # The records' modules import what their annotations name for type checkers only.
    return get_type_hints(kind, localns={**vars(collections.abc), "Any": Any})


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _is_default(field: Field[Any], value: Any) -> bool:
    factory: Any = field.default_factory
    if factory is not MISSING:
        return bool(value == factory())
    return (
        field.default is not MISSING
        and type(value) is type(field.default)
        and bool(value == field.default)
    )
