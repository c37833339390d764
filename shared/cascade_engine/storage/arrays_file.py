"""Arrays in a file: an uncompressed `.npz` that must hold exactly what is declared elsewhere.

Nothing is believed that the file says of itself: its dtypes and shapes must be those declared,
sizes are compared before anything is allocated, and no object is ever unpickled.
"""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from cascade_engine.errors import PersistenceError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Booleans, integers and floats, as `numpy.dtype.str` has them, without the byte order.
_NUMBERS = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"})
_LAST_CHARACTER = 0x10FFFF
_LONGEST_TEXT = 1 << 20  # characters
_MOST_DIMENSIONS = 32  # in every version of numpy
#: What numpy and zipfile raise when they read a file that is damaged.
_UNREADABLE = (
    zipfile.BadZipFile,
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,  # an encrypted entry
    struct.error,
    SyntaxError,
    tokenize.TokenError,
    TypeError,
    ValueError,
)


def is_known(kind: str) -> bool:
    """Whether it is a dtype that can be stored, as `numpy.dtype.str` has it after the order."""
    return kind in _NUMBERS or (
        kind[:1] == "U" and kind[1:].isdecimal() and int(kind[1:]) <= _LONGEST_TEXT
    )


def can_be_stored(array: np.ndarray[Any, Any]) -> bool:
    """Whether it is a plain array of booleans, integers, floats or text."""
    is_plain = type(array) is np.ndarray and array.ndim <= _MOST_DIMENSIONS
    return is_plain and is_known(array.dtype.str[1:])


def declaration(array: np.ndarray[Any, Any]) -> str:
    """Dtype and shape, such as "f8[200,3]"."""
    return _declaration(array.dtype, array.shape)


def _declaration(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    return f"{dtype.str[1:]}[{','.join(map(str, shape))}]"


def pack(arrays: Sequence[np.ndarray[Any, Any]]) -> bytes:
    """The file. It keeps the order of axes in memory, on which the last digit may depend."""
    file = io.BytesIO()
    by_name: dict[str, Any] = {str(number): array for number, array in enumerate(arrays)}
    np.savez(file, **by_name)
    return file.getvalue()


def unpack(content: bytes, declared: Sequence[str]) -> list[np.ndarray[Any, Any]]:
    """The arrays of a file, once it holds those declared and nothing else.

    Args:
        content: the file.
        declared: the `declaration` of each array, kept elsewhere.

    Raises:
        PersistenceError: it does not hold them.
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


def _read(content: bytes, declared: object) -> np.ndarray[Any, Any]:
    if not isinstance(declared, str) or not is_known(declared.partition("[")[0]):
        raise PersistenceError(f"an array is declared as {declared!r:.80}, which is not known")
    file = io.BytesIO(content)
    if npy.read_magic(file) != (1, 0):
        raise PersistenceError("an array is of another version of numpy's format")
    shape, is_fortran, dtype = npy.read_array_header_1_0(file)
    if _declaration(dtype, shape) != declared:
        raise PersistenceError(f"an array is {dtype} {shape}, and {declared:.80} was declared")
    data = content[file.tell() :]
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise PersistenceError(f"an array has {len(data)} bytes, which is not {dtype} {shape}")
    _check_values(data, dtype)
    array: np.ndarray[Any, Any] = np.ndarray(
        shape, dtype, buffer=data or None, order="F" if is_fortran else "C"
    )
    return array.astype(dtype.newbyteorder("="), order="K", copy=True)


def _check_values(data: bytes, dtype: np.dtype[Any]) -> None:
    """Refuses bytes that are no boolean, and numbers that are no character."""
    if dtype.kind in {"b", "U"} and data:
        bits: np.dtype[Any] = np.dtype("u1" if dtype.kind == "b" else f"{dtype.byteorder}u4")
        greatest = int(np.frombuffer(data, bits).max())
        if greatest > (1 if dtype.kind == "b" else _LAST_CHARACTER):
            raise PersistenceError(f"an array of {dtype} holds {greatest}, which is none")
