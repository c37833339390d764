"""LlamaIndex adapter of cascade-routing: several LLMs behind the interface of one."""

from cascade_engine import CascadeDataset, Price, __version__

try:
    import llama_index.core  # noqa: F401  before all that needs it
except ModuleNotFoundError as error:
    if error.name not in {"llama_index", "llama_index.core"}:
        raise
    raise ImportError(
        'llamaindex_cascade needs LlamaIndex: pip install "cascade-routing[llamaindex]"'
    ) from error

from llamaindex_cascade._tracing import TraceLogHandler
from llamaindex_cascade.events import CascadeDecisionEvent, CascadeTraceEvent
from llamaindex_cascade.llm import CascadeRoutingLLM
from llamaindex_cascade.retrieval import RetrievalSignals

__all__ = [
    "CascadeDataset",
    "CascadeDecisionEvent",
    "CascadeRoutingLLM",
    "CascadeTraceEvent",
    "Price",
    "RetrievalSignals",
    "TraceLogHandler",
    "__version__",
]
