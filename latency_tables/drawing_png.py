"""The plots of `latency_tables.plots` as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from latency_tables.files import replace_with
from latency_tables.judge import HeldOut
from latency_tables.predict import NetworkPoint
from latency_tables.stairs import Plateau, Staircase
from latency_tables.sweeps import Sweep

BLUE, RED, GREY = "#1f5fa8", "#c0392b", "#8a8f98"
BETWEEN = "right edge here or before the next measured width"
LABELS = 14  # right edges labelled per panel; more would overlap


def stairs(cases: Sequence[tuple[Sweep, Staircase]], title: str, path: Path) -> None:
    """One panel per sweep."""
    across = min(2, len(cases))
    down = ceil(len(cases) / across)
    figure = Figure(figsize=(8.2 * across, 4.6 * down + 0.6), layout="constrained", dpi=120)
    figure.suptitle(title, fontsize=13)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for panel, (sweep, staircase) in zip(panels, cases, strict=False):
        _panel(panel, sweep, staircase)
    for panel in panels[len(cases) :]:
        panel.set_visible(False)
    _save(figure, path)


def networks(
    points: Sequence[NetworkPoint], held: HeldOut, factor: float, target: str, path: Path
) -> None:
    """Scatter of whole networks with the identity and the upper bound."""
    figure = Figure(figsize=(7, 6.4), layout="constrained", dpi=120)
    axes = figure.subplots()
    for role, colour, marker in (("fit", GREY, "x"), ("held-out", BLUE, "o")):
        mine = [point for point in points if point.role == role]
        axes.scatter(
            [p.predicted for p in mine],
            [p.measured for p in mine],
            s=26,
            c=colour,
            marker=marker,
            label=f"{role}: {len(mine)} networks",
        )
    ends = [min(p.predicted for p in points) * 0.95, max(p.predicted for p in points) * 1.05]
    axes.plot(ends, ends, color="black", linewidth=1, label="measured = predicted")
    axes.plot(ends, [factor * e for e in ends], "--", color=RED, linewidth=1, label="upper bound")
    axes.set_xlabel("predicted latency [ms]")
    axes.set_ylabel("measured latency [ms]")
    axes.grid(alpha=0.25)
    axes.legend()
    axes.set_title(f"{target}\nheld-out networks: {summary(held)}", fontsize=10)
    _save(figure, path)


def summary(held: HeldOut) -> str:
    """The held-out figures in one line."""
    if not held.points:
        return "none"
    return (
        f"mean error {held.mape_percent:.1f} %, worst {held.worst_percent:.1f} % "
        f"(line in FLOPs: mean {held.flops_linear_mape_percent:.1f} %)"
    )


def edge_label(plateau: Plateau) -> str:
    """The edge's width; with a plus where it may lie beyond, since the next was not measured."""
    return f"{plateau.right}{'' if plateau.exact else '+'}"


def _panel(axes: Axes, sweep: Sweep, staircase: Staircase) -> None:
    widths = list(sweep.widths)
    rounds = [(w, v) for w, row in zip(widths, sweep.rows, strict=True) for v in row.rounds]
    across, up = zip(*rounds, strict=True)
    axes.plot(across, up, ".", color=GREY, alpha=0.35, markersize=3, label="single rounds")
    below, above = sweep.levels - sweep.lo, sweep.hi - sweep.levels
    axes.errorbar(
        widths,
        sweep.levels,
        yerr=[below, above],
        fmt="o-",
        color=BLUE,
        linewidth=1,
        markersize=3.5,
        elinewidth=1,
        label=f"{sweep.figure} and 95 % interval",
    )
    edges = staircase.plateaus[:-1]
    level = dict(zip(widths, sweep.levels.tolist(), strict=True))
    for exact, face, label in ((True, RED, "right edge"), (False, "white", BETWEEN)):
        mine = [p.right for p in edges if p.exact == exact]
        if mine:
            axes.plot(
                mine,
                [level[width] for width in mine],
                "D",
                color=RED,
                markerfacecolor=face,
                markersize=7,
                zorder=3,
                label=label,
            )
    for plateau in edges[:: max(1, ceil(len(edges) / LABELS))]:
        axes.annotate(
            edge_label(plateau),
            (plateau.right, level[plateau.right]),
            xytext=(5, -13),
            textcoords="offset points",
            color=RED,
            fontweight="bold",
            fontsize=9,
        )
    # Rounds hit by other load would squeeze the stairs flat, so the axis follows the intervals.
    low, high = float(sweep.lo.min()), float(sweep.hi.max())
    margin = 0.08 * (high - low) or 0.05 * high
    axes.set_ylim(low - margin, high + margin)
    axes.set_xlabel(f"channels ({'w1 = w2' if sweep.axis == 'w' else sweep.axis})")
    axes.set_ylabel("latency [ms]")
    axes.set_title(sweep.label, fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, loc="upper left")


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    replace_with(path, lambda file: figure.savefig(file))
