"""A latency table in words and rows: what it covers, its stairs, how far to trust it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.table import Table

from latency_tables.predict import Predictor
from latency_tables.stairs import stairs
from latency_tables.sweeps import sweeps
from latency_tables.table import LatencyTable


def describe(table: LatencyTable) -> dict[str, Any]:
    """The table as JSON-able facts."""
    groups = table.by_geometry()
    found = [
        {
            "geometry": sweep.geometry,
            "axis": sweep.axis,
            "widths": [sweep.widths[0], sweep.widths[-1]],
            "points": len(sweep.widths),
            "right_edges": list(stairs(sweep.widths, sweep.levels, sweep.lo, sweep.hi).right_edges),
        }
        for sweep in sweeps(table)
    ]
    held = asdict(Predictor(table).held_out) if table.networks else None
    return {
        "target": asdict(table.target),
        "summary": str(table.target),
        "network": asdict(table.network),
        "geometries": {name: len(rows) for name, rows in groups.items()},
        "points": len(table.rows),
        "flagged": sum(bool(m.flags) for m in table.rows.values()),
        "networks": len(table.networks),
        "held_out": held,
        "stairs": found,
    }


def render(description: dict[str, Any]) -> Group:
    """The facts for a terminal."""
    rows = Table(box=None, pad_edge=False)
    for column in ("geometry", "axis", "widths", "right edges"):
        rows.add_column(column)
    for stair in description["stairs"]:
        low, high = stair["widths"]
        rows.add_row(
            stair["geometry"],
            stair["axis"],
            f"{low}..{high} ({stair['points']})",
            " ".join(map(str, stair["right_edges"])),
        )
    lines = [
        description["summary"],
        f"{description['points']} shapes of {len(description['geometries'])} geometries, "
        f"{description['flagged']} flagged; {description['networks']} whole networks",
    ]
    if held := description["held_out"]:
        lines.append(
            f"networks never fitted: {held['mape_percent']:.1f} % mean error, "
            f"{held['within_5_percent']:.0f} % within 5 %, {held['within_10_percent']:.0f} % "
            f"within 10 %, worst {held['worst_percent']:.1f} % (a fit to MACs alone: "
            f"{held['flops_linear_mape_percent']:.1f} %)"
        )
    return Group(*lines, "", rows)
