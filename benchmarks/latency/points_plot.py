"""The plot of `benchmarks.latency.points`: errors by number of rows, ours beside the rivals."""

from __future__ import annotations

from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from benchmarks.latency.output import BLUE

COLOURS = (
    "#c0392b",
    "#d68910",
    "#1e8449",
    "#7d3c98",
    "#17a589",
    "#515a5a",
    "#a04000",
    "#e377c2",
    "#000000",
)


def figure(result: dict[str, Any]) -> Figure:
    """One panel for networks, one for bottlenecks."""
    plot = Figure(figsize=(15.5, 6.2), layout="constrained", dpi=120)
    names = dict.fromkeys(c["name"] for c in result["curves"] if not c["name"].startswith("ours"))
    colours = dict(zip(names, cycle(COLOURS), strict=False))
    panels = plot.subplots(1, 2)
    for panel, what in zip(panels, ("network", "block"), strict=True):
        _panel(panel, result["curves"], what, colours)
    plot.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    table = result["table"]
    plot.suptitle(
        f"{table['device']}, {table['runtime']}, {table['precision']}, {table['threads']} "
        f"thread(s); besides rows: {table['networks_fit']} fit networks for all, "
        f"{table['chains']} chains for ours",
        fontsize=10,
    )
    return plot


def _panel(axes: Axes, curves: list[dict[str, Any]], what: str, colours: dict[str, str]) -> None:
    names = list(dict.fromkeys((c["name"], c["order"]) for c in curves))
    for name, order in names:
        ours = name.startswith("ours")
        if not ours and order != "random":
            continue
        points = [c for c in curves if (c["name"], c["order"]) == (name, order)]
        points = [c for c in points if c[f"{what}_interval"] is not None]
        if not points:
            continue
        colour = colours.get(name, BLUE)
        rows = [c["rows"] for c in points]
        style = "o-" if name == "ours" and order == "random" else "o:" if ours else "s--"
        label = name if order == "random" else f"{name}, {order}"
        means = [c[f"{what}_mape_percent"] for c in points]
        alpha = 1.0 if ours and order == "random" else 0.6
        axes.plot(rows, means, style, color=colour, label=label, alpha=alpha, markersize=4)
        if name == "ours" and order == "random":
            ends = list(zip(*(c[f"{what}_interval"] for c in points), strict=True))
            axes.fill_between(rows, ends[0], ends[1], color=colour, alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    ticks = sorted({c["rows"] for c in curves})
    axes.set_xticks(ticks, [str(n) for n in ticks])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    axes.set_yticks([1, 2, 3, 5, 10, 20, 50])
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlabel("rows (pieces measured alone)")
    axes.set_ylabel("mean absolute error [%]")
    axes.set_title("held-out networks" if what == "network" else "left-out bottlenecks")
    axes.grid(alpha=0.25, which="both")
