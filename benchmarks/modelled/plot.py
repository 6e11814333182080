"""The plot of `benchmarks.modelled`: stairs, and what searches find at equal MACs."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.latency.output import BLUE, GREY

COLOURS = {"macs": GREY, "latency": BLUE, "fewer macs": "#c0392b"}
NAMES = {
    "macs": "MACs limit alone",
    "latency": "the same MACs limit and a modelled latency limit",
    "fewer macs": "a lower MACs limit alone",
}


def figure(result: dict[str, Any]) -> Figure:
    """Stairs of one bottleneck on the left, the best of every search beside them."""
    plot = Figure(figsize=(13, 5.4), layout="constrained", dpi=110)
    axes = plot.subplots(1, 2)
    _stairs(axes[0], result["steps"])
    _searches(axes[1], result["searches"])
    plot.suptitle(result["stamp"], fontsize=11)
    return plot


def _stairs(axes: Axes, steps: list[dict[str, Any]]) -> None:
    for each in steps[:5]:
        relative = [ms / each["ms"][-1] for ms in each["ms"]]
        label = f"{each['device'].removeprefix('NVIDIA ')}, {each['precision']}, b{each['batch']}"
        axes.step(range(1, len(relative) + 1), relative, where="mid", linewidth=1.2, label=label)
    axes.set_xlabel("channels (w1 = w2)")
    axes.set_ylabel("modelled latency over that of the dense block")
    axes.set_title("14x14, 1024 -> w -> w -> 1024", fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)


def _searches(axes: Axes, target: dict[str, Any]) -> None:
    for way, colour in COLOURS.items():
        found = [seed[way] for each in target["shares"] for seed in each["seeds"]]
        axes.plot(
            [f["modelled_ms"] for f in found],
            [f["score"] for f in found],
            "o",
            color=colour,
            alpha=0.7,
            label=NAMES[way],
        )
    axes.set_xlabel("modelled latency of the best config [ms]")
    axes.set_ylabel("its score by the additive oracle")
    axes.set_title(f"{target['label']}, {target['evaluations']} evaluations each", fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)
