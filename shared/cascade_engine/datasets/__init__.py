"""Recorded data that comes with the library."""

from cascade_engine.datasets._everyday import (
    USD_PER_BILLION_PARAMETERS,
    grade_everyday,
    load_everyday,
    local_price,
)

__all__ = ["USD_PER_BILLION_PARAMETERS", "grade_everyday", "load_everyday", "local_price"]
