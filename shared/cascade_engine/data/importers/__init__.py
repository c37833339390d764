"""Collections from what other tools have logged: LangSmith's runs and OpenAI's batch files.

What is read are plain mappings, lists, or objects with attributes; no client is imported. A reader
finds queries, answers, costs and scores, and `LoggedCalls` (in `chat_logs`) makes a `Collection`.
"""

from __future__ import annotations

from cascade_engine.data.importers.langsmith import read_langsmith
from cascade_engine.data.importers.openai_batches import read_openai_batches

__all__ = ["read_langsmith", "read_openai_batches"]
