"""Objects made for a JSON schema, as the scripted server does."""

from __future__ import annotations

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scripted import instance

SCHEMA = {
    "type": "object",
    "properties": {
        "colour": {"enum": ["red", "blue"]},
        "near": {"$ref": "#/$defs/place"},
        "all": {"type": "array", "items": {"$ref": "#/$defs/place"}, "minItems": 2},
        "maybe": {"anyOf": [{"type": "null"}, {"type": "number", "exclusiveMinimum": 5}]},
        "sure": {"type": ["null", "boolean"]},
        "short": {"type": "string", "maxLength": 3},
        "long": {"type": "string", "minLength": 30},
        "both": {"allOf": [{"properties": {"x": {"const": 1}}}, {"required": ["x"]}]},
        "even": {"type": "integer", "multipleOf": 2, "maximum": 9},
    },
    "required": ["colour", "near", "all", "maybe", "sure", "short", "long", "both", "even"],
    "additionalProperties": False,
    "$defs": {
        "place": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "inside": {"anyOf": [{"$ref": "#/$defs/place"}, {"type": "null"}]},
                "rest": {"type": "array", "items": {"$ref": "#/$defs/place"}},
            },
            "required": ["name", "rest"],
        }
    },
}


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(st.text(max_size=40))
def test_a_made_object_is_valid_and_always_the_same(question):
    made = instance(SCHEMA, question)
    jsonschema.validate(made, SCHEMA)
    assert made == instance(SCHEMA, question)


@pytest.mark.parametrize("number", [-7, 0, 3, 8, 11, 10**9])
def test_a_made_number_keeps_to_its_bounds(number):
    schemas = [
        {"type": "integer", "multipleOf": 3, "minimum": 1, "maximum": 10},
        {"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 4},
        {"type": "number", "minimum": 0.5, "multipleOf": 0.5},
    ]
    for schema in schemas:
        jsonschema.validate(instance(schema, f"{number}?"), schema)


def test_what_cannot_be_made_is_said():
    fraction = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
    for schema in ({"type": "string", "pattern": "^a$"}, fraction):
        with pytest.raises(ValueError, match="script it"):
            instance(schema)
