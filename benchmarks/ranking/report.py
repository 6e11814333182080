"""`python -m benchmarks.ranking.report ROWS.jsonl`: the study's figures as a table and as JSON.

For `--data fashion-mnist` likewise.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.pieces import done
from benchmarks.ranking.protocol import ASKED, STUDIES, configs, load, study_of
from benchmarks.ranking.stats import FIGURES, RESAMPLES, Floats, bootstrap, difference, tau
from benchmarks.search.spaces import RESULTS, write

GROUPS = {
    "wide": ("wide",),
    "band": ("band",),
    "all": ("wide", "band"),
    "band and more": ("band", "more"),
    "asked": ("more",),
}
"""Configs by the first part of their name; of "asked" only those that came after the question."""
FEWEST = 5
"""Configs that an order needs."""
Rows = dict[tuple[str, str, int], dict[str, Any]]


def keyed(file: Path) -> Rows:
    """Rows of finished pieces by kind of work, name and seed, which they tell as well."""
    found = {}
    for piece, row in done(file).items():
        kind, name, seed = piece.split()
        key = (kind, name, int(seed))
        found[key] = {**dict(zip(("kind", "name", "seed"), key, strict=True)), **row}
    return found


def truths(rows: Rows) -> dict[str, list[float]]:
    """Test accuracies by config, one per seed."""
    found: dict[str, list[float]] = defaultdict(list)
    for (kind, name, _), row in sorted(rows.items()):
        if kind == "net":
            found[name].append(row["test"])
    return dict(found)


def predictors(rows: Rows, names: list[str], protocol: Mapping[str, Any]) -> dict[str, Floats]:
    """Every predictor's values of these configs."""
    wanted, of = configs(protocol), study_of(protocol)
    found = {
        metric: np.array([of.costs(wanted[name])[metric] for name in names])
        for metric in ("macs", "params")
    }
    for (kind, name, seed), row in sorted(rows.items()):
        # A supernet of the first round knows nothing of the configs that came later.
        if kind == "supernet" and set(names) <= row["estimates"].keys():
            for key in ("estimates", "without_recalibration"):
                label = f"{name}-{seed}" + ("" if key == "estimates" else ", no recalibration")
                found[label] = np.array([row[key][n] for n in names])
    means = [v for label, v in found.items() if label[-1].isdigit()]
    if len(means) > 1:
        found["mean of supernets"] = np.mean(means, axis=0)
    found["random"] = np.random.default_rng(0).random(len(names))
    return found


def ceiling(truth: dict[str, list[float]], names: list[str]) -> float | None:
    """Tau between the first two seeds: about the most that a predictor can reach."""
    twice = [truth[name] for name in names if len(truth[name]) > 1]
    if len(twice) < FEWEST:
        return None
    first, second = np.array([values[:2] for values in twice]).T
    return tau(first, second)


def proposed(truth: dict[str, list[float]]) -> dict[str, float]:
    """Test accuracies of what the sandwich supernet proposed, and of the band's configs."""
    found: dict[str, float] = {}
    for group in ("proposed", "band"):
        means = [float(np.mean(values)) for name, values in truth.items() if name.startswith(group)]
        found |= {f"{group}_mean": float(np.mean(means)), f"{group}_best": max(means)}
        found[f"{group}_configs"] = len(means)
    return found


def study(rows: Rows, resamples: int = RESAMPLES, data: str = "tiny-imagenet-20") -> dict[str, Any]:
    """All figures, wide and in band."""
    truth, protocol = truths(rows), load(data)
    result: dict[str, Any] = {"nets": sum(map(len, truth.values())), "groups": {}}
    if any(name.startswith("proposed") for name in truth):
        result["proposed"] = proposed(truth)
    for group, members in GROUPS.items():
        names = [name for name in truth if name.split("-")[0] in members]
        if group == "asked":
            names = [name for name in names if int(name.split("-")[1]) >= ASKED]
        if {name.split("-")[0] for name in names} != set(members) or len(names) < FEWEST:
            continue
        values = np.array([np.mean(truth[name]) for name in names])
        known = predictors(rows, names, protocol)
        result["groups"][group] = {
            "configs": len(names),
            "spread_points": 100 * float(np.ptp(values)),
            "tau_between_seeds": ceiling(truth, names),
            "predictors": {
                label: {
                    **{
                        f: asdict(bootstrap(make, p, values, resamples))
                        for f, make in FIGURES.items()
                    },
                    "tau_above_macs": asdict(difference(p, known["macs"], values, resamples)),
                }
                for label, p in known.items()
            },
        }
    return result


def render(result: dict[str, Any]) -> Table:
    """One line per group and predictor."""
    table = Table(title=f"{result['nets']} networks trained alone")
    for column in ("configs", "predictor", "tau", "tau above MACs", "regret 1", "regret 10"):
        table.add_column(column)

    def cell(found: dict[str, float]) -> str:
        return f"{found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f})"

    for group, found in result["groups"].items():
        for label, figures in found["predictors"].items():
            shown = ("tau", "tau_above_macs", "regret_1", "regret_10")
            table.add_row(
                f"{group} ({found['configs']})", label, *(cell(figures[s]) for s in shown)
            )
    return table


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--data", choices=list(STUDIES), default="tiny-imagenet-20")
    given = parser.parse_args()
    rows = keyed(given.rows)
    result = study(rows, data=given.data)
    Console(width=140).print(render(result))
    print(result.get("proposed", ""))
    write(RESULTS / f"ranking-{given.data}.json", {**result, "rows": list(rows.values())})


if __name__ == "__main__":
    main()
