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
    """The row numbers of each part; rows of one cluster go to one part.

    The clusters are dealt out largest first, each to the part that still lacks most rows, so that
    the parts come as near to their fractions as the clusters allow.

    Args:
        texts: the question of each row.
        groups: the group of each row, None where a row stands alone; or None for no groups.
        fractions: the share of each part.
        seed: of the order among clusters of the same size.

    Raises:
        ConfigurationError: the fractions are not positive or do not add up to 1, or the seed is no
            whole number of at least 0.
        DataError: there are fewer clusters than parts.
    """
    shares = list(fractions) if not is_number(fractions) else []
    if not shares or any(not is_number(x) or not x > 0 for x in shares):
        raise ConfigurationError(f"fractions must be positive numbers, not {fractions!r}")
    if not math.isclose(sum(shares), 1, abs_tol=1e-9):
        raise ConfigurationError(f"the fractions {shares} add up to {sum(shares):g}, not to 1")
    row_groups = clusters(texts, groups)
    if len(row_groups) < len(shares):
        raise DataError(
            f"{len(row_groups)} distinct groups of queries cannot be split into {len(shares)} parts"
        )
    shuffled = generator(seed).permutation(len(row_groups))
    order = sorted(shuffled, key=lambda i: -len(row_groups[i]))
    lacking = np.array(shares) * len(texts)
    parts: list[list[int]] = [[] for _ in shares]
    for place, number in enumerate(order):
        # No part may stay empty: the last clusters are kept for the parts that have none.
        empty = [i for i, part in enumerate(parts) if not part]
        candidates = empty if len(empty) == len(order) - place else range(len(parts))
        part = max(candidates, key=lambda i: lacking[i])
        parts[part] += row_groups[number]
        lacking[part] -= len(row_groups[number])
    return [sorted(part) for part in parts]


def clusters(texts: Sequence[str], groups: Sequence[Any] | None) -> list[list[int]]:
    """The rows that belong together, directly or through others: those of one text or one group.

    Texts are compared but for case and white space.
    """
    parent = list(range(len(texts)))

    def root(row: int) -> int:
        """The row that stands for a cluster; the way to it is halved for the next search."""
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
    by_root: dict[int, list[int]] = {}
    for row in range(len(texts)):
        by_root.setdefault(root(row), []).append(row)
    return list(by_root.values())
