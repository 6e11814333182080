"""The staircase of one block, measured at once: `stairprune profile --block stage3.1`."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table

from latency_tables.plots import plot_stairs
from latency_tables.stairs import Staircase, staircase
from latency_tables.sweeps import Sweep
from latency_tables.sweeps import sweep as sweep_of
from latency_tables.table import LatencyTable, Measurement
from profiler.backend import BackendError, load
from profiler.collect import compare
from profiler.models import piece
from profiler.protocol import Protocol
from profiler.sweep import named_shape, sweep
from service.console import progress
from supernet.network import DEPTHS, NetworkSpec
from supernet.shapes import Shape

_MOST_WIDTHS = 512
_BAR = 40


class StaircaseError(ValueError):
    """A staircase that cannot be asked for like this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One sweep; `width` is an axis with widths, such as `w=56..104` or `cout=64..256:8`."""

    network: str
    resolution: int
    block: str
    width: str
    backend: str
    device: str | None = None
    precision: str
    batch: int
    threads: int
    rounds: int
    round_ms: float = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The sweep, as a table too, and the stairs found in it."""

    sweep: Sweep
    table: LatencyTable
    stairs: Staircase


def parse_width(text: str) -> tuple[str, list[int]]:
    """Axis and widths of `w=56..104`, `w1=56..104:8` or `cin=64,72,80`.

    Raises:
        StaircaseError: not of this form, or no or too many widths.
    """
    match = re.fullmatch(r"(\w+)=(?:(\d+)\.\.(\d+)(?::(\d+))?|(\d+(?:,\d+)*))", text)
    if match is None:
        raise StaircaseError(f"--width must look like w=56..104 or w=56..104:8, got {text!r}")
    axis, first, last, step, listed = match.groups()
    if listed:
        widths = sorted({int(w) for w in listed.split(",")})
    elif int(step or 1) < 1 or (int(last) - int(first)) // int(step or 1) >= _MOST_WIDTHS:
        raise StaircaseError(f"--width allows at most {_MOST_WIDTHS} widths, got {text!r}")
    else:
        widths = list(range(int(first), int(last) + 1, int(step or 1)))
    if not 2 <= len(widths) <= _MOST_WIDTHS or widths[0] < 1:
        raise StaircaseError(
            f"--width needs 2 to {_MOST_WIDTHS} widths of at least 1, got {text!r}"
        )
    return axis, widths


def measure(request: Request) -> Measured:
    """Measures the sweep, interleaved, and finds its stairs."""
    if request.network not in DEPTHS:
        raise StaircaseError(
            f"--network must be one of {', '.join(DEPTHS)}, but got {request.network!r}"
        )
    network = NetworkSpec(depths=DEPTHS[request.network], resolution=request.resolution)
    axis, widths = parse_width(request.width)
    shapes = dict(
        zip(widths, sweep(named_shape(network, request.block), axis, widths), strict=True)
    )
    backend = load(request.backend, request.device)
    if reason := backend.unavailable():
        raise BackendError(f"backend {backend.name} cannot run here: {reason}")
    target = backend.target(request.precision, request.batch, request.threads)
    models = {str(width): piece(shape) for width, shape in shapes.items()}
    protocol = Protocol(rounds=request.rounds, round_ms=request.round_ms)
    with progress(f"{request.block} {request.width}") as report:
        found = compare(target, models, protocol, report)
    by_shape: dict[Shape, Measurement] = {shapes[w]: found[str(w)] for w in widths}
    table = LatencyTable(
        target=target, network=network, rows=by_shape, protocol={"rounds": request.rounds}
    )
    geometry = next(iter(shapes.values())).geometry
    found_sweep = sweep_of(table, geometry, axis)
    return Measured(sweep=found_sweep, table=table, stairs=staircase(table, geometry, axis))


def plot(measured: Measured, path: Path) -> None:
    """Writes the staircase as PNG or HTML."""
    plot_stairs(measured.table, path)


def as_json(measured: Measured) -> dict[str, Any]:
    """Widths, intervals and right edges; `ms` is what the stairs were found in."""
    sweep = measured.sweep
    return {
        "target": str(measured.table.target),
        "origin": measured.table.target.origin,
        "axis": sweep.axis,
        "right_edges": list(measured.stairs.right_edges),
        "edges": [asdict(plateau) for plateau in measured.stairs.edges],
        "flagged": sweep.flagged,
        "rows": [
            {"width": width, "ms": ms, "lo_ms": lo, "hi_ms": hi, "median_ms": row.median,
             "flags": list(row.flags)}
            for width, ms, lo, hi, row in _points(sweep)
        ],
    }  # fmt: skip


def render(measured: Measured) -> Group:
    """A bar per width, right edges marked."""
    sweep, edges = measured.sweep, {p.right: p for p in measured.stairs.edges}
    most = float(sweep.levels.max())
    table = Table(box=None, pad_edge=False)
    for column in (sweep.axis, "ms", "95 % interval", "", ""):
        table.add_column(column, justify="right" if column in (sweep.axis, "ms") else "left")
    for width, ms, lo, hi, _ in _points(sweep):
        table.add_row(
            str(width),
            f"{ms:.4f}",
            f"{lo:.4f}..{hi:.4f}",
            "█" * max(1, round(_BAR * ms / most)),
            f"◀ right edge ({edges[width].confidence:.0%})" if width in edges else "",
        )
    lines = [str(measured.table.target)]
    if sweep.flagged:
        lines.append(
            f"something else kept this machine busy: {sweep.flagged} of {len(sweep.widths)} points "
            "stayed disturbed"
        )
    lines.append(f"right edges: {', '.join(map(str, measured.stairs.right_edges))}")
    return Group(table, *lines)


def _points(sweep: Sweep) -> list[tuple[int, float, float, float, Measurement]]:
    columns = (sweep.levels.tolist(), sweep.lo.tolist(), sweep.hi.tolist())
    return list(zip(sweep.widths, *columns, sweep.rows, strict=True))
