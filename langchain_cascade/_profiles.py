"""What can be relied on whichever child answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from langchain_core.language_models import BaseChatModel

__all__ = ["common_profile", "common_provider"]


def common_profile(models: Iterable[BaseChatModel | None]) -> dict[str, Any] | None:
    """The intersection of the children's profiles, None where one is unknown.

    Of numbers, which are limits, the least; of capabilities, those of all; of lists, what is in
    all; of words, such as a name, those that are the same in all.
    """
    profiles = [None if model is None else model.profile for model in models]
    if not profiles or not all(profiles):
        return None
    known: list[Mapping[str, Any]] = [{**profile} for profile in profiles if profile]
    keys = dict.fromkeys(key for profile in known for key in profile)
    found = {key: _common([profile.get(key) for profile in known]) for key in keys}
    return {key: value for key, value in found.items() if value is not None} or None


def _common(values: list[Any]) -> Any:
    """What holds for all, None where it is not known."""
    if any(value is False for value in values):
        return False
    if any(value is None for value in values):
        return None
    first = values[0]
    if isinstance(first, (int, float)) and not isinstance(first, bool):
        return min(values)
    if isinstance(first, list):
        return [item for item in first if all(item in value for value in values)] or None
    return first if all(value == first for value in values) else None


def common_provider(providers: Mapping[str, str | None]) -> str | None:
    """The provider of all children, if they have the same."""
    found = set(providers.values())
    return found.pop() if len(found) == 1 else None
