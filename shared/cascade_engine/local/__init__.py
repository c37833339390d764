"""Small real models on your own machine, behind an OpenAI-compatible server.

Needs the extra ``local``: ``pip install "cascade-routing[local]"``. Importing
this package loads nothing heavy; the runtime is imported when a server starts.
"""

from __future__ import annotations

from cascade_engine.local._download import fetch
from cascade_engine.local._errors import LocalServerError, WeightsError, WeightsUnavailableError
from cascade_engine.local._server import LocalAnswer, LocalServer
from cascade_engine.local._sources import MODELS

__all__ = [
    "MODELS",
    "LocalAnswer",
    "LocalServer",
    "LocalServerError",
    "WeightsError",
    "WeightsUnavailableError",
    "fetch",
]
