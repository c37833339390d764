"""Data sets as pandas frames, long or wide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_engine.data.files.flat_table import ANSWER, USAGE, FlatTable, from_flat, to_flat
from cascade_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine.core.prices import Charge

__all__ = ["from_pandas", "to_pandas"]

_SEPARATOR = "|"
#: What a wide frame has a column of for each model.
_CELLS = (*ANSWER, *USAGE, "quality", "cost")


def to_pandas(data: Mapping[str, Any], *, wide: bool = False) -> Any:
    """A `pandas.DataFrame` of the arguments of a data set.

    Args:
        data: the arguments, by name.
        wide: False gives the columns of `flat_table`, a row for each answer. True gives a row for
            each query, and a column such as `quality|small` for each column of an answer and model.

    Raises:
        ImportError: `pandas` is not installed.
    """
    try:
        import pandas as pd  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ImportError('frames need pandas: pip install "cascade-routing[data]"') from error
    flat = to_flat(data)
    numbers = {"quality", "cost", "own_cost", "seconds"}
    columns = _widened(flat, data["models"]) if wide else flat
    return pd.DataFrame(
        {
            name: pd.Series(
                values, dtype=float if name.split(_SEPARATOR)[0] in numbers else _kind(values)
            )
            for name, values in columns.items()
        }
    )


def from_pandas(
    frame: Any,
    rename: Mapping[str, str],
    charge: Charge,
    **options: Any,
) -> dict[str, Any]:
    """The arguments of a data set, from a frame.

    Args:
        frame: a `pandas.DataFrame`, long or wide.
        rename: our name for a column, by the frame's.
        charge: what an answer costs where the frame does not say.
        **options: those of `from_flat`.

    Raises:
        DataError: it is no frame, or a column is there twice; see `from_flat` for more.
    """
    if not hasattr(frame, "columns"):
        raise DataError(f"a pandas.DataFrame is needed, not {type(frame).__name__}")
    names = [str(rename.get(name, name)) for name in frame.columns]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"the frame has several columns named {repeated}")
    flat = {
        name: [None if _is_missing(value) else value for value in frame.iloc[:, place].tolist()]
        for place, name in enumerate(names)
    }
    wide = dict.fromkeys(cell[1] for name in names if (cell := _cell(name)))
    if wide:
        flat = _lengthened(flat)
        options["models"] = options.get("models") or list(wide)
    return from_flat(flat, cost=charge.required, **options)


def _kind(values: Sequence[Any]) -> Any:
    """The dtype of a column: whole numbers stay whole though some are missing, all else is kept."""
    present = [value for value in values if value is not None]
    if not present or not all(type(value) is int for value in present):
        return object
    return "int64" if len(present) == len(values) else "Int64"


def _is_missing(value: Any) -> bool:
    kind = type(value).__name__
    return value is None or kind in ("NAType", "NaTType") or (kind == "float" and value != value)  # noqa: PLR0124  NaN


def _widened(flat: FlatTable, models: Sequence[str]) -> FlatTable:
    """A row for each query, in place of a row for each answer."""
    first = [i for i, sample in enumerate(flat["sample"]) if sample == 0]
    wide: FlatTable = {}
    for name, values in flat.items():
        if name in _CELLS:
            for place, model in enumerate(models):
                picked = first[place :: len(models)]
                wide[f"{name}{_SEPARATOR}{model}"] = [values[i] for i in picked]
        elif name not in ("model", "sample"):
            wide[name] = [values[i] for i in first[:: len(models)]]
    return wide


def _lengthened(flat: FlatTable) -> FlatTable:
    """A row for each answer, in place of a row for each query."""
    cells = {name: cell for name in flat if (cell := _cell(name))}
    models = list(dict.fromkeys(model for _, model in cells.values()))
    kinds = list(dict.fromkeys(kind for kind, _ in cells.values()))
    size = len(next(iter(flat.values())))
    long: FlatTable = {
        name: [value for value in values for _ in models]
        for name, values in flat.items()
        if name not in cells
    }
    long.setdefault("row", [row for row in range(size) for _ in models])
    long["model"] = models * size
    empty = [None] * size
    for kind in kinds:
        columns = [flat.get(f"{kind}{_SEPARATOR}{model}", empty) for model in models]
        long[kind] = [column[row] for row in range(size) for column in columns]
    # A query that a model has no quality for is one it has not answered.
    rows = [i for i, quality in enumerate(long.get("quality", [])) if quality is not None]
    return {name: [values[i] for i in rows] for name, values in long.items()} if rows else long


def _cell(name: Any) -> tuple[str, str] | None:
    """The column of an answer and the model that a wide frame's column is on."""
    kind, separator, model = str(name).partition(_SEPARATOR)
    return (kind, model) if separator and kind in _CELLS and model else None
