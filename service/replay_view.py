"""A replay in words and rows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.table import Table

from service.replay import DENSE, Replay, figures


def as_json(replayed: Replay) -> dict[str, Any]:
    """Everything measured, and how far the predictions were off."""
    return {
        "target": replayed.target,
        "level": replayed.level,
        "disturbed": replayed.disturbed,
        "huge_pages": replayed.huge_pages,
        "figures": figures(replayed),
        "rows": [{**asdict(row), "efficiency": row.efficiency} for row in replayed.rows],
    }


def render(replayed: Replay) -> Group:
    """A line per config, then the errors."""
    table = Table(box=None, pad_edge=False)
    table.add_column("config", no_wrap=True)
    for column in ("MMACs", "ms", "predicted", "error", "MACs x", "speed-up", "share"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in replayed.rows:
        error = "" if row.predicted_ms is None else f"{row.predicted_ms / row.measured_ms - 1:+.1%}"
        half = (row.hi_ms - row.lo_ms) / 2
        table.add_row(
            row.name + " !" * bool(row.flags),
            f"{row.macs / 1e6:.0f}",
            f"{row.measured_ms:.2f} ±{half:.2f}",
            "-" if row.predicted_ms is None else f"{row.predicted_ms:.2f}",
            error,
            f"{row.macs_ratio:.2f}",
            f"{row.speed_up[0]:.2f}",
            "" if row.name == DENSE else f"{row.efficiency:.2f}",
        )
    return Group(replayed.target, *_words(replayed), "", table)


def _words(replayed: Replay) -> list[str]:
    found = figures(replayed)
    lines = [
        f"the machine is {replayed.level:.3f} times as slow as when the table was measured; "
        f"{replayed.disturbed:.0%} of the rounds were disturbed"
    ]
    for key, words in (
        ("as_measured", "as measured"),
        ("at_the_tables_level", "with the machine at the table's level"),
    ):
        held = found[key]
        lines.append(
            f"{words}: {held['mape_percent']:.1f} % mean error, "
            f"{held['within_5_percent']:.0f} % within 5 %, "
            f"{held['within_10_percent']:.0f} % within 10 %, worst {held['worst_percent']:.1f} %; "
            f"{held['below_upper_percent']:.0f} % below the upper bound"
        )
    lines.append("share: of the MACs ratio that arrives as speed-up over the dense network")
    if any(row.flags for row in replayed.rows):
        lines.append("! unstable: more than a fifth of its rounds stayed disturbed")
    return lines
