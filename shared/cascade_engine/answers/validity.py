"""Checks whether an answer is valid: by a JSON schema, the tools on offer, the user's validator."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, get_origin

from cascade_engine.errors import ConfigurationError

if TYPE_CHECKING:
    from cascade_engine.core.records import ToolCall

Check: TypeAlias = Callable[[Any], float]

_INVALID = (ValueError, TypeError, LookupError, AssertionError)


def schema_check(schema: Mapping[str, Any], *, required: bool = False) -> Check:
    """A function of a value: 1.0 where it fits the schema, 0.0 where not, NaN where unknown.

    References to other documents are not followed: with such a schema it is unknown.

    Args:
        schema: the JSON schema.
        required: whether a schema that cannot be checked is an error.

    Raises:
        ConfigurationError: `required`, and `jsonschema` is not installed or the schema is wrong.
    """
    try:
        from jsonschema import SchemaError, validators  # noqa: PLC0415  an optional extra
        from referencing import Registry  # noqa: PLC0415  comes with it
    except ImportError as error:
        if required:
            raise ConfigurationError(
                "checking a JSON schema needs jsonschema: pip install 'cascade-routing[structure]'"
            ) from error
        return _unknown
    kind = validators.validator_for(schema)
    if required:
        try:
            kind.check_schema(dict(schema))
        except SchemaError as error:
            raise ConfigurationError(f"not a JSON schema: {error.message}") from error
    # Without a registry of its own, it would fetch references over the network.
    validator = kind(dict(schema), registry=Registry())

    def check(value: Any) -> float:
        try:
            return float(validator.is_valid(value))
        except Exception:  # noqa: BLE001  whatever a broken schema makes it raise: unknown
            return math.nan

    return check


def _unknown(_: Any) -> float:
    return math.nan


def validator_check(validator: Any) -> Check:
    """A function of a text: how good the user's validator finds it, in [0, 1].

    Args:
        validator: see `structure.Validator`.

    Raises:
        ConfigurationError: it is neither a function nor a type, or a type and pydantic is not
            installed. The function returned raises it where the validator returns no number in
            [0, 1].
    """
    if isinstance(validator, type) or get_origin(validator) is not None:
        return _typed(validator)
    if not callable(validator):
        raise ConfigurationError(
            f"a validator is a function of the text, or a type for pydantic, not {validator!r}"
        )

    def check(text: Any) -> float:
        try:
            verdict = validator(text)
        except _INVALID:
            return 0.0
        score = 1.0 if verdict is None else _score(verdict)
        if not 0 <= score <= 1:
            raise ConfigurationError(
                f"the validator returned {verdict!r}: return True, False, None or a number in "
                "[0, 1]"
            )
        return score

    return check


def _score(verdict: Any) -> float:
    try:
        return float(verdict)
    except (TypeError, ValueError):
        return math.nan


def _typed(kind: Any) -> Check:
    try:
        from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415  the user's, if at all
    except ImportError as error:
        raise ConfigurationError(
            f"validating against the type {kind!r} needs pydantic: pip install pydantic, or pass "
            "a function of the text"
        ) from error
    adapter = TypeAdapter(kind)

    def check(text: Any) -> float:
        try:
            adapter.validate_json(text)
        except ValidationError:
            return 0.0
        return 1.0

    return check


def tool_call_fits(call: ToolCall, tools: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a call names a tool on offer, with all arguments it needs, of the right types.

    Only the types of the arguments themselves are checked, not those of values inside of them, so
    that the result is the same whether or not `jsonschema` is installed.
    """
    tool = next((tool for tool in tools if tool.get("name") == call.name), None)
    arguments = _arguments(call)
    if tool is None or arguments is None:
        return False
    schema = _mapping(tool.get("parameters"))
    properties = _mapping(schema.get("properties"))
    if any(name not in arguments for name in _listed(schema.get("required"))):
        return False
    if schema.get("additionalProperties") is False and arguments.keys() - properties.keys():
        return False
    return all(_fits(value, properties.get(name)) for name, value in arguments.items())


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _listed(value: Any) -> list[Any]:
    """A schema's list of texts, or one text, as a list; empty where it is neither."""
    if isinstance(value, str):
        return [value]
    return list(value) if isinstance(value, list | tuple) else []


def _arguments(call: ToolCall) -> Mapping[str, Any] | None:
    if isinstance(call.arguments, Mapping):
        return call.arguments
    try:
        arguments = json.loads(call.arguments)
    except (TypeError, ValueError, RecursionError):
        return None
    return arguments if isinstance(arguments, dict) else None


def _fits(value: Any, schema: Any) -> bool:
    if isinstance(schema, bool):
        return schema
    rules = _mapping(schema)
    if isinstance(rules.get("enum"), list | tuple) and value not in rules["enum"]:
        return False
    types = _listed(rules.get("type"))
    return not types or any(_TYPES.get(str(name), _any)(value) for name in types)


def _any(_: Any) -> bool:
    return True


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": _number,
    "integer": lambda value: _number(value) and value == value // 1,
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list | tuple),
    "null": lambda value: value is None,
}
