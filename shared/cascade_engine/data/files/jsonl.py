"""Data sets as JSONL.

The first line is on the data set, each further line on one query, so that a file can be read line
by line and two files compared by `diff`:

```
{"format": "cascade-routing/dataset", "version": 1, "models": ["small", "large"], "rows": 200,
 "columns": ["references"], "labels": "references", "label_cost": 0.0}
{"query": {"text": "..."}, "references": "Lima",
 "answers": {"small": {"text": "Lima", "logprobs": [-0.1], "usage": {...}}, "large": {...}},
 "quality": {"small": 1.0, "large": 1.0}, "cost": {"small": 7e-06, "large": 7e-05}}
```

Queries and answers are written field by field (`storage.json_records`), so that a field which a
record gains later is written too. `Answer.payload` is not written.

Like every module of `data.files`, this one reads and writes the arguments of a `CascadeDataset`, by
name; it does not know the class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_engine.core.records import Answer, Query
from cascade_engine.errors import DataError
from cascade_engine.storage.files import check_header, read_lines, written_whole
from cascade_engine.storage.json_records import record_from_json, record_to_json
from cascade_engine.storage.json_values import json_line, value_from_json, value_to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["COLUMNS", "FORMAT", "VERSION", "header_of", "read", "write"]

FORMAT, VERSION = "cascade-routing/dataset", 1
#: What a row may have besides its query, its answers, and their quality and cost.
COLUMNS = ("references", "ids", "groups", "metadata", "samples")


def write(data: Mapping[str, Any], path: Path) -> None:
    """Writes the arguments of a data set, all of them or nothing.

    Raises:
        DataError: a value is of a kind that JSON cannot hold.
    """
    with written_whole(path) as file:
        file.write(json_line(header_of(data)))
        file.writelines(json_line(row) for row in _rows(data))


def read(path: Path) -> dict[str, Any]:
    """Reads the arguments that `write` wrote.

    Raises:
        DataError: the file is damaged, incomplete, or of a version that is not known.
    """
    lines = read_lines(path)
    header = check_header(next(lines, None), path, FORMAT, VERSION)
    rows = list(lines)
    if len(rows) != header.get("rows"):
        raise DataError(
            f"{path} has {len(rows)} of {header.get('rows')} rows: it was cut off or changed"
        )
    try:
        return _arguments(header, rows)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def header_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says of a data set as a whole."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "models": list(data["models"]),
        "rows": len(data["queries"]),
        "columns": [name for name in COLUMNS if name in data],
        "labels": data["labels"],
        "label_cost": data["label_cost"],
    }


def _rows(data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The line of each query."""

    def by_model(cells: list[Any]) -> dict[str, Any]:
        return dict(zip(data["models"], cells, strict=True))

    free = [name for name in COLUMNS if name in data and name != "samples"]
    for row, query in enumerate(data["queries"]):
        line: dict[str, Any] = {"query": record_to_json(query)}
        line |= {name: value_to_json(data[name][row], f"{name}[{row}]") for name in free}
        line["answers"] = by_model([record_to_json(answer) for answer in data["answers"][row]])
        if "samples" in data:
            line["samples"] = by_model([list(map(record_to_json, c)) for c in data["samples"][row]])
        line["quality"] = by_model(data["quality"][row].tolist())
        line["cost"] = by_model(data["cost"][row].tolist())
        yield line


def _arguments(header: dict[str, Any], rows: list[Any]) -> dict[str, Any]:
    models, columns = header["models"], header["columns"]
    unknown = sorted(set(columns) - set(COLUMNS))
    names = {"query", "answers", "quality", "cost", *columns}
    unknown += sorted({key for row in rows for key in row} - names)
    if unknown:
        raise DataError(f"unknown columns {unknown}: known are {', '.join(COLUMNS)}")

    def table(name: str) -> list[list[Any]]:
        for number, row in enumerate(rows):
            if row[name].keys() != set(models):
                raise DataError(f"{name} of row {number} is on {list(row[name])}, not on {models}")
        return [[row[name][model] for model in models] for row in rows]

    def answers(cells: Iterable[Any]) -> list[Answer]:
        return [record_from_json(Answer, cell) for cell in cells]

    data: dict[str, Any] = {
        name: [value_from_json(row[name]) for row in rows] for name in columns if name != "samples"
    }
    if "samples" in columns:
        data["samples"] = [[answers(cell) for cell in row] for row in table("samples")]
    return {
        **data,
        "models": models,
        "queries": [record_from_json(Query, row["query"]) for row in rows],
        "answers": [answers(row) for row in table("answers")],
        "quality": table("quality"),
        "cost": table("cost"),
        "labels": header["labels"],
        "label_cost": header["label_cost"],
    }
