"""The pictures: cost-quality curves, and the reliability diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine.evaluation.curves import mixing_corners

if TYPE_CHECKING:
    from pathlib import Path

    from cascade_engine.evaluation.evaluate import Evaluation


#: Costs further apart than this are drawn on a logarithmic scale.
_WIDE = 30
#: Points along the line of random mixing: on a logarithmic scale it is curved.
_DRAWN = 200


def draw(evaluation: Evaluation, path: str | Path | None, unit: str) -> Any:
    """Draws every curve and the single models; see `Evaluation.plot`."""
    figure, axes = _figure((7.2, 4.8))
    for name, curve in evaluation.curves.items():
        style = "--" if name == "random_mixing" else "-"
        axes.plot([p.cost for p in curve], [p.quality for p in curve], style, label=_words(name))
    _draw_mixing(axes, evaluation)
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
    return _saved(figure, path)


def _draw_mixing(axes: Any, evaluation: Evaluation) -> None:
    """What mixing the single models at random gives on these queries."""
    cost = np.array([point.cost for point in evaluation.singles])
    quality = np.array([point.quality for point in evaluation.singles])
    corners = mixing_corners(cost, quality)
    x = np.linspace(cost[corners[0]], cost[corners[-1]], _DRAWN)
    y = np.interp(x, cost[corners], quality[corners])
    axes.plot(x, y, ":", color="0.4", linewidth=1, label="single models, mixed at random")


def draw_calibration(evaluation: Evaluation, path: str | Path | None) -> Any:
    """Draws quality against estimates, a panel a stage; see `Evaluation.plot_calibration`."""
    stages = {
        "before": "before any answer",
        "after": "after the model's answer",
        "returned": "of the answers returned",
    }
    figure, panels = _figure((10.2, 3.8), len(stages))
    for axes, (stage, title) in zip(panels, stages.items(), strict=True):
        axes.plot([0, 1], [0, 1], ":", color="0.4", linewidth=1)
        drawn: set[int] = set()
        for name, found in evaluation.calibration.items():
            one = next(r for r in found if r.stage == stage and r.model is None)
            if id(one) in drawn:  # the estimates that routers share
                continue
            drawn.add(id(one))
            label = f"{_words(name)}: ECE {one.ece:.3f}"
            axes.plot(one.estimate, one.quality, "o-", markersize=4, label=label)
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
