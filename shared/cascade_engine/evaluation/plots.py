"""The pictures: cost-quality curves, and the reliability diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.evaluation.curves import mixing_corners

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cascade_engine.evaluation.calibration import Reliability

__all__ = ["draw_curves", "draw_reliability"]

#: A point of a plot: its name, cost and quality.
NamedPoint = tuple[str, float, float]

#: Costs further apart than this are drawn on a logarithmic scale.
_WIDE = 30
#: Points along the line of random mixing: on a logarithmic scale it is curved.
_DRAWN = 200


def draw_curves(
    curves: Mapping[str, Sequence[NamedPoint]],
    singles: Sequence[NamedPoint],
    *,
    title: str,
    unit: str,
    path: str | Path | None,
) -> Any:
    """Draws cost-quality curves, the single models, and what mixing these at random gives.

    Args:
        curves: the points of each curve, by its name.
        singles: a point for each single model.
        title: title of the plot.
        unit: unit of the costs.
        path: where to save the picture, if anywhere.

    Returns:
        The matplotlib figure.
    """
    figure, axes = _figure((7.2, 4.8))
    for name, points in curves.items():
        style = "--" if name == "random_mixing" else "-"
        axes.plot([p[1] for p in points], [p[2] for p in points], style, label=_words(name))
    _draw_mixing(axes, singles)
    costs = [cost for points in (singles, *curves.values()) for _, cost, _ in points]
    for name, cost, quality in singles:
        left = cost <= (min(costs) + max(costs)) / 2
        axes.plot(cost, quality, "ko", markersize=5)
        axes.annotate(
            name,
            (cost, quality),
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
    axes.set_title(title)
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="lower right", fontsize=8)
    return _saved(figure, path)


def _draw_mixing(axes: Any, singles: Sequence[NamedPoint]) -> None:
    """The line of mixing the single models at random, along their upper hull."""
    cost, quality = (np.array([point[i] for point in singles]) for i in (1, 2))
    corners = mixing_corners(cost, quality)
    x = np.linspace(cost[corners[0]], cost[corners[-1]], _DRAWN)
    y = np.interp(x, cost[corners], quality[corners])
    axes.plot(x, y, ":", color="0.4", linewidth=1, label="single models, mixed at random")


def draw_reliability(
    calibration: Mapping[str, Sequence[Reliability]], path: str | Path | None
) -> Any:
    """Draws quality against estimates, a panel for each stage, of all models together.

    Args:
        calibration: for each router, how its estimates came true.
        path: where to save the picture, if anywhere.

    Returns:
        The matplotlib figure.
    """
    stages = {
        "before": "before any answer",
        "after": "after the model's answer",
        "returned": "of the answers returned",
    }
    figure, panels = _figure((10.2, 3.8), len(stages))
    for axes, (stage, title) in zip(panels, stages.items(), strict=True):
        axes.plot([0, 1], [0, 1], ":", color="0.4", linewidth=1)
        drawn: set[int] = set()
        for name, reliabilities in calibration.items():
            pooled = next(r for r in reliabilities if r.stage == stage and r.model is None)
            if id(pooled) in drawn:  # routers share it
                continue
            drawn.add(id(pooled))
            label = f"{_words(name)}: ECE {pooled.ece:.3f}"
            axes.plot(pooled.estimate, pooled.quality, "o-", markersize=4, label=label)
        axes.set_xlabel("mean estimate")
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left", fontsize=6)
    panels[0].set_ylabel("mean quality")
    return _saved(figure, path)


def _figure(size: tuple[float, float], panels: int = 1) -> tuple[Any, Any]:
    """A figure, and its axes: one, or a row of them."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ImportError('plots need matplotlib: pip install "cascade-routing[plots]"') from error
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(1, panels)


def _saved(figure: Any, path: str | Path | None) -> Any:
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def _words(name: str) -> str:
    return name.replace("_", " ")
