"""Data sets and pandas frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_engine.data.files.flat_table import ANSWER, USAGE, Flat, flattened, raised
from cascade_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine.core.prices import Charge
    from cascade_engine.data.dataset import CascadeDataset

__all__ = ["from_pandas", "to_pandas"]

_SEPARATOR = "|"
#: What a wide frame has a column of for each model.
_CELLS = (*ANSWER, *USAGE, "quality", "cost")


def to_pandas(data: CascadeDataset, *, wide: bool = False) -> Any:
    """A frame of the columns of `_flat`; wide, those of an answer are named `quality|small`."""
    try:
        import pandas as pd  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ImportError('frames need pandas: pip install "cascade-routing[data]"') from error
    flat = flattened(data)
    numbers = {"quality", "cost", "own_cost", "seconds"}
    columns = _widened(flat, data.models) if wide else flat
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
) -> CascadeDataset:
    """The data set of a frame; options are those of `raised`."""
    if not hasattr(frame, "columns"):
        raise DataError(f"a pandas.DataFrame is needed, not {type(frame).__name__}")
    names = [str(rename.get(name, name)) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"the frame has several columns named {twice}")
    flat = {
        name: [None if _is_missing(value) else value for value in frame.iloc[:, place].tolist()]
        for place, name in enumerate(names)
    }
    wide = dict.fromkeys(cell[1] for name in names if (cell := _cell(name)))
    if wide:
        flat = _lengthened(flat)
        options["models"] = options.get("models") or list(wide)
    return raised(flat, cost=charge.required, **options)


def _kind(values: Sequence[Any]) -> Any:
    """Whole numbers stay whole, though some are missing; all else stays what it is."""
    given = [value for value in values if value is not None]
    if not given or not all(type(value) is int for value in given):
        return object
    return "int64" if len(given) == len(values) else "Int64"


def _is_missing(value: Any) -> bool:
    kind = type(value).__name__
    return value is None or kind in ("NAType", "NaTType") or (kind == "float" and value != value)  # noqa: PLR0124  NaN


def _widened(flat: Flat, models: Sequence[str]) -> Flat:
    first = [i for i, sample in enumerate(flat["sample"]) if sample == 0]
    wide: Flat = {}
    for name, values in flat.items():
        if name in _CELLS:
            for place, model in enumerate(models):
                picked = first[place :: len(models)]
                wide[f"{name}{_SEPARATOR}{model}"] = [values[i] for i in picked]
        elif name not in ("model", "sample"):
            wide[name] = [values[i] for i in first[:: len(models)]]
    return wide


def _lengthened(flat: Flat) -> Flat:
    cells = {name: cell for name in flat if (cell := _cell(name))}
    models = list(dict.fromkeys(model for _, model in cells.values()))
    kinds = list(dict.fromkeys(kind for kind, _ in cells.values()))
    size = len(next(iter(flat.values())))
    long: Flat = {
        n: [v for v in values for _ in models] for n, values in flat.items() if n not in cells
    }
    long.setdefault("row", [row for row in range(size) for _ in models])
    long["model"] = models * size
    empty = [None] * size
    for kind in kinds:
        each = [flat.get(f"{kind}{_SEPARATOR}{model}", empty) for model in models]
        long[kind] = [values[row] for row in range(size) for values in each]
    # A query that a model has no quality for is one it has not answered.
    kept = [i for i, quality in enumerate(long.get("quality", [])) if quality is not None]
    return {name: [values[i] for i in kept] for name, values in long.items()} if kept else long


def _cell(name: Any) -> tuple[str, str] | None:
    """The column of an answer and the model that a wide frame's column is on."""
    kind, separator, model = str(name).partition(_SEPARATOR)
    return (kind, model) if separator and kind in _CELLS and model else None
