"""The report's own figures; stairs and predictions come from `latency_tables.plots`."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from service.job import Job

COLORS = ["#3b6fb6", "#d1495b", "#3a9d6e", "#e09f3e", "#7b5ea7", "#5f6b7a"]


def pareto(job: Job, report: dict[str, Any]) -> go.Figure:
    """Estimate against the latency bound, the front, and the chosen configs."""
    history = job.history()
    candidates, best = history.scored, history.front("latency_ms")
    figure = go.Figure()
    figure.add_scatter(
        x=[c.costs["latency_ms"] for c in candidates],
        y=[c.estimate for c in candidates],
        mode="markers",
        name="estimated",
        marker={"size": 5, "opacity": 0.45},
        text=[f"{c.costs['macs'] / 1e6:.1f} M MACs" for c in candidates],
    )
    best = sorted(best, key=lambda c: c.costs["latency_ms"])
    figure.add_scatter(
        x=[c.costs["latency_ms"] for c in best],
        y=[c.estimate for c in best],
        mode="lines+markers",
        name="front",
        line={"shape": "hv"},
    )
    chosen = {str(entry["config"]): entry["name"] for entry in report["found"]}
    picked = [c for c in candidates if str(c.config.to_json()) in chosen]
    figure.add_scatter(
        x=[c.costs["latency_ms"] for c in picked],
        y=[c.estimate for c in picked],
        mode="markers+text",
        name="trained",
        text=[chosen[str(c.config.to_json())] for c in picked],
        textposition="top left",
        marker={"size": 13, "symbol": "star"},
    )
    if limit := report["budget"]["latency_ms"]:
        figure.add_vline(x=limit, line_dash="dash", annotation_text="budget")
    figure.update_xaxes(title="predicted latency, upper bound (ms)")
    figure.update_yaxes(title="estimated accuracy")
    figure.update_layout(title=report["stamp"])
    return figure


def widths(report: dict[str, Any]) -> go.Figure:
    """Widths of every layer, dense, uniform and found."""
    figure = go.Figure()
    depths = report["spec"]["network"]["depths"]
    names = _layer_names(depths)
    for entry in (report["dense"], report["uniform"], *report["found"]):
        config = entry["config"]
        values = [config["stem"]]
        blocks = iter(config["inner"])
        for stage, depth in enumerate(depths):
            for _ in range(depth):
                values += [*next(blocks), config["stages"][stage]]
        dense = entry["name"] == "dense"
        figure.add_scatter(
            x=names,
            y=values,
            name=entry["name"],
            mode="lines",
            line={"shape": "hvh", "width": 1.5, "dash": "dot" if dense else "solid"},
        )
    figure.update_yaxes(title="channels", type="log")
    figure.update_xaxes(title="layer")
    return figure


def training(job: Job) -> go.Figure:
    """Validation accuracy per epoch of the teacher and of every finalist's first seed."""
    histories = {"dense (teacher)": job.json("teacher", "history.json")}
    for name in job.finalists():
        if name != "dense":
            histories[name] = job.json("train", f"{name}/seed-0/result.json")["history"]
    figure = go.Figure()
    for name, history in histories.items():
        figure.add_scatter(
            x=[row["epoch"] for row in history],
            y=[row["val_accuracy"] for row in history],
            mode="lines+markers",
            name=name,
        )
    figure.update_xaxes(title="epoch")
    figure.update_yaxes(title="validation accuracy")
    return figure


def supernet(job: Job) -> go.Figure:
    """Training loss of the supernet per epoch."""
    history = job.json("supernet", "history.json")
    figure = go.Figure()
    for name in history[0]:
        if "loss" in name:
            figure.add_scatter(
                x=[row["epoch"] for row in history],
                y=[row[name] for row in history],
                mode="lines+markers",
                name=name,
            )
    figure.update_xaxes(title="epoch")
    figure.update_yaxes(title="loss")
    return figure


def _layer_names(depths: list[int]) -> list[str]:
    names = ["stem"]
    for stage, depth in enumerate(depths, 1):
        for index in range(depth):
            names += [f"{stage}.{index} conv{c}" for c in (1, 2, 3)]
    return names
