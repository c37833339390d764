"""Data sets as Parquet: the table of `_flat`, typed, with the header of the JSONL format.

Text and numbers are columns of their kind and log-probabilities lists of doubles, so that the file
can be queried as it is; mappings and other free values are JSON in a text column.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from cascade_engine.core.records import Answer, Query, Usage
from cascade_engine.data.files.flat_table import ANSWER, QUERY, ROWS, USAGE, flattened, raised
from cascade_engine.data.files.jsonl import FORMAT, VERSION, header_of
from cascade_engine.errors import DataError
from cascade_engine.storage.files import check_header, written_whole
from cascade_engine.storage.json_records import field_from_json, field_kind, field_to_json
from cascade_engine.storage.json_values import value_from_json, value_to_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cascade_engine.data.dataset import CascadeDataset

__all__ = ["read", "write"]

_HEADER = b"cascade-routing"


def write(data: CascadeDataset, path: Path) -> None:
    """Writes a data set, all of it or nothing."""
    pa, pq = _pyarrow()
    columns = {}
    for name, values in flattened(data).items():
        kind, write_one, _ = _column(name)
        written = values if write_one is None else [_json(write_one, value) for value in values]
        try:
            columns[name] = pa.array(written, type=_type(pa, kind))
        except UnicodeEncodeError as error:
            raise DataError(
                f"column {name!r} holds half a character, which Parquet cannot: save as .jsonl, or "
                f"mend the text: {error}"
            ) from error
    table = pa.table(columns).replace_schema_metadata({_HEADER: json.dumps(header_of(data))})
    with written_whole(path) as file:
        pq.write_table(table, file, compression="zstd")


def read(path: Path) -> CascadeDataset:
    """Reads what `write` wrote."""
    pa, pq = _pyarrow()
    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is no Parquet file, or was cut off: {error}") from error
    found = (table.schema.metadata or {}).get(_HEADER)
    if found is None:
        raise DataError(
            f"{path} was not written by CascadeDataset.save: read it by "
            "CascadeDataset.from_pandas(pandas.read_parquet(path), rename={...})"
        )
    header = check_header(json.loads(found), path, FORMAT, VERSION)
    flat = {}
    for name in table.column_names:
        _, _, read_one = _column(name)
        values = table[name].to_pylist()
        flat[name] = values if read_one is None else [_parsed(read_one, each) for each in values]
    data = raised(
        flat, models=header["models"], labels=header["labels"], label_cost=header["label_cost"]
    )
    if len(data) != header["rows"]:
        raise DataError(f"{path} has {len(data)} of {header['rows']} rows: it was changed")
    if "samples" in header["columns"] and data.samples is None:
        data.samples = [[[] for _ in data.models] for _ in data.queries]
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


def _type(pa: Any, kind: Any) -> Any:
    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    return pa.list_(pa.float64()) if kind == tuple[float, ...] else kinds[kind]


def _column(name: str) -> tuple[Any, Callable[[Any], Any] | None, Callable[[Any], Any] | None]:
    """A column's kind, and for those of JSON how a value is written and read."""
    simple = {"row": int, "sample": int, "id": str, "model": str, "quality": float, "cost": float}
    if name in simple:
        return simple[name], None, None
    if name in ROWS:
        return str, partial(value_to_json, place=name), value_from_json
    for kind, columns in ((Query, QUERY), (Answer, ANSWER), (Usage, USAGE)):
        if name in columns:
            field = columns[name]
            held = field_kind(kind, field)
            if held in (str, int, float, tuple[float, ...]):
                return held, None, None
            return str, partial(field_to_json, kind, field), partial(field_from_json, kind, field)
    raise DataError(f"unknown column {name!r}: the file was written by a newer version")


def _json(write_one: Callable[[Any], Any], value: Any) -> str | None:
    return None if value is None else json.dumps(write_one(value), ensure_ascii=False)


def _parsed(read_one: Callable[[Any], Any], value: str | None) -> Any:
    return None if value is None else read_one(json.loads(value))
