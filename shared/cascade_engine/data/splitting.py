"""Parts of a data set that share nothing."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.core.checks import generator, is_number
from cascade_engine.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["split_rows"]


def split_rows(
    texts: Sequence[str], groups: Sequence[Any] | None, fractions: Sequence[float], seed: int
) -> list[list[int]]:
    """Row numbers of each part, in order; what hangs together goes to one part, the largest first.

    Each cluster goes to the part that lacks most of what it is to have, so the parts come as near
    to their fractions as the clusters allow.

    Raises:
        ConfigurationError: the fractions are not positive, or do not add up to 1, or a seed that
            cannot be.
        DataError: there are fewer clusters than parts.
    """
    shares = list(fractions) if not is_number(fractions) else []
    if not shares or any(not is_number(x) or not x > 0 for x in shares):
        raise ConfigurationError(f"fractions must be positive numbers, not {fractions!r}")
    if not math.isclose(sum(shares), 1, abs_tol=1e-9):
        raise ConfigurationError(f"the fractions {shares} add up to {sum(shares):g}, not to 1")
    found = clusters(texts, groups)
    if len(found) < len(shares):
        raise DataError(
            f"{len(found)} distinct groups of queries cannot be split into {len(shares)} parts"
        )
    order = generator(seed).permutation(len(found))
    wanting = np.array(shares) * len(texts)
    parts: list[list[int]] = [[] for _ in shares]
    for left, at in zip(
        range(len(found), 0, -1), sorted(order, key=lambda i: -len(found[i])), strict=True
    ):
        # What no part has yet had must not run out of clusters.
        empty = [i for i, part in enumerate(parts) if not part]
        able = empty if len(empty) == left else range(len(parts))
        part = max(able, key=lambda i: wanting[i])
        parts[part] += found[at]
        wanting[part] -= len(found[at])
    return [sorted(part) for part in parts]


def clusters(texts: Sequence[str], groups: Sequence[Any] | None) -> list[list[int]]:
    """Row numbers that belong together: of the same text, or the same group, or both in turn."""
    parent = list(range(len(texts)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = row = parent[parent[row]]
        return row

    first: dict[Any, int] = {}
    for row, text in enumerate(texts):
        names: list[Any] = [("text", " ".join(text.casefold().split()))]
        if groups is not None and groups[row] is not None:
            names.append(("group", groups[row]))
        if not all(isinstance(name[1], Hashable) for name in names):
            raise DataError(f"a group must be text or a number, not {names[-1][1]!r}")
        for name in names:
            parent[root(row)] = root(first.setdefault(name, row))
    found: dict[int, list[int]] = {}
    for row in range(len(texts)):
        found.setdefault(root(row), []).append(row)
    return list(found.values())
