"""Values as JSON, and back: the one codec of all the files that this library writes.

None, truth values, numbers, text, lists, and mappings with text as keys stand for themselves. What
JSON does not have is an object with one key that begins with `$`:

```
{"$float": "-inf"}                 infinite, or not a number
{"$tuple": [...]}
{"$items": [[key, value], ...]}    a mapping with other keys
```

Data sets, journals and logs of traces hold these. Saved routers hold objects and arrays too:
`json_objects` extends both classes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from cascade_engine.errors import DataError

_THEMSELVES = {type(None), bool, int, str}
_SPECIAL = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
_TAGS = frozenset({"$float", "$tuple", "$items"})


class ValueEncoder:
    """Writes values as JSON values."""

    def encode(self, value: Any, place: str = "a value") -> Any:
        """A value as JSON values.

        Args:
            value: None, a truth value, number or text, or a list, tuple or mapping of such.
            place: what it is, for errors.

        Raises:
            DataError: it holds something else.
        """
        kind = type(value)  # exact types, which most values have: abstract classes are slow to ask
        if kind in _THEMSELVES:
            return value
        if kind is float:
            return value if math.isfinite(value) else {"$float": repr(value)}
        if kind is list:
            return self._list(value, place)
        if kind is tuple:
            return {"$tuple": self._list(value, place)}
        return self._mapping(value, place) if kind is dict else self._other(value, place)

    def _list(self, values: Iterable[Any], place: str) -> list[Any]:
        return [self.encode(value, place) for value in values]

    def _mapping(self, values: Mapping[Any, Any], place: str) -> dict[str, Any]:
        if not self._needs_pairs(values):
            return {key: self.encode(value, place) for key, value in values.items()}
        return {"$items": [self._list(pair, place) for pair in values.items()]}

    def _needs_pairs(self, values: Mapping[Any, Any]) -> bool:
        """Whether its keys are no text, or could be mistaken for a tag."""
        return any(type(key) is not str for key in values) or (
            len(values) == 1 and next(iter(values)) in _TAGS
        )

    def _other(self, value: Any, place: str) -> Any:
        """Subclasses of the types that JSON has, and numpy's numbers."""
        for kind, convert in _CONVERSIONS:
            if isinstance(value, kind):
                return self.encode(convert(value), place)
        raise DataError(
            f"{place} is a {type(value).__name__}, which cannot be written: use text, numbers, "
            f"truth values, None, lists and mappings: {value!r:.80}"
        )


_CONVERSIONS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    *((str, str), (np.bool_, bool), (Integral, int), (Real, float)),
    *((Mapping, dict), (list, list), (tuple, tuple)),
)


class ValueDecoder:
    """Reads what a `ValueEncoder` wrote."""

    def __init__(self) -> None:
        self._readers: dict[str, Callable[[Any, str], Any]] = {
            "$float": _special_number,
            "$tuple": lambda nodes, place: tuple(self._list(nodes, place)),
            "$items": self._pairs,
        }

    def decode(self, node: Any, place: str = "") -> Any:
        """The value that was written as `node`."""
        if isinstance(node, list):
            return self._list(node, place)
        if not isinstance(node, dict):
            return node
        return self._mapping(node, place)

    def _list(self, nodes: Any, place: str) -> list[Any]:
        return [self.decode(node, place) for node in nodes]

    def _mapping(self, node: dict[str, Any], place: str) -> Any:
        """A mapping, or what an object with one tag stands for."""
        if len(node) == 1:
            ((tag, content),) = node.items()
            if tag in self._readers:
                return self._readers[tag](content, place)
        return {key: self.decode(item, place) for key, item in node.items()}

    def _pairs(self, nodes: Any, place: str) -> dict[Any, Any]:
        return {self.decode(key, place): self.decode(item, place) for key, item in nodes}


def _special_number(name: Any, place: str) -> float:
    if not isinstance(name, str) or name not in _SPECIAL:
        where = f" in {place}" if place else ""
        raise DataError(f"damaged number {name!r:.80}{where}: it must be one of {list(_SPECIAL)}")
    return _SPECIAL[name]


#: A free value, such as a reference or a tool's schema, as JSON values; see `ValueEncoder.encode`.
value_to_json = ValueEncoder().encode
#: The value that `value_to_json` wrote.
value_from_json = ValueDecoder().decode


def json_line(value: Any) -> bytes:
    """JSON values as one line of UTF-8, its newline included."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair: only an escape can write it
        return json.dumps(value, allow_nan=False).encode() + b"\n"


def content_key(value: Any) -> str:
    """A hash of JSON values, of 32 hexadecimal digits; what is no JSON counts by its text."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
