"""LlamaIndex adapter of cascade-routing: several LLMs behind the interface of one."""

from cascade_engine import CascadeDataset, Price, __version__
from llamaindex_cascade._tracing import CascadeTraceEvent, TraceLogHandler
from llamaindex_cascade.events import CascadeDecisionEvent
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
