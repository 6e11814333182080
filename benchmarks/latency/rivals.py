"""Prediction error on a table's held-out networks: our predictor beside every rival, in one run.

All are built from the same measured points (`benchmarks.latency.cases`). The rivals' rules are in
`benchmarks.latency.rules`, nn-Meter's in `benchmarks.latency.forest`. Printed and written: mean
absolute percentage error with its bootstrap interval, the ratio to ours, shares within 5 and 10 %,
the worst network, rank correlation among networks within 10 % of each other (Kendall), and the
mean error on networks whose widths are all multiples of 8 and on the others.
Does not know how well a rival does on tables made as its authors would make them, which have one
row per convolution on a dense grid; `benchmarks.latency.points` counts what those would cost.

    python -m benchmarks.latency.rivals TABLE [--quick] [--out FILE] [--nn-meter FOLDER]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks.latency import forest
from benchmarks.latency.cases import Case
from benchmarks.latency.compare import Outcome, by_rule, ours, ours_isolated, ours_plain
from benchmarks.latency.figures import figures
from benchmarks.latency.output import (
    BLUE,
    GREY,
    about,
    between,
    parser,
    show,
    text,
    write_json,
    write_png,
)
from benchmarks.latency.rules import RIVALS
from latency_tables.table import LatencyTable

DRAWS, QUICK_DRAWS = 10_000, 1_000
COLUMNS = (
    "predictor",
    "MAPE % (95 %)",
    "x ours (95 %)",
    "<=5 %",
    "<=10 %",
    "worst %",
    "tau*",
    "aligned %",
    "unaligned %",
    "rows",
    "none %**",
)


def compare(case: Case, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Every predictor on one case, ready for JSON."""
    mine = ours(case)
    forests, notes = forest.rivals(folder)
    outcomes: list[Outcome] = [mine, ours_plain(case), ours_isolated(case)]
    outcomes += [by_rule(rival, case) for rival in (*RIVALS, *forests)]
    draws = QUICK_DRAWS if quick else DRAWS
    return {
        "draws": draws,
        "nn_meter": notes,
        "predictors": [figures(outcome, mine, case, draws) for outcome in outcomes],
    }


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    options: argparse.Namespace = parser("rivals", __doc__).parse_args(arguments)
    started = time.monotonic()
    case = Case.of(LatencyTable.load(options.table))
    result = {
        "benchmark": "latency-rivals",
        "quick": options.quick,
        "table": about(case, options.table),
        **compare(case, options.nn_meter, quick=options.quick),
    }
    result["seconds"] = round(time.monotonic() - started, 1)
    write_json(options.out, result)
    write_png(options.out.with_suffix(".png"), figure(result))
    show(title(result), COLUMNS, [cells(found) for found in result["predictors"]])
    print("*  Kendall's rank correlation among networks whose latencies differ by at most 10 %")
    print("** share of pieces that the rule has no row for")
    for name, note in result["nn_meter"].items():
        print(f"nn-Meter, {name}: {note}")


def title(result: dict[str, Any]) -> str:
    """One line on what was measured."""
    table = result["table"]
    return (
        f"{table['device']}, {table['runtime']}, {table['precision']}, batch {table['batch']}, "
        f"{table['threads']} thread(s): {table['rows']} rows, {table['chains']} chains, "
        f"{table['networks_fit']} networks to fit, {table['networks_held_out']} held out "
        f"({table['networks_aligned']} aligned)"
    )


def cells(found: dict[str, Any]) -> list[str]:
    """One line of the printed table."""
    priced = f" ({found['networks']} networks)" if found["networks_without_price"] else ""
    on, off = found["aligned"], found["unaligned"]
    return [
        found["name"] + priced,
        f"{text(found['mape_percent'])} ({between(found['mape_interval'])})",
        f"{text(found['ratio_to_ours'], 1)} ({between(found['ratio_interval'], 1)})",
        text(found["within_5_percent"], 0),
        text(found["within_10_percent"], 0),
        text(found["worst_percent"], 1),
        text(found["band_rank_correlation"]),
        f"{text(on['mape_percent'])} ({on['networks']})",
        f"{text(off['mape_percent'])} ({off['networks']})",
        str(found["points"]["rows"]),
        text(found["pieces_without_answer_percent"], 0),
    ]


def figure(result: dict[str, Any]) -> Figure:
    """Mean errors with their intervals, on a logarithmic scale."""
    shown = [p for p in result["predictors"] if p["mape_interval"] is not None][::-1]
    plot = Figure(figsize=(9, 0.42 * len(shown) + 1.6), layout="constrained", dpi=120)
    axes = plot.subplots()
    for place, found in enumerate(shown):
        low, high = found["mape_interval"]
        colour = BLUE if found["name"].startswith("ours") else GREY
        axes.plot([low, high], [place, place], color=colour, linewidth=3, alpha=0.5)
        axes.plot([found["mape_percent"]], [place], "o", color=colour)
        label = f"  {found['mape_percent']:.1f} %, worst {found['worst_percent']:.0f} %"
        axes.annotate(label, (high, place), va="center", fontsize=8)
    axes.set_xscale("log")
    ticks = (1, 2, 3, 5, 10, 20, 50, 100, 200)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    # Room for the text beside the last interval.
    axes.set_xlim(right=2.5 * max(found["mape_interval"][1] for found in shown))
    axes.set_yticks(range(len(shown)), [found["name"] for found in shown])
    axes.set_xlabel("mean absolute error on held-out networks [%], with 95 % interval")
    axes.grid(alpha=0.25, axis="x", which="both")
    plot.suptitle(title(result).replace(": ", ":\n"), fontsize=9)
    return plot


if __name__ == "__main__":
    main()
