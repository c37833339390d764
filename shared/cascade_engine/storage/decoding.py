"""What `_encoding` made of objects, as objects again.

It calls no constructor, imports nothing, and knows registered names only.
"""

from __future__ import annotations

import math
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.errors import PersistenceError
from cascade_engine.storage import registry as _registry
from cascade_engine.storage.arrays_file import is_known
from cascade_engine.storage.encoding import DEEPEST, check_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cascade_engine.storage.registry import Stored

__all__ = ["Decoder"]

_SPECIAL = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
_FLAGS = int(re.ASCII | re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE | re.UNICODE)
#: Marks of what may stand at several places and is one object.
_SHARED = {"$class", "$given", "$partial"}
_NEWER = "the file was written by a newer version of cascade-routing, or is damaged"
#: What nodes raise that are not in the form they should have.
_MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, re.error)


class Decoder:
    """Decodes what an `Encoder` made.

    Args:
        arrays: those of the encoder.
        given: by their places, the objects that could not be stored.

    Attributes:
        missing: places of objects that are needed and not given, and what stood there.
        unused: places of objects that are given and not needed.
    """

    def __init__(
        self, arrays: Sequence[np.ndarray[Any, Any]], given: Mapping[str, Any] | None = None
    ) -> None:
        self._arrays = arrays
        self._given = dict(given or {})
        self._objects: dict[str, Any] = {}
        self._depth = 0
        self.missing: dict[str, str] = {}
        self.unused = set(self._given)
        self._readers: dict[str, Callable[[Any, str], Any]] = {
            "$tuple": lambda content, place: tuple(self._all(content, place)),
            "$set": lambda content, place: set(self._all(content, place)),
            "$frozenset": lambda content, place: frozenset(self._all(content, place)),
            "$dict": self._dict,
            "$float": lambda name, _: _SPECIAL[name],
            "$int": lambda digits, _: int(digits, 16),
            "$number": self._number,
            "$text": lambda digits, _: bytes.fromhex(digits).decode("utf-8", "surrogatepass"),
            "$array": lambda number, _: self._arrays[_checked(number, int)],
            "$class": self._object,
            "$named": lambda name, _: _named(name),
            "$partial": self._partial,
            "$pattern": self._pattern,
            "$same": lambda place, _: self._objects[place],
            "$given": self._from_outside,
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
        if self._depth > 2 * DEEPEST:
            raise PersistenceError(f"{place} is nested too deeply")
        try:
            return self._all(node, place) if isinstance(node, list) else self._marked(node, place)
        except PersistenceError:
            raise
        except _MALFORMED as error:
            raise PersistenceError(f"{place or 'the file'} is damaged: {error!r}") from error
        finally:
            self._depth -= 1

    def check_supply(self) -> None:
        """Refuses objects that are given and not needed, or needed and not given.

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

    def _all(self, nodes: Any, place: str) -> list[Any]:
        return [self.decode(each, f"{place}[{i}]") for i, each in enumerate(_checked(nodes, list))]

    def _marked(self, node: dict[str, Any], place: str) -> Any:
        marks = [key for key in node if key.startswith("$")]
        if not marks:
            return {key: self.decode(each, f"{place}[{key!r}]") for key, each in node.items()}
        mark = marks[0]
        rest = {"version", "state"} if mark == "$class" else set()
        if mark not in self._readers or set(node) - {mark} != rest:
            raise PersistenceError(
                f"{place} is marked {sorted(node)}, which is not known: {_NEWER}"
            )
        made = self._readers[mark](node if rest else node[mark], place)
        if mark in _SHARED:
            self._objects[place] = made
        return made

    def _dict(self, pairs: Any, place: str) -> dict[Any, Any]:
        found = [(self.decode(key, place), each) for key, each in _checked(pairs, list)]
        return {key: self.decode(each, f"{place}[{key!r}]") for key, each in found}

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
        name, args, keywords = content
        return partial(_named(name), *self.decode(args, place), **self.decode(keywords, place))

    def _from_outside(self, content: Any, place: str) -> Any:
        description, is_called = content
        self.unused.discard(place)
        given = self._given.get(place)
        if place not in self._given:
            self.missing[place] = str(description)
        elif is_called and not callable(given):
            raise PersistenceError(f"{place} is given as {given!r:.80}, and was {description}")
        return given

    def _object(self, node: dict[str, Any], place: str) -> Any:
        stored = _registry.find(node["$class"])
        if what_to_do := _registry.remedy(node["$class"]):
            raise PersistenceError(
                f"{place or 'the file'} is a {node['$class']}, which is no more: {what_to_do}"
            )
        if stored is None or not isinstance(stored.made, type):
            raise PersistenceError(
                f"{place or 'the file'} is of the class {node['$class']!r}, which is not known: "
                "import the module that registers it first; otherwise it is of another version of "
                "this library, or not for loading at all"
            )
        _check_version(stored, node["version"], place)
        at = f"{place}." if place else ""
        state = {name: self.decode(part, at + name) for name, part in node["state"].items()}
        if stored.upgrade and node["version"] < stored.version:
            state = stored.upgrade(state, node["version"])
        check_state(stored, state, place, _NEWER)
        if issubclass(stored.made, tuple):
            return tuple.__new__(stored.made, [state[name] for name in stored.fields])
        made: Any = object.__new__(stored.made)
        fresh = {name: make() for name, make in stored.left_out.items()}
        for name, value in (state | fresh).items():
            object.__setattr__(made, name, value)
        return made


def _check_version(stored: Stored, version: Any, place: str) -> None:
    if type(version) is not int or version > stored.version or version < 1:
        raise PersistenceError(
            f"{place or 'the file'} is {stored.name!r} of version {version!r}, and this library "
            f"knows it up to version {stored.version}: {_NEWER}"
        )
    if version < stored.version and stored.upgrade is None:
        raise PersistenceError(
            f"{place or 'the file'} is {stored.name!r} of version {version}, which is read no "
            "more: fit and save again"
        )


def _named(name: str) -> Any:
    stored = _registry.find(name)
    if stored is None or isinstance(stored.made, type):
        raise PersistenceError(
            f"{name!r} is not known: import the module that registers it first; otherwise {_NEWER}"
        )
    return stored.made


def _checked(content: Any, kind: type[Any]) -> Any:
    if type(content) is not kind or (kind is int and content < 0):
        raise TypeError(f"{content!r:.40} is no {kind.__name__}")
    return content
