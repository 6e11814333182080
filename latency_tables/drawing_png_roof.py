"""Blocks against the target's roof as PNG: all of a table, and those of one sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from latency_tables.files import replace_with
from latency_tables.roofline import RoofPoint
from latency_tables.sweeps import Sweep
from latency_tables.table import Roof

BLUE, RED, GREY = "#1f5fa8", "#c0392b", "#8a8f98"


def roofline(groups: Mapping[str, Sequence[RoofPoint]], roof: Roof, title: str, path: Path) -> None:
    """Multiply-adds per second against multiply-adds per byte, both axes logarithmic.

    Args:
        groups: points by what the legend calls them.
        roof: peak and bandwidth.
    """
    figure = Figure(figsize=(9.6, 6.4), layout="constrained", dpi=120)
    axes = figure.subplots()
    across = ends(groups, roof)
    ridge = roof.gmacs / roof.gbytes
    line = [across[0], min(max(ridge, across[0]), across[1]), across[1]]
    axes.loglog(line, [min(roof.gmacs, roof.gbytes * x) for x in line], color="black", label="roof")
    colours = matplotlib.colormaps["tab10"]
    for number, (label, points) in enumerate(groups.items()):
        axes.loglog(
            [p.intensity for p in points],
            [p.gmacs for p in points],
            "os^Dv"[number // 10 % 5],
            color=colours(number % 10),
            markersize=4,
            alpha=0.6,
            label=label,
        )
    axes.axvline(ridge, color=GREY, linewidth=1, linestyle=":")
    axes.set_xlabel("MACs per byte moved (left of the dotted line memory is the limit)")
    axes.set_ylabel("thousand million MACs per second")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25, which="both")
    axes.legend(fontsize=8)
    save(figure, path)


def ends(groups: Mapping[str, Sequence[RoofPoint]], roof: Roof) -> tuple[float, float]:
    """Intensities at which to begin and end the roof: all points and the ridge lie between."""
    seen = [p.intensity for points in groups.values() for p in points]
    seen.append(roof.gmacs / roof.gbytes)
    return min(seen) / 1.5, max(seen) * 1.5


def beside(axes: Axes, sweep: Sweep, points: Sequence[RoofPoint]) -> None:
    """The blocks of a sweep: what they reach, and their roof."""
    widths = list(sweep.widths)
    axes.plot(widths, [p.gmacs for p in points], "o-", color=BLUE, markersize=3.5, label="reached")
    axes.plot(widths, [p.bound for p in points], "--", color="black", linewidth=1, label="roof")
    axes.set_ylim(0, 1.08 * max(max(p.gmacs, p.bound) for p in points))
    axes.set_xlabel(channels(sweep))
    axes.set_ylabel("thousand million MACs per second")
    axes.set_title(shares(points), fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, loc="lower right")


def shares(points: Sequence[RoofPoint]) -> str:
    """What share of the roof the points reach, and how many of them memory bounds, in words."""
    low, middle, high = 100 * np.quantile([p.share for p in points], (0, 0.5, 1))
    memory = sum(p.by_memory for p in points)
    return (
        f"{low:.0f} to {high:.0f} % of the roof (median {middle:.0f} %); "
        f"{memory} of {len(points)} bound by memory"
    )


def channels(sweep: Sweep) -> str:
    """Label of the axis that moves."""
    return f"channels ({'w1 = w2' if sweep.axis == 'w' else sweep.axis})"


def save(figure: Figure, path: Path) -> None:
    """Writes a figure whole or not at all."""
    FigureCanvasAgg(figure)
    replace_with(path, lambda file: figure.savefig(file))
