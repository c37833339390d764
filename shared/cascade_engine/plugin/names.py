"""The children of an adapter's model, and their names."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from cascade_engine.errors import ConfigurationError
from cascade_engine.routing.advisers import Adviser, ChatJudge, ChatRouter

#: Fields of an adapter's model that hold advisers, and what each of them is.
ADVISERS: dict[str, type[ChatJudge | ChatRouter]] = {"judge": ChatJudge, "llm_router": ChatRouter}


def given_once(models: Any, llms: Any) -> Any:
    """The children, by whichever of the two names they are given.

    Raises:
        ConfigurationError: by none, or by both.
    """
    if (models is None) == (llms is None):
        raise ConfigurationError("pass either models=[small, large] or llms=[small, large]")
    return models if llms is None else llms


def name_children(
    models: Any, kind: type[Any], *, called: str, name_of: Callable[[Any], str]
) -> dict[str, Any]:
    """Children by name, in the order given.

    Args:
        models: a mapping of names to children, or a sequence of children.
        kind: what a child must be.
        called: that, in words.
        name_of: the name of a child in a sequence.

    Raises:
        ConfigurationError: there are none, one is not of the kind, or two have the same name.
    """
    if isinstance(models, Mapping):
        named = list(models.items())
    elif isinstance(models, Sequence) and not isinstance(models, str):
        named = [(name_of(child), child) for child in models]
    else:
        raise ConfigurationError(
            f"models must be a list of {called}s or a mapping of names to them, not {models!r}"
        )
    if not named:
        raise ConfigurationError("no models given: pass models=[small, large]")
    for name, child in named:
        if not isinstance(child, kind):
            raise ConfigurationError(
                f"model {name!r} is {type(child).__name__}, no {called}: {child!r:.80}"
            )
    twice = [name for name, count in Counter(name for name, _ in named).items() if count > 1]
    if twice:
        raise ConfigurationError(
            f"two models have the same name {twice}: pass models={{'a name': model, ...}}"
        )
    return dict(named)


def name_advisers(
    advisers: Mapping[str, Any], models: Sequence[str], kind: type[Any], *, called: str
) -> dict[Adviser, Any]:
    """Chat models by the adviser that asks them.

    Args:
        advisers: by the names of `ADVISERS`, each a chat model, or a pair of an adviser and one, or
            None.
        models: names of the models.
        kind: what a chat model must be.
        called: that, in words.

    Raises:
        ConfigurationError: one is something else.
    """
    named: dict[Adviser, Any] = {}
    for field, value in advisers.items():
        if value is None:
            continue
        adviser, model = _adviser(field, value, models)
        if not isinstance(adviser, ADVISERS[field]) or not isinstance(model, kind):
            pair = f"({ADVISERS[field].__name__}(...), {called})"
            raise ConfigurationError(
                f"{field} must be a {called}, or a pair {pair}, not {value!r:.200}"
            )
        named[adviser] = model
    return named


def _adviser(field: str, value: Any, models: Sequence[str]) -> tuple[Any, Any]:
    if isinstance(value, tuple) and len(value) == 2:  # noqa: PLR2004  a pair
        return value
    return (ChatJudge(field) if field == "judge" else ChatRouter(field, tuple(models))), value


#: What a model is often given, and only a child can use.
_OF_CHILDREN = ("base_url", "model", "model_name", "model_kwargs", "model_provider", "top_p")
#: What arguments are called elsewhere.
_ELSEWHERE = {"budget": ("max_expected_cost",), "children": ("models", "llms")}


def unknown_argument(
    name: str, arguments: Collection[str], of_children: Collection[str] = ()
) -> ConfigurationError:
    """The error for an argument that a cascade does not have.

    Args:
        name: of the argument.
        arguments: names of those that it has.
        of_children: further names of what only children can use.
    """
    if name in {*_OF_CHILDREN, *of_children}:
        return ConfigurationError(f"{name} belongs to the children: give it to the models")
    same = [other for other in _ELSEWHERE.get(name, ()) if other in arguments]
    near = same or difflib.get_close_matches(name, arguments, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it takes {sorted(arguments)}"
    return ConfigurationError(f"a cascade has no argument {name!r}: {hint}")


def own_error(details: Iterable[Mapping[str, Any]]) -> ConfigurationError | None:
    """What the library itself objects to, out of the details of pydantic's error, if it does."""
    causes = (detail.get("ctx", {}).get("error") for detail in details)
    return next((cause for cause in causes if isinstance(cause, ConfigurationError)), None)
