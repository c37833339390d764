"""A cascade with keywords or a configuration bound to it, which tools and forms do not undo."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableBinding

from langchain_cascade._tools import BOUND

__all__ = ["CascadeBinding"]


class CascadeBinding(RunnableBinding[LanguageModelInput, AIMessage]):
    """What `bind` and `with_config` of a cascade return.

    LangChain's own binding hands `bind_tools` on to the model, and is lost on the way: an agent on
    `llm.with_config(configurable={"max_cost": ...})` would spend without limit.
    """

    def bind_tools(self, tools: Any, **options: Any) -> Runnable[LanguageModelInput, AIMessage]:
        """The model's own, with what is bound here; tools bound before are replaced."""
        return self._around(self.bound.bind_tools(tools, **options))  # type: ignore[attr-defined]

    def with_structured_output(self, schema: Any, **options: Any) -> Runnable[Any, Any]:
        """The model's own, with what is bound here but for tools."""
        return self._around(
            self.bound.with_structured_output(schema, **options)  # type: ignore[attr-defined]
        )

    def _around(self, inner: Runnable[Any, Any]) -> Runnable[Any, Any]:
        kept = {key: value for key, value in self.kwargs.items() if key not in {"tools", BOUND}}
        return inner.bind(**kept).with_config(self.config)
