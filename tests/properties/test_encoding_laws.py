"""What is encoded comes back as it was, whatever it is; and no file does anything but that."""

from __future__ import annotations

import contextlib
import json
import re
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from cascade_engine import Price
from cascade_engine.errors import PersistenceError
from cascade_engine.storage.arrays_file import declaration, pack, unpack
from cascade_engine.storage.json_objects import Decoder, Encoder
from cascade_engine.storage.registry import persistent

laws = settings(suppress_health_check=[HealthCheck.too_slow])


@persistent("tests.Frozen")
@dataclass(frozen=True, slots=True)
class Frozen:
    first: object
    second: object = None


@persistent("tests.Open", fields=("value",), fitted=("fitted_", "other_"))
class Open:
    def __init__(self, value, fitted=None):
        self.value = value
        if fitted is not None:
            self.fitted_, self.other_ = fitted


Pair = persistent("tests.Pair")(namedtuple("Pair", "left right"))  # noqa: PYI024

TEXTS = st.text(st.characters(codec=None), max_size=8)
KEYS = TEXTS | st.sampled_from(["$class", "$", "", "a.b", "[0]"])
DTYPES = npst.floating_dtypes(sizes=(16, 32, 64)) | npst.integer_dtypes() | (
    npst.unsigned_integer_dtypes() | npst.boolean_dtypes() | npst.unicode_string_dtypes(max_len=5)
)  # fmt: skip
ARRAYS = npst.arrays(DTYPES, npst.array_shapes(min_dims=0, min_side=0, max_side=3))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -(2**64), 2**64 + 1, -(10**40), -0.0])
    | st.floats()
    | TEXTS
)
NUMPY = npst.from_dtype(np.dtype("f8")) | npst.from_dtype(np.dtype("f4")) | (
    npst.from_dtype(np.dtype("i2")) | npst.from_dtype(np.dtype("?"))
)  # fmt: skip
HASHABLE = st.recursive(
    SCALARS, lambda x: st.tuples(x, x) | st.frozensets(x, max_size=3), max_leaves=4
)


def nested(inner):
    return (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.sets(HASHABLE, max_size=3)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.builds(Frozen, inner, inner)
        | st.builds(Open, inner, st.none() | st.tuples(inner, inner))
        | st.builds(Pair, inner, inner)
    )


VALUES = st.recursive(SCALARS | NUMPY | ARRAYS, nested, max_leaves=12)


def again(value):
    """Written to bytes and read back."""
    encoder = Encoder()
    text = json.dumps(encoder.encode(value), ensure_ascii=False, allow_nan=False)
    declared = [declaration(array) for array in encoder.arrays]
    assert encoder.to_supply == {}
    arrays = unpack(pack(encoder.arrays), declared)
    return Decoder(arrays).decode(json.loads(text.encode()))


def plain(value):
    """A value as texts, lists and dicts that are equal where types, values and bits are."""
    kind = type(value).__name__
    if isinstance(value, np.ndarray):
        array = value.astype(value.dtype.newbyteorder("="))
        return [kind, str(array.dtype), array.shape, array.tobytes()]
    if isinstance(value, (set, frozenset)):
        return [kind, sorted(repr(plain(each)) for each in value)]
    if isinstance(value, (list, tuple)):
        return [kind, [plain(each) for each in value]]
    if isinstance(value, dict):
        return [kind, [[plain(key), plain(each)] for key, each in value.items()]]
    if isinstance(value, Frozen):
        return [kind, plain(value.first), plain(value.second)]
    return [kind, plain(vars(value)) if isinstance(value, Open) else repr(value)]


@laws
@given(VALUES)
def test_whatever_is_encoded_comes_back(value):
    assert plain(again(value)) == plain(value)


def test_what_is_shared_stays_shared():
    price, table = Price(1, 2), np.arange(3.0)
    found = again([price, Frozen(table, price), {"t": table}])
    assert found[0] is found[1].second
    assert found[1].first is found[2]["t"]


def test_a_pattern_comes_back():
    found = again([re.compile(r"(?i)\bдa+", re.MULTILINE), re.compile("a", re.ASCII)])
    assert found == [re.compile(r"(?i)\bдa+", re.MULTILINE), re.compile("a", re.ASCII)]


MARKS = st.sampled_from(
    [
        *("$tuple", "$set", "$frozenset", "$dict", "$float", "$int", "$number", "$text", "$array"),
        *("$pattern", "$class", "version", "state", "$named", "$partial", "$same", "$given", "$"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.floats() | st.text(max_size=3),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(MARKS | st.text(max_size=2), x, max_size=3),
    max_leaves=12,
)
NAMES = st.sampled_from(["Price", "tests.Open", "tests.Pair", "tests.Frozen", "os.system", "f8"])


@laws
@given(st.dictionaries(MARKS, JSON | NAMES | st.lists(JSON | NAMES, max_size=3), max_size=3))
def test_whatever_a_file_says_it_is_read_or_refused(node):
    with contextlib.suppress(PersistenceError):
        Decoder([np.zeros(2)]).decode(node)


def test_a_short_node_takes_little_memory():
    node = {"$number": ["U1000000", "a"]}
    found = Decoder([]).decode([dict(node) for _ in range(10_000)])
    assert {each.nbytes for each in found} == {4}


@pytest.mark.parametrize(
    "node",
    [
        {"$class": "builtins.eval", "version": 1, "state": {}},
        {"$class": "tests.Open", "version": 1, "state": {"__class__": "os", "value": 1}},
        {"$class": "tests.Open", "version": 1, "state": {"value": 1, "fitted_": 2}},
        {"$class": "tests.Pair", "version": 1, "state": {"left": 1}},
        {"$partial": ["os.system", [], {}]},
        {"$partial": ["Price", [1, 2], {}]},
        {"$named": "Price"},
        {"$pattern": ["(", 0]},
        {"$pattern": [["a"], 0]},
        {"$number": ["f8", {"$array": 0}]},
        {"$number": ["U99999999", "a"]},
        {"$number": ["f8", "a"]},
        {"$number": ["i1", 10**30]},
    ],
)
def test_malicious_nodes_are_refused(node):
    with pytest.raises(PersistenceError):
        Decoder([np.zeros(2)]).decode(node)
