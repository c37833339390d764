"""The tables of an evaluation, as text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascade_engine.evaluation.calibration import Reliability
    from cascade_engine.evaluation.evaluate import Evaluation

__all__ = ["calibration", "curves", "in_columns", "policies"]

_LONGEST = 14
_WIDTH = 100


def policies(evaluation: Evaluation) -> str:
    """Quality, cost and who answered, a line for each model alone and each router."""
    points = (*evaluation.singles, *evaluation.at_budget)
    width = max(len("policy"), *(len(p.name) for p in points))
    head = f"{'policy':{width}}  {'quality':>7} {'+/-':>6} {'mean cost':>12} {'of budget':>9}   "
    head += " ".join(f"{_short(name):>14}" for name in evaluation.models)
    lines = [head, "-" * len(head)]
    for point in points:
        spent = "" if point.overspent is None else f"{1 + point.overspent:.0%}"
        shares = " ".join(f"{share:>14.0%}" for share in point.shares)
        lines.append(
            f"{point.name:{width}}  {point.quality:7.3f} {point.quality_error:6.3f} "
            f"{point.cost:12.3g} {spent:>9}   {shares}"
        )
    return "\n".join(lines)


def curves(evaluation: Evaluation) -> str:
    """What each router's curve comes to, with intervals."""
    best = evaluation.best
    rows = [
        (
            name,
            f"{evaluation.auc(name):.3f}",
            f"{evaluation.over_mixing(name):+.3f}",
            f"{evaluation.parity(name):.0%}",
            f"{evaluation.quality_at(name):.3f}",
        )
        for name in evaluation.curves
    ]
    head = ("curve", "area", "more than mixing", "parity", "at the same cost")
    words = (
        f"[{evaluation.level:.0%} intervals] area: mean quality over costs from the cheapest to "
        "the dearest model's; mixing: of single models, at random; parity: the cost of "
        f"{best}'s quality, as a share of its own; at the same cost: the quality for what {best} "
        "costs."
    )
    return f"{in_columns([head, *rows])}\n{textwrap.fill(words, _WIDTH)}"


def calibration(evaluation: Evaluation) -> str:
    """How each router's estimates came true; what routers share has its lines once."""
    head = ("estimates", "stage", "model", "number", "ECE", "by chance", "Brier", "ROC AUC")
    seen: dict[int, tuple[str, ...]] = {}
    for name, found in evaluation.calibration.items():
        for one in found:
            seen.setdefault(id(one), (name, *_measures(one)))
    return in_columns([head, *seen.values()], words=3)


def _measures(one: Reliability) -> tuple[str, ...]:
    return (
        one.stage or "",
        one.model or "all",
        str(one.estimates),
        f"{one.ece:.3f}",
        f"{one.ece_by_chance:.3f}",
        f"{one.brier:.3f}",
        "-" if one.roc_auc is None else f"{one.roc_auc:.3f}",
    )


def in_columns(rows: Sequence[Sequence[str]], *, words: int = 1) -> str:
    """A table whose first row is its head; the first `words` columns are flush left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            f"{cell:<{width}}" if i < words else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else name[:6] + ".." + name[-6:]
