"""The kernels that a modelled table's figures are made of: tile, waves, and what bounds each."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.table import Table

from latency_tables.table import LatencyTable, TableError
from profiler.modelled.cost import Cost, costs
from profiler.pieces import piece_names
from supernet.config import ChannelConfig


def explain(table: LatencyTable, config: ChannelConfig, block: str | None) -> dict[str, Any]:
    """Every kernel of a config, or of one of its pieces, as JSON-able facts.

    Args:
        table: a modelled one.
        config: of its network.
        block: `stem`, `stage3.1` or `head`.

    Raises:
        ConfigError: not a config of the network.
        TableError: the table is measured, or there is no such piece.
        BackendError: the table's device is not known any more.
    """
    target, network = table.target, table.network
    if not target.modelled:
        raise TableError(f"only modelled tables can be explained by kernels, but got: {target}")
    network.check(config)
    pieces = dict(zip(piece_names(network, config), network.shapes(config), strict=True))
    if block is not None and block not in pieces:
        raise TableError(f"--block must be one of {', '.join(pieces)}, but got {block!r}")
    rows = [
        _row(name, cost)
        for name, shape in pieces.items()
        if block in (None, name)
        for cost in costs(shape, target.device, target.batch, target.precision)
    ]
    return {
        "target": str(target),
        "origin": target.origin,
        "total_ms": sum(row["us"] for row in rows) / 1000,
        "kernels": rows,
    }


def render(explained: dict[str, Any]) -> Group:
    """A line per kernel."""
    table = Table(box=None, pad_edge=False)
    table.add_column("kernel")
    for column in ("m", "n", "k", "tile", "waves", "full", "compute us", "memory us", "us"):
        table.add_column(column, justify="right")
    table.add_column("bound by")
    for row in explained["kernels"]:
        product, plan = row["gemm"], row["plan"]
        table.add_row(
            f"{row['piece']} {row['kernel']}",
            *((str(product[side]) for side in "mnk") if product else ("", "", "")),
            *((plan["tile"], str(plan["waves"]), f"{plan['full']:.0%}") if plan else ("", "", "")),
            f"{row['compute_us']:.1f}",
            f"{row['memory_us']:.1f}",
            f"{row['us']:.1f}",
            row["bound"],
        )
    return Group(explained["target"], "", table, "", f"together {explained['total_ms']:.4f} ms")


def _row(piece: str, cost: Cost) -> dict[str, Any]:
    plan = cost.plan
    return {
        "piece": piece,
        "kernel": cost.kernel.name,
        "gemm": None if cost.kernel.gemm is None else asdict(cost.kernel.gemm),
        "plan": None
        if plan is None
        else {"tile": str(plan.tile), "waves": plan.waves, "full": plan.full},
        "compute_us": cost.compute_us,
        "memory_us": cost.memory_us,
        "us": cost.total_us,
        "bound": cost.bound,
    }
