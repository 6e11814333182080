"""Learning curves: errors of every predictor that can be built anew from part of a table's rows.

`run` handles one part; `curves` gathers parts of one size. The rules of SMCP and MDP as their
programs have them are left out: with scattered rows they answer too few look-ups to have a curve.
Not run by itself; see `benchmarks.latency.points`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.latency import forest
from benchmarks.latency.cases import Case, Floats
from benchmarks.latency.compare import Outcome, by_rule, ours, ours_plain
from benchmarks.latency.figures import SEED, errors_percent, interval
from benchmarks.latency.rules import RIVALS, Rival
from supernet.shapes import BlockShape, Shape

DRAWS = 2000
LEFT_OUT = ("SMCP rule, as is", "MDP rule, as is", "isolated sum")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One part of the rows.

    Attributes:
        order: how it was chosen; "all" and "fifths" together make the point of all rows.
        size: the number of rows that it stands for.
        rows: to build from.
        judged: rows left out, of which bottlenecks judge.
    """

    order: str
    size: int
    rows: tuple[Shape, ...]
    judged: tuple[Shape, ...]


@dataclass(frozen=True, kw_only=True)
class Run:
    """Errors in percent, by predictor: of held-out networks, and of left-out bottlenecks."""

    cell: Cell
    networks: dict[str, Floats]
    blocks: dict[str, Floats]
    used: dict[str, int]


def run(case: Case, cell: Cell, folder: Path) -> Run:
    """Builds and judges every predictor on one part."""
    part = case.thinned(cell.rows)
    judged = [shape for shape in cell.judged if isinstance(shape, BlockShape)]
    measured = np.array([case.table.rows[shape].median for shape in judged])
    outcomes: list[Outcome] = [ours(part, judged), ours_plain(part, judged)]
    outcomes += [by_rule(rival, part, judged) for rival in refitted(folder)]
    networks, blocks, used = {}, {}, {}
    for outcome in outcomes:
        used[outcome.name] = outcome.rows
        if cell.order != "fifths":
            networks[outcome.name] = errors_percent(outcome.predicted, case.measured)
        if len(measured) and len(outcome.blocks):
            blocks[outcome.name] = errors_percent(outcome.blocks, measured)
    return Run(cell=cell, networks=networks, blocks=blocks, used=used)


@cache
def refitted(folder: Path) -> tuple[Rival, ...]:
    """Rivals with a curve."""
    return (*(r for r in RIVALS if r.name not in LEFT_OUT), *forest.rivals(folder)[0])


def curves(runs: Iterable[Run], case: Case) -> list[dict[str, Any]]:
    """One entry per predictor, order and size, ready for JSON; all rows count as random ones."""
    groups: dict[tuple[str, str, int], list[Run]] = {}
    for one in runs:
        order = "random" if one.cell.order in ("all", "fifths") else one.cell.order
        for name in one.used:
            groups.setdefault((name, order, one.cell.size), []).append(one)
    found = []
    for (name, order, size), several in sorted(groups.items(), key=lambda item: item[0][2]):
        networks = [one.networks[name] for one in several if name in one.networks]
        blocks = [one.blocks[name] for one in several if name in one.blocks]
        whole = [one.used[name] for one in several if one.cell.order != "fifths"]
        found.append(
            {
                "name": name,
                "order": order,
                "rows": size,
                "rows_used": float(np.mean(whole)),
                "chains": len(case.table.chains) if name == "ours" else 0,
                "networks": len(case.fit),
                "parts": len(networks),
                **_summary("network", networks),
                **_summary("block", blocks),
            }
        )
    return found


def _summary(what: str, parts: list[Floats]) -> dict[str, Any]:
    """Mean over parts, and percentiles over parts and resampled errors of each."""
    if not parts:
        return {f"{what}_mape_percent": float("nan"), f"{what}_interval": None}
    rng = np.random.default_rng(SEED)
    chosen = [parts[place] for place in rng.integers(0, len(parts), DRAWS)]
    means = [float(np.mean(errors[rng.integers(0, len(errors), len(errors))])) for errors in chosen]
    centre = float(np.mean([errors.mean() for errors in parts]))
    return {f"{what}_mape_percent": centre, f"{what}_interval": interval(np.array(means))}
