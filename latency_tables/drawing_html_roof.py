"""Blocks against the target's roof with plotly: all of a table, and those of one sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from latency_tables.drawing_png_roof import BLUE, ends
from latency_tables.roofline import RoofPoint
from latency_tables.sweeps import Sweep
from latency_tables.table import Roof

_HOVER = "%{text}<br>%{y:.3g} GMAC/s at %{x:.3g} MAC/byte<br>%{customdata:.0f} % of the roof"


def roofline_figure(groups: Mapping[str, Sequence[RoofPoint]], roof: Roof, title: str) -> go.Figure:
    """Multiply-adds per second against multiply-adds per byte, both axes logarithmic."""
    figure = go.Figure()
    low, high = ends(groups, roof)
    line = [low, roof.gmacs / roof.gbytes, high]
    figure.add_scatter(
        x=line,
        y=[min(roof.gmacs, roof.gbytes * x) for x in line],
        mode="lines",
        name="roof",
        line={"color": "black"},
    )
    for label, points in groups.items():
        figure.add_scatter(
            x=[p.intensity for p in points],
            y=[p.gmacs for p in points],
            text=[f"{p.shape.geometry} {list(p.shape.widths)}" for p in points],
            customdata=[100 * p.share for p in points],
            mode="markers",
            name=label,
            marker={"size": 6, "opacity": 0.6},
            hovertemplate=_HOVER,
        )
    figure.update_xaxes(type="log", title_text="MACs per byte moved")
    figure.update_yaxes(type="log", title_text="thousand million MACs per second")
    figure.update_layout(title=title, height=640, template="plotly_white")
    return figure


def beside(sweep: Sweep, points: Sequence[RoofPoint], *, legend: bool) -> list[Any]:
    """Traces of a sweep's blocks: what they reach, and their roof."""
    return [
        go.Scatter(
            x=list(sweep.widths),
            y=[p.gmacs for p in points],
            customdata=[100 * p.share for p in points],
            mode="lines+markers",
            name="reached",
            line={"color": BLUE, "width": 1},
            marker={"size": 5},
            hovertemplate="%{x} channels: %{y:.3g} GMAC/s, %{customdata:.0f} % of the roof",
            showlegend=legend,
            legendgroup="reached",
        ),
        go.Scatter(
            x=list(sweep.widths),
            y=[p.bound for p in points],
            mode="lines",
            name="roof",
            line={"color": "black", "width": 1, "dash": "dash"},
            showlegend=legend,
            legendgroup="roof",
        ),
    ]
