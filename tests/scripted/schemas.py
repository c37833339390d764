"""A valid object for a JSON schema, made from the words of a question: no chance is involved."""

from __future__ import annotations

import math
import re

_DEEP = 6  # levels, after which what may be left out is: schemas may contain themselves
_FORMATS = {
    "date": "2024-02-29",
    "date-time": "2024-02-29T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "ada@example.com",
    "uri": "https://example.com/",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
}


def instance(schema, question=""):
    """An object that the schema allows.

    Strings repeat the question, and numbers are those in it, one after the other.

    Raises:
        ValueError: the schema uses something that is not understood here.
    """
    return _Maker(schema, question).make(schema)


class _Maker:
    def __init__(self, root, question):
        self.root = root
        self.text = question or "text"
        self.numbers = iter(re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", question))

    def make(self, schema, depth=0):
        schema = self._resolved(schema)
        for key in ("const", "enum"):
            if key in schema:
                return schema[key] if key == "const" else schema[key][0]
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next((k for k in kind if k != "null" and depth < _DEEP), kind[-1])
        maker = getattr(self, f"_{kind}", None)
        if maker is None:
            raise ValueError(f"no value is known for a schema of type {kind!r}: {schema}")
        return maker(schema, depth)

    def _resolved(self, schema):
        """Without references; of several options, the first that is not null."""
        while True:
            if "$ref" in schema:
                found = self.root
                for step in schema["$ref"].removeprefix("#/").split("/"):
                    found = found[step]
                schema = {**found, **{k: v for k, v in schema.items() if k != "$ref"}}
            elif options := schema.get("anyOf") or schema.get("oneOf"):
                schema = next((o for o in options if o.get("type") != "null"), options[0])
            elif "allOf" in schema:
                rest = {k: v for k, v in schema.items() if k != "allOf"}
                schema = _merged([rest, *map(self._resolved, schema["allOf"])])
            else:
                return schema

    def _object(self, schema, depth):
        fields, required = schema.get("properties", {}), schema.get("required", ())
        named = fields if depth < _DEEP else {k: v for k, v in fields.items() if k in required}
        return {name: self.make(field, depth + 1) for name, field in named.items()}

    def _array(self, schema, depth):
        if "prefixItems" in schema:
            return [self.make(item, depth + 1) for item in schema["prefixItems"]]
        least = schema.get("minItems", 0)
        count = least if depth >= _DEEP else min(max(least, 1), schema.get("maxItems", math.inf))
        return [self.make(schema.get("items", {}), depth + 1) for _ in range(count)]

    def _string(self, schema, depth):
        if "pattern" in schema:
            raise ValueError(f"no text is known for the pattern {schema['pattern']!r}: script it")
        text = _FORMATS.get(schema.get("format"), self.text)
        return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]

    def _integer(self, schema, depth):
        value = math.floor(float(next(self.numbers, 1)))  # whole, so that it suits both kinds
        low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
        low = max(low, schema.get("exclusiveMinimum", -math.inf) + 1)
        high = min(high, schema.get("exclusiveMaximum", math.inf) - 1)
        step = schema.get("multipleOf", 1)
        above = math.ceil(min(max(value, low), high) / step) * step
        made = above if above <= high else above - step
        if made < low:
            raise ValueError(f"no number is known for {schema}: script it")
        return made

    _number = _integer

    def _boolean(self, schema, depth):
        return True

    def _null(self, schema, depth):
        return None


def _merged(schemas):
    """What all of them say together."""
    merged = {}
    for schema in schemas:
        fields = {**merged.get("properties", {}), **schema.get("properties", {})}
        required = [*merged.get("required", ()), *schema.get("required", ())]
        merged |= {**schema, **({"properties": fields, "required": required} if fields else {})}
    return merged
