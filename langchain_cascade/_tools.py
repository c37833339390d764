"""Tools: each child formats them in its own way; and what is bound to a cascade beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableBinding
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool

from cascade_engine import ConfigurationError
from cascade_engine.data.importers.chat_logs import tools_of
from langchain_cascade._children import adapt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


#: The call keyword under which the bound children travel to where they are called.
BOUND = "cascade_bound"
#: The schema that no answer in words fits.
_NO_WORDS: Mapping[str, Any] = {"not": {}}


@dataclass(frozen=True)
class ToolBinding:
    """The children with tools.

    Attributes:
        children: those that take tools, by name.
        tools: the tools as OpenAI has them, for whoever wants to know that there are some.
        options: what else was bound, for tracers and caches: `tool_choice`, `strict`, ....
        offered: the tools as `Query.tools` has them.
        schema: of the answer, where it has to be in a form.
    """

    children: Mapping[str, Runnable[Any, Any]]
    tools: list[Any]
    options: Mapping[str, Any]
    offered: tuple[Mapping[str, Any], ...]
    schema: Mapping[str, Any] | None


def bind(
    models: Mapping[str, Runnable[Any, Any]], tools: Sequence[Any], options: Mapping[str, Any]
) -> ToolBinding:
    """Binds tools to every child that takes some.

    Raises:
        ConfigurationError: none does.
    """
    children = supporting(models, lambda chat: chat.bind_tools(tools, **options), "tools")
    formatted = [_formatted(tool) for tool in tools]
    offered = query_tools(formatted)
    schema = schema_of(options.get("response_format"))
    plain = {key: schema if key == "response_format" else v for key, v in options.items()}
    return ToolBinding(children, formatted, plain, offered, answer_schema(options, offered))


def supporting(
    models: Mapping[str, Runnable[Any, Any]],
    change: Callable[[Any], Any],
    feature: str,
    within: Callable[[Any, Callable[[Any], Any]], Any] = adapt,
) -> dict[str, Any]:
    """The children that support a change of their chat model, changed.

    Args:
        models: the children by name.
        change: what becomes of a chat model.
        feature: what the change is for, in words.
        within: how the change is made inside a child; see `adapt`.

    Raises:
        ConfigurationError: none does; the message has each child's reason.
    """
    changed, refused = {}, {}
    for name, child in models.items():
        try:
            changed[name] = within(child, change)
        except NotImplementedError as error:  # noqa: PERF203  a handful of children
            refused[name] = str(error) or f"{type(child).__name__} does not implement it"
    if not changed:
        reasons = "; ".join(f"{name}: {why}" for name, why in refused.items())
        raise ConfigurationError(
            f"no child supports {feature} ({reasons}): give the cascade a chat model that does"
        )
    return changed


def _formatted(tool: Any) -> Any:
    converted = tool_of(tool)
    return tool if converted is None else converted


def tool_of(tool: Any) -> dict[str, Any] | None:
    """A tool, or a schema, as OpenAI has it; None for a provider's own, such as its search."""
    try:
        return convert_to_openai_tool(tool)
    except (ValueError, TypeError):
        return None


def query_tools(tools: Any) -> tuple[Mapping[str, Any], ...]:
    """The tools as `Query.tools` has them; one of a provider's own without a name is empty."""
    return tuple(tool if "name" in tool else {} for tool in tools_of(tools))


def answer_schema(options: Mapping[str, Any], tools: Sequence[Mapping[str, Any]]) -> Any:
    """The JSON schema of an answer in words, None where it is free; see `schema_of`.

    Args:
        options: keywords of a call, `response_format` and `tool_choice` among them.
        tools: those on offer.
    """
    if _has_to_call(options.get("tool_choice"), tools):
        return _NO_WORDS
    return schema_of(options.get("response_format"))


def _has_to_call(choice: Any, tools: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a tool has to be called; a provider's own may be called out of sight."""
    if not tools or not all(tools):
        return False
    if isinstance(choice, Mapping):
        return choice.get("type") in {"any", "function", "tool"}
    return choice is True or choice in ["any", "required", *(tool["name"] for tool in tools)]


def schema_of(form: Any) -> Mapping[str, Any] | None:
    """The JSON schema of an answer in a given form, None where it is free or cannot be told.

    Args:
        form: a schema, a class that stands for one, or an OpenAI `response_format`.
    """
    if isinstance(form, dict) and "type" in form and isinstance(form.get("json_schema"), dict):
        form = form["json_schema"].get("schema")
    if not form or (isinstance(form, dict) and form.get("type") in {"text", "json_object"}):
        return None
    try:
        return convert_to_json_schema(form)
    except (ValueError, TypeError):
        return None


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
        rest = {key: value for key, value in self.kwargs.items() if key not in {"tools", BOUND}}
        return inner.bind(**rest).with_config(self.config)
