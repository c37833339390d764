"""Objects as JSON values and a list of arrays, and back: what a saved router is written in.

It extends the codec of `json_values` by these tags:

```
{"$set": [...]}  {"$frozenset": [...]}
{"$dict": [[key, value], ...]}   a mapping with keys that are no text, or begin with "$"
{"$int": "0x1..."}               one that not every reader of JSON can read
{"$number": ["f8", 0.5]}         a number of numpy's
{"$text": "eda080"}              text that is no valid Unicode, in UTF-8 all the same
{"$array": 3}                    the fourth array
{"$class": "Price", "version": 1, "state": {...}}
{"$named": "extraction.letter"}  a registered function, or other object
{"$partial": [name, args, kw]}   `functools.partial` of a registered function
{"$pattern": ["a+", 32]}         a compiled regular expression
{"$same": "quality.parts[0]"}    an object that stands at that place already
{"$given": ["function f", true]} what cannot be stored and has to be supplied: what it was, and
                                 whether it can be called
```

Reading calls no constructor, imports nothing, and knows registered names only.
"""

from __future__ import annotations

import json
import re
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.errors import PersistenceError
from cascade_engine.storage.arrays_file import can_be_stored, is_known
from cascade_engine.storage.json_values import ValueDecoder, ValueEncoder
from cascade_engine.storage.registry import Registration, registration, registration_of, remedy_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: Lists, mappings and objects within each other: far fewer than Python can.
_DEEPEST = 50
#: Larger integers are not read by every JSON reader, nor printed by every Python.
_LARGEST = 1 << 64
_SCALARS = {type(None), bool, int, float}
_FLAGS = int(re.ASCII | re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE | re.UNICODE)
#: Tags of what may stand at several places and is one object.
_SHARED = {"$class", "$given", "$partial"}
_STORABLE = "only plain numpy arrays of booleans, integers, floats up to 64 bits and text are saved"
_NEWER = "the file was written by a newer version of cascade-routing, or is damaged"
#: What readers raise where a node is not in the form it should have.
_MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, re.error)


class Encoder(ValueEncoder):
    """Encodes objects that may share parts.

    Args:
        fitting_data: whether to store what objects keep of the data they were fitted on.

    Attributes:
        arrays: those that the encoded values refer to by number.
        to_supply: places of objects that cannot be stored, and what stands there, in words.
    """

    def __init__(self, *, fitting_data: bool = False) -> None:
        self.arrays: list[np.ndarray[Any, Any]] = []
        self.to_supply: dict[str, str] = {}
        self._fitting_data = fitting_data
        self._array_numbers: dict[int, int] = {}
        self._places: dict[int, str] = {}  # of objects, by their identity
        self._open: list[int] = []  # the objects within which the present one stands

    def encode(self, value: Any, place: str = "") -> Any:
        """A value as plain JSON values.

        Args:
            value: what to encode.
            place: where it stands, such as "quality.parts[0]".

        Raises:
            PersistenceError: a part of it contains itself, is nested too deeply, or is registered
                and has an attribute that its registration does not name.
        """
        if type(value) is str:
            return _text(value)
        if type(value) is int and abs(value) >= _LARGEST:
            return {"$int": hex(value)}
        if type(value) in _SCALARS:
            return super().encode(value, place)
        if id(value) in self._open or len(self._open) >= _DEEPEST:
            raise PersistenceError(f"{place} contains itself, or is nested too deeply to be saved")
        self._open.append(id(value))
        try:
            return super().encode(value, place)
        finally:
            self._open.pop()

    def _list(self, values: Iterable[Any], place: str) -> list[Any]:
        return [self.encode(value, f"{place}[{i}]") for i, value in enumerate(values)]

    def _mapping(self, values: Mapping[Any, Any], place: str) -> dict[str, Any]:
        if not self._needs_pairs(values):
            return {key: self.encode(value, f"{place}[{key!r}]") for key, value in values.items()}
        pairs = [
            [self.encode(part, f"{place}[{key!r}]") for part in (key, value)]
            for key, value in values.items()
        ]
        return {"$dict": pairs}

    def _needs_pairs(self, values: Mapping[Any, Any]) -> bool:
        return not all(
            type(key) is str and type(_text(key)) is str and not key.startswith("$")
            for key in values
        )

    def _other(self, value: Any, place: str) -> Any:
        if isinstance(value, np.generic):
            return self._number(value, place)
        if isinstance(value, np.ndarray):
            return {"$array": self._array(value, place)}
        if type(value) in {set, frozenset}:  # whose order differs between processes
            return {f"${type(value).__name__}": sorted(self._list(value, place), key=json.dumps)}
        if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
            return {"$pattern": [_text(value.pattern), value.flags]}
        return self._object(value, place)

    def _number(self, value: Any, place: str) -> Any:
        if not can_be_stored(np.asarray(value)):
            raise PersistenceError(f"{place} is {value!r}, of the type {value.dtype}: {_STORABLE}")
        return {"$number": [value.dtype.str[1:], self.encode(value.item(), place)]}

    def _array(self, array: np.ndarray[Any, Any], place: str) -> int:
        if not can_be_stored(array):
            raise PersistenceError(f"{place} is {type(array).__name__} {array.dtype}: {_STORABLE}")
        number = self._array_numbers.setdefault(id(array), len(self.arrays))
        if number == len(self.arrays):
            self.arrays.append(array)
        return number

    def _object(self, value: Any, place: str) -> Any:
        """An object of a registered class, a registered object, or one that must be supplied."""
        if id(value) in self._places:
            return {"$same": self._places[id(value)]}
        encoded: dict[str, Any]
        if type(value) is partial and (function := registration_of(value.func)):
            arguments = [self.encode(list(value.args), place), self.encode(value.keywords, place)]
            encoded = {"$partial": [function.name, *arguments]}
        elif registered := registration_of(type(value)):
            state = _state(value, registered, place, fitting_data=self._fitting_data)
            at = f"{place}." if place else ""
            encoded = {
                "$class": registered.name,
                "version": registered.version,
                "state": {name: self.encode(part, at + name) for name, part in state.items()},
            }
        elif not isinstance(value, type) and (registered := registration_of(value)):
            return {"$named": registered.name}
        else:
            self.to_supply[place] = _described(value)
            encoded = {"$given": [self.to_supply[place], callable(value)]}
        self._places[id(value)] = place
        return encoded


def _state(
    value: object, registered: Registration, place: str, *, fitting_data: bool
) -> dict[str, Any]:
    """The attributes to store, once the registration accounts for all.

    What a `cached_property` keeps follows from the others, and is worked out again.
    """
    cls = type(value)
    attributes = dict(getattr(value, "__dict__", {}))
    if isinstance(value, tuple):
        attributes = dict(zip(registered.fields, value, strict=True))
    for base in cls.__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in {"__dict__", "__weakref__"} and hasattr(value, name):
                attributes[name] = getattr(value, name)
    left_out = {*registered.left_out, *(() if fitting_data else registered.fitting_data)}
    left_out |= {n for n in attributes if isinstance(getattr(cls, n, None), cached_property)}
    state = {name: part for name, part in attributes.items() if name not in left_out}
    _check_state(registered, state, place, "name those it has where the class is registered")
    return state


def _check_state(
    registered: Registration, state: Mapping[str, Any], place: str, remedy: str
) -> None:
    """Refuses a state with attributes that its registration does not name, or without some."""
    names = {*registered.fields, *registered.fitted, *registered.fitting_data}
    unknown, missing = set(state) - names, set(registered.fields) - set(state)
    if set(registered.fitted) & set(state):
        missing |= set(registered.fitted) - set(state)
    for wrong, trouble in ((unknown, "has attributes that are not known"), (missing, "lacks")):
        if wrong:
            raise PersistenceError(
                f"{place or 'the file'}, {registered.name!r} of version {registered.version}, "
                f"{trouble}, {sorted(wrong)}: {remedy}"
            )


def _described(value: Any) -> str:
    """What an object is, in words, for whoever has to supply it."""
    kind = type(value)
    if hasattr(value, "__qualname__"):
        return f"{kind.__name__} {value.__module__}.{value.__qualname__}"
    return f"an object of {kind.__module__}.{kind.__qualname__}"


def _text(value: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return {"$text": value.encode("utf-8", "surrogatepass").hex()}
    return value


class Decoder(ValueDecoder):
    """Decodes what an `Encoder` made.

    Args:
        arrays: those of the encoder.
        supply: by their places, the objects that could not be stored.

    Attributes:
        missing: places of objects that are needed and not supplied, and what stood there.
        unused: places of objects that are supplied and not needed.
    """

    def __init__(
        self, arrays: Sequence[np.ndarray[Any, Any]], supply: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self._arrays = arrays
        self._supply = dict(supply or {})
        self._objects: dict[str, Any] = {}
        self._depth = 0
        self.missing: dict[str, str] = {}
        self.unused = set(self._supply)
        self._readers |= {
            "$set": lambda nodes, place: set(self._list(nodes, place)),
            "$frozenset": lambda nodes, place: frozenset(self._list(nodes, place)),
            "$dict": self._pairs,
            "$int": lambda digits, _: int(digits, 16),
            "$number": self._number,
            "$text": lambda digits, _: bytes.fromhex(digits).decode("utf-8", "surrogatepass"),
            "$array": lambda number, _: self._arrays[_checked(number, int)],
            "$class": self._object,
            "$named": lambda name, _: _named(name),
            "$partial": self._partial,
            "$pattern": self._pattern,
            "$same": lambda place, _: self._objects[place],
            "$given": self._supplied,
        }

    def decode(self, node: Any, place: str = "") -> Any:
        """The value that stands at a place.

        Raises:
            PersistenceError: it holds something that is not known, or not in the form it has.
        """
        if not isinstance(node, (dict, list)):
            return node
        self._depth += 1
        # A tuple, say, is a mapping and a list.
        if self._depth > 2 * _DEEPEST:
            raise PersistenceError(f"{place} is nested too deeply")
        try:
            return super().decode(node, place)
        except PersistenceError:
            raise
        except _MALFORMED as error:
            raise PersistenceError(f"{place or 'the file'} is damaged: {error!r}") from error
        finally:
            self._depth -= 1

    def check_supply(self) -> None:
        """Refuses objects that are supplied and not needed, or needed and not supplied.

        Raises:
            PersistenceError: there are such.
        """
        if self.missing:
            places = "\n".join(f"  {place!r}: {what}" for place, what in self.missing.items())
            example = f"supply={{{next(iter(self.missing))!r}: ...}}"
            raise PersistenceError(
                f"what cannot be saved has to be given again, as {example}:\n{places}"
            )
        if self.unused:
            raise PersistenceError(
                f"supply gives {sorted(self.unused)}, which this router does not ask for"
            )

    def _list(self, nodes: Any, place: str) -> list[Any]:
        return [self.decode(node, f"{place}[{i}]") for i, node in enumerate(_checked(nodes, list))]

    def _mapping(self, node: dict[str, Any], place: str) -> Any:
        tag = next((key for key in node if key.startswith("$")), None)
        if tag is None:
            return {key: self.decode(item, f"{place}[{key!r}]") for key, item in node.items()}
        others = {"version", "state"} if tag == "$class" else set()
        if tag not in self._readers or node.keys() - {tag} != others:
            raise PersistenceError(
                f"{place} is marked {sorted(node)}, which is not known: {_NEWER}"
            )
        # A class has its version and state beside its tag.
        value = self._readers[tag](node if others else node[tag], place)
        if tag in _SHARED:
            self._objects[place] = value
        return value

    def _pairs(self, nodes: Any, place: str) -> dict[Any, Any]:
        pairs = [(self.decode(key, place), item) for key, item in _checked(nodes, list)]
        return {key: self.decode(item, f"{place}[{key!r}]") for key, item in pairs}

    def _number(self, content: Any, place: str) -> Any:
        kind, node = content
        value = self.decode(node, place)
        if not (is_known(kind) and type(value) in {bool, int, float, str}):
            raise PersistenceError(f"{place} is of the type {kind!r}, which is not known: {_NEWER}")
        return np.dtype(kind).type(value)

    def _pattern(self, content: Any, place: str) -> re.Pattern[str]:
        text, flags = content
        return re.compile(self.decode(text, place), flags & _FLAGS)

    def _partial(self, content: Any, place: str) -> partial[Any]:
        name, arguments, keywords = content
        return partial(_named(name), *self.decode(arguments, place), **self.decode(keywords, place))

    def _supplied(self, content: Any, place: str) -> Any:
        description, is_called = content
        self.unused.discard(place)
        value = self._supply.get(place)
        if place not in self._supply:
            self.missing[place] = str(description)
        elif is_called and not callable(value):
            raise PersistenceError(f"{place} is given as {value!r:.80}, and was {description}")
        return value

    def _object(self, node: dict[str, Any], place: str) -> Any:
        registered = registration(node["$class"])
        if remedy := remedy_for(node["$class"]):
            raise PersistenceError(
                f"{place or 'the file'} is a {node['$class']}, which is no more: {remedy}"
            )
        if registered is None or not isinstance(registered.target, type):
            raise PersistenceError(
                f"{place or 'the file'} is of the class {node['$class']!r}, which is not known: "
                "import the module that registers it first; otherwise it is of another version of "
                "this library, or not for loading at all"
            )
        _check_version(registered, node["version"], place)
        at = f"{place}." if place else ""
        state = {name: self.decode(part, at + name) for name, part in node["state"].items()}
        if registered.upgrade and node["version"] < registered.version:
            state = registered.upgrade(state, node["version"])
        _check_state(registered, state, place, _NEWER)
        if issubclass(registered.target, tuple):
            return tuple.__new__(registered.target, [state[name] for name in registered.fields])
        value: Any = object.__new__(registered.target)
        state |= {name: make() for name, make in registered.left_out.items()}
        for name, part in state.items():
            object.__setattr__(value, name, part)  # a frozen dataclass refuses its own
        return value


def _check_version(registered: Registration, version: Any, place: str) -> None:
    if type(version) is not int or version > registered.version or version < 1:
        raise PersistenceError(
            f"{place or 'the file'} is {registered.name!r} of version {version!r}, and this "
            f"library knows it up to version {registered.version}: {_NEWER}"
        )
    if version < registered.version and registered.upgrade is None:
        raise PersistenceError(
            f"{place or 'the file'} is {registered.name!r} of version {version}, which is read no "
            "more: fit and save again"
        )


def _named(name: str) -> Any:
    registered = registration(name)
    if registered is None or isinstance(registered.target, type):
        raise PersistenceError(
            f"{name!r} is not known: import the module that registers it first; otherwise {_NEWER}"
        )
    return registered.target


def _checked(content: Any, kind: type[Any]) -> Any:
    if type(content) is not kind or (kind is int and content < 0):
        raise TypeError(f"{content!r:.40} is no {kind.__name__}")
    return content
