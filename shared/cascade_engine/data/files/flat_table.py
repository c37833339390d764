"""A data set as one flat table with a row for each answer: what frames and Parquet files hold.

Columns: `row` (the query's number), `id`, `group`, `reference`, `metadata` where the data set has
them; `query` and the query's other fields; `model`; `sample` (0 for the answer that is labelled);
`answer` and the answer's other fields, its `usage` one column a field; `quality` and `cost`, which
further samples do not have. `own_cost` is the cost that the answer itself carries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, get_args, get_origin

import numpy as np

from cascade_engine.core.checks import is_number
from cascade_engine.core.prices import Charge
from cascade_engine.core.records import Answer, Query, Usage
from cascade_engine.errors import ConfigurationError, DataError
from cascade_engine.storage.json_records import DROPPED, field_kind, record_from_json

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ANSWER", "QUERY", "ROW", "USAGE", "FlatTable", "from_flat", "to_flat"]

#: Columns that are not named after their fields.
_RENAMED = {
    (Query, "text"): "query",
    (Query, "signals"): "query_signals",
    (Query, "advice_cost"): "query_advice_cost",
    (Answer, "text"): "answer",
    (Answer, "cost"): "own_cost",
}
#: Columns of a data set's rows: the argument of `CascadeDataset` by the name of the column.
ROW = {"id": "ids", "group": "groups", "reference": "references", "metadata": "metadata"}

#: Simple kinds of cells: what one is called in errors, and what recognizes it.
_SIMPLE: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    str: ("text", lambda value: isinstance(value, str)),
    float: ("a number", is_number),
    int: ("a whole number", lambda value: is_number(value) and value == value // 1),
}

#: Lists of equal length, by the name of their column.
FlatTable: TypeAlias = dict[str, list[Any]]


def _columns(kind: type[Any]) -> dict[str, str]:
    """The fields of a record, by the names of their columns."""
    names = [f.name for f in fields(kind) if f.name not in DROPPED | {"usage"}]
    return {_RENAMED.get((kind, name), name): name for name in names}


QUERY, ANSWER, USAGE = _columns(Query), _columns(Answer), _columns(Usage)


def to_flat(data: Mapping[str, Any]) -> FlatTable:
    """The flat table of the arguments of a data set."""
    extra = [name for name, argument in ROW.items() if argument in data]
    names = ["row", *extra, *QUERY, "model", "sample", *ANSWER, *USAGE, "quality", "cost"]
    samples = data.get("samples")
    flat: FlatTable = {name: [] for name in names}
    for row, query in enumerate(data["queries"]):
        cells = {"row": row, **{name: data[ROW[name]][row] for name in extra}}
        cells |= {name: getattr(query, field) for name, field in QUERY.items()}
        for place, model in enumerate(data["models"]):
            more = samples[row][place] if samples else ()
            for sample, answer in enumerate([data["answers"][row][place], *more]):
                cells |= {"model": model, "sample": sample, **_answer_cells(answer)}
                for name in ("quality", "cost"):
                    cells[name] = float(data[name][row, place]) if sample == 0 else None
                for name in names:
                    flat[name].append(cells[name])
    return flat


def _answer_cells(answer: Answer) -> dict[str, Any]:
    usage = answer.usage
    return {
        **{name: getattr(answer, field) for name, field in ANSWER.items()},
        **{n: None if usage is None else getattr(usage, field) for n, field in USAGE.items()},
    }


def from_flat(
    flat: Mapping[str, Sequence[Any]],
    *,
    models: Sequence[str] | None = None,
    on_missing: str = "raise",
    cost: Callable[[str, Answer], float] | None = None,
    labels: str | None = None,
) -> dict[str, Any]:
    """The arguments of a data set, from a flat table; absent columns hold defaults.

    Args:
        flat: the table. Rows belong to one query by `row`, else `id`, else by the query.
        models: the models to keep, in order; by default all, in the order they appear.
        on_missing: "raise", or "drop" the queries that some model has not answered, or that lack
            the quality of an answer.
        cost: what an answer costs where the table does not say.
        labels: as in `CascadeDataset`.

    Raises:
        DataError: a column is missing or unknown, or a cell is missing or given twice.
    """
    if on_missing not in ("raise", "drop"):
        raise ConfigurationError(f'on_missing must be "raise" or "drop", not {on_missing!r}')
    _check_columns(flat)
    lines = zip(*flat.values(), strict=True)
    rows = _by_query(dict(zip(flat, line, strict=True)) for line in lines)
    names = list(models or dict.fromkeys(str(name) for name in flat["model"]))
    whole = [cells for cells in rows if all(_is_labelled(cells, name) for name in names)]
    if len(whole) < len(rows) and (on_missing == "raise" or not whole):
        absent, query = next(
            (absent, next(iter(cells.values()))[0]["query"])
            for cells in rows
            if (absent := [name for name in names if not _is_labelled(cells, name)])
        )
        raise DataError(
            f"{len(rows) - len(whole)} of {len(rows)} queries lack answers: {query[:80]!r} has "
            f'none of {absent} with a quality; on_missing="drop" leaves such queries out'
        )
    return {**_arguments(names, whole, flat, cost or Charge({}).required), "labels": labels}


def _is_labelled(cells: Mapping[str, Sequence[Mapping[str, Any]]], model: str) -> bool:
    return model in cells and cells[model][0]["quality"] is not None


def _arguments(
    names: Sequence[str],
    rows: Sequence[Mapping[str, Sequence[Mapping[str, Any]]]],
    flat: Mapping[str, Any],
    cost: Callable[[str, Answer], float],
) -> dict[str, Any]:
    answers = [[[_answer(r) for r in cells[name]] for name in names] for cells in rows]
    firsts = [[cells[name][0] for name in names] for cells in rows]
    costs = [
        [
            cost(name, cell[0]) if first.get("cost") is None else first["cost"]
            for name, cell, first in zip(names, row, first_row, strict=True)
        ]
        for row, first_row in zip(answers, firsts, strict=True)
    ]
    data: dict[str, Any] = {
        argument: [row[0].get(name) for row in firsts]
        for name, argument in ROW.items()
        if name in flat
    }
    if any(len(cell) > 1 for row in answers for cell in row):
        data["samples"] = [[cell[1:] for cell in row] for row in answers]
    return {
        **data,
        "models": names,
        "queries": [_record(Query, QUERY, row[0]) for row in firsts],
        "answers": [[cell[0] for cell in row] for row in answers],
        "quality": [[first.get("quality") for first in row] for row in firsts],
        "cost": costs,
    }


def _check_columns(flat: Mapping[str, Any]) -> None:
    known = ["row", *ROW, *QUERY, "model", "sample", *ANSWER, *USAGE, "quality", "cost"]
    unknown = [name for name in flat if name not in known]
    if unknown:
        raise DataError(f"unknown columns {unknown}: known are {', '.join(known)}")
    absent = [name for name in ("query", "model", "quality") if name not in flat]
    if absent:
        raise DataError(f"the columns {absent} are missing; there are {list(flat)}")


def _by_query(records: Iterable[dict[str, Any]]) -> list[dict[str, list[dict[str, Any]]]]:
    """For each query, each model's records in the order of the samples."""
    rows: dict[Any, dict[str, dict[int, dict[str, Any]]]] = {}
    for number, record in enumerate(records):
        if record["query"] is None or record["model"] is None:
            raise DataError(f"row {number} of the table has no query or no model")
        at = next(
            (name, record[name]) for name in ("row", "id", "query") if record.get(name) is not None
        )
        cell = rows.setdefault(at, {}).setdefault(str(record["model"]), {})
        sample = _value(record.get("sample") or 0, int, "sample")
        if sample in cell:
            raise DataError(
                f"the table has two answers of {record['model']!r} to {record['query'][:80]!r}: "
                "give queries that differ an id each, or number the answers in a column 'sample'"
            )
        cell[sample] = record
    return [
        {model: [cell[s] for s in sorted(cell)] for model, cell in cells.items()}
        for cells in rows.values()
    ]


def _answer(record: Mapping[str, Any]) -> Answer:
    used = any(record.get(name) is not None for name in USAGE)
    usage = _record(Usage, USAGE, record) if used else None
    cells = {name: value for name, value in record.items() if value is not None}
    answer: Answer = _record(Answer, ANSWER, {"answer": "", **cells}, usage=usage)
    return answer


def _record(
    kind: type[Any], columns: Mapping[str, str], record: Mapping[str, Any], **more: Any
) -> Any:
    """The record whose fields are in columns of these names; empty cells hold defaults."""
    values = {
        field: _value(record[name], field_kind(kind, field), name)
        for name, field in columns.items()
        if record.get(name) is not None
    }
    return kind(**values, **more)


def _value(value: Any, kind: Any, name: str) -> Any:
    """A cell as a field has it.

    Frames hold floats, arrays and mappings where a field has whole numbers, tuples and records.
    """
    if kind in _SIMPLE:
        word, fits = _SIMPLE[kind]
        if not fits(value):
            raise DataError(f"{name} is {value!r:.60} where {word} is needed")
        return int(value) if kind is int else value
    if is_dataclass(kind):
        return value if isinstance(value, kind) else record_from_json(kind, value)  # type: ignore[arg-type]
    listed = get_origin(kind) is tuple
    if not listed and isinstance(value, Mapping):
        return value
    if listed and isinstance(value, Iterable) and not isinstance(value, (str, Mapping)):
        items = value.tolist() if isinstance(value, np.ndarray) else value
        return tuple(_value(item, get_args(kind)[0], name) for item in items)
    raise DataError(
        f"{name} is {value!r:.60} where a {'list' if listed else 'mapping'} is needed: a Parquet "
        "file of CascadeDataset.save is read by CascadeDataset.load"
    )
