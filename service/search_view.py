"""What `stairprune search show` and `compare` print."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

_GENES = 8  # most important ones that are named


def render(found: dict[str, Any]) -> RenderableType:
    """A search in a few lines.

    Args:
        found: as `search.views.describe` gives it.
    """
    limits = ", ".join(f"{name} <= {limit:,.6g}" for name, limit in found["limits"].items())
    lines = [
        f"{found['searcher']}, seed {found['seed']}, generations of {found['generation']}; "
        f"limits: {limits or 'none'}",
        f"{found['proposed']} proposed of 10^{found['configs_in_space_log10']:.1f} configs, "
        f"{found['scored']} scored, {found['failed']} failed",
    ]
    if found["first_failure"]:
        lines.append(f"first failure: {found['first_failure']}")
    if found["best"] is None:
        return Group(*lines)
    lines.append(
        f"best estimate {found['best']['estimate']:.6g}, "
        f"found at scored config {found['best_found_at']}"
    )
    if importance := found["importance"]:
        top = list(importance["total"].items())[:_GENES]
        genes = ", ".join(f"{name} {share:.0%}" for name, share in top)
        lines.append(
            f"genes that matter: {genes} "
            f"(error at left-out configs {importance['left_out_error']:.0%} of the deviation)"
        )
    table = Table(title=f"front of estimate against {found['metric']}")
    costs = list(found["best"]["costs"])
    for column in ("estimate", *costs):
        table.add_column(column, justify="right")
    for entry in found["front"]:
        table.add_row(
            f"{entry['estimate']:.6g}", *(f"{entry['costs'][name]:,.6g}" for name in costs)
        )
    return Group(*lines, table)


def render_comparison(found: dict[str, Any]) -> RenderableType:
    """Two searches, one column each.

    Args:
        found: as `search.views.compare` gives it.
    """
    sides = found["searches"]
    table = Table()
    table.add_column("")
    for side in sides:
        table.add_column(side["name"], justify="right")
    for label, form, key in (
        ("searcher", "", "searcher"),
        ("seed", "", "seed"),
        ("scored", "", "scored"),
        ("found at evaluation", "", "best_found_at"),
        ("configs on the front", "", "front"),
        ("hypervolume", ".6g", "hypervolume"),
    ):
        table.add_row(label, *(format(side[key], form) for side in sides))
    table.add_row("best estimate", *(f"{side['best']['estimate']:.6g}" for side in sides))
    for name in sides[0]["best"]["costs"]:
        costs = [side["best"]["costs"].get(name) for side in sides]
        table.add_row(f"its {name}", *("-" if c is None else f"{c:,.6g}" for c in costs))
    notes = [f"{found['scored_by_both']} configs were scored by both"]
    if not found["same_objective"]:
        notes.append("the estimates come from different sources and must not be compared")
    if not found["same_limits"]:
        notes.append("the limits differ")
    return Group(table, *notes)
