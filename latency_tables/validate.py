"""Checks of a latency table: is it fit to price a search? Findings for `table validate`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from latency_tables.predict import Predictor
from latency_tables.table import LatencyTable

Level = Literal["ok", "warning", "error"]
FLAGGED = 0.1  # share of rows
DRIFT = 0.03  # of the sentinel; what a quiet CPU repeats within
GOOD_MAPE, BAD_MAPE = 3.0, 10.0  # percent
FEW_POINTS = 20  # rows below which a block's error is hardly known
CALIBRATING, JUDGING = 20, 30  # whole networks


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of a validation."""

    level: Level
    text: str


def validate(table: LatencyTable) -> list[Finding]:
    """Coverage, flags, drift and prediction error of a table, in this order."""
    findings = [*_coverage(table), *_flags(table), *_drift(table)]
    if not any(finding.level == "error" for finding in findings):
        findings += _predictions(table)
    return findings


def _coverage(table: LatencyTable) -> Iterator[Finding]:
    groups = table.by_geometry()
    wanted = {shape.geometry for shape in table.network.shapes(table.network.dense())}
    for name in sorted(wanted - set(groups)):
        yield Finding(level="error", text=f"{name} was never measured")
    for name in sorted(set(groups) - wanted):
        yield Finding(level="warning", text=f"{name} is measured but not part of the network")
    for name in sorted(wanted & set(groups)):
        few = name.startswith("block") and len(groups[name]) < FEW_POINTS
        yield Finding(level="warning" if few else "ok", text=f"{name}: {len(groups[name])} points")


def _flags(table: LatencyTable) -> Iterator[Finding]:
    for what, measurements in (
        ("rows", list(table.rows.values())),
        ("networks", [row.measurement for row in table.networks]),
    ):
        flagged = [m for m in measurements if m.flags]
        if measurements:
            share, reasons = len(flagged) / len(measurements), {f for m in flagged for f in m.flags}
            why = f" ({', '.join(sorted(reasons))})" if reasons else ""
            yield Finding(
                level="ok" if not flagged else "warning" if share <= FLAGGED else "error",
                text=f"{len(flagged)} of {len(measurements)} {what} are flagged{why}",
            )


def _drift(table: LatencyTable) -> Iterator[Finding]:
    if len(table.sentinel) < 2:
        yield Finding(level="warning", text="no sentinel history: drift is unknown")
        return
    values = np.array(table.sentinel)
    off = np.abs(values / np.median(values) - 1)
    share = float((off > DRIFT).mean())
    yield Finding(
        level="ok" if share <= FLAGGED else "warning",
        text=f"sentinel: {100 * share:.0f} % of {len(values)} visits were more than "
        f"{100 * DRIFT:.0f} % off its median, at worst {100 * off.max():.1f} %",
    )


def _predictions(table: LatencyTable) -> Iterator[Finding]:
    predictor = Predictor(table)
    for name, model in predictor.blocks.models.items():
        error = model.mape_percent
        yield Finding(
            level="ok" if error <= 2 * GOOD_MAPE else "warning",
            text=f"{name}: left-out points are predicted with {error:.1f} % mean error "
            f"(line in FLOPs {model.flops_linear_mape_percent:.1f} %)",
        )
    roles = [row.role for row in table.networks]
    if roles.count("fit") < CALIBRATING or roles.count("held-out") < JUDGING:
        yield Finding(
            level="warning",
            text=f"{roles.count('fit')} networks to fit and {roles.count('held-out')} held out; "
            f"{CALIBRATING} and {JUDGING} are wanted",
        )
    if predictor.unpriced:
        yield Finding(
            level="warning",
            text=f"{predictor.unpriced} networks reach beyond the measured rows, so were left out",
        )
    yield _held_out(predictor)


def _held_out(predictor: Predictor) -> Finding:
    held, bound = predictor.held_out, predictor.bound
    if not held.points:
        return Finding(level="warning", text="no held-out network: the prediction error is unknown")
    mape = held.mape_percent
    return Finding(
        level="ok" if mape <= GOOD_MAPE else "warning" if mape <= BAD_MAPE else "error",
        text=f"{held.points} held-out networks: {mape:.1f} % mean error "
        f"(line in FLOPs {held.flops_linear_mape_percent:.1f} %), "
        f"{held.within_10_percent:.0f} % within 10 %, worst {held.worst_percent:.1f} %; "
        f"upper bound = prediction x {bound.factor:.3f} covers {100 * bound.coverage:.0f} %",
    )
