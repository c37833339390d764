"""Quality by written rules, of which the first that matches counts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from cascade_engine.errors import ConfigurationError
from cascade_engine.estimators.static import (
    StaticEstimator,
    check_router,
    function_name,
    verdict_of,
    verdict_row,
)
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Callable

    from cascade_engine.core.records import Query

    #: When a rule holds: a regular expression to search in the text, or a function that says so.
    Condition: TypeAlias = str | re.Pattern[str] | Callable[[Query], object]
    #: What it then says: a model's name, or qualities in [0, 1] by model.
    Verdict: TypeAlias = str | Mapping[str, float]

__all__ = ["RuleEstimator"]


@persistent("RuleEstimator.rule")
@dataclass(frozen=True, slots=True)
class _Rule:
    """A condition and a verdict; or, without a condition, a function to a verdict or None."""

    name: str
    condition: re.Pattern[str] | Callable[[Query], object] | None
    verdict: Any

    def __call__(self, query: Query) -> Any:
        """The verdict on a query, None where the rule does not hold."""
        if self.condition is None:
            return verdict_of(self.verdict, query)
        if isinstance(self.condition, re.Pattern):
            return self.verdict if self.condition.search(query.text) else None
        return self.verdict if verdict_of(self.condition, query) else None


@persistent("RuleEstimator", fields=("_rules",), fitted=("models_",))
class RuleEstimator(StaticEstimator):
    r"""Static rules: a regular expression, or a function, and the model it stands for.

    The first rule that matches counts; where none does, the query is unknown. A rule that names a
    model says 1 of it and 0 of all others; one that gives numbers says nothing of the models that
    it leaves out.

    ```python
    RuleEstimator({r"```|\bdef ": "coder", r"(?i)\btranslate\b": {"small": 0.9, "large": 0.9}})
    RuleEstimator([(lambda query: query.length > 8000, "long-context"), my_function])
    ```

    Args:
        rules: a mapping of conditions to verdicts; or a list, tried in order, of such pairs and of
            functions from a `Query` to a verdict or None; or one such function. A condition is a
            regular expression that is searched in the query's text, or a function of the `Query`; a
            verdict is a model's name, or qualities in [0, 1] by model.
        models: names of the models: rules are then checked at once, and work before `fit`.

    Raises:
        ConfigurationError: no rules, a bad regular expression, or, where the models are known, a
            verdict on one that is not among them.
        DataError: a quality is not in [0, 1].
    """

    def __init__(
        self,
        rules: Mapping[Any, Verdict]
        | Sequence[tuple[Condition, Verdict] | Callable[[Query], Any]]
        | Callable[[Query], Any],
        *,
        models: Sequence[str] | None = None,
    ) -> None:
        self._rules = tuple(_read_rule(rule) for rule in _as_list(rules))
        for rule in self._rules:
            if rule.condition is not None:
                verdict_row(rule.verdict, _models_in(rule.verdict), rule.name)
        super().__init__(models)

    def named(self) -> dict[str, Sequence[str]]:
        """The models that each rule names."""
        return {r.name: _models_in(r.verdict) for r in self._rules if r.condition is not None}

    def row(self, query: Query) -> list[float]:
        """What the first matching rule says of a query."""
        for rule in self._rules:
            verdict = rule(query)
            if verdict is not None:
                return verdict_row(verdict, self.models_, rule.name)
        return verdict_row(None, self.models_, "")


def _as_list(rules: Any) -> list[Any]:
    if callable(rules):
        return [rules]
    items = rules.items() if isinstance(rules, Mapping) else rules
    if isinstance(items, str) or not hasattr(items, "__iter__") or not len(items):
        raise ConfigurationError(
            f"rules must be a mapping of conditions to models, or a list of rules, not {rules!r}"
        )
    return list(items)


def _read_rule(rule: Any) -> _Rule:
    if not isinstance(rule, tuple):
        check_router(rule)
        return _Rule(f"the rule {function_name(rule)}", None, rule)
    if len(rule) != 2:  # noqa: PLR2004
        raise ConfigurationError(f"a rule must be a condition and a verdict, not {rule!r}")
    condition, verdict = rule
    if not isinstance(verdict, str | Mapping) or not verdict:
        raise ConfigurationError(
            f"the rule {condition!r} must name a model or give qualities by model, not {verdict!r}"
        )
    if isinstance(condition, str):
        return _Rule(f"the rule {condition!r}", _compiled(condition), verdict)
    if not isinstance(condition, re.Pattern):
        check_router(condition)
        return _Rule(f"the rule {function_name(condition)}", condition, verdict)
    return _Rule(f"the rule {condition.pattern!r}", condition, verdict)


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ConfigurationError(
            f"the rule {pattern!r} is no regular expression: {error}"
        ) from error


def _models_in(verdict: Any) -> list[str]:
    return [verdict] if isinstance(verdict, str) else list(verdict)
