"""A latency table as the API and the page take it: curves with raw rounds, rows, roofline."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from latency_tables.roofline import roofline
from latency_tables.stairs import stairs_of
from latency_tables.sweeps import Sweep, sweep, sweeps
from latency_tables.table import LatencyTable, Measurement, TableError
from service.plain import plain
from supernet.shapes import Shape


def curves(table: LatencyTable) -> list[dict[str, Any]]:
    """Every measured sweep in short: what moves, and over how many widths."""
    return [
        {
            "block": found.geometry,
            "gene": found.axis,
            "label": found.label,
            "fixed": dict(found.fixed),
            "points": len(found.widths),
            "flagged": found.flagged,
        }
        for found in sweeps(table)
    ]


def stairs(table: LatencyTable) -> list[dict[str, Any]]:
    """The same with their right edges; seconds for a table of ten thousand rows."""
    return [
        {**short, "right_edges": list(stairs_of(found).right_edges)}
        for short, found in zip(curves(table), sweeps(table), strict=True)
    ]


def curve(table: LatencyTable, block: str, gene: str) -> dict[str, Any]:
    """One sweep in full.

    Raises:
        MissingShapeError: no sweep of this block and gene; names those there are.
    """
    found = sweep(table, block, gene)
    steps = stairs_of(found)
    return {
        "target": str(table.target),
        "stamp": table.target.stamp,
        "block": found.geometry,
        "gene": found.axis,
        "label": found.label,
        "widths": list(found.widths),
        "ms": found.levels.tolist(),
        "low": found.lo.tolist(),
        "high": found.hi.tolist(),
        "rounds": [list(row.adjusted) for row in found.rows],
        "flags": [list(row.flags) for row in found.rows],
        "right_edges": list(steps.right_edges),
        "edges": [asdict(plateau) for plateau in steps.edges],
        "macs": _macs(found),
    }


def _macs(found: Sweep) -> list[int]:
    return [int(shape.macs) for shape in found.shapes]


def rows(table: LatencyTable, block: str | None, start: int, count: int) -> dict[str, Any]:
    """Rows in the file's order from `start` on; `next` is where the following ones begin.

    Raises:
        TableError: no rows of this block.
    """
    groups = table.by_geometry()
    if block is not None and block not in groups:
        known = ", ".join(groups)
        raise TableError(f"block must be one of {known}, but got {block!r:.80}")
    listed = [
        (shape, row)
        for name, members in groups.items()
        if block in (None, name)
        for shape, row in members.items()
    ]
    end = start + count
    return {
        "total": len(listed),
        "next": end if end < len(listed) else None,
        "rows": [_row(shape, row) for shape, row in listed[start:end]],
    }


def _row(shape: Shape, row: Measurement) -> dict[str, Any]:
    return {
        "block": shape.geometry,
        "axes": list(shape.axes),
        "widths": list(shape.widths),
        "ms": row.median,
        "low": row.lo,
        "high": row.hi,
        "rounds": list(row.rounds),
        "flags": list(row.flags),
    }


def roof(table: LatencyTable) -> dict[str, Any] | None:
    """The roofline and every row under it; None where peak and bandwidth were not measured."""
    if table.roof is None:
        return None
    return {
        **asdict(table.roof),
        "points": [
            {
                "block": point.shape.geometry,
                "widths": list(point.shape.widths),
                "intensity": point.intensity,
                "gmacs": point.gmacs,
                "share": point.share,
            }
            for point in roofline(table)
        ],
    }


def held_out(table: LatencyTable) -> dict[str, Any] | None:
    """Networks that were never fitted: predicted against measured, and the errors in short.

    A table that holds no fit is fitted for it: seconds to minutes.
    """
    from latency_tables.predict import Predictor

    if not table.networks:
        return None
    predictor = Predictor(table)
    found: dict[str, Any] = {"errors": plain(asdict(predictor.held_out)), "networks": []}
    for row in table.networks:
        predicted = predictor.config(row.config)
        found["networks"].append(
            {
                "measured": row.measurement.median,
                "low": row.measurement.lo,
                "high": row.measurement.hi,
                "predicted": predicted.predicted,
                "upper": predicted.upper,
                "role": row.role,
            }
        )
    return found
