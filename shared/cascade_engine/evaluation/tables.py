"""How results are shown: as tables of text, and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

__all__ = ["in_columns", "plain_fields"]


def in_columns(rows: Sequence[Sequence[str]], *, words: int = 1) -> str:
    """A table of text.

    Args:
        rows: the cells, row by row; the first row is the head.
        words: number of leading columns that hold words and are flush left; all others are flush
            right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            f"{cell:<{width}}" if i < words else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def plain_fields(record: Any) -> dict[str, Any]:
    """The fields of a dataclass as plain JSON-able values; a field with a `to_dict` by that."""
    return {field.name: _plain(getattr(record, field.name)) for field in fields(record)}


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
