"""The study's figures: accuracy over seeds against measured latency, as table, JSON and plot.

Differences to `found` are taken seed by seed, with Student's 95 % interval over seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from scipy import stats

from benchmarks.outcome.measuring import measured
from benchmarks.outcome.study import DENSE, METHODS, Study, name
from benchmarks.pieces import Row, done
from benchmarks.search.spaces import RESULTS, write
from profiler.stats import paired_ratio

Figures = dict[str, Any]
POINTS = 100.0


def accuracies(rows: dict[str, Row], label: str, seeds: int) -> list[float]:
    """Test accuracies of a network, one per seed that was trained."""
    wanted = [f"{label} seed {seed}" for seed in range(seeds)]
    return [rows[piece]["test"] for piece in wanted if piece in rows]


def interval(values: list[float]) -> Figures:
    """Mean and Student's 95 % interval; of a single value without one."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return {"mean": mean, "low": None, "high": None}
    half = float(stats.t.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1))
    half /= math.sqrt(len(values))
    return {"mean": mean, "low": mean - half, "high": mean + half}


def study_figures(study: Study, rows: dict[str, Row]) -> Figures:
    """Everything that is shown, with the rows that it follows from."""
    seeds, times = study.spec.train.seeds, measured(study)
    networks: dict[str, Figures] = {}
    for label in (DENSE, *(label for label, _, _ in study.names())):
        if not (found := accuracies(rows, label, seeds)):
            continue
        ratio = paired_ratio(times[DENSE].rounds, times[label].rounds)
        networks[label] = {
            "test": found,
            **interval(found),
            "median_ms": times[label].median,
            "faster": asdict(ratio),
            **({} if label == DENSE else rows[label]),
        }
    return {
        "study": study.spec.name,
        "target": str(study.job().table().target),
        "speedups": study.speedups,
        "teacher": rows["teacher"]["test"],
        "networks": networks,
        "gains": gains(study.speedups, {n: found["test"] for n, found in networks.items()}),
    }


def gains(speedups: Sequence[float], tests: dict[str, list[float]]) -> Figures:
    """By budget and rival, how many points `found` lies above it, seed by seed."""
    result: Figures = {}
    for speedup in speedups:
        own = tests.get(name("found", speedup), [])
        rivals = {m: name(m, speedup) for m in METHODS if m != "found"} | {DENSE: DENSE}
        result[f"{speedup:g}"] = {
            rival: interval([POINTS * (a - b) for a, b in zip(own, tests[label], strict=False)])
            for rival, label in rivals.items()
            if own and label in tests
        }
    return result


def report(study: Study, file: Path) -> None:
    """Prints the table; writes `outcome-<data set>.json` and the plot beside it."""
    figures = study_figures(study, done(file))
    target = RESULTS / f"{study.spec.name}.json"
    write(target, figures)
    draw(figures, target.with_suffix(".png"))
    Console(width=150).print(table(figures))


def table(figures: Figures) -> Table:
    """One row per network, grouped by budget."""
    shown = Table(title=f"{figures['study']}, {figures['target']}")
    for column in ("network", "M MACs", "ms", "times faster", "accuracy", "found is above it by"):
        shown.add_column(column)
    for label, row in figures["networks"].items():
        method, _, budget = label.partition("@")
        gain = figures["gains"].get(budget, {}).get(method)
        macs = row["predicted"]["macs"] / 1e6 if "predicted" in row else math.nan
        faster = row["faster"]
        shown.add_row(
            label,
            f"{macs:.2f}" if "predicted" in row else "",
            f"{row['median_ms']:.3f}",
            f"{faster['median']:.2f} ({faster['lo']:.2f} to {faster['hi']:.2f})",
            _range(row, "{:.4f}"),
            "" if gain is None else _range(gain, "{:+.2f}"),
            end_section=method == list(METHODS)[-1] or label == DENSE,
        )
    return shown


def draw(figures: Figures, path: Path) -> None:
    """Accuracy against measured latency, a colour a method."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    networks = figures["networks"]
    for method in (*METHODS, DENSE):
        mine = [row for label, row in networks.items() if label.partition("@")[0] == method]
        if not mine:
            continue
        middle = [POINTS * row["mean"] for row in mine]
        tests = [POINTS * np.array(row["test"]) for row in mine]
        low = [m - t.min() for m, t in zip(middle, tests, strict=True)]
        high = [t.max() - m for m, t in zip(middle, tests, strict=True)]
        axes.errorbar(
            [row["median_ms"] for row in mine],
            middle,
            yerr=[low, high],
            label=method,
            marker="o" if method in ("found", DENSE) else "x",
            linewidth=2 if method == "found" else 0.8,
            capsize=3,
        )
    axes.set_xlabel(f"measured latency in ms, {figures['target']}")
    axes.set_ylabel("test accuracy in %, mean and range of seeds")
    axes.set_title(figures["study"])
    axes.legend()
    figure.savefig(path, dpi=120)


def _range(figure: Figures, form: str) -> str:
    text = form.format(figure["mean"])
    if figure["low"] is None:
        return text
    return f"{text} ({form.format(figure['low'])} to {form.format(figure['high'])})"
