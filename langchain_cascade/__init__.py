"""LangChain adapter of cascade-routing: several chat models behind the interface of one."""

from cascade_engine import CascadeDataset, Price, __version__
from langchain_cascade.chat_models import CascadeRoutingLLM

__all__ = ["CascadeDataset", "CascadeRoutingLLM", "Price", "__version__"]
