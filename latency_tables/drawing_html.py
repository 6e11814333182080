"""The plots of `latency_tables.plots` as HTML files that need no network connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from latency_tables.drawing_html_roof import beside, roofline_figure
from latency_tables.drawing_png import edge_label, opacity, summary
from latency_tables.drawing_png_roof import BLUE, GREY, RED, channels, shares
from latency_tables.files import replace_with
from latency_tables.judge import HeldOut
from latency_tables.predict import NetworkPoint
from latency_tables.roofline import RoofPoint
from latency_tables.stairs import Plateau, Staircase
from latency_tables.sweeps import Sweep
from latency_tables.table import Roof, Target
from supernet.shapes import Shape


def stairs(
    cases: Sequence[tuple[Sweep, Staircase]],
    title: str,
    path: Path,
    roof: Mapping[Shape, RoofPoint] | None = None,
) -> None:
    """Saves `stairs_figure`."""
    _save(stairs_figure(cases, title, roof), path)


def roofline(groups: Mapping[str, Sequence[RoofPoint]], roof: Roof, title: str, path: Path) -> None:
    """Saves `latency_tables.drawing_html_roof.roofline_figure`."""
    _save(roofline_figure(groups, roof, title.replace("\n", "<br>")), path)


def networks(
    points: Sequence[NetworkPoint], held: HeldOut, factor: float, target: Target, path: Path
) -> None:
    """Saves `networks_figure`."""
    _save(networks_figure(points, held, factor, target), path)


def stairs_figure(
    cases: Sequence[tuple[Sweep, Staircase]],
    title: str,
    roof: Mapping[Shape, RoofPoint] | None = None,
) -> go.Figure:
    """One panel per sweep, one below the other; with a roof, one beside each that shows it."""
    panels = [(sweep.label, shares([roof[s] for s in sweep.shapes]) if roof else "")
              for sweep, _ in cases]  # fmt: skip
    figure = make_subplots(
        rows=len(cases),
        cols=2 if roof else 1,
        subplot_titles=[title for pair in panels for title in (pair if roof else pair[:1])],
        vertical_spacing=min(0.08, 0.3 / len(cases)),
    )
    for number, (sweep, staircase) in enumerate(cases, start=1):
        for trace in _traces(sweep, staircase, legend=number == 1):
            figure.add_trace(trace, row=number, col=1)
        figure.update_xaxes(title_text=channels(sweep), row=number)
        low, high = float(sweep.lo.min()), float(sweep.hi.max())
        margin = 0.08 * (high - low) or 0.05 * high
        figure.update_yaxes(
            title_text="latency [ms]", range=[low - margin, high + margin], row=number, col=1
        )
        if roof:
            points = [roof[shape] for shape in sweep.shapes]
            for trace in beside(sweep, points, legend=number == 1):
                figure.add_trace(trace, row=number, col=2)
            figure.update_yaxes(title_text="GMAC/s", rangemode="tozero", row=number, col=2)
    figure.update_layout(title=title, height=120 + 420 * len(cases), template="plotly_white")
    return figure


def networks_figure(
    points: Sequence[NetworkPoint], held: HeldOut, factor: float, target: Target
) -> go.Figure:
    """Scatter of whole networks with the identity and the upper bound."""
    figure = go.Figure()
    for role, colour in (("fit", GREY), ("held-out", BLUE)):
        mine = [point for point in points if point.role == role]
        figure.add_scatter(
            x=[p.predicted for p in mine],
            y=[p.measured for p in mine],
            mode="markers",
            name=f"{role}: {len(mine)} networks",
            marker={"color": colour, "size": 8},
            hovertemplate=f"predicted %{{x:.3f}} ms<br>{target.origin} %{{y:.3f}} ms",
        )
    ends = [min(p.predicted for p in points) * 0.95, max(p.predicted for p in points) * 1.05]
    for name, share, dash, colour in (
        (f"{target.origin} = predicted", 1.0, "solid", "black"),
        ("upper bound", factor, "dash", RED),
    ):
        figure.add_scatter(
            x=ends,
            y=[share * end for end in ends],
            mode="lines",
            name=name,
            line={"color": colour, "dash": dash, "width": 1},
        )
    figure.update_layout(
        title=f"{target}<br>held-out networks: {summary(held)}",
        xaxis_title="predicted latency [ms]",
        yaxis_title=f"{target.origin} latency [ms]",
        template="plotly_white",
    )
    return figure


def _traces(sweep: Sweep, staircase: Staircase, *, legend: bool) -> list[Any]:
    rounds = [(w, v) for w, row in zip(sweep.widths, sweep.rows, strict=True) for v in row.adjusted]
    level = dict(zip(sweep.widths, sweep.levels.tolist(), strict=True))
    edges = staircase.edges
    return [
        go.Scatter(
            x=[w for w, _ in rounds],
            y=[v for _, v in rounds],
            mode="markers",
            name="rounds",
            marker={"color": GREY, "size": 3, "opacity": 0.4},
            hoverinfo="skip",
            showlegend=legend,
            legendgroup="rounds",
        ),
        go.Scatter(
            x=list(sweep.widths),
            y=sweep.levels.tolist(),
            error_y={
                "type": "data",
                "symmetric": False,
                "array": (sweep.hi - sweep.levels).tolist(),
                "arrayminus": (sweep.levels - sweep.lo).tolist(),
                "thickness": 1,
            },
            mode="lines+markers",
            name="median and 95 % interval",
            line={"color": BLUE, "width": 1},
            marker={"size": 5},
            hovertemplate="%{x} channels: %{y:.4f} ms",
            showlegend=legend,
            legendgroup="median",
        ),
        go.Scatter(
            x=[p.right for p in edges],
            y=[level[p.right] for p in edges],
            text=[edge_label(p) for p in edges],
            customdata=[_hover(p) for p in edges],
            mode="markers+text",
            textposition="bottom right",
            textfont={"color": RED},
            name="right edge",
            marker={
                "color": RED,
                "symbol": ["diamond" if p.exact else "diamond-open" for p in edges],
                "opacity": [opacity(p) for p in edges],
                "size": 10,
            },
            hovertemplate="right edge %{text}<br>%{customdata}",
            showlegend=legend,
            legendgroup="edge",
        ),
    ]


def _hover(edge: Plateau) -> str:
    step, low, high = (1000 * v for v in (edge.step_ms, edge.step_lo_ms, edge.step_hi_ms))
    return (
        f"the next width costs {step:+.1f} µs ({low:+.1f} to {high:+.1f})<br>"
        f"confidence {100 * edge.confidence:.0f} %"
    )


def _save(figure: Any, path: Path) -> None:
    replace_with(path, lambda file: figure.write_html(file, include_plotlyjs=True))
