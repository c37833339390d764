"""Logs of live queries: written, read, redacted, and turned into what a fit is made of.

A `TraceLog` appends each query as one line of JSON (`trace_line`), its texts rewritten or left out
on demand (`redaction`). `read_traces` reads a log, and `call_log` puts its queries together for
`Collection.from_traces`.
"""

from __future__ import annotations

from cascade_engine.data.traffic.trace_line import LoggedTrace
from cascade_engine.data.traffic.trace_log import TraceLog, read_traces

__all__ = ["LoggedTrace", "TraceLog", "read_traces"]
