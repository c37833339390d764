"""Arrays in a file: an uncompressed `.npz` that must hold exactly what is declared elsewhere.

Nothing is believed that the file says of itself. Dtypes and shapes are declared by whoever reads
it, sizes are compared before anything is allocated, and no object is ever unpickled.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cascade_engine.errors import PersistenceError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["can_be_stored", "declaration", "is_known", "pack", "unpack"]

#: Booleans, integers, floats and text, as `numpy.dtype.str` has them, without the byte order.
_NUMBERS = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"})
_BYTES = frozenset({"b1", "i1", "u1"})
_MAGIC = b"\x93NUMPY\x01\x00"
_DECLARATION = re.compile(r"([a-zA-Z][0-9]+)\[((?:[0-9]+,)*[0-9]+|)\]")
_LAST_CHARACTER = 0x10FFFF
_LONGEST_TEXT = 1 << 20
_MOST_DIMENSIONS = 32  # in every version of numpy
#: What numpy and zipfile make of bytes that are theirs no more.
_UNREADABLE = (
    zipfile.BadZipFile,
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,  # an encrypted entry
    struct.error,
    TypeError,
    ValueError,
)


def can_be_stored(array: np.ndarray[Any, Any]) -> bool:
    """Whether it is a plain array of booleans, integers, floats or text."""
    plain = type(array) is np.ndarray and array.ndim <= _MOST_DIMENSIONS
    return plain and is_known(array.dtype.str[1:])


def declaration(array: np.ndarray[Any, Any]) -> str:
    """Dtype and shape, such as "f8[200,3]"."""
    return f"{array.dtype.str[1:]}[{','.join(map(str, array.shape))}]"


def pack(arrays: Sequence[np.ndarray[Any, Any]]) -> bytes:
    """The file. It keeps the order of axes in memory, on which the last digit may depend."""
    file = io.BytesIO()
    named: dict[str, Any] = {str(number): array for number, array in enumerate(arrays)}
    np.savez(file, **named)
    return file.getvalue()


def unpack(content: bytes, declared: Sequence[str]) -> list[np.ndarray[Any, Any]]:
    """The arrays of a file, once it holds those declared and nothing else.

    Raises:
        PersistenceError: it does not.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            _check_entries(entries, len(declared), len(content))
            return [
                _read(archive.read(entry), expected)
                for entry, expected in zip(entries, declared, strict=True)
            ]
    except PersistenceError:
        raise
    except _UNREADABLE as error:
        raise PersistenceError(f"the arrays cannot be read: {error}") from error


def _check_entries(entries: Sequence[zipfile.ZipInfo], count: int, size: int) -> None:
    if [entry.filename for entry in entries] != [f"{number}.npy" for number in range(count)]:
        raise PersistenceError("the arrays are not those that are declared")
    # Compressed entries, or entries that overlap, could be larger than the file.
    is_packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if is_packed or sum(entry.file_size for entry in entries) > size:
        raise PersistenceError("the arrays are compressed, and could be of any size")


def _read(content: bytes, declared: str) -> np.ndarray[Any, Any]:
    kind, shape = _parsed(declared)
    length = int.from_bytes(content[8:10], "little")
    header, data = content[10 : 10 + length], content[10 + length :]
    layout = _layouts(kind, shape).get(header.decode("latin-1").rstrip())
    if content[:8] != _MAGIC or layout is None:
        raise PersistenceError(f"an array is not the {kind} {shape} that was declared")
    dtype, order = layout
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise PersistenceError(f"an array has {len(data)} bytes, which is not {dtype} {shape}")
    _check_values(data, dtype)
    array: np.ndarray[Any, Any] = np.ndarray(shape, dtype, buffer=data or None, order=order)
    return array.astype(dtype.newbyteorder("="), order="K", copy=True)


def _layouts(
    kind: str, shape: tuple[int, ...]
) -> dict[str, tuple[np.dtype[Any], Literal["C", "F"]]]:
    """Every header that such an array may have: they are compared, and never parsed."""
    orders: dict[bool, Literal["C", "F"]] = {False: "C", True: "F"}
    return {
        f"{{'descr': '{byte}{kind}', 'fortran_order': {is_fortran}, 'shape': {shape}, }}": (
            np.dtype(byte + kind),
            order,
        )
        for byte in ("|" if kind in _BYTES else "<>")
        for is_fortran, order in orders.items()
    }


def _parsed(declared: object) -> tuple[str, tuple[int, ...]]:
    match = isinstance(declared, str) and _DECLARATION.fullmatch(declared)
    sizes = [int(size) for size in match[2].split(",") if size] if match else []
    if not (match and is_known(match[1]) and len(sizes) <= _MOST_DIMENSIONS):
        raise PersistenceError(f"an array is declared as {declared!r:.80}, which is not known")
    return match[1], tuple(sizes)


def is_known(kind: str) -> bool:
    """Whether it is a dtype that can be stored, as `numpy.dtype.str` has it after the order."""
    return kind in _NUMBERS or (
        kind[0] == "U" and kind[1:].isdecimal() and int(kind[1:]) <= _LONGEST_TEXT
    )


def _check_values(data: bytes, dtype: np.dtype[Any]) -> None:
    """Refuses bytes that are no boolean, and numbers that are no character."""
    if dtype.kind in {"b", "U"} and data:
        bits: np.dtype[Any] = np.dtype("u1" if dtype.kind == "b" else f"{dtype.byteorder}u4")
        greatest = int(np.frombuffer(data, bits).max())
        if greatest > (1 if dtype.kind == "b" else _LAST_CHARACTER):
            raise PersistenceError(f"an array of {dtype} holds {greatest}, which is none")
