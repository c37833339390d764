"""Files of arrays hold what was declared, or are refused."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest

from cascade_engine.errors import PersistenceError
from cascade_engine.storage.arrays_file import can_be_stored, declaration, pack, unpack

ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(12.0).reshape(3, 4)[:, ::2],
    np.array(0.1),
    np.zeros((0, 3)),
    np.array([True, False]),
    np.array([-(2**63), 2**63 - 1]),
    np.array([2**64 - 1], dtype=np.uint64),
    np.array([1, 2], dtype=np.int8),
    np.array([0.1, np.nan, np.inf, -0.0, 5e-324], dtype=np.float64),
    np.array([0.1], dtype=np.float16),
    np.array(["", "é", "\U0001f600 long"]),
    np.array([], dtype=str),
    np.array(["", ""], dtype="U0"),
    np.arange(3.0).astype(">f8"),
    np.array(["ab"]).astype(">U2"),
]


def again(arrays):
    return unpack(pack(arrays), [declaration(array) for array in arrays])


@pytest.mark.parametrize("array", ARRAYS, ids=declaration)
def test_an_array_comes_back(array):
    (found,) = again([array])
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.shape == array.shape
    assert found.tobytes() == array.astype(found.dtype).tobytes()
    assert found.flags.writeable
    assert found.flags.aligned


def test_the_order_of_axes_in_memory_is_kept():
    found = again([np.asfortranarray(np.ones((3, 2))), np.ones((3, 2))])
    assert [array.flags.f_contiguous for array in found] == [True, False]


@pytest.mark.parametrize(
    "array",
    [
        np.array([None]),
        np.array([b"x"]),
        np.zeros(1, dtype="V3"),
        np.zeros(1, dtype=[("a", "f8")]),
        np.zeros(1, dtype="m8[s]"),
        np.zeros(1, dtype=complex),
        np.ma.zeros(1),
        np.empty(0).view(np.recarray),
    ],
    ids=lambda array: str(array.dtype),
)
def test_what_is_no_plain_array(array):
    assert not can_be_stored(array)


def archive(*entries, **options):
    """A zip file of named contents."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as opened:
        for name, content in entries:
            opened.writestr(name, content)
    return file.getvalue()


def npy(header, data=b"", version=(1, 0)):
    """A file of one array, with a header of one's own."""
    text = header.encode().ljust(100) + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(text)) + text + data


def refused(content, declared, words):
    with pytest.raises(PersistenceError, match=words):
        unpack(content, declared)


class Evil:
    """Says so when it is unpickled."""

    def __reduce__(self):
        return exec, ("raise AssertionError('it was unpickled')",)


def test_objects_are_never_unpickled():
    file = io.BytesIO()
    np.save(file, np.array([Evil()], dtype=object), allow_pickle=True)
    header = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    for content in (file.getvalue(), npy(header, pickle.dumps(Evil())), pickle.dumps(Evil())):
        packed = archive(("0.npy", content))
        refused(packed, ["f8[1]"], "declared|cannot be read")
        refused(packed, ["O8[1]"], "not known")
        refused(packed, ["O[1]"], "not known")
    refused(pickle.dumps(Evil()), ["f8[1]"], "cannot be read")


FLOATS = "{'descr': '<f8', 'fortran_order': False, 'shape': (%s), }"
VAST = "9" * 30


@pytest.mark.parametrize(
    ("header", "data", "declared"),
    [
        (FLOATS % "1,", bytes(8), "f8[2]"),
        (FLOATS % "1,", bytes(8), "i8[1]"),
        (FLOATS % "1,", bytes(7), "f8[1]"),
        (FLOATS % "1,", bytes(9), "f8[1]"),
        (FLOATS % "-1,", bytes(8), "f8[1]"),
        (FLOATS % f"{10**15},", bytes(8), f"f8[{10**15}]"),
        (FLOATS % f"0, {VAST}", b"", f"f8[0,{VAST}]"),
        (FLOATS % "1.5,", bytes(8), "f8[1]"),
        (FLOATS % "__import__('os').system('true'),", bytes(8), "f8[1]"),
        ("{'descr': '<f8'}", bytes(8), "f8[1]"),
        ("(" * 90, b"", "f8[1]"),
        (FLOATS.replace("<f8", "|b1") % "1,", b"\2", "b1[1]"),
        (FLOATS.replace("<f8", "<U1") % "1,", b"\0\0\x11\0", "U1[1]"),
        (FLOATS.replace("<f8", ">U1") % "1,", b"\0\x11\0\0", "U1[1]"),
        (FLOATS.replace("<f8", "<U9999999") % "0,", b"", "U9999999[0]"),
        (FLOATS.replace("'<f8'", "[('a', '<f8')]") % "1,", bytes(8), "f8[1]"),
    ],
)
def test_an_array_that_is_not_what_it_should_be(header, data, declared):
    refused(archive(("0.npy", npy(header, data))), [declared], "array")


@pytest.mark.parametrize(
    "declared",
    [None, 3, {}, "", "f8", "f8[1", "f8[-1]", "f8[1,]", "f8[ 1]", "f8[1][1]", "c16[1]", "x1[1]",
     "f8[" + ",".join(["1"] * 33) + "]", "f8[" + "9" * 5000 + "]", "f٨[1]"],
)  # fmt: skip
def test_a_declaration_that_is_none(declared):
    content = archive(("0.npy", npy(FLOATS % "1,", bytes(8))))
    refused(content, [declared], "array")


def test_entries_are_those_declared():
    content = npy(FLOATS % "1,", bytes(8))
    assert unpack(archive(("0.npy", content)), ["f8[1]"])[0] == 0
    refused(archive(("0.npy", content)), [], "not those")
    refused(archive(("0.npy", content)), ["f8[1]"] * 2, "not those")
    refused(archive(("../0.npy", content)), ["f8[1]"], "not those")
    refused(archive(("1.npy", content), ("0.npy", content)), ["f8[1]"] * 2, "not those")
    refused(archive(("0.npy", npy(FLOATS % "1,", bytes(8), (9, 0)))), ["f8[1]"], "array")


def test_a_zip_bomb_is_not_unpacked():
    content = npy(FLOATS % f"{10**6},", bytes(8 * 10**6))
    packed = archive(("0.npy", content), compression=zipfile.ZIP_DEFLATED)
    assert len(packed) < len(content) / 100
    refused(packed, [f"f8[{10**6}]"], "compressed")


def test_entries_that_overlap_are_refused():
    """Two names for one content, as in bombs that need no compression."""
    content = npy(FLOATS % "200,", bytes(1600))
    packed = archive(("0.npy", content), ("1.npy", content))
    first = packed.index(b"PK\1\2")
    second = packed.index(b"PK\1\2", first + 1)
    start = packed.index(b"PK\3\4", 1)
    whole = packed[:start] + packed[first:]
    moved = second - (first - start)
    offset = slice(moved + 42, moved + 46)  # of the entry, in its record
    whole = whole[: offset.start] + bytes(4) + whole[offset.stop :]
    end = whole.index(b"PK\5\6")
    whole = whole[: end + 16] + struct.pack("<I", start) + whole[end + 20 :]
    refused(whole, ["f8[200]"] * 2, "compressed|cannot be read")


def test_torn_files_are_refused():
    arrays = [np.arange(50.0), np.array(["a", "bc"])]
    declared = [declaration(array) for array in arrays]
    content = pack(arrays)
    for stop in range(0, len(content) - 1, 7):
        refused(content[:stop], declared, "arrays|array")


def test_damage_is_noticed_or_harmless():
    """Whatever byte is changed: the arrays are as they were, or there is a clear error."""
    arrays = [np.arange(5.0), np.array([True, False])]
    declared = [declaration(array) for array in arrays]
    content = pack(arrays)
    for at in range(len(content)):
        damaged = content[:at] + bytes([content[at] ^ 0x41]) + content[at + 1 :]
        try:
            found = unpack(damaged, declared)
        except PersistenceError:
            continue
        assert all(np.array_equal(a, b) for a, b in zip(found, arrays, strict=True))
