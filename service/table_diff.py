"""A difference of two tables in words and rows."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table

from latency_tables.diff import Ratios, TableDiff

MOST = 12
"""Rows and edges that are listed; `--json` has all of them."""


def render(found: TableDiff) -> Group:
    """The target's changes, the ratios, the edges that moved, the rows that lie apart."""
    lines = _origins(found) + [
        f"{change.name}: {change.first} -> {change.second}"
        for change in found.target
        if change.identity
    ] or ["the same target"]
    lines += [
        _ratios(f"{found.rows.count} common rows", found.rows),
        _ratios(f"{found.predictions.count} predicted networks", found.predictions),
        f"{found.only_first} rows only in the first, {found.only_second} only in the second table",
    ]
    return Group(*lines, "", _edges(found), "", _apart(found))


def _origins(found: TableDiff) -> list[str]:
    """Whether figures are compared that were not measured."""
    if "modelled" not in found.origins:
        return []
    first, second = found.origins
    if first == second:
        return ["both tables are modelled: no difference here was measured"]
    return [f"a {first} table against a {second} one: differences include the model's error"]


def _ratios(what: str, ratios: Ratios) -> str:
    if not ratios.count:
        return f"{what}: nothing to compare"
    return (
        f"{what}: second / first {ratios.median:.3f} "
        f"(5 to 95 %: {ratios.low:.3f} to {ratios.high:.3f})"
    )


def _edges(found: TableDiff) -> Table:
    table = Table(title="right edges", title_justify="left", box=None, pad_edge=False)
    for column in ("geometry", "axis", "kept", "moved", "gone", "new"):
        table.add_column(column)
    changed = [change for change in found.edges if change.moved or change.gone or change.new]
    for change in changed[:MOST]:
        moved = " ".join(f"{before}->{after}" for before, after in change.moved)
        others = (" ".join(map(str, edges)) for edges in (change.gone, change.new))
        table.add_row(change.geometry, change.axis, str(len(change.kept)), moved, *others)
    if not changed:
        table.add_row("none moved")
    return table


def _apart(found: TableDiff) -> Table:
    title = f"rows whose intervals do not overlap: {len(found.apart)}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("geometry", "widths", "first ms", "second ms", "ratio", ""):
        table.add_column(column)
    for row in found.apart[:MOST]:
        table.add_row(
            row.geometry,
            " ".join(map(str, row.widths)),
            f"{row.first_ms:.4f}",
            f"{row.second_ms:.4f}",
            f"{row.ratio:.3f}",
            "flagged" if row.flagged else "",
        )
    return table
