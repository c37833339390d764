"""Queries as users give them, and the key that tells two queries apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cascade_engine.core.records import Query
from cascade_engine.errors import DataError
from cascade_engine.storage.json_records import record_to_json
from cascade_engine.storage.json_values import content_key

if TYPE_CHECKING:
    from collections.abc import Sequence


def as_queries(queries: Sequence[Query | str]) -> list[Query]:
    """Turns plain texts into queries, and leaves queries as they are.

    Raises:
        DataError: `queries` is a single text, or an item is neither a text nor a `Query`.
    """
    if isinstance(queries, str):
        raise DataError("queries must be a list, not a single string")
    rows = [Query(query) if isinstance(query, str) else query for query in queries]
    for number, query in enumerate(rows):
        if not isinstance(query, Query):
            raise DataError(f"query {number} must be text or a Query, not {query!r:.80}")
    return rows


def query_key(query: Query) -> str:
    """The content hash of a query: another text, context length, tool or schema, another key."""
    return content_key(record_to_json(query))
