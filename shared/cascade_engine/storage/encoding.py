"""Objects as plain JSON values and a list of arrays.

What JSON knows stands for itself. The rest is an object with one key that begins with `$`:

```
{"$tuple": [...]}  {"$set": [...]}  {"$frozenset": [...]}  {"$dict": [[key, value], ...]}
{"$float": "inf"}
{"$int": "0x1..."}               one that not every reader of JSON can read
{"$number": ["f8", 0.5]}         a number of numpy's
{"$text": "eda080"}              text that is no valid Unicode, in UTF-8 all the same
{"$array": 3}                    the fourth array
{"$class": "Price", "version": 1, "state": {...}}
{"$named": "extraction.letter"}  a registered function, or other object
{"$partial": [name, args, kw]}   `functools.partial` of a registered function
{"$pattern": ["a+", 32]}         a compiled regular expression
{"$same": "quality.parts[0]"}    an object that stands at that place already
{"$given": ["function f", true]} what cannot be stored, and has to be given again; is it called?
```
"""

from __future__ import annotations

import json
import math
import re
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.errors import PersistenceError
from cascade_engine.storage import registry as _registry
from cascade_engine.storage.arrays_file import can_be_stored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cascade_engine.storage.registry import Stored

__all__ = ["DEEPEST", "Encoder", "check_state"]

#: Lists, mappings and objects within each other: far fewer than Python can.
DEEPEST = 50
#: Larger integers are not read by every JSON reader, nor printed by every Python.
_LARGEST = 1 << 64
_PLAIN = {type(None), bool, int, float, str}


class Encoder:
    """Encodes objects that may share parts.

    Args:
        fitting_data: whether to store what objects keep of the data they were fitted on.

    Attributes:
        arrays: those that the encoded values refer to by number.
        given: places of what cannot be stored, and what stands there.
    """

    def __init__(self, *, fitting_data: bool = False) -> None:
        self.arrays: list[np.ndarray[Any, Any]] = []
        self.given: dict[str, str] = {}
        self._fitting_data = fitting_data
        self._numbers: dict[int, int] = {}
        self._places: dict[int, str] = {}
        self._open: list[int] = []

    def encode(self, value: Any, place: str = "") -> Any:
        """A value that stands at a place, as plain JSON values.

        Raises:
            PersistenceError: a part of it contains itself, is nested too deeply, or is registered
                and has an attribute that its registration does not name.
        """
        if type(value) in _PLAIN:
            return _plain(value)
        if isinstance(value, np.generic):
            return self._number(value, place)
        if isinstance(value, np.ndarray):
            return {"$array": self._array(value, place)}
        if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
            return {"$pattern": [_text(value.pattern), value.flags]}
        return self._nested(value, place)

    def _nested(self, value: Any, place: str) -> Any:
        if id(value) in self._open or len(self._open) >= DEEPEST:
            raise PersistenceError(f"{place} contains itself, or is nested too deeply to be saved")
        self._open.append(id(value))
        try:
            if type(value) in {list, tuple, set, frozenset}:
                return self._sequence(value, place)
            return self._mapping(value, place) if type(value) is dict else self._any(value, place)
        finally:
            self._open.pop()

    def _sequence(self, value: Any, place: str) -> Any:
        encoded = [self.encode(each, f"{place}[{i}]") for i, each in enumerate(value)]
        if type(value) is list:
            return encoded
        if type(value) is not tuple:  # the order of sets differs between processes
            encoded.sort(key=json.dumps)
        return {f"${type(value).__name__}": encoded}

    def _mapping(self, value: dict[Any, Any], place: str) -> Any:
        names = [key for key in value if type(key) is str and type(_text(key)) is str]
        values = {key: self.encode(each, f"{place}[{key!r}]") for key, each in value.items()}
        if len(names) == len(value) and not any(name.startswith("$") for name in names):
            return values
        keys = [self.encode(key, f"{place}[{key!r}]") for key in value]
        return {"$dict": [list(pair) for pair in zip(keys, values.values(), strict=True)]}

    def _number(self, value: Any, place: str) -> Any:
        if not can_be_stored(np.asarray(value)):
            raise PersistenceError(f"{place} is {value!r}, of the type {value.dtype}: {_STORABLE}")
        return {"$number": [value.dtype.str[1:], self.encode(value.item(), place)]}

    def _array(self, array: np.ndarray[Any, Any], place: str) -> int:
        if not can_be_stored(array):
            raise PersistenceError(f"{place} is {type(array).__name__} {array.dtype}: {_STORABLE}")
        number = self._numbers.setdefault(id(array), len(self.arrays))
        if number == len(self.arrays):
            self.arrays.append(array)
        return number

    def _any(self, value: Any, place: str) -> Any:
        """An object of a registered class, a registered object, or what must be given again."""
        if id(value) in self._places:
            return {"$same": self._places[id(value)]}
        stored = _registry.stored_as(type(value))
        encoded: dict[str, Any]
        if type(value) is partial and (known := _registry.stored_as(value.func)):
            given = [self.encode(list(value.args), place), self.encode(value.keywords, place)]
            encoded = {"$partial": [known.name, *given]}
        elif stored:
            state = _state(value, stored, place, fitting_data=self._fitting_data)
            at = f"{place}." if place else ""
            encoded = {
                "$class": stored.name,
                "version": stored.version,
                "state": {name: self.encode(part, at + name) for name, part in state.items()},
            }
        elif not isinstance(value, type) and (known := _registry.stored_as(value)):
            return {"$named": known.name}
        else:
            self.given[place] = _described(value)
            encoded = {"$given": [self.given[place], callable(value)]}
        self._places[id(value)] = place
        return encoded


_STORABLE = "only plain numpy arrays of booleans, integers, floats up to 64 bits and text are saved"


def _state(value: object, stored: Stored, place: str, *, fitting_data: bool) -> dict[str, Any]:
    """The attributes to store, once the registration accounts for all.

    What a `cached_property` keeps follows from the others, and is worked out again.
    """
    found = dict(getattr(value, "__dict__", {}))
    if isinstance(value, tuple):
        found = dict(zip(stored.fields, value, strict=True))
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in {"__dict__", "__weakref__"} and hasattr(value, name):
                found[name] = getattr(value, name)
    passed_over = set(stored.left_out) | (set() if fitting_data else set(stored.fitting_data))
    passed_over |= {name for name in found if _is_cached(type(value), name)}
    state = {name: part for name, part in found.items() if name not in passed_over}
    check_state(stored, state, place, "name those it has where the class is registered")
    return state


def _is_cached(cls: type[Any], name: str) -> bool:
    return isinstance(getattr(cls, name, None), cached_property)


def check_state(stored: Stored, state: Mapping[str, Any], place: str, remedy: str) -> None:
    """Refuses a state with attributes that its registration does not name, or without some."""
    known = {*stored.fields, *stored.fitted, *stored.fitting_data}
    unknown, missing = set(state) - known, set(stored.fields) - set(state)
    if set(stored.fitted) & set(state):
        missing |= set(stored.fitted) - set(state)
    for names, trouble in ((unknown, "has attributes that are not known"), (missing, "lacks")):
        if names:
            raise PersistenceError(
                f"{place or 'the file'}, {stored.name!r} of version {stored.version}, "
                f"{trouble}, {sorted(names)}: {remedy}"
            )


def _described(value: Any) -> str:
    """What it is, in words, for whoever has to give it again."""
    kind = type(value)
    if hasattr(value, "__qualname__"):
        return f"{kind.__name__} {value.__module__}.{value.__qualname__}"
    return f"an object of {kind.__module__}.{kind.__qualname__}"


def _plain(value: Any) -> Any:
    if type(value) is int and abs(value) >= _LARGEST:
        return {"$int": hex(value)}
    if type(value) is float and not math.isfinite(value):
        return {"$float": str(value)}
    return _text(value) if type(value) is str else value


def _text(value: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return {"$text": value.encode("utf-8", "surrogatepass").hex()}
    return value
