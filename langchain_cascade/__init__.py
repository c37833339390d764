"""LangChain adapter of cascade-routing: several chat models behind the interface of one."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cascade_engine import CascadeDataset, Price, __version__
    from langchain_cascade._tracing import TraceLogHandler
    from langchain_cascade.chat_models import CascadeRoutingLLM

__all__ = ["CascadeDataset", "CascadeRoutingLLM", "Price", "TraceLogHandler", "__version__"]

#: Where each name is: LangChain's chat models and the engine take long to load, and wait for use.
_HOMES = {
    "CascadeDataset": "cascade_engine",
    "CascadeRoutingLLM": "langchain_cascade.chat_models",
    "Price": "cascade_engine",
    "TraceLogHandler": "langchain_cascade._tracing",
    "__version__": "cascade_engine",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "langchain_core":
            raise
        raise ImportError(
            'langchain_cascade needs LangChain: pip install "cascade-routing[langchain]"'
        ) from error
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
