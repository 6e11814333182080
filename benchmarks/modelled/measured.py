"""How far a modelled GPU is from a real one: a measured table beside what the model says of it.

    python -m benchmarks.modelled.measured TABLE --device h100

Of blocks measured on their own, by geometry: measured over modelled, the error that is left once a
factor per geometry is taken out, rank correlation, and where the stairs lie. Beside it the same for
a line through the multiply-adds, which knows no stairs. Writes JSON and a plot to
`benchmarks/results/`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from benchmarks.latency.output import BLUE, GREY, RESULTS, show, text, write_json, write_png
from latency_tables.stairs import staircase, stairs
from latency_tables.sweeps import Floats, Sweep, sweep
from latency_tables.table import LatencyTable
from profiler.modelled.cost import total_ms
from profiler.modelled.gpus import GPUS
from supernet.shapes import BlockShape, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One sweep of both inner widths.

    Attributes:
        measured, modelled: milliseconds at each width, [n].
        macs: multiply-adds of one image, [n].
        edges, modelled_edges: right edges of both, the last width left out.
    """

    block: str
    widths: tuple[int, ...]
    measured: Floats
    modelled: Floats
    macs: Floats
    edges: tuple[int, ...]
    modelled_edges: tuple[int, ...]

    @property
    def ratio(self) -> float:
        """Measured over modelled, the median over widths."""
        return float(np.median(self.measured / self.modelled))

    @property
    def residual_percent(self) -> float:
        """Mean error of the model times `ratio`."""
        return 100 * float(np.mean(np.abs(self.ratio * self.modelled / self.measured - 1)))

    @property
    def line_percent(self) -> float:
        """Mean error of the best line through the multiply-adds, on the points it was fitted to."""
        across = np.stack([np.ones_like(self.macs), self.macs], axis=1) / self.measured[:, None]
        best, *_ = np.linalg.lstsq(across, np.ones_like(self.measured), rcond=None)
        return 100 * float(np.mean(np.abs(across @ best - 1)))

    @property
    def rank(self) -> float:
        """Spearman's rank correlation of measured and modelled."""
        return float(spearmanr(self.measured, self.modelled).statistic)

    @property
    def found(self) -> int:
        """Measured edges that the model has too, at the same measured width."""
        return len(set(self.edges) & set(self.modelled_edges))

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "block": self.block,
            "widths": self.widths,
            "measured_ms": self.measured.tolist(),
            "modelled_ms": self.modelled.tolist(),
            "measured_over_modelled": self.ratio,
            "residual_percent": self.residual_percent,
            "line_in_macs_percent": self.line_percent,
            "rank_correlation": self.rank,
            "right_edges": self.edges,
            "modelled_right_edges": self.modelled_edges,
            "edges_in_both": self.found,
        }


def compared(table: LatencyTable, device: str, step: int = 1) -> list[Compared]:
    """Every geometry of the table whose inner widths were swept.

    Args:
        step: only widths that are multiples of it count.

    Raises:
        BackendError: no such device.
        MissingShapeError: a geometry has no sweep of `w`.
    """
    found = []
    kept = {s: row for s, row in table.rows.items() if _aligned(s, step)}
    table = replace(table, rows=kept)
    for geometry, rows in sorted(table.by_geometry().items(), reverse=True):
        if isinstance(next(iter(rows)), BlockShape):
            points = sweep(table, geometry, "w")
            found.append(_of(points, table, device, staircase(table, geometry, "w").right_edges))
    return found


def _aligned(shape: Shape, step: int) -> bool:
    return not isinstance(shape, BlockShape) or not (shape.w1 % step or shape.w2 % step)


def _of(points: Sweep, table: LatencyTable, device: str, edges: tuple[int, ...]) -> Compared:
    target = table.target
    costs = [total_ms([s], device, target.batch, target.precision) for s in points.shapes]
    modelled = np.array(costs)
    theirs = stairs(points.widths, modelled, modelled, modelled).right_edges
    return Compared(
        block=_name(points.shapes[0]),
        widths=points.widths,
        measured=points.levels,
        modelled=modelled,
        macs=np.array([_macs(s) for s in points.shapes], dtype=np.float64),
        edges=edges[:-1],
        modelled_edges=theirs[:-1],
    )


def _macs(s: Shape) -> int:
    assert isinstance(s, BlockShape)
    projection = s.cin * s.cout if s.shortcut == "projection" else 0
    inside = 9 * s.w1 * s.w2 + s.w2 * s.cout + projection
    return s.cin * s.w1 * s.size**2 + inside * s.out_size**2


def _name(shape: Shape) -> str:
    assert isinstance(shape, BlockShape)
    return f"{shape.size}x{shape.size}, {shape.cin} -> w -> w -> {shape.cout}"


def figure(found: list[Compared], title: str) -> Figure:
    """Measured and modelled stairs, one plot a geometry."""
    plot = Figure(figsize=(12, 4 * -(-len(found) // 2)), layout="constrained", dpi=100)
    axes = plot.subplots(-(-len(found) // 2), min(2, len(found)), squeeze=False).ravel()
    for ax, each in zip(axes, found, strict=False):
        ax.plot(each.widths, 1000 * each.measured, ".-", color=BLUE, label="measured")
        ax.step(each.widths, 1000 * each.modelled, where="mid", color=GREY, label="modelled")
        for edge in each.edges:
            ax.axvline(edge, color=BLUE, alpha=0.2, linewidth=1)
        ax.set_title(f"{each.block}: measured {each.ratio:.2f} x modelled", fontsize=10)
        ax.set_xlabel("channels (w1 = w2)")
        ax.set_ylabel("us")
        ax.set_ylim(bottom=0)
        ax.grid(alpha=0.25)
        ax.legend(fontsize=8)
    plot.suptitle(title, fontsize=11)
    return plot


def main() -> None:
    """Reads the table, compares, writes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.modelled.measured",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", type=Path, help="a measured table")
    parser.add_argument("--device", choices=GPUS, required=True, help="the model of its device")
    parser.add_argument("--step", type=int, default=1, help="only multiples of this width")
    parser.add_argument("--out", type=Path, default=None, help="JSON file; the plot lies beside it")
    given = parser.parse_args()
    table = LatencyTable.load(given.table)
    found = compared(table, given.device, given.step)
    target = str(table.target)
    out = given.out or RESULTS / f"measured-{given.table.stem}.json"
    result = {"target": target, "model": given.device, "blocks": [c.to_json() for c in found]}
    write_json(out, result)
    write_png(out.with_suffix(".png"), figure(found, target))
    show(
        f"{target}, against the model of {GPUS[given.device].name}",
        ("block", "points", "measured / modelled", "left %", "line in MACs %", "rank",
         "edges", "modelled", "in both"),
        [
            (c.block, str(len(c.widths)), text(c.ratio), text(c.residual_percent, 1),
             text(c.line_percent, 1), text(c.rank, 3), str(len(c.edges)),
             str(len(c.modelled_edges)), str(c.found))
            for c in found
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
