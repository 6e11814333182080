"""The plots of `search.plots` as HTML files that need no network connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from latency_tables.drawing_png_roof import BLUE, GREY, RED
from latency_tables.files import replace_with

Points = Sequence[tuple[float, float]]


def front(points: Points, best: Points, metric: str, limit: float | None, path: Path) -> None:
    """Estimates against a cost, with the front as a staircase and the limit."""
    figure = go.Figure()
    _marks(figure, points, "scored", {"color": GREY, "size": 5, "opacity": 0.5})
    figure.add_scatter(
        x=[x for x, _ in best],
        y=[y for _, y in best],
        mode="lines+markers",
        name="front",
        line={"shape": "hv", "color": BLUE},
    )
    if limit is not None:
        figure.add_vline(x=limit, line_dash="dash", line_color=RED, annotation_text="limit")
    _save(figure, path, metric, "estimate")


def parallel(
    genes: Sequence[tuple[str, Sequence[float]]], estimates: Sequence[float], path: Path
) -> None:
    """An axis per gene and one of the estimate, which colours the lines; axes can be brushed."""
    axes = [{"label": name, "values": list(values), "range": [0, 1]} for name, values in genes]
    axes.append({"label": "estimate", "values": list(estimates)})
    line = {"color": list(estimates), "colorscale": "Viridis", "showscale": True}
    figure = go.Figure(go.Parcoords(dimensions=axes, line=line, labelangle=-60))
    figure.update_layout(margin={"t": 120})
    _save(figure, path)


def widths(layers: Sequence[str], lines: Mapping[str, Sequence[int]], path: Path) -> None:
    """Output widths of every convolution; the first line is the dense network's."""
    figure = go.Figure()
    for number, (label, values) in enumerate(lines.items()):
        style: dict[str, Any] = {"shape": "hvh"}
        if number == 0:
            style |= {"dash": "dot", "color": GREY}
        figure.add_scatter(x=list(layers), y=list(values), name=label, mode="lines", line=style)
    _save(figure, path, "layer", "channels")


def progress(estimates: Sequence[float | None], best: Sequence[float], path: Path) -> None:
    """Each evaluation and the best so far; failed evaluations are marked on the axis."""
    figure = go.Figure()
    found = [(float(n), e) for n, e in enumerate(estimates, 1) if e is not None]
    failed = [(float(n), min(e for _, e in found)) for n, e in enumerate(estimates, 1) if e is None]
    _marks(figure, found, "scored", {"color": GREY, "size": 5, "opacity": 0.5})
    if failed:
        _marks(figure, failed, "failed", {"color": RED, "symbol": "x"})
    figure.add_scatter(
        x=list(range(1, len(best) + 1)),
        y=list(best),
        mode="lines",
        name="best so far",
        line={"shape": "hv", "color": BLUE},
    )
    _save(figure, path, "evaluations", "estimate")


def importance(
    names: Sequence[str],
    alone: Sequence[float],
    pairs: Sequence[float],
    note: str,
    path: Path,
) -> None:
    """Shares of the explained variance, the largest on top."""
    figure = go.Figure()
    for values, label, colour in ((alone, "alone", BLUE), (pairs, "in pairs with others", GREY)):
        figure.add_bar(
            x=list(values), y=list(names), orientation="h", name=label, marker={"color": colour}
        )
    figure.update_layout(barmode="stack", yaxis={"autorange": "reversed"})
    _save(figure, path, f"share of the explained variance<br>{note}", "")


def _marks(figure: Any, points: Points, name: str, marker: dict[str, Any]) -> None:
    figure.add_scatter(
        x=[x for x, _ in points], y=[y for _, y in points], mode="markers", name=name, marker=marker
    )


def _save(figure: Any, path: Path, across: str = "", up: str = "") -> None:
    figure.update_layout(template="plotly_white", xaxis_title=across, yaxis_title=up)
    replace_with(path, lambda file: figure.write_html(file, include_plotlyjs=True))
