"""LlamaIndex adapter of cascade-routing: several LLMs behind the interface of one."""

from cascade_engine import CascadeDataset, Price, __version__
from llamaindex_cascade.llm import CascadeRoutingLLM

__all__ = ["CascadeDataset", "CascadeRoutingLLM", "Price", "__version__"]
