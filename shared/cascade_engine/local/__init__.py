"""Small real models on your own machine, behind an OpenAI-compatible server.

`LocalServer` serves a model of `MODELS`, whose weights `fetch` downloads once from the Hugging Face
hub, or from a mirror for closed networks, and verifies; it serves any GGUF file as well. Needs the
extra ``local``: ``pip install "cascade-routing[local]"``. Importing this package loads nothing
heavy; the runtime is imported when a server starts, the hub's client when a download does.
"""

from __future__ import annotations

from cascade_engine.local._models import MODELS
from cascade_engine.local._server import LocalAnswer, LocalServer, LocalServerError
from cascade_engine.local._weights import WeightsError, WeightsUnavailableError, fetch

__all__ = [
    "MODELS",
    "LocalAnswer",
    "LocalServer",
    "LocalServerError",
    "WeightsError",
    "WeightsUnavailableError",
    "fetch",
]
