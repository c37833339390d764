"""Data sets as JSONL, and the choice between it and Parquet.

The first line is on the data set, each further line on one query, so that a file can be read line
by line and two files compared by `diff`:

```
{"format": "cascade-routing/dataset", "version": 1, "models": ["small", "large"], "rows": 200,
 "columns": ["references"], "labels": "references", "label_cost": 0.0}
{"query": {"text": "..."}, "references": "Lima",
 "answers": {"small": {"text": "Lima", "logprobs": [-0.1], "usage": {...}}, "large": {...}},
 "quality": {"small": 1.0, "large": 1.0}, "cost": {"small": 7e-06, "large": 7e-05}}
```

Queries and answers are written by their fields (see `json_records`): whatever a record gains later
is written too. `Answer.payload` is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_engine.core.records import Answer, Query
from cascade_engine.data.dataset import COLUMNS, CascadeDataset
from cascade_engine.errors import DataError
from cascade_engine.storage.files import check_header, read_lines, written_whole
from cascade_engine.storage.json_records import record_from_json, record_to_json
from cascade_engine.storage.json_values import json_line, value_from_json, value_to_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["FORMAT", "VERSION", "header_of", "load", "save"]

FORMAT, VERSION = "cascade-routing/dataset", 1


def save(data: CascadeDataset, path: Path) -> None:
    """Writes a data set, all of it or nothing: Parquet by that suffix, JSONL otherwise."""
    if path.suffix == ".parquet":
        from cascade_engine.data.files import parquet as _parquet  # noqa: PLC0415  an extra

        _parquet.write(data, path)
        return
    with written_whole(path) as file:
        file.writelines(json_line(value) for value in _values(data))


def load(path: Path) -> CascadeDataset:
    """Reads what `save` wrote."""
    if path.suffix == ".parquet":
        from cascade_engine.data.files import parquet as _parquet  # noqa: PLC0415  an extra

        return _parquet.read(path)
    lines = read_lines(path)
    header = check_header(next(lines, None), path, FORMAT, VERSION)
    rows = list(lines)
    if len(rows) != header.get("rows"):
        raise DataError(
            f"{path} has {len(rows)} of {header.get('rows')} rows: it was cut off or changed"
        )
    try:
        return _read(header, rows)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def header_of(data: CascadeDataset) -> dict[str, Any]:
    """What is said of the data set as a whole."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "models": list(data.models),
        "rows": len(data),
        "columns": list(data.columns),
        "labels": data.labels,
        "label_cost": data.label_cost,
    }


def _values(data: CascadeDataset) -> Iterator[dict[str, Any]]:
    yield header_of(data)
    for row, query in enumerate(data.queries):
        value: dict[str, Any] = {"query": record_to_json(query)}
        for name, column in data.columns.items():
            if name != "samples":
                value[name] = value_to_json(column[row], f"{name}[{row}]")
        value["answers"] = _by_model(data, [record_to_json(answer) for answer in data.answers[row]])
        if data.samples is not None:
            value["samples"] = _by_model(
                data, [[record_to_json(answer) for answer in cell] for cell in data.samples[row]]
            )
        value["quality"] = _by_model(data, data.quality[row].tolist())
        value["cost"] = _by_model(data, data.cost[row].tolist())
        yield value


def _by_model(data: CascadeDataset, values: list[Any]) -> dict[str, Any]:
    return dict(zip(data.models, values, strict=True))


def _read(header: dict[str, Any], rows: list[Any]) -> CascadeDataset:
    models, columns = header["models"], header["columns"]
    unknown = sorted(set(columns) - set(COLUMNS))
    known = {"query", "answers", "quality", "cost", *columns}
    unknown += sorted({key for row in rows for key in row} - known)
    if unknown:
        raise DataError(f"unknown columns {unknown}: known are {', '.join(COLUMNS)}")

    def table(name: str) -> list[list[Any]]:
        for number, row in enumerate(rows):
            if row[name].keys() != set(models):
                raise DataError(f"{name} of row {number} is on {list(row[name])}, not on {models}")
        return [[row[name][model] for model in models] for row in rows]

    found: dict[str, Any] = {
        name: [value_from_json(row[name]) for row in rows] for name in columns if name != "samples"
    }
    if "samples" in columns:
        found["samples"] = [
            [[record_from_json(Answer, answer) for answer in cell] for cell in row]
            for row in table("samples")
        ]
    return CascadeDataset(
        models,
        [record_from_json(Query, row["query"]) for row in rows],
        [[record_from_json(Answer, answer) for answer in row] for row in table("answers")],
        table("quality"),
        table("cost"),
        **found,
        labels=header["labels"],
        label_cost=header["label_cost"],
    )
