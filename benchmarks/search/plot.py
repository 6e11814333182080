"""The plot of `benchmarks.search`: score against evaluations, one panel per case."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#1f5fa8", "#c0392b", "#1e8449", "#d68910", "#7d3c98", "#17a589", "#a04000", "#515a5a")


def figure(result: dict[str, Any]) -> Figure:
    """Medians over seeds with quartiles; ours are solid, peers dashed."""
    cases = result["cases"]
    ours = {m["method"]: m["ours"] for case in cases for m in case["methods"]}
    colours = {
        name: colour
        for mine in (True, False)
        for name, colour in zip([n for n, o in ours.items() if o == mine], COLOURS, strict=False)
    }
    plot = Figure(figsize=(7.5 * min(2, len(cases)), 5.2 * -(-len(cases) // 2)), dpi=110)
    plot.set_layout_engine("constrained")
    panels = plot.subplots(-(-len(cases) // 2), min(2, len(cases)), squeeze=False).ravel()
    for panel, case in zip(panels, cases, strict=False):
        _panel(panel, case, colours)
    for panel in panels[len(cases) :]:
        panel.set_visible(False)
    lines = {
        label: line
        for panel in panels
        for line, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    plot.legend(list(lines.values()), list(lines), loc="outside lower center", ncols=4)
    return plot


def _panel(axes: Axes, case: dict[str, Any], colours: dict[str, str]) -> None:
    for found in case["methods"]:
        ours, colour = found["ours"], colours[found["method"]]
        points = [(int(n), q) for n, q in found["score"].items()]
        points = [(n, q) for n, q in points if all(v is not None and v > -1 for v in q)]
        if not points:
            continue
        across = [n for n, _ in points]
        style = "-" if ours else "--"
        label = f"{found['method']} ({'ours' if ours else 'peer'})"
        axes.plot(across, [1.0001 - q[1] for _, q in points], style, color=colour, label=label)
        axes.fill_between(
            across,
            [1.0001 - q[0] for _, q in points],
            [1.0001 - q[2] for _, q in points],
            color=colour,
            alpha=0.1,
            linewidth=0,
        )
    axes.axhline(0.01, color="black", linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    ticks = (1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    axes.set_yticks(ticks, [f"{1 - tick:g}" for tick in ticks])
    axes.set_ylim(1.2, 8e-5)
    axes.set_xlabel("evaluations")
    axes.set_ylabel("score (0 median feasible, 1 best known)")
    axes.set_title(case["name"], fontsize=10)
    axes.grid(alpha=0.25)
