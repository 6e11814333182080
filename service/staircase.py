"""The staircase of one block, measured at once: `stairprune profile --block stage3.1`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table

from latency_tables.plots import plot_stairs
from latency_tables.stairs import Staircase, staircase
from latency_tables.table import LatencyTable, Measurement
from profiler.backend import BackendError, load
from profiler.collect import compare
from profiler.measure import Protocol
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
    precision: str
    batch: int
    threads: int
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The sweep's rows by width, as a table, and the stairs found in them."""

    axis: str
    rows: dict[int, Measurement]
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
    backend = load(request.backend)
    if reason := backend.unavailable():
        raise BackendError(f"backend {backend.name} cannot run here: {reason}")
    target = backend.target(request.precision, request.batch, request.threads)
    runners = {str(width): backend.block(shape, target) for width, shape in shapes.items()}
    with progress(f"{request.block} {request.width}") as report:
        found = compare(backend, target, runners, Protocol(rounds=request.rounds), report)
    rows = {width: found[str(width)] for width in widths}
    by_shape: dict[Shape, Measurement] = {shapes[width]: rows[width] for width in widths}
    table = LatencyTable(
        target=target, network=network, rows=by_shape, protocol={"rounds": request.rounds}
    )
    geometry = next(iter(shapes.values())).geometry
    return Measured(axis=axis, rows=rows, table=table, stairs=staircase(table, geometry, axis))


def plot(measured: Measured, path: Path) -> None:
    """Writes the staircase as PNG or HTML."""
    plot_stairs(measured.table, path)


def as_json(measured: Measured) -> dict[str, Any]:
    """Widths, intervals and right edges."""
    return {
        "target": str(measured.table.target),
        "axis": measured.axis,
        "right_edges": list(measured.stairs.right_edges),
        "rows": [
            {
                "width": width,
                "median_ms": m.median,
                "lo_ms": m.lo,
                "hi_ms": m.hi,
                "flags": list(m.flags),
            }
            for width, m in measured.rows.items()
        ],
    }


def render(measured: Measured) -> Group:
    """A bar per width, right edges marked."""
    edges = set(measured.stairs.right_edges)
    most = max(m.median for m in measured.rows.values())
    table = Table(box=None, pad_edge=False)
    for column in (measured.axis, "ms", "95 % interval", "", ""):
        table.add_column(column, justify="right" if column in (measured.axis, "ms") else "left")
    for width, m in measured.rows.items():
        table.add_row(
            str(width),
            f"{m.median:.4f}",
            f"{m.lo:.4f}..{m.hi:.4f}",
            "█" * max(1, round(_BAR * m.median / most)),
            " ".join((["◀ right edge"] if width in edges else []) + list(m.flags)),
        )
    listed = ", ".join(map(str, measured.stairs.right_edges))
    return Group(table, f"{measured.table.target}", f"right edges: {listed}")
