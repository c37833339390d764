"""Data sets as Parquet: the flat table, typed, with the header of the JSONL format.

Texts and numbers are columns of their own kind, and log-probabilities lists of doubles, so that the
file can be queried as it is; mappings and other free values are JSON in a text column.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from cascade_engine.core.records import Answer, Query, Usage
from cascade_engine.data.files.flat_table import ANSWER, QUERY, ROW, USAGE, from_flat, to_flat
from cascade_engine.data.files.jsonl import FORMAT, VERSION, header_of
from cascade_engine.errors import DataError
from cascade_engine.storage.files import check_header, written_whole
from cascade_engine.storage.json_records import field_from_json, field_kind, field_to_json
from cascade_engine.storage.json_values import value_from_json, value_to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["read", "write"]

_HEADER = b"cascade-routing"


def write(data: Mapping[str, Any], path: Path) -> None:
    """Writes the arguments of a data set, all of them or nothing.

    Raises:
        DataError: a value cannot be written.
        ImportError: `pyarrow` is not installed.
    """
    pa, pq = _pyarrow()
    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    columns = {}
    for name, values in to_flat(data).items():
        kind, to_json, _ = _column(name)
        cells = values if to_json is None else [_written(to_json, value) for value in values]
        try:
            columns[name] = pa.array(cells, type=types.get(kind, pa.list_(pa.float64())))
        except UnicodeEncodeError as error:
            raise DataError(
                f"column {name!r} holds half a character, which Parquet cannot: save as .jsonl, or "
                f"mend the text: {error}"
            ) from error
    table = pa.table(columns).replace_schema_metadata({_HEADER: json.dumps(header_of(data))})
    with written_whole(path) as file:
        pq.write_table(table, file, compression="zstd")


def read(path: Path) -> dict[str, Any]:
    """Reads the arguments that `write` wrote.

    Raises:
        DataError: the file is damaged, incomplete, of a version that is not known, or was not
            written by `write`.
        ImportError: `pyarrow` is not installed.
    """
    pa, pq = _pyarrow()
    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is no Parquet file, or was cut off: {error}") from error
    packed = (table.schema.metadata or {}).get(_HEADER)
    if packed is None:
        raise DataError(
            f"{path} was not written by CascadeDataset.save: read it by "
            "CascadeDataset.from_pandas(pandas.read_parquet(path), rename={...})"
        )
    header = check_header(json.loads(packed), path, FORMAT, VERSION)
    flat = {}
    for name in table.column_names:
        _, _, from_json = _column(name)
        cells = table[name].to_pylist()
        flat[name] = cells if from_json is None else [_parsed(from_json, cell) for cell in cells]
    data = from_flat(flat, models=header["models"])
    data |= {name: header[name] for name in ("labels", "label_cost")}
    rows = len(data["queries"])
    if rows != header["rows"]:
        raise DataError(f"{path} has {rows} of {header['rows']} rows: it was changed")
    if "samples" in header["columns"] and "samples" not in data:  # a flat table has no empty cells
        data["samples"] = [[[] for _ in data["models"]] for _ in range(rows)]
    return data


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415  an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise ImportError(
            'Parquet needs pyarrow: pip install "cascade-routing[data]", or save as .jsonl'
        ) from error
    return pa, pq


def _column(name: str) -> tuple[Any, Callable[[Any], Any] | None, Callable[[Any], Any] | None]:
    """A column's type and, where its cells are JSON, how they are written and read."""
    simple = {"row": int, "sample": int, "id": str, "model": str, "quality": float, "cost": float}
    if name in simple:
        return simple[name], None, None
    if name in ROW:
        return str, partial(value_to_json, place=name), value_from_json
    for record, columns in ((Query, QUERY), (Answer, ANSWER), (Usage, USAGE)):
        if name in columns:
            field = columns[name]
            kind = field_kind(record, field)
            if kind in (str, int, float, tuple[float, ...]):
                return kind, None, None
            return (
                str,
                partial(field_to_json, record, field),
                partial(field_from_json, record, field),
            )
    raise DataError(f"unknown column {name!r}: the file was written by a newer version")


def _written(to_json: Callable[[Any], Any], value: Any) -> str | None:
    return None if value is None else json.dumps(to_json(value), ensure_ascii=False)


def _parsed(from_json: Callable[[Any], Any], cell: str | None) -> Any:
    return None if cell is None else from_json(json.loads(cell))
