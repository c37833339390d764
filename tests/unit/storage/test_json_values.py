"""The codec of plain values: what it writes it reads, and damage has a name."""

from __future__ import annotations

import json
import math

import pytest

from cascade_engine.errors import DataError
from cascade_engine.storage.json_values import value_from_json, value_to_json


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 0.1, math.inf, -math.inf, "text", [1, [2]], (1, "a"), {1: "a"}, {"$float": 2}],
)
def test_what_is_written_is_read(value):
    written = json.loads(json.dumps(value_to_json(value)))
    again = value_from_json(written)
    assert again == value
    assert type(again) is type(value)


def test_no_number_is_read_as_such():
    assert math.isnan(value_from_json(value_to_json(math.nan)))


@pytest.mark.parametrize("damaged", ["1e5", "", None, [1], {"a": 1}])
def test_a_damaged_number_is_named(damaged):
    with pytest.raises(DataError, match="damaged number"):
        value_from_json({"$float": damaged})
