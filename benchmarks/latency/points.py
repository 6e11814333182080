"""Measured points against error: learning curves of our model and of the rivals, and dense grids.

The table's rows are thinned to 100, 200, 400, 800 and all, at random (several parts) and in the
order in which the planner had them measured (where the journal is given or lies beside the table).
Chains and networks stay: they are counted apart. For each part, every predictor is built anew and
judged on the held-out networks and on the bottlenecks left out of the part; with all rows, on five
random fifths in turn, each left out once. What the planner measured last is no random choice, so
the left-out bottlenecks of the two orders do not compare. Intervals are 95 % percentiles over parts
and resampled networks. Then: how many rows each predictor needs for the error that ours reaches
with all, read off its curve or, up to ten times beyond it, off a power law through it (marked
"extrapolated": a hint).
Does not know what rows measured for a rival on purpose would give it: all get the planner's.

    python -m benchmarks.latency.points TABLE [--journal FILE] [--quick] [--out FILE]
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.latency.cases import Case
from benchmarks.latency.curves import Cell, Run, curves, run
from benchmarks.latency.grids import sizes
from benchmarks.latency.needed import needed
from benchmarks.latency.output import about, parser, show, text, write_json, write_png
from benchmarks.latency.points_plot import figure
from benchmarks.latency.thin import anchors, folds, journalled, shuffled
from latency_tables.table import LatencyTable

SIZES, QUICK_SIZES = (100, 200, 400, 800), (100, 400)
PARTS, QUICK_PARTS = 5, 1
FOLDS, QUICK_FOLDS = 5, 1
AS_MEASURED = "as measured"


def cells(case: Case, journal: Path | None, *, quick: bool) -> list[Cell]:
    """What is to be fitted and judged."""
    # An anchor may be flagged: it then widens the range and takes no part in the fit.
    usable = list(dict.fromkeys([*anchors(case), *case.rows]))
    wanted = [n for n in (QUICK_SIZES if quick else SIZES) if n < len(usable)]
    orders = [("random", shuffled(case, seed)) for seed in range(QUICK_PARTS if quick else PARTS)]
    if journal is not None and not quick:
        orders.append((AS_MEASURED, journalled(case, journal)))
    found = [
        Cell(order=name, size=n, rows=tuple(order[:n]), judged=tuple(order[n:]))
        for name, order in orders
        for n in wanted
    ]
    found.append(Cell(order="all", size=len(usable), rows=tuple(usable), judged=()))
    for part in folds(usable, anchors(case), FOLDS)[: QUICK_FOLDS if quick else FOLDS]:
        left_out = set(part)
        kept = tuple(shape for shape in usable if shape not in left_out)
        found.append(Cell(order="fifths", size=len(usable), rows=kept, judged=tuple(part)))
    return found


def measure(case: Case, wanted: list[Cell], folder: Path) -> list[Run]:
    """Runs all cells, the largest first, on as many processes as there are cores."""
    order = sorted(wanted, key=lambda cell: -len(cell.rows))
    with ProcessPoolExecutor(max_workers=min(len(order), os.cpu_count() or 1)) as pool:
        return list(pool.map(run, [case] * len(order), order, [folder] * len(order)))


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    options_of = parser("points", __doc__)
    options_of.add_argument(
        "--journal", type=Path, help="the table's journal (default: TABLE with the suffix .jsonl)"
    )
    options = options_of.parse_args(arguments)
    started = time.monotonic()
    case = Case.of(LatencyTable.load(options.table))
    beside = options.table.with_suffix(".jsonl")
    journal = options.journal or (beside if beside.is_file() else None)
    runs = measure(case, cells(case, journal, quick=options.quick), options.nn_meter)
    found = curves(runs, case)
    result: dict[str, Any] = {
        "benchmark": "latency-points",
        "quick": options.quick,
        "table": about(case, options.table),
        "journal": journal is not None,
        "rows_in_every_part": len(anchors(case)),
        "curves": found,
        "needed": needed(found),
        "grids": sizes(case),
    }
    result["seconds"] = round(time.monotonic() - started, 1)
    write_json(options.out, result)
    write_png(options.out.with_suffix(".png"), figure(result))
    report(result)


def report(result: dict[str, Any]) -> None:
    """Prints the curves, the points needed and the grids."""
    for what in ("network", "block"):
        columns = sorted({(c["order"] == AS_MEASURED, c["rows"]) for c in result["curves"]})
        heads = [f"{n}{' as measured' if planned else ''}" for planned, n in columns]
        names = dict.fromkeys(c["name"] for c in result["curves"])
        at = {(c["name"], c["order"] == AS_MEASURED, c["rows"]): c for c in result["curves"]}
        lines = [
            [name, *(text(at[(name, *column)][f"{what}_mape_percent"]) for column in columns)]
            for name in names
        ]
        show(f"mean error of {what}s in % by number of rows", ["predictor", *heads], lines)
    lines = [
        [n["name"], *(f"{n[key]['text']}" for key in ("network", "block", "ours_for_its_error"))]
        for n in result["needed"]
    ]
    heads = ["predictor", "rows for our network error", "for our block error", "ours for its error"]
    show("rows needed for equal error (within 5 %)", heads, lines)
    lines = [[f"{g['of']}, {g['step']}", f"{g['points']:,}"] for g in result["grids"]]
    show("points of dense grids over the measured ranges", ["grid", "points"], lines)


if __name__ == "__main__":
    main()
