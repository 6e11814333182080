"""The plots of `latency_tables.plots` as PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from latency_tables.drawing_png_roof import BLUE, GREY, RED, beside, channels, save
from latency_tables.judge import HeldOut
from latency_tables.predict import NetworkPoint
from latency_tables.roofline import RoofPoint
from latency_tables.stairs import Plateau, Staircase
from latency_tables.sweeps import Sweep
from latency_tables.table import Target
from supernet.shapes import Shape

BETWEEN = "right edge here or at a width not measured"
LABELS = 14  # right edges labelled per panel; more would overlap
TITLE = 64  # characters of a title above one panel
SURE = 0.95  # confidence that needs no mention


def stairs(
    cases: Sequence[tuple[Sweep, Staircase]],
    title: str,
    path: Path,
    roof: Mapping[Shape, RoofPoint] | None = None,
) -> None:
    """One panel per sweep; with a roof, one beside it that shows the same blocks against it."""
    across = 2 if roof else min(2, len(cases))
    down = len(cases) if roof else ceil(len(cases) / across)
    figure = Figure(figsize=(8.2 * across, 4.6 * down + 0.6), layout="constrained", dpi=120)
    figure.suptitle(fill(title, TITLE * across), fontsize=13)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for number, (sweep, staircase) in enumerate(cases):
        _panel(panels[2 * number if roof else number], sweep, staircase)
        if roof:
            beside(panels[2 * number + 1], sweep, [roof[shape] for shape in sweep.shapes])
    for panel in panels[len(cases) * (2 if roof else 1) :]:
        panel.set_visible(False)
    save(figure, path)


def networks(
    points: Sequence[NetworkPoint], held: HeldOut, factor: float, target: Target, path: Path
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
    axes.plot(ends, ends, color="black", linewidth=1, label=f"{target.origin} = predicted")
    axes.plot(ends, [factor * e for e in ends], "--", color=RED, linewidth=1, label="upper bound")
    axes.set_xlabel("predicted latency [ms]")
    axes.set_ylabel(f"{target.origin} latency [ms]")
    axes.grid(alpha=0.25)
    axes.legend()
    axes.set_title(f"{target}\nheld-out networks: {summary(held)}", fontsize=10)
    save(figure, path)


def summary(held: HeldOut) -> str:
    """The held-out figures in one line."""
    if not held.points:
        return "none"
    return (
        f"mean error {held.mape_percent:.1f} %, worst {held.worst_percent:.1f} % "
        f"(line in FLOPs: mean {held.flops_linear_mape_percent:.1f} %)"
    )


def edge_label(plateau: Plateau) -> str:
    """Where the edge is or may be, and its confidence where that is worth a word."""
    sure = "" if plateau.confidence >= SURE else f" ({100 * plateau.confidence:.0f} %)"
    return f"{plateau.right}{'' if plateau.exact else f'..{plateau.until}'}{sure}"


def opacity(plateau: Plateau) -> float:
    """Of an edge's mark: the less sure, the fainter."""
    return 0.25 + 0.75 * plateau.confidence


def _panel(axes: Axes, sweep: Sweep, staircase: Staircase) -> None:
    widths = list(sweep.widths)
    rounds = [(w, v) for w, row in zip(widths, sweep.rows, strict=True) for v in row.adjusted]
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
        label="median and 95 % interval",
    )
    level = dict(zip(widths, sweep.levels.tolist(), strict=True))
    edges, named = staircase.edges, set()
    for edge in edges:
        axes.plot(
            [edge.right],
            [level[edge.right]],
            "D",
            color=RED,
            markerfacecolor=RED if edge.exact else "white",
            markersize=7,
            alpha=opacity(edge),
            zorder=3,
            label=None if edge.exact in named else "right edge" if edge.exact else BETWEEN,
        )
        named.add(edge.exact)
    for edge in edges[:: max(1, ceil(len(edges) / LABELS))]:
        axes.annotate(
            edge_label(edge),
            (edge.right, level[edge.right]),
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
    axes.set_xlabel(channels(sweep))
    axes.set_ylabel("latency [ms]")
    axes.set_title(sweep.label, fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, loc="upper left")
