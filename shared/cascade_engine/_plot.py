"""The picture: cost-quality curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from cascade_engine._evaluation import Evaluation


#: Costs further apart than this are drawn on a logarithmic scale.
_WIDE = 30


def draw(evaluation: Evaluation, path: str | Path | None, unit: str) -> Any:
    """Draws every curve and the single models; see `Evaluation.plot`."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ImportError('plots need matplotlib: pip install "cascade-routing[plots]"') from error
    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    axes = figure.add_subplot()
    for name, curve in evaluation.curves.items():
        style = "--" if name == "random_mixing" else "-"
        axes.plot([p.cost for p in curve], [p.quality for p in curve], style, label=_words(name))
    costs = [p.cost for points in (evaluation.singles, *evaluation.curves.values()) for p in points]
    for point in evaluation.singles:
        left = point.cost <= (min(costs) + max(costs)) / 2
        axes.plot(point.cost, point.quality, "ko", markersize=5)
        axes.annotate(
            point.name,
            (point.cost, point.quality),
            xytext=(8, -10) if left else (-8, 6),
            textcoords="offset points",
            ha="left" if left else "right",
            fontsize=8,
        )
    # Mixing two models is a straight line on linear axes; a wide range of costs needs the other.
    if 0 < min(costs) < max(costs) / _WIDE:
        axes.set_xscale("log")
    axes.set_xlabel(f"mean cost, {unit}")
    axes.set_ylabel("mean quality")
    axes.set_title(f"{evaluation.queries} held-out queries, {len(evaluation.models)} models")
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="lower right", fontsize=8)
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def _words(name: str) -> str:
    return name.replace("_", " ")
