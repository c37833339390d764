"""Recorded data that comes with the library: *everyday*, which three small local models answered.

`load_everyday` gives it as a `CascadeDataset`, to try routers without calling a model, and
`grade_everyday` grades fresh answers to its questions. The code that made it is in the repository,
under `shared/everyday`.
"""

from __future__ import annotations

from cascade_engine.datasets._everyday import (
    USD_PER_BILLION_PARAMETERS,
    grade_everyday,
    load_everyday,
    local_price,
)

__all__ = ["USD_PER_BILLION_PARAMETERS", "grade_everyday", "load_everyday", "local_price"]
