"""The seam between the engine and whoever calls the models: what passes it in both directions.

`records` are what goes in and out (`Query`, `Answer`, `Call`), `trace` the record of one query, and
`explain` that record in plain words. `prices` says what a call costs, `retries` which failed calls
are worth another try. `queries`, `checks` and `arrays` serve all the packages above.
"""

from cascade_engine.core.explain import explain
from cascade_engine.core.prices import Charge, Price
from cascade_engine.core.records import Answer, Call, Purpose, Query, ToolCall, Usage
from cascade_engine.core.retries import is_temporary
from cascade_engine.core.trace import Advice, Decision, Failure, Trace

__all__ = [
    "Advice",
    "Answer",
    "Call",
    "Charge",
    "Decision",
    "Failure",
    "Price",
    "Purpose",
    "Query",
    "ToolCall",
    "Trace",
    "Usage",
    "explain",
    "is_temporary",
]
