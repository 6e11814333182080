"""Checks of a latency table: is it fit to price a search? Findings for `table validate`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from latency_tables.finding import Finding
from latency_tables.predict import Predictor
from latency_tables.table import LatencyTable
from latency_tables.validate_fit import chains, fits

FLAGGED, TOO_MANY = 0.1, 0.3  # share of rows; flagged ones take no part in the fit
DRIFT = 0.03  # of the sentinel; what a quiet CPU repeats within
LEVELS = 0.1  # between sessions; the rows were divided by it, so more is corrected than can be
FEW_POINTS = 20  # rows below which a block's error is hardly known


def validate(table: LatencyTable) -> list[Finding]:
    """What was measured, how steady the machine was, how well the fit predicts, in this order."""
    findings = [*_coverage(table), *_flags(table), *_drift(table), *_sessions(table)]
    findings += [*_method(table), *_record(table)]
    if not any(finding.level == "error" for finding in findings):
        predictor = Predictor(table)
        findings += [*chains(table, predictor), *fits(table, predictor)]
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
    chained = {piece.geometry for row in table.chains for piece in row.pieces}
    for name in sorted(chained - set(groups)):
        yield Finding(level="error", text=f"{name} is part of a chain, but was not measured alone")


def _flags(table: LatencyTable) -> Iterator[Finding]:
    for what, measurements in (
        ("rows", list(table.rows.values())),
        ("chains", [row.measurement for row in table.chains]),
        ("networks", [row.measurement for row in table.networks]),
    ):
        flagged = [m for m in measurements if m.flags]
        if measurements:
            share, reasons = len(flagged) / len(measurements), {f for m in flagged for f in m.flags}
            why = f" ({', '.join(sorted(reasons))})" if reasons else ""
            yield Finding(
                level="ok" if not flagged else "warning" if share <= TOO_MANY else "error",
                text=f"{len(flagged)} of {len(measurements)} {what} are flagged{why}",
            )


def _method(table: LatencyTable) -> Iterator[Finding]:
    """How rows came about, where not simply by measuring each alone, and what has none."""
    inside = sum(row.isolated is not None for row in table.rows.values())
    if inside:
        yield Finding(
            level="ok", text=f"{inside} of {len(table.rows)} rows are differences of chains"
        )
    lost = table.protocol.get("lost")
    if isinstance(lost, list | tuple) and lost:
        yield Finding(
            level="warning",
            text=f"{len(lost)} models broke the measuring process and are left out",
        )


def _drift(table: LatencyTable) -> Iterator[Finding]:
    if table.target.modelled:
        yield Finding(level="warning", text=table.target.stamp)
        return
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


def _sessions(table: LatencyTable) -> Iterator[Finding]:
    """How far the sessions' levels lie apart, where the protocol tells them."""
    found = table.protocol.get("session_levels_ms")
    if not isinstance(found, list | tuple) or len(found) < 2:
        return
    if not all(isinstance(v, int | float) and v > 0 for v in found):
        yield Finding(level="warning", text="session levels are no latencies, so say nothing")
        return
    values = np.array(found, dtype=np.float64)
    spread = float(values.max() / values.min() - 1)
    yield Finding(
        level="ok" if spread <= LEVELS else "warning",
        text=f"{len(values)} sessions: the machine's level in the slowest was {100 * spread:.1f} % "
        "above the fastest",
    )


def _record(table: LatencyTable) -> Iterator[Finding]:
    """What else a reader would want to know of the target."""
    if table.roof is None:
        yield Finding(level="warning", text="no roof: peak and bandwidth were not measured")
    else:
        yield Finding(
            level="ok",
            text=f"roof: {table.roof.gmacs:.4g} GMAC/s and {table.roof.gbytes:.4g} GB/s",
        )
    if table.target.modelled:
        return
    if memory := table.target.details.get("memory"):
        yield Finding(level="ok", text=f"memory: {memory}")
    else:
        yield Finding(
            level="warning",
            text="target.details says nothing of memory: with pages of 4 KiB, latencies of one "
            "model differ between processes",
        )
